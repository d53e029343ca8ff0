"""Read pods, events and Tekton objects from the Kubernetes API, as this pod's account or the kubeconfig's.

Requests are not sent again here: the callers have time limits and repeat them if there is time.
"""

import json
import os
from typing import Any

SECONDS = (5, 20)
"""Timeouts: to connect, and between two pieces of an answer."""

NOT_FOUND = 404
TEKTON = {"group": "tekton.dev", "version": "v1"}


class NotReadable(Exception):
    """The API does not answer, or refuses.

    ``lasting`` is whether the same request fails again, ``status`` the HTTP status (0 without an answer).
    """

    def __init__(self, message: str, *, lasting: bool, status: int = 0) -> None:
        super().__init__(message)
        self.lasting = lasting
        self.status = status


class Api:
    """The API, for one namespace and for objects that belong to none."""

    def __init__(self, namespace: str) -> None:
        """Keep the namespace; the first request connects."""
        self.namespace = namespace
        self._client: Any = None

    def read(self, api: str, call: str, /, **options: Any) -> bytes:
        """Return the answer to a call of the Kubernetes client.

        Args:
            api: the class of the call, as CoreV1Api.
            call: its method.
            options: its arguments, without the namespace.

        Raises:
            NotReadable: there is no answer.
        """
        from kubernetes import client
        from kubernetes.client.exceptions import ApiException
        from kubernetes.config import ConfigException
        from urllib3.exceptions import HTTPError

        raw: dict[str, Any] = {"_preload_content": False, "_request_timeout": SECONDS}
        if "namespaced" in call:
            raw["namespace"] = self.namespace
        try:
            method = getattr(getattr(client, api)(self._connected()), call)
            data: bytes = method(**options, **raw).data
        except ConfigException as error:
            raise NotReadable("there is no kubeconfig here", lasting=True) from error
        except ApiException as error:
            status = int(error.status or 0)
            if status in (401, 403):
                kind = options.get("plural", f"{call.rpartition('_')[2]}s")
                may = "change" if call.startswith("patch_") else "read"
                what = f"this account may not {may} {kind} in namespace {self.namespace}"
            else:
                what = f"the Kubernetes API says {status} {error.reason}"
            raise NotReadable(what, lasting=status in (401, 403), status=status) from error
        except (HTTPError, OSError) as error:
            raise NotReadable("the Kubernetes API does not answer", lasting=False) from error
        return data

    def read_json(self, api: str, call: str, /, **options: Any) -> dict[str, Any]:
        """Return the answer to a call as `read` does, parsed.

        Raises:
            NotReadable: there is no answer, or it is not a JSON object.
        """
        try:
            answer = json.loads(self.read(api, call, **options))
        except ValueError as error:
            raise NotReadable("the answer is not the Kubernetes API's", lasting=True) from error
        if not isinstance(answer, dict):
            raise NotReadable("the answer is not the Kubernetes API's", lasting=True)
        return answer

    def tekton(self, kind: str, name: str) -> dict[str, Any]:
        """Return a Tekton object of a kind, such as taskruns.

        Raises:
            NotReadable: it cannot be read.
        """
        return self.read_json(
            "CustomObjectsApi", "get_namespaced_custom_object", **TEKTON, plural=kind, name=name
        )

    def tekton_list(self, kind: str, label: str) -> list[dict[str, Any]]:
        """Return all Tekton objects of a kind that have a label (``name=value``).

        Raises:
            NotReadable: they cannot be read.
        """
        items = self.read_json(
            "CustomObjectsApi",
            "list_namespaced_custom_object",
            **TEKTON,
            plural=kind,
            label_selector=label,
        ).get("items", [])
        if not isinstance(items, list):
            raise NotReadable("the answer is not the Kubernetes API's", lasting=True)
        return items

    def tekton_patch(self, kind: str, name: str, patch: dict[str, Any]) -> None:
        """Change a Tekton object by a JSON merge patch (RFC 7386).

        Raises:
            NotReadable: the object was not changed.
        """
        call = "patch_namespaced_custom_object"
        self.read("CustomObjectsApi", call, **TEKTON, plural=kind, name=name, body=patch)

    def _connected(self) -> Any:
        if self._client is None:
            from kubernetes import client, config

            settings = client.Configuration()
            if "KUBERNETES_SERVICE_HOST" in os.environ and "KUBECONFIG" not in os.environ:
                config.load_incluster_config(settings)
            else:
                config.load_kube_config(os.environ.get("KUBECONFIG"), client_configuration=settings)
            settings.retries = False
            self._client = client.ApiClient(settings)
        return self._client
