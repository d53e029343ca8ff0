"""The training pipeline, from tables to a candidate that has earned its place in the store.

1. champion    fetches the model that is in production, if there is one
2. fetch       (beside it) reads the tables, and names the version of what it read
3. validate    checks the tables against the data contract, and measures their drift from the champion's;
               a broken contract stops all later steps
4. preprocess  (beside validate) makes examples of the tables, split by recording
5. train       fits the problem's model, with early stopping
6. evaluate    measures it beside three baselines and the champion, on examples that none has ever seen
7. convert     (beside evaluate) writes the ONNX model, and how it is to be served
8. parity      checks that the ONNX model answers as the trained one does, in each runtime that may serve it
9. serving     (beside parity) loads it in a real model server, and asks that over HTTP
10. gate       decides on these reports and writes the evidence: the run's self-check
11. save       stores the candidate, or fails the run in one line where the self-check blocks; only promotion,
               outside the run and on the judge's attestation, makes it the production model

    champion ─┐
    fetch ────┴┬─ validate ──┐
               └─ preprocess ┴─ train ─┬─ evaluate ───────────┐
                                       └─ convert ┬─ parity ──┤
                                                  └─ serving ─┴─ gate ─ save
"""

from kfp import dsl

from ml.core.settings import LOCAL_IMAGE, PIPELINE
from ml.pipeline import components as steps
from ml.pipeline.bounds import bound
from ml.pipeline.mounts import mount


@dsl.pipeline(name=PIPELINE, description="Train the model; gate it; save the candidate.")
def training_pipeline(
    problem: str,
    data_version: str,
    commit: str,
    dirty: bool,
    nonce: str,
    champion: str,
    evidence_uri: str,
    store_uri: str,
    policy: str,
    table_uris: dict = {},  # noqa: B006
    snapshot_uri: str = "",
    hyperparameters: dict = {},  # noqa: B006
    image: str = LOCAL_IMAGE,
    model_name: str = "jukebox",
    model_version: str = "1",
):
    """Connect the steps.

    Args:
        problem: what is trained: the name of a package with a definition and a solution (`ml.problem`).
        data_version: the version of all tables, as `jukebox` resolves it; fetch refuses any other.
        commit: the code's commit.
        dirty: whether the work tree differed from the commit.
        nonce: the submitter's; it comes back in the evidence.
        champion: the candidate in production when the run began, or "".
        evidence_uri: where the gate writes the evidence; {run_id} in it becomes the run's id.
        store_uri: the model store.
        policy: the digest of the gate's policy, which lies beside the evidence as policy.yaml.
        table_uris: by name of the table: a path, http(s):// or s3:// URI, or sample:; {} with a snapshot.
        snapshot_uri: a training snapshot, a folder or s3://, in place of the tables; "" for none.
        hyperparameters: those of the problem's solution; the compiler sets the defaults.
        image: the image that the steps run in; the compiler sets it.
        model_name: the model's name in the store.
        model_version: the version that its makers give it.
    """
    production = steps.champion(champion=champion, store_uri=store_uri)
    fetch = steps.fetch(
        problem=problem, table_uris=table_uris, snapshot_uri=snapshot_uri, data_version=data_version
    )
    tables = fetch.outputs["tables"]
    validate = steps.validate(
        problem=problem,
        tables=tables,
        source=fetch.outputs["source"],
        champion_profile=production.outputs["champion_profile"],
        champion=champion,
    )
    preprocess = steps.preprocess(problem=problem, tables=tables)
    labels, test_split = preprocess.outputs["labels"], preprocess.outputs["test_split"]
    train = steps.train(
        problem=problem,
        train_split=preprocess.outputs["train_split"],
        val_split=preprocess.outputs["val_split"],
        hyperparameters=hyperparameters,
    ).after(validate)
    model = train.outputs["model"]
    evaluate = steps.evaluate(
        problem=problem,
        model=model,
        train_split=preprocess.outputs["train_split"],
        test_split=test_split,
        labels=labels,
        champion_model=production.outputs["champion_model"],
        champion=champion,
    )
    convert = steps.convert(
        problem=problem,
        model=model,
        test_split=test_split,
        labels=labels,
        model_name=model_name,
        model_version=model_version,
        data_version=data_version,
    )
    onnx_model, served = convert.outputs["onnx_model"], convert.outputs["served"]
    parity = steps.parity(
        onnx_model=onnx_model,
        reference=convert.outputs["reference"],
        test_split=test_split,
        labels=labels,
        served=served,
    )
    serving = steps.serving(
        onnx_model=onnx_model, served=served, reference=convert.outputs["reference"], labels=labels
    )
    reports = {
        "data_report": validate.outputs["data_report"],
        "evaluation": evaluate.outputs["evaluation"],
        "parity_report": parity.outputs["parity_report"],
        "serving_report": serving.outputs["serving_report"],
    }
    gate = steps.gate(
        **reports,
        model=model,
        onnx_model=onnx_model,
        served=served,
        run_id=dsl.PIPELINE_JOB_ID_PLACEHOLDER,
        nonce=nonce,
        model_name=model_name,
        model_version=model_version,
        commit=commit,
        dirty=dirty,
        image=image,
        data_version=data_version,
        champion=champion,
        policy=policy,
        evidence_uri=evidence_uri,
    )
    save = steps.save(
        evidence=gate.outputs["evidence"],
        source=fetch.outputs["source"],
        **reports,
        history=train.outputs["history"],
        labels=labels,
        profile=validate.outputs["profile"],
        model=model,
        onnx_model=onnx_model,
        served=served,
        store_uri=store_uri,
    )
    mount(production, fetch, gate, save)
    bound(production, fetch, validate, preprocess, train, evaluate, convert, parity, serving, gate, save)
