"""The components: what goes in and out of each step. Each body is one import and one call.

KFP copies the source of each function into the IR, so a body imports what it calls, from the package in
the image. No step installs anything at run time.
"""

import functools

from kfp import dsl
from kfp.dsl import Artifact, ClassificationMetrics, Dataset, Input, Markdown, Metrics, Model, Output

from ml.core.settings import LOCAL_IMAGE

component = functools.partial(dsl.component, base_image=LOCAL_IMAGE, install_kfp_package=False)


@component
def fetch(
    problem: str,
    table_uris: dict,
    snapshot_uri: str,
    data_version: str,
    tables: Output[Dataset],
    source: Output[Artifact],
):
    """Read the tables, from a snapshot if there is one, and name the version of what was read."""
    from ml.pipeline import data_steps

    data_steps.fetch(problem, table_uris, snapshot_uri, data_version, tables, source)


@component
def validate(
    problem: str,
    tables: Input[Dataset],
    source: Input[Artifact],
    champion_profile: Input[Artifact],
    champion: str,
    data_report: Output[Artifact],
    profile: Output[Artifact],
):
    """Check the tables against the data contract; a failure stops all later steps."""
    from ml.pipeline import data_steps

    data_steps.validate(problem, tables, source, champion_profile, champion, data_report, profile)


@component
def preprocess(
    problem: str,
    tables: Input[Dataset],
    train_split: Output[Dataset],
    val_split: Output[Dataset],
    test_split: Output[Dataset],
    labels: Output[Artifact],
):
    """Make the examples of the tables, split by recording."""
    from ml.pipeline import data_steps

    data_steps.preprocess(problem, tables, train_split, val_split, test_split, labels)


@component
def train(
    problem: str,
    train_split: Input[Dataset],
    val_split: Input[Dataset],
    hyperparameters: dict,
    model: Output[Model],
    history: Output[Artifact],
):
    """Train the problem's solution, with early stopping on the validation split."""
    from ml.pipeline import model_steps

    model_steps.train(problem, train_split, val_split, model, history, hyperparameters)


@component
def champion(
    champion: str,
    store_uri: str,
    champion_model: Output[Model],
    champion_profile: Output[Artifact],
):
    """Fetch the model that is in production, and the profile of its training data."""
    from ml.pipeline import release_steps

    release_steps.champion(champion, store_uri, champion_model, champion_profile)


@component
def evaluate(
    problem: str,
    model: Input[Model],
    train_split: Input[Dataset],
    test_split: Input[Dataset],
    labels: Input[Artifact],
    champion_model: Input[Model],
    champion: str,
    evaluation: Output[Artifact],
    evaluation_metrics: Output[Metrics],
    confusion: Output[ClassificationMetrics],
):
    """Measure the trained model, three baselines and the champion on the test examples."""
    from ml.pipeline import model_steps

    model_steps.evaluate(
        problem,
        model,
        train_split,
        test_split,
        labels,
        champion_model,
        champion,
        evaluation,
        evaluation_metrics,
        confusion,
    )


@component
def convert(
    problem: str,
    model: Input[Model],
    test_split: Input[Dataset],
    labels: Input[Artifact],
    model_name: str,
    model_version: str,
    data_version: str,
    onnx_model: Output[Model],
    reference: Output[Artifact],
    served: Output[Artifact],
):
    """Export the trained model to ONNX, and say how it is to be served."""
    from ml.pipeline import model_steps

    model_steps.convert(
        problem,
        model,
        test_split,
        labels,
        onnx_model,
        reference,
        served,
        {
            "model_name": model_name,
            "model_version": model_version,
            "data_version": data_version,
        },
    )


@component
def parity(
    onnx_model: Input[Model],
    reference: Input[Artifact],
    test_split: Input[Dataset],
    labels: Input[Artifact],
    served: Input[Artifact],
    parity_report: Output[Artifact],
    parity_metrics: Output[Metrics],
):
    """Check that the ONNX model answers as the trained model does, in each runtime that may serve it."""
    from ml.pipeline import model_steps

    model_steps.parity(onnx_model, reference, test_split, labels, served, parity_report, parity_metrics)


@component
def serving(
    onnx_model: Input[Model],
    served: Input[Artifact],
    reference: Input[Artifact],
    labels: Input[Artifact],
    serving_report: Output[Artifact],
    serving_metrics: Output[Metrics],
):
    """Load the ONNX model in a real model server, and ask it over HTTP."""
    from ml.pipeline import model_steps

    model_steps.serving(onnx_model, served, reference, labels, serving_report, serving_metrics)


@component
def gate(
    data_report: Input[Artifact],
    evaluation: Input[Artifact],
    parity_report: Input[Artifact],
    serving_report: Input[Artifact],
    model: Input[Model],
    onnx_model: Input[Model],
    served: Input[Artifact],
    run_id: str,
    nonce: str,
    model_name: str,
    model_version: str,
    commit: str,
    dirty: bool,
    image: str,
    data_version: str,
    champion: str,
    policy: str,
    evidence_uri: str,
    evidence: Output[Artifact],
    verdict: Output[Markdown],
):
    """Decide from the run's own reports: the self-check, which `save` obeys and promotion does not trust."""
    from ml.pipeline import release_steps

    release_steps.gate(
        {
            "run_id": run_id,
            "nonce": nonce,
            "model_name": model_name,
            "model_version": model_version,
            "commit": commit,
            "dirty": dirty,
            "image": image,
            "data_version": data_version,
            "champion": champion,
        },
        policy,
        evidence_uri,
        {
            "data_report": data_report,
            "evaluation": evaluation,
            "parity": parity_report,
            "serving": serving_report,
        },
        [model, onnx_model, served],
        evidence,
        verdict,
    )


@component
def save(
    evidence: Input[Artifact],
    source: Input[Artifact],
    data_report: Input[Artifact],
    evaluation: Input[Artifact],
    parity_report: Input[Artifact],
    serving_report: Input[Artifact],
    history: Input[Artifact],
    labels: Input[Artifact],
    profile: Input[Artifact],
    model: Input[Model],
    onnx_model: Input[Model],
    served: Input[Artifact],
    store_uri: str,
):
    """Store the model as a candidate with the run's reports beside it; refuse what the self-check blocks."""
    from ml.pipeline import release_steps

    release_steps.save(
        store_uri,
        evidence,
        [model, onnx_model, served],
        {
            "source.json": source,
            "data_report.json": data_report,
            "evaluation.json": evaluation,
            "parity.json": parity_report,
            "serving.json": serving_report,
            "history.json": history,
            "labels.json": labels,
            "profile.json": profile,
        },
    )
