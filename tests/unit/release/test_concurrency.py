"""Two processes in one store at once: candidates do not mix, and of two promotions one succeeds."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import pytest
from candidates import candidate_files, model_of, put, read, reports_of
from promotions import release
from reports import POLICY

from ml.core.errors import EvidenceError
from ml.release.promotion import champion_of, promote
from ml.release.store import ModelStore

_together = []


def _meet(barrier):
    _together.append(barrier)


def _try(work, uri, *arguments):
    """Do something to a store at the same time as the other process; return its result or error."""
    store = ModelStore(uri)
    _together[0].wait(timeout=30)
    try:
        return work(store, *arguments)
    except EvidenceError as error:
        return error


@pytest.fixture(scope="module")
def processes():
    """Call ``work(store, *arguments)`` in two processes that start together."""
    context = multiprocessing.get_context("spawn")
    barrier = (context.Barrier(2),)
    with ProcessPoolExecutor(2, mp_context=context, initializer=_meet, initargs=barrier) as pool:
        yield lambda work, store, *calls: [
            done.result(60) for done in [pool.submit(_try, work, store.uri, *call) for call in calls]
        ]


@pytest.mark.parametrize("attempt", range(10))
def test_of_two_candidates_judged_against_the_same_champion_exactly_one_wins(folder, processes, attempt):
    champion = release(folder, "A")
    rivals = {put(folder, name, champion=champion): name for name in "BC"}
    outcomes = processes(promote, folder, *((candidate, POLICY) for candidate in rivals))
    (lost,) = [outcome for outcome in outcomes if isinstance(outcome, EvidenceError)]
    (won,) = [outcome for outcome in outcomes if outcome is not lost]
    assert won.new
    assert folder.log()[1:] == [won.promotion]
    model = candidate_files(rivals[champion_of(folder.log())])["model.onnx"]
    assert read(folder.uri, "serving/jukebox/2/model.onnx") == model


@pytest.mark.parametrize("names", ["AB", "AA"])
def test_two_runs_store_their_candidates_at_once(folder, processes, names):
    files = list(map(candidate_files, names))
    runs = [(model_of(made), run, reports_of(made)) for made, run in zip(files, ("one", "two"), strict=True)]
    found = processes(ModelStore.put_candidate, folder, *runs)
    assert set(folder.candidates()) == set(found)
    for candidate, (model, run, reports) in zip(found, runs, strict=True):
        assert folder.read_candidate(candidate) == model
        assert folder.read_reports(candidate)[run] == reports
