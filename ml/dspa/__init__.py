"""Data Science Pipelines of OpenShift AI, by direct REST: submit once, follow, decide, diagnose."""
