"""The order in which `make mutants` asks the tests: the one that breaks every check sees most mutants."""

import os

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.environ.get("MUTANT_UNDER_TEST"):
        items.sort(key=lambda item: item.path.name != "test_reasons.py")
