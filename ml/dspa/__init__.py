"""Client of Data Science Pipelines (the DSPA) by direct REST: admit, submit once, follow, decide the outcome.

It may import release, gate, storage and core, but neither kfp nor TensorFlow: the submitter's pod is
small. Start reading at `run`. `transport` turns each answer into a result or an error, `session` retries,
`submit` keeps one run for each attempt, `outcome` decides by the run's state and its evidence.
"""
