"""Submit a compiled pipeline to a DSPA and follow it: what `jukebox submit` calls, and a notebook may.

Everything that can be wrong with an order is refused before the first request to the DSPA.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ml.core.errors import PlatformError
from ml.core.within import NotInTime, call_within
from ml.data.resolution import resolve_data
from ml.data.uris import refuse_password
from ml.dspa.admission import examine, examine_parameters, require_admitted
from ml.dspa.admission_policy import AdmissionPolicy, read_admission
from ml.dspa.compiled import Pipeline, read_pipeline
from ml.dspa.submission import Submission, make_submission
from ml.dspa.timeouts import Deadline
from ml.pipeline.hyperparameters import defaults, read_hyperparameters
from ml.problem import load_definition, load_solution
from ml.release.decisions import Inputs, make_inputs
from ml.release.promotion import champion_of
from ml.release.store import ModelStore


@dataclass(frozen=True)
class Order:
    """What to run.

    Attributes:
        pipeline: what `jukebox compile` wrote.
        image: the component image by digest; "" takes the pipeline's own.
        admission: the admission policy's file; None for the package's own.
        experiment: the experiment's name.
        attempt: one key, one run; "" makes a new one.
        evidence: where runs leave evidence.
        store: the model store.
        problem: the problem's name.
        tables: the URI of each table; {} with a snapshot.
        snapshot: the URI of a training snapshot, "" without one.
        commit: what image and pipeline were built from, and whether the work tree differed from it.
        model: the model's name and version.
        policy_text: our policy as one line.
        judge_image: what will judge the candidate.
        params: hyperparameters that were given, as they were typed.
    """

    pipeline: Path
    image: str
    admission: Path | None
    experiment: str
    attempt: str
    evidence: str
    store: str
    problem: str
    tables: Mapping[str, str]
    snapshot: str
    commit: tuple[str, bool]
    model: tuple[str, str]
    policy_text: str
    judge_image: str
    params: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Admitted:
    """An order that may be carried out: the key of its runs, its pipeline, and the rules that admitted it."""

    order: Order
    key: str
    pipeline: Pipeline
    rules: AdmissionPolicy


def admit(order: Order) -> Admitted:
    """Check everything that can be wrong with an order, before the first request.

    Raises:
        UsageError: something in the order cannot be used.
        NotAdmitted: the pipeline asks for what the admission policy does not allow.
    """
    rules = read_admission(order.admission)
    compiled = read_pipeline(order.pipeline, order.image)
    require_admitted(examine(compiled, rules), str(order.pipeline))
    for uri in (*order.tables.values(), order.snapshot):
        refuse_password(uri)
    admitted = Admitted(order, order.attempt or str(uuid.uuid4()), compiled, rules)
    draft = _submission(admitted, {"data_version": "", "champion": ""})
    _require_in_range(order, compiled)
    require_admitted(examine_parameters(compiled, draft.parameters, rules), str(order.pipeline))
    return admitted


def resolve(admitted: Admitted, deadline: Deadline) -> tuple[Submission, Inputs]:
    """Return what to submit, with the data's version and the champion, and what determines its verdict.

    Raises:
        UsageError: the data cannot be used.
        PlatformError: data or store cannot be reached in time.
    """
    order = admitted.order
    place = _resolve(order, deadline.remaining)
    inputs = make_inputs(
        admitted.pipeline.image,
        place["data_version"],
        order.model,
        order.policy_text,
        order.judge_image,
        order.params,
    )
    return _submission(admitted, place), inputs


def _require_in_range(order: Order, compiled: Pipeline) -> None:
    """Refuse hyperparameters out of range, where the pipeline is of the solution that is installed here.

    Raises:
        UsageError: one is.
    """
    if not order.params:
        return
    solution = load_solution(order.problem)
    if set(defaults(solution)) == set(compiled.hyperparameters):
        read_hyperparameters(solution, {**compiled.hyperparameters, **order.params})


def _submission(admitted: Admitted, resolved: Mapping[str, str]) -> Submission:
    order = admitted.order
    commit, dirty = order.commit
    decided = {
        "problem": order.problem,
        "table_uris": dict(order.tables),
        "snapshot_uri": order.snapshot,
        "store_uri": order.store,
        "commit": commit,
        "dirty": dirty,
        "model_name": order.model[0],
        "model_version": order.model[1],
        **resolved,
    }
    return make_submission(
        admitted.pipeline,
        order.experiment,
        admitted.key,
        order.evidence,
        decided,
        order.params,
        order.policy_text,
    )


def _resolve(order: Order, seconds: float) -> dict[str, str]:
    """Return the data's version and the champion, within so many seconds."""

    def resolve() -> dict[str, str]:
        version = resolve_data(load_definition(order.problem), order.tables, order.snapshot)
        # The judge compares with the champion of the day that it measures on: a run of a snapshot is
        # not about one, and stays what it is when another model is promoted.
        champion = "" if order.snapshot else champion_of(ModelStore(order.store, create=True).log())
        return {"data_version": version, "champion": champion}

    try:
        return call_within(seconds, resolve)
    except NotInTime:
        raise PlatformError(f"no data version and no champion within {seconds:g} s (--timeout)") from None
