"""Save the work of a push: answer it from an earlier decision, and cancel the runs that it supersedes."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ml.cli.console import out, tame
from ml.cli.dspa_options import DecidedOk, OutcomeFile
from ml.cli.image_options import (
    AuthFile,
    Base,
    Checkout,
    PythonVersion,
    RegistryCa,
    RegistryTls,
    Repository,
    ResultsDir,
    TokenFile,
    registry_of,
    require_python,
)
from ml.cli.judge_options import LOCAL, JudgeImage
from ml.cli.options import (
    STORE,
    AsJson,
    ModelName,
    ModelVersion,
    PolicyFile,
    Store,
    open_store,
    policy_text_of,
)
from ml.cli.reporting import outcome_in
from ml.cli.results import print_json, write_results
from ml.core.errors import EvidenceError, GateBlocked

if TYPE_CHECKING:
    from ml.gate.policy import Policy
    from ml.release.decisions import Decision, Inputs

WORK = ("LINT", "BUILD", "TRAIN")
"""The results: whether lint and tests, the build, and the training must run, "yes" or "no"."""


def answer(
    repository: Repository,
    data_version: Annotated[
        str,
        typer.Option(envvar="JUKEBOX_DATA_VERSION", help="The version of the tables, as holdout gave it."),
    ],
    tests: Annotated[
        str, typer.Option(envvar="JUKEBOX_TESTS", help="The files and folders that are tested.")
    ] = "tests/unit",
    store: Store = STORE,
    policy: PolicyFile = None,
    model_name: ModelName = "jukebox",
    model_version: ModelVersion = "1",
    judge_image: JudgeImage = LOCAL,
    retrain: Annotated[
        bool,
        typer.Option("--retrain/--no-retrain", envvar="JUKEBOX_RETRAIN", help="Ignore earlier decisions."),
    ] = False,
    source: Annotated[
        str, typer.Option(envvar="JUKEBOX_SOURCE", help="As for `jukebox ci image-assemble`.")
    ] = "",
    base: Base = None,
    python: PythonVersion = "3.12",
    checkout: Checkout = Path(),
    results_dir: ResultsDir = None,
    auth_file: AuthFile = None,
    token_file: TokenFile = None,
    ca: RegistryCa = None,
    tls: RegistryTls = True,
    outcome: OutcomeFile = None,
    decided_ok: DecidedOk = False,
    as_json: AsJson = False,
) -> None:
    """Answer a checkout from an earlier decision about the same inputs, where it still holds.

    The inputs are the component image, the data, the model's name and version, the policy, the judge's image
    and this package. A pass holds while its model is in production. A block holds while the model in
    production is the same as then; it ends this with exit code 10. Lint and tests are skipped where they have
    passed on the same files.

    The results LINT, BUILD and TRAIN say what must run, yes or no.
    """
    from ml.core.files import require_folder
    from ml.gate.policy import parse_policy
    from ml.image.assemble import image_of
    from ml.image.checked import checked_tag
    from ml.image.key import base_digest, default_base, dependencies, keyed_files
    from ml.release.decisions import make_inputs

    if results_dir:
        require_folder(results_dir)
    write_results(results_dir, dict.fromkeys(WORK, "no"))
    with outcome_in(outcome, decided_ok=decided_ok) as known:
        require_python(python)
        text = policy_text_of(policy)
        registry = registry_of(repository, auth_file, token_file, ca, tls)
        on = base_digest(base or default_base(checkout))
        tag = checked_tag(checkout, tests, on, python)
        lint = registry.digest(f"{repository}/component:{tag}") is None
        key = dependencies(keyed_files(checkout), python, on).key
        below = f"{repository}/component-dependencies:{key}"
        decision = None
        # The digest of the image needs its dependencies; without them there was no earlier run of it.
        if not retrain and registry.digest(below):
            image = image_of(checkout, python, below, source, registry).digest
            model = (model_name, model_version)
            inputs = make_inputs(image, data_version, model, text, judge_image, {})
            decision = _decision(store, inputs, parse_policy(text))
        if decision and decision.verdict == "block":
            known.update(run_id=decision.run_id, link=decision.link)
            raise GateBlocked(
                f"blocked already, by run {decision.run_id} of {decision.at} with the same code, data and "
                f"policy (--retrain, in Tekton retrain=true, decides anew): {decision.reason}"
            )
        if decision:
            known.update(answered=decision.run_id, link=decision.link)
    work = dict(zip(WORK, (lint, lint or not decision, not decision), strict=True))
    write_results(results_dir, {name: "yes" if left else "no" for name, left in work.items()})
    if as_json:
        print_json({"decision": decision.to_json() if decision else None, **work})
        return
    told = (
        f"nothing to train: candidate {decision.candidate[:12]}, in production, is of the same code, data "
        f"and policy (run {decision.run_id} of {decision.at})"
        if decision
        else "to train: there is no earlier decision about this code, data and policy that still holds"
    )
    out.print(tame(told), markup=False)
    out.print(f"lint and tests: {'to be run' if lint else 'passed on the same files before'}", markup=False)


def supersede(
    pipeline_run: Annotated[str, typer.Argument(help="The newer PipelineRun.")],
    namespace: Annotated[
        str | None, typer.Option(help="The namespace of the PipelineRuns; in a pod the pod's own.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Cancel the older PipelineRuns of the same ref (parameter head-of), except those that are promoting.

    Their finally tasks still run, and say which run superseded them. An account without the right to cancel
    gets a note, and the older runs go on.
    """
    from ml.core.kubernetes import Api, NotReadable
    from ml.dspa.connection import namespace_of
    from ml.dspa.supersede import supersede

    ended, note, where = [], "", namespace_of(namespace)
    try:
        if not where:
            raise NotReadable("outside of a pod --namespace must name theirs", lasting=True)
        ended = supersede(Api(where), pipeline_run)
    except NotReadable as error:
        note = f"older runs of the branch go on: {error}"
    if as_json:
        print_json({"ended": ended, "note": note})
    else:
        out.print(note or f"superseded: {', '.join(ended) or 'no run'}", markup=False)


def _decision(store: str, inputs: "Inputs", policy: "Policy") -> "Decision | None":
    """Return the decision about some inputs that still holds, or None; a damaged one gets a note."""
    import datetime

    from ml.release.decisions import find_decision, still_holds

    opened = open_store(store)
    try:
        decision = find_decision(opened, inputs)
    except EvidenceError as error:
        out.print(f"note: {tame(str(error))}", markup=False)
        return None
    today = datetime.datetime.now(datetime.UTC).date()
    return decision if decision and still_holds(opened, decision, policy, today) else None
