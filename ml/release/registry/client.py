"""Requests to the REST API of a Model Registry (kubeflow/hub): find, create, change.

The API has no compare-and-set and no idempotent create; names are unique. So an object is looked up by its
name before it is created, and again after a conflict or an answer that was lost. Facts about the server that
this module depends on: a finder's 404 with the text "no …" proves absence, a 404 by id does not; a PATCH
without ``state`` resets the state, and ``customProperties`` replaces all of them.
"""

import base64
import time
from typing import Literal

from ml.core.errors import EvidenceError, PlatformError
from ml.release.registry.http import CONFLICT, NOT_FOUND, Connection, Json, NoAnswer, Site

Kind = Literal["registered_model", "model_version", "model_artifact"]

BASES = ("/api/model_registry/v1", "/api/model_registry/v1alpha3")
"""The APIs, the preferred one first: an older server has the second only."""

PAUSES = (1.0, 3.0)
"""Seconds before the second and the third attempt."""


class RegistryClient:
    """The API of one registry."""

    def __init__(self, site: Site) -> None:
        """Check the address; the first request connects.

        Raises:
            UsageError: the address cannot be used.
        """
        self._connection = Connection(site)
        self._base = ""

    @property
    def url(self) -> str:
        """The registry's address, without a slash at its end."""
        return self._connection.url

    def find(self, kind: Kind, name: str, parent: str = "") -> Json | None:
        """Return the object of that name below its parent, None if there is none.

        Raises:
            EvidenceError: there is one whose name differs, as in case: the server does not distinguish them.
            PlatformError: the registry does not answer, or refuses.
        """
        query = {"name": name, **({"parentResourceId": parent} if parent else {})}
        status, found = self._send("GET", f"/{kind}", query=query)
        if status == NOT_FOUND:
            text = str(found.get("message", ""))
            if not text.startswith("no "):
                raise PlatformError(f"{self.url}: cannot look up {kind} {name}: {text or 'HTTP 404'}")
            return None
        if found.get("name") != name:
            raise EvidenceError(
                f"{self.url} has the {kind} {found.get('name')!r} and does not distinguish it from {name!r}: "
                "rename one of them"
            )
        return found

    def get_or_create(self, kind: Kind, body: Json, parent: str = "") -> Json:
        """Return the object with the name of the body; create it if there is none.

        Raises:
            EvidenceError, PlatformError: as `find`.
        """
        where = {
            "registered_model": "/registered_models",
            "model_version": "/model_versions",
            "model_artifact": f"/model_versions/{parent}/artifacts",
        }[kind]
        for pause in (*PAUSES, None):
            if there := self.find(kind, body["name"], parent):
                return there
            try:
                status, made = self._send("POST", where, body=body, again=False)
            except NoAnswer as error:
                # It may have been created: look it up before it is sent again.
                if pause is None:
                    raise PlatformError(str(error)) from error
                time.sleep(pause)
                continue
            if status != CONFLICT:
                return made
        raise PlatformError(f"{self.url}: {kind} {body['name']} exists, and cannot be found")

    def change(self, kind: Kind, known: Json, state: str, properties: Json | None = None) -> None:
        """Set the state of an object, and of its custom properties those that are given.

        Args:
            kind: the kind of the object.
            known: the object as it was read.
            state: always sent, since a PATCH without it resets it.
            properties: the new values; others stay as they are.

        Raises:
            PlatformError: the registry does not answer, or refuses.
        """
        merged = {**known.get("customProperties", {}), **(properties or {})}
        body = {"state": state, "customProperties": {name: _written(value) for name, value in merged.items()}}
        status, _ = self._send("PATCH", f"/{kind}s/{known['id']}", body=body)
        if status == NOT_FOUND:
            raise PlatformError(f"{self.url}: {kind} {known['id']} cannot be changed: the registry says 404")

    def versions(self, model: str) -> list[Json]:
        """Return all versions of a registered model by its id.

        Raises:
            PlatformError: the registry does not answer, or refuses.
        """
        versions: list[Json] = []
        page = ""
        while True:
            query = {"pageSize": "100", "orderBy": "ID", **({"nextPageToken": page} if page else {})}
            status, listed = self._send("GET", f"/registered_models/{model}/versions", query=query)
            if status == NOT_FOUND:
                raise PlatformError(f"{self.url}: the versions of model {model} cannot be listed")
            versions += listed.get("items") or []
            page = str(listed.get("nextPageToken") or "")
            if not page:
                return versions

    def _send(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, str] | None = None,
        body: Json | None = None,
        again: bool = True,
    ) -> tuple[int, Json]:
        """Send a request below the base of the API; return the status (2xx, 404, 409) and the JSON object."""
        base = self._base or self._find_base()
        pauses = iter(PAUSES if again else ())
        while True:
            try:
                return self._connection.send(method, base + path, query, body)
            except NoAnswer as error:
                pause = next(pauses, None)
                if pause is None:
                    if not again:
                        raise
                    raise PlatformError(str(error)) from error
                time.sleep(pause)

    def _find_base(self) -> str:
        """Return the API that the server has.

        Raises:
            PlatformError: it has none of them.
        """
        for base in BASES:
            try:
                status, listed = self._connection.send("GET", f"{base}/registered_models", {"pageSize": "1"})
            except NoAnswer as error:
                raise PlatformError(str(error)) from error
            if status < 300 and "items" in listed:
                self._base = base
                return base
        raise PlatformError(f"{self.url}: no Model Registry answers here; check --registry")


def _written(value: Json) -> Json:
    """Return a custom property as it has to be sent: a struct is read as text and written as base64."""
    if value.get("metadataType") == "MetadataStructValue":
        text = str(value.get("struct_value", "")).encode()
        return {**value, "struct_value": base64.b64encode(text).decode()}
    return value
