"""Tell whether a run is what was asked for: pipeline, parameters, root of artifacts, account, experiment.

A name proves nothing: whoever may create runs can create one with our name and another pipeline. The API
server keeps a pipeline that is sent inline as YAML and returns it as a Struct (read in its source, 2.5 to
2.17, and tried with its own functions): every field comes back, nothing is added, and numbers are doubles.
So the comparison is exact, but for 2 and 2.0 being one number.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from ml.dspa.client import Run
from ml.dspa.submission import DERIVED, Submission


class Asked(NamedTuple):
    """What a run has to be. ``accounts`` are the service accounts that it may have."""

    pipeline: Any
    parameters: Mapping[str, Any]
    accounts: tuple[str, ...]
    experiment_id: str
    pipeline_root: str = ""


def asked_for(submission: Submission, experiment_id: str, dspa: str) -> Asked:
    """Return what the run of a submission to a DSPA has to be."""
    pipeline = submission.body(experiment_id)["pipeline_spec"]
    accounts = (f"pipeline-runner-{dspa}", *submission.service_accounts)
    return Asked(pipeline, submission.parameters, accounts, experiment_id)


def as_seen(run: Run) -> Asked:
    """Return what a run was at first sight: it has to stay that."""
    config = run.runtime_config
    return Asked(
        run.pipeline_spec, config.parameters, (run.service_account,), run.experiment_id, config.pipeline_root
    )


def differences(run: Run, parameters: Mapping[str, Any]) -> list[str]:
    """Name the parameters in which a run differs from what is wanted, those that explain the rest alone."""
    has = run.runtime_config.parameters
    names = sorted({*has, *parameters})
    found = [
        name
        for name in names
        if name not in has or name not in parameters or _differ(parameters[name], has[name]) is not None
    ]
    return [name for name in found if name not in DERIVED] or found


def unlike(run: Run, asked: Asked) -> str:
    """Say what is wrong with a run beside its parameters, "" for nothing."""
    where = _differ(asked.pipeline, run.pipeline_spec)
    if where is not None:
        place = f"it differs at {'.'.join(where)}" if where else "it names one, and does not show it"
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
    """Return the first place at which two JSON values differ, None if they are the same."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        if apart := ours.keys() ^ theirs.keys():
            return (min(apart),)
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
