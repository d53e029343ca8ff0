"""The page of the settings: the variables that the command reads, and settings.env of Tekton's overlays."""

import re
from collections.abc import Iterator

import yaml

from ml.problems.songs.hyperparameters import Hyperparameters

from .graphs import ROOT
from .markdown import code, page, table
from .verbs import verbs

NAMED = re.compile(r'"((?:JUKEBOX|AWS)_[A-Z0-9_]+|REQUESTS_CA_BUNDLE)"')
"""A variable's name in the code."""

OVERLAYS = ("openshift", "kubernetes")
FOLDERS = ("settings/defaults", *(f"overlays/{name}" for name in OVERLAYS))

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
        table(("hyperparameter", "default", "what it is"), _hyperparameters()),
        "## settings.env",
        "The settings of a site are the lines of `tekton/settings/defaults/settings.env`, which all overlays "
        "share, and of the overlay's own `settings.env` (`tekton/overlays/openshift/` or "
        "`tekton/overlays/kubernetes/`), whose lines replace those of the same name. `oc apply -k` or "
        "`kubectl apply -k` writes them to the places where they are used.",
        *_sites(),
    )


def _hyperparameters() -> Iterator[tuple[str, str, str]]:
    """Tell each hyperparameter of the songs' solution."""
    for name, field in Hyperparameters.model_fields.items():
        yield code(name), code(str(field.default)), str(field.description)


def _options() -> Iterator[tuple[str, str, str, str]]:
    uses: dict[str, list[tuple[str, str, str]]] = {}
    for verb in verbs():
        for option in (*verb.arguments, *verb.options):
            found = option.name.partition(" <")[0], verb.name, option.help
            uses.setdefault(option.variable, []).append(found)
    for variable in sorted(uses.keys() - {""}):
        names, of, helps = (dict.fromkeys(each) for each in zip(*uses[variable], strict=True))
        yield code(variable), ", ".join(map(code, names)), ", ".join(map(code, of)), " / ".join(helps)


def in_the_code() -> set[str]:
    """Return the names of variables that stand in the code."""
    files = (ROOT / "ml").rglob("*.py")
    return {name for file in files for name in NAMED.findall(file.read_text(encoding="utf-8"))}


def _others() -> Iterator[tuple[str, str]]:
    optional = {option.variable for verb in verbs() for option in verb.options}
    found = (in_the_code() | READ_BY_OBSTORE) - optional - BETWEEN_PROCESSES
    if unknown := found - set(TO_THE_COMMAND):
        raise ValueError(f"variables that tests/docs/settings.py says nothing of: {sorted(unknown)}")
    return ((code(name), text) for name, text in TO_THE_COMMAND.items() if name in found)


def _sites() -> Iterator[str]:
    """Yield the tables of the shared settings, then those that each overlay sets."""
    shared, *own = (
        (ROOT / "tekton" / folder / "settings.env").read_text(encoding="utf-8") for folder in FOLDERS
    )
    if len({tuple(_values(text)) for text in own}) > 1:
        raise ValueError("the overlays do not have the same settings")
    yield from _tables([shared], ("default",))
    yield "### Settings of an overlay"
    yield from _tables(own, OVERLAYS)


def _tables(texts: list[str], columns: tuple[str, ...]) -> Iterator[str]:
    used, values = _used(), [_values(text) for text in texts]
    for block in texts[0].strip().split("\n\n"):
        lines = block.splitlines()
        names = [line.partition("=")[0] for line in lines if not line.startswith("#")]
        yield " ".join(line.removeprefix("#").strip() for line in lines if line.startswith("#"))
        if names:
            rows = (
                (code(name), *(code(_short(each[name])) for each in values), ", ".join(used.get(name, ())))
                for name in names
            )
            yield table(("setting", *columns, "goes to"), rows)


def _values(text: str) -> dict[str, str]:
    return dict(re.findall(r"^([A-Z_]+)=(.*)$", text, re.MULTILINE))


def _short(value: str) -> str:
    """Shorten a digest."""
    return re.sub(r"(@sha256:[0-9a-f]{8})[0-9a-f]{56}", r"\1…", value)


def _used() -> dict[str, list[str]]:
    """Return where kustomize writes each setting: parameters of the Pipeline, and triggers."""
    file = ROOT / "tekton" / "settings" / "kustomization.yaml"
    used: dict[str, list[str]] = {}
    for replacement in yaml.safe_load(file.read_text(encoding="utf-8"))["replacements"]:
        places = used.setdefault(replacement["source"]["fieldPath"].removeprefix("data."), [])
        for target in replacement["targets"]:
            select = target["select"]
            if "labelSelector" in select:
                places.append(f"what is labelled `{select['labelSelector']}`")
                continue
            kind, name = select["kind"], select.get("name", "")
            params = [
                re.findall(r"params\.\[name=([\w-]+)\]\.default", path) for path in target["fieldPaths"]
            ]
            if kind == "Pipeline" and any(params):
                places += [f"parameter `{param}`" for found in params for param in found]
            else:
                places.append(f"{kind} `{name}`" if name else f"each {kind}")
    return {name: list(dict.fromkeys(places)) for name, places in used.items()}
