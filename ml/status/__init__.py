"""What a commit's forge is told of a run: one status, and a summary for whoever reads the log."""
