"""Bring a Model Registry up to date with the promotion log.

Each entry of the log has a record ``registered/<number>.json`` in the store once the registry shows it.
Without that record it is pending, whatever interrupted its registration: the promotion counts, and `sync`
repairs. Every step finds what is there before it creates or changes it, so it may be repeated after a crash
between any two.
"""

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from ml.core.canonical import parse
from ml.core.errors import EvidenceError
from ml.core.records import Count, Record
from ml.release.log import Promotion
from ml.release.production import restored
from ml.release.registry.client import RegistryClient
from ml.release.registry.entries import (
    ARCHIVED,
    LIVE,
    artifact_body,
    in_force,
    lineage_of,
    model_body,
    version_body,
    version_name,
)
from ml.release.store import ModelStore

LARGEST_RECORD = 1 << 14


class Registered(Record):
    """That a registry shows an entry of the log, and under which ids."""

    schema_: Literal["jukebox.registered/v1"] = Field("jukebox.registered/v1", alias="schema")
    number: Count
    registry: str
    model: str
    version: str
    artifact: str


@dataclass(frozen=True)
class Status:
    """What is registered of a log.

    ``registered`` are the records of entries by number, ``pending`` the numbers of the others, oldest first.
    """

    registered: dict[int, Registered]
    pending: tuple[int, ...]


def read_status(store: ModelStore, registry: str) -> Status:
    """Return which entries of the log a registry shows, as the store knows.

    Args:
        store: the store.
        registry: the address of the registry; records of another one do not count.

    Raises:
        EvidenceError: the log or a record is damaged.
        PlatformError: the store cannot be read.
    """
    registered = {}
    numbers = [entry.number for entry in store.log()]
    for number in numbers:
        data = store.objects.get(path_of(number), LARGEST_RECORD)
        if data is None:
            continue
        try:
            record = Registered.load(parse(data))
        except (TypeError, ValueError) as error:
            raise EvidenceError(
                f"{store.uri}/{path_of(number)} is damaged: {error}; remove it, and sync again"
            ) from error
        if record.registry == registry:
            registered[number] = record
    return Status(registered, tuple(number for number in numbers if number not in registered))


def sync(
    store: ModelStore, client: RegistryClient, group: str = "", *, everything: bool = False
) -> list[Registered]:
    """Register the entries of the log that are pending, and set which version is live.

    Args:
        store: the store.
        client: the registry.
        group: the namespace of the runs, "" if it is not known.
        everything: look up the other entries too, and register what the registry has lost.

    Returns:
        The records of these entries.

    Raises:
        EvidenceError: log, attestation or record is damaged, or the registry has a name in another case.
        PlatformError: the store cannot be read or written, or the registry does not answer.
    """
    done: list[Registered] = []
    seen = 0
    while True:
        log, numbers = store.log(), read_status(store, client.url).pending
        if everything and not seen:
            numbers = tuple(range(1, len(log) + 1))
        # Another process may have registered a newer entry meanwhile: the newest log decides what is live.
        if not numbers and seen in (0, len(log)):
            return done
        seen = len(log)
        made = [_register(store, client, log, number, group) for number in numbers if number <= seen]
        done += made
        _set_states(client, log, done[-1].model)
        for record in made:
            store.objects.put(path_of(record.number), record.to_bytes(), mode="overwrite")


def path_of(number: int) -> str:
    """Return the path of the record about an entry of the log."""
    return f"registered/{number:08}.json"


def _register(
    store: ModelStore, client: RegistryClient, log: list[Promotion], number: int, group: str
) -> Registered:
    """Register the model, the version and the artifact of an entry, those that are not there."""
    entry, origin = log[number - 1], restored(log, number)
    lineage = lineage_of(store, origin)
    model = client.get_or_create("registered_model", model_body(origin))
    state = LIVE if origin.candidate == log[-1].candidate else ARCHIVED
    body = version_body(origin, str(model["id"]), lineage, state)
    version = client.get_or_create("model_version", body, str(model["id"]))
    artifact = client.get_or_create(
        "model_artifact", artifact_body(store, origin, lineage, group), str(version["id"])
    )
    return Registered(
        number=entry.number,
        registry=client.url,
        model=str(model["id"]),
        version=str(version["id"]),
        artifact=str(artifact["id"]),
    )


def _set_states(client: RegistryClient, log: list[Promotion], model: str) -> None:
    """Make the version of the candidate in production live, then archive those that it replaced."""
    live = version_name(log[-1].candidate)
    ours = {version_name(entry.candidate) for entry in log}
    versions = [version for version in client.versions(model) if version["name"] in ours]
    for version in sorted(versions, key=lambda one: one["name"] != live):
        state = LIVE if version["name"] == live else ARCHIVED
        properties = in_force(log[-1]) if state == LIVE else {}
        if version.get("state") != state or _differs(version, properties):
            client.change("model_version", version, state, properties)


def _differs(version: dict[str, Any], properties: dict[str, Any]) -> bool:
    known = version.get("customProperties", {})
    return any(known.get(name) != value for name, value in properties.items())
