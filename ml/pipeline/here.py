"""Run the pipeline on this machine, from tables to a promoted model, in three calls.

run = begin(order)
ml.pipeline.local.execute(run, print)
done = conclude(order, run)
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ml.gate.policy import parse_policy
from ml.gate.verdict import Verdict
from ml.pipeline.local_run import LocalRun, collect, prepare
from ml.release.judgement import prove
from ml.release.production import LogChange
from ml.release.promotion import promote
from ml.release.self_checked import require_self_checked_allowed
from ml.release.store import ModelStore


@dataclass(frozen=True)
class Order:
    """What to run.

    Attributes:
        problem: the problem's name.
        tables: path or URI of each table, absolute; {} with a snapshot.
        snapshot: path or URI of a training snapshot, "" without one.
        store: the model store: a folder, absolute, or s3://.
        runs: the folder in which each run gets its own.
        policy_text: the policy as one line.
        model_name: the model's name.
        model_version: its version.
        hyperparameters: all of them.
        pipeline: a compiled pipeline to run; None compiles it.
        promote: whether to promote the candidate when the self-check passes.
    """

    problem: str
    tables: Mapping[str, str]
    snapshot: str
    store: str
    runs: Path
    policy_text: str
    model_name: str = "jukebox"
    model_version: str = "1"
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    pipeline: Path | None = None
    promote: bool = True


@dataclass(frozen=True)
class Done:
    """The outcome of a run: its verdict, the candidate ("" where the self-check blocks it), its promotion."""

    run: LocalRun
    verdict: Verdict
    candidate: str
    promotion: LogChange | None


def begin(order: Order) -> LocalRun:
    """Prepare a run: everything that can be refused is refused here, before any computation.

    Raises:
        UsageError: the order cannot be carried out, or may not be promoted under its policy.
        PlatformError: a server or the store cannot be reached.
    """
    if order.promote:
        require_self_checked_allowed(order.store, parse_policy(order.policy_text))
    return prepare(
        order.problem,
        order.tables,
        order.snapshot,
        order.store,
        order.runs,
        order.policy_text,
        (order.model_name, order.model_version),
        order.hyperparameters,
        order.pipeline,
    )


def conclude(order: Order, run: LocalRun) -> Done:
    """Judge a run that was executed by its evidence, and promote what passes.

    Raises:
        EvidenceError: the run left no evidence, or that of something else.
        PlatformError: the store cannot be reached.
    """
    judgement = collect(run)
    if not judgement.verdict.passed:
        return Done(run, judgement.verdict, "", None)
    store = ModelStore(order.store)
    candidate = prove(store, judgement.evidence).candidate
    promotion = promote(store, candidate, order.policy_text) if order.promote else None
    return Done(run, judgement.verdict, candidate, promotion)
