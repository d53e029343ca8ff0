"""Checks of `jukebox doctor --runs-key`: the key of the runs must be denied access to the trusted side.

A step of a run executes the commit's code with this key. The key must not reach the source tables and the
sealed holdout, on which the code could train, nor the promoted models and the log.
"""

import functools
import secrets
from collections.abc import Callable, Iterator, Mapping

from ml.core.errors import JukeboxError, UsageError
from ml.dspa.doctor_check import Failed
from ml.storage.objects import Denied, create_object, delete_object, get_object

LARGEST = 1 << 34
"""Most bytes of a table; only its metadata are requested."""

OTHER_KEY = "give the runs a key whose policy does not allow this place (docs/security.md)"


def attempts(
    store: str, holdout: str, tables: Mapping[str, str]
) -> Iterator[tuple[str, Callable[[], str] | None, str]]:
    """Return what must be denied to a run: the name of the check, the attempt, and the option for the place.

    An attempt raises `Failed` if it is not denied. It is None if the place is not known, or is a folder,
    which cannot deny anything.

    Args:
        store: the model store.
        holdout: the judge's folder or prefix.
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
        raise Failed(f"{probe} was written and remains: the key may not delete it", OTHER_KEY) from None
    raise Failed(f"{probe} was written and deleted again", OTHER_KEY)


def _read(uri: str) -> str:
    try:
        data = get_object(uri, LARGEST, whole=False)
    except Denied:
        return "denied"
    except UsageError as error:
        raise Failed(f"{uri}: {error}", "correct the URI") from error
    readable = data is not None
    raise Failed(f"{uri} can be read" if readable else f"{uri}: the key may see that it is absent", OTHER_KEY)
