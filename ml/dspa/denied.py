"""What the key of a run must not be able to do, each tried: the trusted side's places are closed to it.

A step of a run executes the commit's own code with the runs' key, which `jukebox doctor --runs-key` has too.
Nothing of the trusted ring may be within its reach: the source tables and the sealed holdout, which it would
train on, and the promoted models and the log, which say what is in production.
"""

import functools
import secrets
from collections.abc import Callable, Iterator, Mapping

from ml.core.errors import JukeboxError, UsageError
from ml.dspa.experiment import Failed
from ml.storage.objects import Denied, create_object, delete_object, get_object

LARGEST = 1 << 34
"""Bytes of a table; it is not read, only asked for."""

OTHER_KEY = "give the runs another key: its policy must not name this place (docs/security.md)"


def attempts(
    store: str, holdout: str, tables: Mapping[str, str]
) -> Iterator[tuple[str, Callable[[], str] | None, str]]:
    """Return what has to be denied to a run: its name, the attempt, and the option that names the place.

    An attempt raises `Failed` where it is not denied; it is None where the place is not known or, as a
    folder, can deny nothing.

    Args:
        store: the model store.
        holdout: the judge's place.
        tables: the URIs of the source tables by name.
    """

    def attempt(how: Callable[[str], str], uri: str) -> Callable[[], str] | None:
        return functools.partial(how, uri) if uri.startswith("s3://") else None

    for folder in ("promoted", "promotions"):
        yield f"no write to {folder}/", attempt(_write, f"{store.rstrip('/')}/{folder}"), "--store"
    ledger = f"{holdout.rstrip('/')}/ledger"
    yield "no read of the holdout", attempt(_read, f"{ledger}/00000001.parquet"), "--holdout"
    yield "no write to the holdout", attempt(_write, ledger), "--holdout"
    for name, uri in tables.items():
        yield f"no read of {name}", attempt(_read, uri), "--data"


def _write(folder: str) -> str:
    probe = f"{folder}/doctor-{secrets.token_hex(8)}"
    try:
        create_object(probe, b"")
    except Denied:
        return "denied"
    try:
        delete_object(probe)
    except JukeboxError:
        raise Failed(f"{probe} was written, and stays: no right to delete it", OTHER_KEY) from None
    raise Failed(f"{probe} was written and deleted again", OTHER_KEY)


def _read(uri: str) -> str:
    try:
        found = get_object(uri, LARGEST, whole=False)
    except Denied:
        return "denied"
    except UsageError as error:
        raise Failed(f"{uri}: {error}", "correct the URI") from error
    told = f"{uri} can be read" if found is not None else f"{uri}: the key learns that it is not there"
    raise Failed(told, OTHER_KEY)
