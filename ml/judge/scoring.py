"""The reports about a candidate, from labels and from what the model answered."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ml.core.errors import EvidenceError
from ml.core.files import file_digest
from ml.data.splits import Labels, read_examples, read_labels
from ml.gate.candidate import NATIVE
from ml.gate.subjects.champion import Comparison
from ml.gate.subjects.evaluation import Evaluation
from ml.gate.subjects.parity import SERVED, Parity
from ml.gate.subjects.serving import Serving
from ml.judge.answered import ANSWERED, Answered
from ml.judge.answers import Shape, read_arrays
from ml.judge.holdout_data import read_baselines
from ml.judge.work import AGAIN, Asked
from ml.measure.champion import Champion, Incomparable, checked_probabilities, compare_answers
from ml.measure.evaluation import score_evaluation
from ml.onnx import runtime_comparison, serving_scores
from ml.onnx.inputs import input_families
from ml.onnx.parity import score_parity
from ml.onnx.runtime_answers import EXAMPLES, RuntimeAnswers
from ml.onnx.serving_scores import ServerAnswers, score_serving
from ml.problem import Examples

RUNTIMES = (SERVED, "onnxruntime", "openvino")
"""What `ml.onnx.runtimes.open_runtimes` opens."""


@dataclass(frozen=True)
class Scoring:
    """What the reports are made of.

    Attributes:
        work: the work folder.
        asked: what is measured.
        answered: what infer found beside the arrays.
        test: the sealed examples, with their labels.
        labels: the model's inputs and outputs by name.
        reference: by family: what the runtimes are compared with, float32 [N, K]: the trained model's
            answers, or onnxruntime's where the judge cannot load that model.
        runtimes: by name: the answers of a runtime.
    """

    work: Path
    asked: Asked
    answered: Answered
    test: Examples
    labels: Labels
    reference: Mapping[str, np.ndarray]
    runtimes: Mapping[str, RuntimeAnswers]

    @classmethod
    def of(cls, work: Path, asked: Asked, answered: Answered) -> "Scoring":
        """Read labels and arrays.

        Raises:
            EvidenceError, GateBlocked: as `read_arrays`.
        """
        test = read_examples(work / "labels/examples.parquet")
        labels = read_labels(work / "labels/labels.json")
        shapes = {
            name: (len(rows), len(labels.classes)) for name, rows in input_families(test.features).items()
        }
        runtimes = {name: _runtime(work / f"answers/{name}.npz", shapes) for name in RUNTIMES}
        if NATIVE in asked.model:
            reference = read_arrays(work / "answers/native.npz", shapes)
        else:
            reference = {name: runtimes["onnxruntime"][name][rows] for name, (rows, _) in shapes.items()}
        return cls(work, asked, answered, test, labels, reference, runtimes)

    @property
    def probabilities(self) -> np.ndarray:
        """What the served runtime gives for the sealed examples, all at once, [N, K]."""
        return self.runtimes[SERVED][EXAMPLES][len(self.test.ids)]

    @property
    def digests(self) -> dict[str, str]:
        """What the reports are about, by the names of their fields."""
        model = self.asked.model
        return {
            "reference": "native" if NATIVE in model else "self-reported",
            "model_digest": model[NATIVE if NATIVE in model else "model.onnx"].digest,
            "onnx_digest": model["model.onnx"].digest,
            "served_digest": model["served.json"].digest,
            "test_digest": file_digest(self.work / "labels/examples.parquet"),
        }

    def evaluation(self) -> Evaluation:
        """Score the ONNX model in the served runtime, beside the baselines and the champion."""
        prior, logistic = read_baselines(self.work / "labels/baselines.parquet", self.test.counts.shape)
        return score_evaluation(
            self.probabilities,
            prior,
            logistic,
            self.test,
            self.labels.nouns,
            self._champion(),
            self.digests,
        )

    def _champion(self) -> Comparison | None:
        facts = self.answered.champion
        if not self.asked.is_compared:
            return None
        if facts is None:
            raise EvidenceError(f"{self.work / ANSWERED} does not mention the champion; {AGAIN}")
        champion: Champion | str = facts.incomparable[:300]
        if not champion:
            shape = (len(self.test.ids), len(facts.labels))
            path = self.work / "answers/champion.npz"
            answers = read_arrays(path, {"probabilities": shape}, "float64")["probabilities"]
            try:
                checked = checked_probabilities(answers, *shape)
                champion = Champion(list(facts.features), list(facts.labels), checked)
            except Incomparable as error:
                champion = str(error)
        onnx_digest = self.asked.files["champion/model.onnx"]
        return compare_answers(
            self.asked.champion,
            onnx_digest,
            champion,
            self.test.counts,
            self.labels.classes,
            self.probabilities,
        )

    def parity(self) -> Parity:
        """Compare each runtime with the reference."""
        return score_parity(
            self.answered.model,
            ((facts, self.runtimes[facts.name]) for facts in self.answered.runtimes),
            self.reference,
            self.test.counts,
            self.labels,
            self.answered.served,
            self.digests,
        )

    def serving(self) -> Serving:
        """Compare the served model's answers over HTTP with the reference's."""
        rows, labels = len(self.test.ids), len(self.labels.classes)
        bad = len(self.answered.server.bad_requests)
        sizes = serving_scores.batch_sizes(rows)
        shapes: dict[str, Shape] = {
            f"batch.{size}": (serving_scores.requests_of(size, rows) * size, labels) for size in sizes
        }
        shapes |= {f"after.{index}": (1, labels) for index in range(bad)}
        arrays = read_arrays(self.work / "answers/server.npz", shapes)
        answers = ServerAnswers(
            facts=self.answered.server,
            batches={size: arrays[f"batch.{size}"] for size in sizes},
            after_bad=[arrays[f"after.{index}"] for index in range(bad)],
        )
        return score_serving(answers, self.reference[EXAMPLES], len(self.labels.features), self.digests)


def _runtime(path: Path, families: Mapping[str, Shape]) -> RuntimeAnswers:
    """Read the answers of a runtime to all families in all batch sizes."""
    asked = {name: runtime_comparison.batch_sizes(rows) for name, (rows, _) in families.items()}
    shapes: dict[str, Shape] = {
        f"{name}.{size}": (runtime_comparison.rows_answered(size, families[name][0]), families[name][1])
        for name, sizes in asked.items()
        for size in sizes
    }
    arrays = read_arrays(path, shapes)
    return {name: {size: arrays[f"{name}.{size}"] for size in sizes} for name, sizes in asked.items()}
