"""Two processes promote into one store at once: exactly one of them succeeds."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import pytest
from candidates import candidate_files, put, read
from promotions import release
from reports import POLICY

from ml.core.errors import EvidenceError
from ml.release.promotion import champion_of, promote
from ml.release.store import ModelStore

_together = []


def _meet(barrier):
    _together.append(barrier)


def _promote(uri, candidate):
    """Promote at the same time as the other process; return the result or the error."""
    _together[0].wait(timeout=30)
    try:
        return promote(ModelStore(uri), candidate, POLICY)
    except EvidenceError as error:
        return error


@pytest.mark.parametrize("attempt", range(5))
def test_of_two_candidates_judged_against_the_same_champion_exactly_one_wins(folder, attempt):
    champion = release(folder, "A")
    rivals = {put(folder, name, champion=champion): name for name in "BC"}
    context = multiprocessing.get_context("spawn")
    barrier = (context.Barrier(2),)
    with ProcessPoolExecutor(2, mp_context=context, initializer=_meet, initargs=barrier) as pool:
        outcomes = list(pool.map(_promote, [folder.uri] * 2, rivals))
    (lost,) = [outcome for outcome in outcomes if isinstance(outcome, EvidenceError)]
    (won,) = [outcome for outcome in outcomes if outcome is not lost]
    assert won.new
    assert folder.log()[1:] == [won.promotion]
    model = candidate_files(rivals[champion_of(folder.log())])["model.onnx"]
    assert read(folder.uri, "serving/jukebox/2/model.onnx") == model
