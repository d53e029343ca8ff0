"""The page of the settings: the variables that the command reads, and settings.env of Tekton's overlays."""

import re
from collections.abc import Iterator, Sequence

import yaml

from ml.problems.songs.hyperparameters import Hyperparameters

from .graphs import ROOT
from .markdown import code, page, table
from .verbs import verbs

OVERLAYS = ("openshift", "kubernetes")

TO_THE_COMMAND = {
    "JUKEBOX_TOKEN": "The token for the DSPA, where no file is named; in a pod its service account's.",
    "JUKEBOX_REPORT_TOKEN": "The forge's token, for `jukebox ci report`.",
    "JUKEBOX_ACTOR": "Who promotes or rolls back, for the promotion log; by default `user@host`.",
    "JUKEBOX_COMMIT": "The commit of this code where there is no repository; the tools image sets it.",
    "JUKEBOX_SERVER_PYTHON": "The Python of the model server's environment, for the step `serving`.",
    "REQUESTS_CA_BUNDLE": "A PEM file for pip in `jukebox image-build`, where pip's settings name none.",
    "AWS_ACCESS_KEY_ID": "The key for S3; it goes with `AWS_SECRET_ACCESS_KEY`.",
    "AWS_SECRET_ACCESS_KEY": "The key's secret.",
    "AWS_SESSION_TOKEN": "The session token of a temporary key.",
    "AWS_ENDPOINT_URL_S3": "The address of the object store; the first of the four that is set counts.",
    "AWS_ENDPOINT_URL": "The second of the four.",
    "AWS_ENDPOINT": "The third.",
    "AWS_S3_ENDPOINT": "The fourth, a data connection's: `https` where it has no scheme.",
    "AWS_REGION": "The region.",
    "AWS_DEFAULT_REGION": "The region, where `AWS_REGION` is not set.",
    "AWS_CA_BUNDLE": "A PEM file that is trusted beside the system's CAs.",
    "AWS_WEB_IDENTITY_TOKEN_FILE": "A web identity's token; it goes with `AWS_ROLE_ARN`.",
    "AWS_ROLE_ARN": "The role of the web identity.",
    "AWS_ROLE_SESSION_NAME": "The name of its session; by default `WebIdentitySession`.",
    "AWS_ENDPOINT_URL_STS": "The https address of the token service; by default the region's.",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "Where a container's role is asked for.",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI": "The same, as a whole address.",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "The token for that address.",
    "AWS_SKIP_SIGNATURE": "Set for buckets that anybody may read.",
    "AWS_METADATA_ENDPOINT": "The address of an EC2 instance's metadata service.",
}
"""What no option stands for. A name in the code that is neither here nor below is an error."""

READ_BY_OBSTORE = {"AWS_ROLE_SESSION_NAME", "AWS_ENDPOINT_URL_STS"}
BETWEEN_PROCESSES = {"JUKEBOX_EVENTS", "JUKEBOX_SERVER_TOKEN"}
"""What a process of ours sets for another of ours."""


def settings_page() -> str:
    """Return docs/reference/settings.md."""
    defaults = Hyperparameters.model_fields.items()
    return page(
        "Settings",
        "## Variables that stand for options",
        table(("variable", "option", "verbs", "what it is"), _options()),
        "## Other variables",
        "A blank variable counts as unset.",
        table(("variable", "what it is"), _others()),
        "## Hyperparameters",
        "Of the jukebox's own model. `--param NAME=VALUE` of `jukebox run` and `jukebox submit` sets one; "
        "the compiled pipeline has all of them, with these defaults, in its parameter `hyperparameters`.",
        table(
            ("hyperparameter", "default", "what it is"),
            ((code(name), code(field.default), field.description) for name, field in defaults),
        ),
        "## settings.env",
        "The settings of a site are the lines of `tekton/settings/defaults/settings.env`, which all overlays "
        "share, and of the overlay's own `settings.env` (`tekton/overlays/openshift/` or "
        "`tekton/overlays/kubernetes/`), whose lines replace those of the same name. `oc apply -k` or "
        "`kubectl apply -k` writes them to the places where they are used.",
        *_tables(("settings/defaults",), ("default",)),
        "### Settings of an overlay",
        *_tables([f"overlays/{name}" for name in OVERLAYS], OVERLAYS),
    )


def _options() -> Iterator[tuple[str, str, str, str]]:
    uses: dict[str, list[tuple[str, str, str]]] = {}
    for verb in verbs():
        for option in verb.options:
            use = code(option.name.partition(" <")[0]), code(verb.name), option.help
            uses.setdefault(option.variable, []).append(use)
    for variable in sorted(uses.keys() - {""}):
        names, of, helps = (dict.fromkeys(each) for each in zip(*uses[variable], strict=True))
        yield code(variable), ", ".join(names), ", ".join(of), " / ".join(helps)


def in_the_code() -> set[str]:
    """Return the names of variables that stand in the code."""
    text = "".join(file.read_text() for file in (ROOT / "ml").rglob("*.py"))
    return set(re.findall(r'"((?:JUKEBOX|AWS)_[A-Z0-9_]+|REQUESTS_CA_BUNDLE)"', text))


def _others() -> Iterator[tuple[str, str]]:
    optional = {option.variable for verb in verbs() for option in verb.options}
    named = (in_the_code() | READ_BY_OBSTORE) - optional - BETWEEN_PROCESSES
    if unknown := named - set(TO_THE_COMMAND):
        raise ValueError(f"variables that tests/docs/settings.py says nothing of: {sorted(unknown)}")
    return ((code(name), text) for name, text in TO_THE_COMMAND.items() if name in named)


def _tables(folders: Sequence[str], columns: Sequence[str]) -> Iterator[str]:
    """Yield the comments of the first settings.env, each with a table of the settings below it."""
    texts = [(ROOT / "tekton" / folder / "settings.env").read_text() for folder in folders]
    used, values = _used(), [dict(re.findall(r"^([A-Z_]+)=(.*)$", text, re.MULTILINE)) for text in texts]
    if len({tuple(each) for each in values}) > 1:
        raise ValueError("the overlays do not have the same settings")
    for block in texts[0].strip().split("\n\n"):
        lines = block.splitlines()
        yield " ".join(line.removeprefix("#").strip() for line in lines if line.startswith("#"))
        rows = []
        for name in (line.partition("=")[0] for line in lines if not line.startswith("#")):
            # A digest is shortened.
            short = (re.sub(r"(@sha256:[0-9a-f]{8})[0-9a-f]{56}", r"\1…", each[name]) for each in values)
            rows.append((code(name), *map(code, short), ", ".join(used.get(name, ()))))
        if rows:
            yield table(("setting", *columns, "goes to"), rows)


def _used() -> dict[str, dict[str, None]]:
    """Return where kustomize writes each setting: parameters of the Pipeline, and triggers."""
    used: dict[str, dict[str, None]] = {}
    file = ROOT / "tekton" / "settings" / "kustomization.yaml"
    for replacement in yaml.safe_load(file.read_text())["replacements"]:
        places = used.setdefault(replacement["source"]["fieldPath"].removeprefix("data."), {})
        for target in replacement["targets"]:
            places |= dict.fromkeys(_places(target["select"], " ".join(target["fieldPaths"])))
    return used


def _places(select: dict[str, str], paths: str) -> list[str]:
    params = re.findall(r"params\.\[name=([\w-]+)\]\.default", paths)
    if "labelSelector" in select:
        return [f"what is labelled `{select['labelSelector']}`"]
    if select["kind"] == "Pipeline" and params:
        return [f"parameter `{param}`" for param in params]
    return [f"{select['kind']} `{select['name']}`" if "name" in select else f"each {select['kind']}"]
