"""Compare a run with what was submitted: pipeline, parameters, pipeline root, service account, experiment.

The name of a run proves nothing: anybody who may create runs can use our name for another pipeline. The API
server (2.5 to 2.17) stores an inline pipeline as YAML and returns it as a Struct: every field comes back, no
field is added, and numbers are doubles. So the comparison is exact, except that 2 and 2.0 are equal.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from ml.dspa.answers import Run
from ml.dspa.submission import DERIVED, Submission


class Asked(NamedTuple):
    """What a run must be. ``accounts`` are the service accounts that it may have."""

    pipeline: Any
    parameters: Mapping[str, Any]
    accounts: tuple[str, ...]
    experiment_id: str
    pipeline_root: str = ""


def asked_for(submission: Submission, experiment_id: str, dspa: str) -> Asked:
    """Return what the run of a submission must be."""
    pipeline = submission.body(experiment_id)["pipeline_spec"]
    accounts = (f"pipeline-runner-{dspa}", *submission.service_accounts)
    return Asked(pipeline, submission.parameters, accounts, experiment_id)


def as_seen(run: Run) -> Asked:
    """Return what a run is at the first look; it must not change."""
    config = run.runtime_config
    return Asked(
        run.pipeline_spec, config.parameters, (run.service_account,), run.experiment_id, config.pipeline_root
    )


def differences(run: Run, parameters: Mapping[str, Any]) -> list[str]:
    """Return the parameters in which a run differs; derived ones only if no other differs."""
    has, asked = _flat(run.runtime_config.parameters), _flat(parameters)
    differing = [
        name
        for name in sorted({*has, *asked})
        if name not in has or name not in asked or _differ(asked[name], has[name]) is not None
    ]
    return [name for name in differing if name not in DERIVED] or differing


def _flat(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters by name; of an object each value by itself, as ``hyperparameters.epochs``."""
    flat: dict[str, Any] = {}
    for name, value in parameters.items():
        # An empty object stays one: it must not look like a parameter that is missing.
        flat |= {f"{name}.{key}": one for key, one in value.items()} if _is_object(value) else {name: value}
    return flat


def _is_object(value: Any) -> bool:
    return isinstance(value, dict) and bool(value)


def unlike(run: Run, asked: Asked) -> str:
    """Return how a run differs apart from its parameters, "" if it does not."""
    where = _differ(asked.pipeline, run.pipeline_spec)
    if where is not None:
        place = f"it differs at {'.'.join(where)}" if where else "the answer does not contain it"
        return f"it runs another pipeline ({place})"
    if run.service_account not in asked.accounts:
        return (
            f"it runs as the service account {run.service_account or 'unknown'}, not as "
            f"{' or '.join(asked.accounts)} (service_accounts of the admission policy)"
        )
    if run.runtime_config.pipeline_root != asked.pipeline_root:
        return f"its artifacts go to {run.runtime_config.pipeline_root}"
    if run.experiment_id != asked.experiment_id:
        return f"it is in another experiment, {run.experiment_id}"
    return ""


def _differ(ours: Any, theirs: Any) -> tuple[str, ...] | None:
    """Return the path at which two JSON values differ first, None if they are equal."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        if unmatched := ours.keys() ^ theirs.keys():
            return (min(unmatched),)
        pairs = [(name, ours[name], theirs[name]) for name in sorted(ours)]
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        pairs = [(str(index), *pair) for index, pair in enumerate(zip(ours, theirs, strict=True))]
    elif _number(ours) and _number(theirs):
        return None if ours == theirs else ()
    else:
        return None if type(ours) is type(theirs) and ours == theirs else ()
    for name, one, other in pairs:
        where = _differ(one, other)
        if where is not None:
            return (name, *where)
    return None


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
