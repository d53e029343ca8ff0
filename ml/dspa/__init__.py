"""Data Science Pipelines of OpenShift AI, by direct REST: admit, submit once, follow, say what came of it.

It imports nothing heavy: the submitter's pod is small. Start reading at `run`; `transport` decides what is
tried again, `submit` that exactly one run belongs to an attempt.
"""
