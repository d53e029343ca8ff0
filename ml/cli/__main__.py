"""`python -m ml.cli`, where the command itself is not installed."""

from ml.cli.main import main

main()
