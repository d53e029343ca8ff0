"""What the forge shows of a commit: its status, from what the Tasks of a run have left.

It imports `ml.core` only, and knows none of the run's parts. Start reading at `summary`.
"""
