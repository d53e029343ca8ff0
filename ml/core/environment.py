"""The AWS_* variables of this process, cleaned once when it starts.

A data connection has a blank variable for each value that its author left out, and values with a line end.
Libraries take a blank key for a key. So the command and each step clean their own environment first, before
any thread reads it; a notebook that calls the functions below gets an error that names the variable.
"""

import os


def clean_environment() -> None:
    """Remove blank AWS_* variables, and the white space around the values of the others."""
    for name, value in list(os.environ.items()):
        if name.startswith("AWS_") and value != value.strip():
            os.environ[name] = value.strip()
        if name.startswith("AWS_") and not value.strip():
            del os.environ[name]


def unclean_variable() -> str:
    """Return the name of an AWS_* variable that `clean_environment` would change, "" without one."""
    given = sorted((name, value) for name, value in os.environ.items() if name.startswith("AWS_"))
    return next((name for name, value in given if not value or value != value.strip()), "")
