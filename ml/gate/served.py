"""How the model is to be served: the runtime, and the settings without which it answers otherwise."""

from typing import Literal

from pydantic import Field

from ml.core.canonical import digest
from ml.core.records import Record, Text


class Served(Record):
    """The configuration that is part of the candidate: what a model server must be told.

    ``settings`` are the runtime's own, by its names: what OpenVINO Model Server takes as ``--plugin_config``.
    """

    schema_: Literal["jukebox.served/v1"] = Field("jukebox.served/v1", alias="schema")
    runtime: Literal["onnxruntime", "openvino"]
    settings: dict[Text, Text]

    @property
    def digest(self) -> str:
        """The digest of ``served.json`` that says this."""
        return digest(self.to_bytes())
