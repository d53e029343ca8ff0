"""A process cleans the AWS_* variables that a data connection gave it, and no others."""

import os

from ml.core.environment import clean_environment, unclean_variable


def test_blank_variables_go_and_values_are_trimmed(monkeypatch):
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    given = {"AWS_BLANK": " \n", "AWS_EMPTY": "", "AWS_KEY": " k\n", "AWS_OK": "ok", "OTHER": " "}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert unclean_variable() == "AWS_BLANK"
    clean_environment()
    assert unclean_variable() == ""
    left = {name: os.environ[name] for name in given if name in os.environ}
    assert left == {"AWS_KEY": "k", "AWS_OK": "ok", "OTHER": " "}
