"""Ask a candidate and the champion about the sealed examples: without labels, credentials or a network.

This is the one place where the trusted side runs what a commit made. It reads the model and raw features, and
writes what the model answered: the trained model and every runtime on every family of inputs, the served
model over HTTP, and the champion. `ml.judge.score` reads that, and never the model.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

from ml.core.errors import GateBlocked, JukeboxError
from ml.core.files import write_json
from ml.gate.candidate import NATIVE
from ml.gate.served import Served
from ml.judge.allowed import check_candidate
from ml.judge.allowed_onnx import check_onnx
from ml.judge.answered import ANSWERED, Answered, ChampionFacts
from ml.judge.answers import write_arrays
from ml.judge.features import read_features
from ml.judge.isolation import require_isolation
from ml.judge.work import Asked, read_asked, require_files
from ml.measure.champion import Incomparable
from ml.onnx.inputs import input_families
from ml.onnx.production import ask_champion
from ml.onnx.runtime_answers import ModelFacts, RuntimeFacts, ask_model, ask_runtime
from ml.onnx.runtimes import open_runtimes
from ml.onnx.server_process import ServerTimeouts
from ml.onnx.serving import ask_server
from ml.onnx.serving_scores import ServerFacts

TIMEOUTS = ServerTimeouts(ready=60, whole=180, stop=15)

T = TypeVar("T")


def infer(work: Path, expected: str = "") -> str:
    """Write what the model answers to ``work/answers``, and say what was tried before.

    Args:
        work: the work folder; of it ``asked.json``, model, champion and features are read.
        expected: the digest that ``asked.json`` must have; "" for any.

    Raises:
        UsageError: there is a credential in reach.
        PlatformError: the API server, the DNS or the store answers.
        EvidenceError: a file is missing, or not the one that was downloaded.
        GateBlocked: the candidate holds what is not allowed, or does not run.
        RunFailed: the model server does not start, or does not answer.
    """
    asked, asked_digest = read_asked(work, expected)
    isolation = require_isolation(asked.store)
    require_files(work, asked, "model", "champion", "features")
    served = check_candidate(work / "model")
    (work / "answers").mkdir(exist_ok=True)
    names, features = read_features(work / "features/features.parquet")
    inputs = input_families(features)
    facts, runtimes = _asked("model.onnx", lambda: _ask_runtimes(work, served, inputs))
    server = _asked("model.onnx in the model server", lambda: _ask_server(work, features))
    champion = _ask_champion(work, asked, names, features)
    if NATIVE in asked.model:
        _asked(NATIVE, lambda: _ask_native(work, inputs))
    write_json(
        work / ANSWERED,
        Answered(
            asked=asked_digest,
            isolation=isolation,
            served=served,
            model=facts,
            runtimes=runtimes,
            server=server,
            champion=champion,
        ),
    )
    rows = sum(len(rows) for rows in inputs.values())
    return f"{len(features):,} sealed examples and {rows - len(features):,} other rows answered"


def _asked(what: str, ask: Callable[[], T]) -> T:
    """Return the answer to a question; any error of the libraries becomes one line about the model.

    Raises:
        GateBlocked: the model does not run.
    """
    try:
        return ask()
    except JukeboxError:
        raise
    except Exception as error:
        line = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise GateBlocked(f"{what} does not run: {line}") from error


def _ask_runtimes(
    work: Path, served: Served, inputs: dict[str, np.ndarray]
) -> tuple[ModelFacts, tuple[RuntimeFacts, ...]]:
    model = (work / "model/model.onnx").read_bytes()
    runtimes = open_runtimes(model, served)
    by_runtime = []
    for runtime in runtimes:
        facts, answers = ask_runtime(runtime, inputs)
        arrays = {f"{name}.{size}": one for name, sizes in answers.items() for size, one in sizes.items()}
        write_arrays(work / f"answers/{runtime.name}.npz", arrays)
        by_runtime.append(facts)
    return ask_model(model, runtimes, inputs["test"]), tuple(by_runtime)


def _ask_server(work: Path, features: np.ndarray) -> ServerFacts:
    answers = ask_server(work / "model/model.onnx", features, TIMEOUTS)
    arrays = {f"batch.{size}": one for size, one in answers.batches.items()}
    arrays |= {f"after.{index}": one for index, one in enumerate(answers.after_bad)}
    write_arrays(work / "answers/server.npz", arrays)
    return answers.facts


def _ask_champion(
    work: Path, asked: Asked, names: tuple[str, ...], features: np.ndarray
) -> ChampionFacts | None:
    if not asked.is_compared:
        return None
    path = work / "champion/model.onnx"
    try:
        check_onnx(path)
        answers = ask_champion(path, names, features)
    except (GateBlocked, Incomparable) as error:
        return ChampionFacts(features=(), labels=(), incomparable=str(error))
    write_arrays(work / "answers/champion.npz", {"probabilities": answers.probabilities})
    return ChampionFacts(features=tuple(answers.features), labels=tuple(answers.labels), incomparable="")


def _ask_native(work: Path, inputs: dict[str, np.ndarray]) -> None:
    from ml.onnx.keras_file import answer, load_network

    network = load_network(work / "model" / NATIVE)
    write_arrays(work / "answers/native.npz", {name: answer(network, rows) for name, rows in inputs.items()})
