"""For `bench_mutants.py record`: each test is a context of coverage; of a shared fixture it is the file."""

import coverage
import pytest


def within(context, after):
    coverage.Coverage.current().switch_context(context)
    try:
        return (yield)
    finally:
        coverage.Coverage.current().switch_context(after)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    return (yield from within(item.nodeid.partition("[")[0], ""))


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef, request):
    if fixturedef.scope == "function":
        return (yield)
    test = request._pyfuncitem.nodeid.partition("[")[0]
    return (yield from within(test.partition("::")[0], test))
