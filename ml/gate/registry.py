"""The subjects of the gate, in the order of the verdict: which checks each makes of a run's reports.

To add a subject, write its file in `ml.gate.subjects`, its section in `ml.gate.policy`, and its line here.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from ml.core.records import Record
from ml.gate.check import Check, Level, readable
from ml.gate.nouns import PLAIN, Nouns
from ml.gate.policy import Policy
from ml.gate.subjects.budget import budget_checks
from ml.gate.subjects.champion import champion_checks
from ml.gate.subjects.data import DataReport, data_checks
from ml.gate.subjects.drift import drift_checks
from ml.gate.subjects.evaluation import Evaluation, evaluation_checks
from ml.gate.subjects.parity import Parity, agreement_checks, parity_checks
from ml.gate.subjects.serving import Serving, serving_checks
from ml.gate.subjects.slices import slice_checks

REPORTS: Mapping[str, type[Record]] = {
    "data_report": DataReport,
    "evaluation": Evaluation,
    "parity": Parity,
    "serving": Serving,
}
"""The reports of a run, by name."""

R = TypeVar("R", bound=Record)


@dataclass(frozen=True)
class Reports:
    """The reports that could be read; None for each that could not."""

    data: DataReport | None
    evaluation: Evaluation | None
    parity: Parity | None
    serving: Serving | None

    @property
    def nouns(self) -> Nouns:
        """What the problem calls its examples, classes and rows."""
        return self.data.nouns if self.data else PLAIN


Checks = Iterable[Check]


def _data(reports: Reports, policy: Policy) -> Checks:
    return data_checks(reports.data, policy.data) if reports.data else ()


def _drift(reports: Reports, policy: Policy) -> Checks:
    data = reports.data
    return (
        drift_checks(data.drift, policy.drift, data.nouns, synthetic=data.synthetic)
        if data and data.drift
        else ()
    )


def _evaluation(reports: Reports, policy: Policy) -> Checks:
    if not reports.evaluation:
        return ()
    return evaluation_checks(reports.evaluation, policy.evaluation, reports.nouns)


def _champion(reports: Reports, policy: Policy) -> Checks:
    if not reports.evaluation or not reports.evaluation.champion:
        return ()
    # A snapshot has too few test examples to compare two models on; the judge has more, and decides.
    level: Level = "warn" if reports.data and reports.data.tables == "snapshot" else "block"
    return champion_checks(reports.evaluation.champion, policy.champion, reports.nouns, level)


def _slices(reports: Reports, policy: Policy) -> Checks:
    if not reports.evaluation:
        return ()
    return slice_checks(reports.evaluation.slices, policy.slices, reports.nouns)


def _parity(reports: Reports, policy: Policy) -> Checks:
    return parity_checks(reports.parity, policy.parity) if reports.parity else ()


def _budget(reports: Reports, policy: Policy) -> Checks:
    return budget_checks(reports.parity, policy.budget) if reports.parity else ()


def _serving(reports: Reports, policy: Policy) -> Checks:
    return serving_checks(reports.serving, policy.serving, policy.parity) if reports.serving else ()


def _agreement(reports: Reports, policy: Policy) -> Checks:
    if not reports.evaluation or not reports.parity:
        return ()
    return agreement_checks(reports.evaluation.model, reports.parity, policy.parity)


SUBJECTS: tuple[Callable[[Reports, Policy], Checks], ...] = (
    _data,
    _drift,
    _evaluation,
    _champion,
    _slices,
    _parity,
    _budget,
    _serving,
    _agreement,
)


def all_checks(reports: Mapping[str, Any], policy: Policy) -> Iterator[Check]:
    """Make every check: first that each report can be read, then those of each subject.

    Args:
        reports: the parsed JSON of each of `REPORTS`; ``{"unreadable": reason}`` where it could not be read.
        policy: the thresholds.
    """
    data, data_check = _load(DataReport, "data_report", reports)
    evaluation, evaluation_check = _load(Evaluation, "evaluation", reports)
    parity, parity_check = _load(Parity, "parity", reports)
    serving, serving_check = _load(Serving, "serving", reports)
    yield from (data_check, evaluation_check, parity_check, serving_check)
    loaded = Reports(data, evaluation, parity, serving)
    for checks in SUBJECTS:
        yield from checks(loaded, policy)


def _load(kind: type[R], name: str, reports: Mapping[str, Any]) -> tuple[R | None, Check]:
    raw = reports.get(name)
    if raw is None:
        return None, readable(name, "missing", f"the report {name} is missing")
    if isinstance(raw, dict) and set(raw) == {"unreadable"}:
        return None, readable(name, "unreadable", str(raw["unreadable"]))
    try:
        return kind.load(raw), readable(name, "readable", "")
    except (TypeError, ValueError) as error:
        return None, readable(name, "malformed", f"{name}.{error}")
