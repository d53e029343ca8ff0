"""`jukebox policy`: explain every threshold, and try a policy on the runs that there were."""

import json

import pytest
from candidates import candidate_files, put
from policies import default_policy, default_text
from processes import assert_one_line, call_at
from reports import POLICY, edited

from ml.gate.policy import parse_policy
from ml.release.promotion import promote
from ml.release.store import ModelStore

WAIVER = {
    "check": "budget.model_bytes",
    "who": "Ada",
    "why": "few songs in a new market",
    "until": "2999-12-31",
}


@pytest.fixture
def home(tmp_path):
    """A folder with a store in which one run passed and a place where another one's evidence lies."""
    store = ModelStore(str(tmp_path / ".jukebox/store"), create=True)
    promote(store, put(store), POLICY)
    blocked = tmp_path / ".jukebox/runs/run-2/evidence.json"
    blocked.parent.mkdir(parents=True)
    blocked.write_bytes(candidate_files("B", broken="budget.model_bytes")["evidence.json"])
    return tmp_path


def policy_file(home, **changes):
    (home / "policy.json").write_text(json.dumps({**json.loads(POLICY), **changes}))
    return "policy.json"


def test_every_threshold_is_explained_with_unit_and_reason(tmp_path):
    done = call_at(tmp_path, "policy", "explain")
    assert (done.returncode, done.stderr) == (0, "")
    assert "evaluation.min_examples" in done.stdout
    assert "nats per row" in done.stdout
    assert done.stdout.splitlines()[-1].startswith(f"policy {default_policy().digest}")
    assert "\x1b" not in done.stdout


def test_waivers_and_changed_values_are_told(tmp_path):
    changes = edited(json.loads(POLICY), {"evaluation.min_examples": 250})["evaluation"]
    old = {**WAIVER, "check": "evaluation.top5_mass", "until": "2020-01-01"}
    done = call_at(
        tmp_path,
        "policy",
        "explain",
        "--policy",
        policy_file(tmp_path, evaluation=changes, waivers=[WAIVER, old]),
    )
    assert "waived: budget.model_bytes, by Ada until 2999-12-31: few songs in a new market" in done.stdout
    assert "no longer waived: evaluation.top5_mass" in done.stdout
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("evaluation.min_examples")]
    assert "250" in line
    assert "changed" in line


def test_the_packages_own_text_is_a_policy_to_start_from(tmp_path):
    text = call_at(tmp_path, "policy", "default").stdout
    assert text == default_text()
    (tmp_path / "mine.yaml").write_text(text)
    done = call_at(tmp_path, "policy", "explain", "--policy", "mine.yaml", "--json")
    assert json.loads(done.stdout)["digest"] == parse_policy(default_text()).digest


def test_another_policy_would_have_decided_otherwise(home):
    budget = edited(json.loads(POLICY), {"budget.max_model_bytes": 46_765})["budget"]
    done = call_at(home, "policy", "test", "--policy", policy_file(home, budget=budget))
    assert done.returncode == 0
    assert "1 same, 1 newly blocked, 0 newly passing, 0 unreadable" in done.stdout
    assert "blocks: budget.model_bytes" in done.stdout


def test_a_replay_as_json_and_the_newest_only(home):
    found = json.loads(call_at(home, "policy", "test", "--json").stdout)
    assert (found["same"], len(found["runs"]), found["policy"]) == (2, 2, default_policy().digest)
    assert len(json.loads(call_at(home, "policy", "test", "--last", "1", "--json").stdout)["runs"]) == 1


def test_nothing_to_replay_on_is_an_error_that_says_where_it_looked(tmp_path):
    (tmp_path / "empty").mkdir()
    done = call_at(tmp_path, "policy", "test", "--store", "nowhere", "--evidence", "empty")
    assert "no evidence that can be read" in assert_one_line(done, 40)
    assert "nowhere" in assert_one_line(call_at(tmp_path, "policy", "test", "--store", "nowhere"), 2)


@pytest.mark.parametrize("verb", ["explain", "test"])
def test_a_policy_that_cannot_be_read_is_wrong_use(home, verb):
    (home / "bad.yaml").write_text("a: [b")
    assert "bad.yaml" in assert_one_line(call_at(home, "policy", verb, "--policy", "bad.yaml"), 2)


def test_a_waived_model_is_promoted_and_the_log_says_so(tmp_path):
    store = ModelStore(str(tmp_path / ".jukebox/store"), create=True)
    policy = policy_file(tmp_path, waivers=[WAIVER])
    text = parse_policy((tmp_path / policy).read_text()).text
    candidate = put(store, "C", broken="budget.model_bytes", policy=text)
    refused = call_at(tmp_path, "promote", candidate)
    assert "budget.model_bytes" in assert_one_line(refused, 10)
    done = call_at(tmp_path, "promote", candidate, "--policy", policy)
    assert done.returncode == 0, done.stderr
    assert (
        f"policy:    {parse_policy(text).digest[7:19]}, although it fails budget.model_bytes (waived)"
        in done.stdout
    )
    shown = call_at(tmp_path, "models").stdout
    assert "budget.model_bytes" in shown
    assert parse_policy(text).digest[7:19] in shown
