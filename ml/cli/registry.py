"""The Model Registry: show what it knows of the log, and bring it up to date."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ml.cli.console import out
from ml.cli.options import STORE, AsJson, Head, Store, open_store
from ml.cli.results import command, print_json
from ml.cli.tables import show_table
from ml.core.errors import EvidenceError, PlatformError, UsageError

if TYPE_CHECKING:
    from ml.release.registry.client import RegistryClient
    from ml.release.store import ModelStore

app = typer.Typer(
    name="registry",
    help="The Model Registry: what it shows of the promotion log, and how to repair that.",
    no_args_is_help=True,
)

Url = Annotated[
    str,
    typer.Option(
        "--registry", envvar="MODEL_REGISTRY_URL", help="The address of the Model Registry; blank for none."
    ),
]
TokenFile = Annotated[
    Path | None,
    typer.Option(
        "--registry-token-file",
        envvar="JUKEBOX_REGISTRY_TOKEN_FILE",
        help="The token for it; read for every request.",
    ),
]
Ca = Annotated[
    Path | None,
    typer.Option(
        "--registry-ca", envvar="JUKEBOX_REGISTRY_CA", help="A PEM file with the CA of its certificate."
    ),
]
Group = Annotated[
    str,
    typer.Option(
        "--registry-group",
        envvar="JUKEBOX_REGISTRY_GROUP",
        help="The namespace of the runs, to which the registry links.",
    ),
]


def client_of(url: str, token_file: Path | None, ca: Path | None) -> "RegistryClient":
    """Return the client of a registry.

    Raises:
        UsageError: the address or the CA cannot be used.
    """
    from ml.release.registry.client import RegistryClient
    from ml.release.registry.http import Site

    if ca and not ca.is_file():
        raise UsageError(f"--registry-ca {ca}: no such file")
    return RegistryClient(Site(url.strip(), token_file, ca))


def register(store: "ModelStore", client: "RegistryClient | None", group: str) -> str:
    """Register what is pending, and return the outcome as a line, "" without a registry.

    A registry that is down, or has something else, does not undo a promotion: it stays pending.
    """
    from ml.release.registry.registration import sync

    if client is None:
        return ""
    try:
        sync(store, client, group)
    except (EvidenceError, PlatformError, UsageError) as error:
        return f"pending: {error}; {_again(store, client)} registers it"
    return f"shown at {client.url}"


def _again(store: "ModelStore", client: "RegistryClient") -> str:
    """Return the command that registers what is pending."""
    return command("registry", "sync", "--store", store.uri, "--registry", client.url)


@app.command()
def sync(
    registry: Url = "",
    store: Store = STORE,
    registry_token_file: TokenFile = None,
    registry_ca: Ca = None,
    registry_group: Group = "",
    head: Head = None,
    as_json: AsJson = False,
) -> None:
    """Look up every promotion in the registry, register what is not there, and set which version is live.

    It may be repeated at any time, and after any interruption. What people have added to an object stays.

    Example: jukebox registry sync --store s3://models/jukebox --registry https://registry.example
    """
    from ml.release.registry.registration import sync as sync_registry

    client = client_of(registry, registry_token_file, registry_ca)
    records = sync_registry(open_store(store, head), client, registry_group, everything=True)
    if as_json:
        print_json({"registry": client.url, "registered": [record.to_json() for record in records]})
        return
    for record in records:
        out.print(f"shown: promotion {record.number} as version {record.version} of model {record.model}")
    out.print(f"{client.url}: {len(records)} promotions, none pending", markup=False)


@app.command()
def status(
    registry: Url = "",
    store: Store = STORE,
    head: Head = None,
    as_json: AsJson = False,
) -> None:
    """Show which promotions a registry has, and which are pending. The registry itself is not asked.

    Example: jukebox registry status --store s3://models/jukebox --registry https://registry.example
    """
    from ml.release.registry.registration import read_status

    client = client_of(registry, None, None)
    opened = open_store(store, head)
    known = read_status(opened, client.url)
    if as_json:
        shown = [record.to_json() for record in known.registered.values()]
        print_json({"registry": client.url, "registered": shown, "pending": list(known.pending)})
        return
    rows = [
        (str(record.number), "registered", f"version {record.version} of model {record.model}")
        for record in known.registered.values()
    ]
    rows += [(str(number), "pending", "") for number in known.pending]
    show_table(("promotion", "state", "in the registry"), sorted(rows, key=lambda row: int(row[0])))
    if known.pending:
        out.print(f"{len(known.pending)} pending; {_again(opened, client)} registers them", markup=False)
