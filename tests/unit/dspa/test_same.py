"""A run whose record is not what was submitted never counts."""

import pytest
from dspa_server import Script
from submissions import OTHER_IMAGE

from ml.core.errors import EvidenceError

SPEC, PLATFORM = "pipeline_spec", "platform_spec.platforms.kubernetes.deploymentSpec.executors.exec-train"
BOX = f"{SPEC}.deploymentSpec.executors.exec-train.container"
CACHED = f"{SPEC}.root.dag.tasks.gate.cachingOptions"
PLANTED = [{"secretName": "jukebox-promotion", "keyToEnv": []}]
ANOTHER = {
    f"{BOX}.image": (OTHER_IMAGE, f"pipeline .it differs at {BOX}.image."),
    f"{BOX}.command": (["sh"], f"pipeline .it differs at {BOX}.command."),
    f"{PLATFORM}.secretAsEnv": (PLANTED, r"pipeline .it differs at platform.*\.exec-train\.secretAsEnv."),
    f"{SPEC}.root.dag.tasks.another": ({}, f"pipeline .it differs at {SPEC}.root.dag.tasks.another."),
    CACHED: ({"enableCache": 1}, rf"pipeline .it differs at {CACHED}\.enableCache."),
    "reference": ({"pipeline_version_id": "2"}, "pipeline .the answer does not contain it"),
    "service_account": ("admin", "runs as the service account admin, not as pipeline-runner-dspa"),
    "pipeline_root": ("s3://elsewhere", "artifacts go to s3://elsewhere"),
}
"""What makes a run another one under the same name and with the same parameters, and how it is told."""


def as_another(run, what: str) -> Script:
    *above, name = what.split(".")
    at = vars(run)
    for key in above:
        at = at[key]
    at[name] = ANOTHER[what][0]
    return Script()


@pytest.mark.parametrize("what", ANOTHER)
def test_a_planted_run_with_our_name_and_parameters_is_refused(here, what):
    run = here.begin()
    as_another(here.dspa.runs[run.run_id], what)
    here.refuses(here.submission(), f"run {run.run_id} is not what was submitted: it.* {ANOTHER[what][1]}")


@pytest.mark.parametrize("what", [f"{BOX}.image", "service_account"])
def test_a_run_of_ours_that_comes_back_as_another_is_terminated(here, what):
    here.dspa.script = lambda run: as_another(run, what)
    here.ends_in(EvidenceError, "is not what was submitted")
    assert here.runs()[0].terminated


@pytest.mark.parametrize("what", [f"{BOX}.image", "pipeline_root"])
def test_a_run_that_becomes_another_on_the_way_is_no_pass(here, what):
    here.dspa.on_finish = lambda run: (as_another(run, what), here.leave(run))
    here.ends_in(EvidenceError, f"has changed: it.* {ANOTHER[what][1]}")


@pytest.mark.parametrize("name", ["nonce", "evidence_uri", "commit", "data_version", "store_uri"])
def test_a_run_whose_parameters_change_on_the_way_is_no_pass(here, name):
    other = f"{here.home}/elsewhere/{{run_id}}.json"
    here.dspa.on_finish = lambda run: (run.parameters.update({name: other}), here.leave(run))
    here.ends_in(EvidenceError, f"has changed: {name}")


@pytest.mark.parametrize(
    ("name", "value"), [("commit", "another"), ("hyperparameters", {}), ("champion", "c"), ("dirty", 0)]
)
def test_a_run_of_ours_that_comes_back_with_other_parameters_is_terminated(here, name, value):
    here.dspa.script = lambda run: run.parameters.update({name: value}) or Script()
    with pytest.raises(EvidenceError, match=rf"with another .*{name}|another model was in production"):
        here.submit()
    assert here.runs()[0].terminated


def test_a_run_in_another_experiment_is_refused_and_terminated(here):
    moved = here.dspa.add_experiment("another").experiment_id
    here.dspa.script = lambda run: setattr(run, "experiment_id", moved) or Script()
    with pytest.raises(EvidenceError, match=f"it is in another experiment, {moved}"):
        here.submit()
    assert here.runs()[0].terminated


def test_a_run_may_have_an_account_that_the_policy_names(here):
    run = here.begin()
    here.dspa.runs[run.run_id].service_account = "trainer"
    allowed = here.submission().model_copy(update={"service_accounts": ("trainer",)})
    assert here.submit(allowed).run_id == run.run_id


def test_a_number_is_the_same_however_a_server_writes_it(here):
    submission = here.submission(epochs=3, learning_rate=1.0)
    here.submit(submission)
    (run,) = here.runs()
    hyper = {**run.parameters["hyperparameters"], "epochs": 3.0, "learning_rate": 1}
    run.parameters = {**run.parameters, "hyperparameters": hyper}
    assert here.submit(submission).run_id == run.run_id
    with pytest.raises(EvidenceError, match="seed"):
        # A double cannot carry it.
        here.submit(here.submission("another", seed=2**53 + 1))
