"""The steps that read the tables: fetch, validate, preprocess.

Nothing heavy is imported before the step that needs it runs.
"""

from pathlib import Path

from ml.pipeline.artifacts import Artifact, output_file
from ml.pipeline.step import step


@step
def fetch(
    problem: str,
    table_uris: dict[str, str],
    snapshot_uri: str,
    data_version: str,
    tables: Artifact,
    source: Artifact,
) -> str:
    """Copy the tables into a folder, and check that they are the version that was asked for."""
    from ml.data.sources import rows_of
    from ml.data.uris import table_paths
    from ml.problem import load_definition

    definition, folder = load_definition(problem), Path(tables.path)
    folder.mkdir(parents=True, exist_ok=True)
    target = output_file(source, ".json")
    if snapshot_uri:
        from ml.data.snapshots import fetch_snapshot

        headline = fetch_snapshot(definition, snapshot_uri, data_version, folder, target)
    else:
        from ml.data.sources import fetch

        headline = fetch(definition, table_uris, data_version, folder, target)
    for name, path in table_paths(definition.TABLES, folder).items():
        tables.metadata[f"rows of {name}"] = rows_of(path)
    return headline


@step
def validate(
    problem: str,
    tables: Artifact,
    source: Artifact,
    champion_profile: Artifact,
    champion: str,
    data_report: Artifact,
    profile: Artifact,
) -> str:
    """Check the tables against the data contract, and measure their drift from the champion's."""
    from ml.data.contract import validate
    from ml.data.uris import table_paths
    from ml.problem import load_definition

    definition = load_definition(problem)
    paths = table_paths(definition.TABLES, Path(tables.path))
    targets = output_file(data_report, ".json"), output_file(profile, ".json")
    return validate(definition, paths, source.path, champion_profile.path, champion, *targets)


@step
def preprocess(
    problem: str,
    tables: Artifact,
    train_split: Artifact,
    val_split: Artifact,
    test_split: Artifact,
    labels: Artifact,
) -> str:
    """Make the examples of the tables, split by recording."""
    from ml.data.preprocess import make_splits
    from ml.data.sources import rows_of
    from ml.data.uris import table_paths
    from ml.problem import load_definition

    definition = load_definition(problem)
    splits = {"train": train_split, "val": val_split, "test": test_split}
    targets = {name: output_file(artifact, ".parquet") for name, artifact in splits.items()}
    paths = table_paths(definition.TABLES, Path(tables.path))
    headline = make_splits(definition, paths, targets, output_file(labels, ".json"))
    for artifact in splits.values():
        artifact.metadata["rows"] = rows_of(Path(artifact.path))
    return headline
