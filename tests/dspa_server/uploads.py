"""Pipelines and their versions: multipart uploads, and as much of the rest as a run by reference needs."""

import email.parser
import email.policy
from typing import Any

from dspa_server.errors import ApiError, not_found
from dspa_server.listing import Fields, select
from dspa_server.records import Pipeline, Request, message, timestamp
from dspa_server.specs import read_file
from dspa_server.state import Dspa, new_id

LARGEST = 32 << 20

FIELDS: Fields = {
    "id": lambda item: item.version_id or item.pipeline_id,
    "name": lambda item: item.display_name,
    "display_name": lambda item: item.display_name,
    "created_at": lambda item: int(item.created_at.timestamp()),
}


class UploadRefused(Exception):
    """An upload is refused, in the form that only uploads have."""

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status = status

    def body(self) -> dict[str, str]:
        """Return the answer's JSON."""
        return {"error_message": str(self), "error_details": str(self)}


def upload(dspa: Dspa, request: Request) -> dict[str, Any]:
    """Store a pipeline and its first version."""
    documents = _documents(dspa, request, "Failed to read pipeline from file")
    name = request.query.get("display_name") or request.query.get("name") or "pipeline.yaml"
    if any(known.display_name == name for known in dspa.pipelines.values()):
        raise UploadRefused(409, "Failed to create a pipeline and a pipeline version")
    pipeline = Pipeline(name, dspa.now(), request.query.get("description", ""))
    dspa.pipelines[pipeline.pipeline_id] = pipeline
    _add_version(dspa, pipeline.pipeline_id, name, pipeline.description, documents)
    return pipeline_json(dspa, pipeline)


def upload_version(dspa: Dspa, request: Request) -> dict[str, Any]:
    """Store a version of a pipeline."""
    documents = _documents(dspa, request, "Failed to create a pipeline version")
    pipeline = dspa.pipelines.get(request.query.get("pipelineid", ""))
    name = request.query.get("name", "pipeline.yaml")
    if pipeline is None:
        raise UploadRefused(400, "Failed to create a pipeline version")
    if any(known.display_name == name for known in versions_of(dspa, pipeline.pipeline_id)):
        raise UploadRefused(409, "Failed to create a pipeline version")
    description = request.query.get("description", "")
    return version_json(dspa, _add_version(dspa, pipeline.pipeline_id, name, description, documents))


def _add_version(dspa: Dspa, pipeline_id: str, name: str, description: str, documents: Any) -> Pipeline:
    version = Pipeline(name, dspa.now(), description, pipeline_id, new_id(), documents)
    dspa.versions[version.version_id] = version
    return version


def _documents(dspa: Dspa, request: Request, refusal: str) -> Any:
    """Read the multipart field `uploadfile`."""
    head = f"Content-Type: {request.headers.get('Content-Type', '')}\r\n\r\n".encode()
    parts = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + request.body)
    files = [
        part
        for part in (parts.iter_parts() if parts.is_multipart() else ())
        if part.get_param("name", header="content-disposition") == "uploadfile"
    ]
    if not files:
        raise UploadRefused(400, refusal)
    data = files[0].get_payload(decode=True)
    if len(data) > LARGEST:
        raise UploadRefused(400, "Failed to read a pipeline spec file")
    try:
        return read_file(data, dspa.version)
    except ApiError as error:
        raise UploadRefused(400, error.external) from error


def versions_of(dspa: Dspa, pipeline_id: str) -> list[Pipeline]:
    """List a pipeline's versions, the oldest first."""
    return [version for version in dspa.versions.values() if version.pipeline_id == pipeline_id]


def get_pipeline(dspa: Dspa, request: Request) -> dict[str, Any]:
    """Answer with a pipeline, or one of its versions."""
    pipeline_id, *version_id = request.ids
    if pipeline_id not in dspa.pipelines:
        raise not_found("Pipeline", pipeline_id)
    if not version_id:
        return pipeline_json(dspa, dspa.pipelines[pipeline_id])
    if version_id[0] not in dspa.versions:
        raise not_found("PipelineVersion", version_id[0])
    return version_json(dspa, dspa.versions[version_id[0]])


def list_pipelines(dspa: Dspa, request: Request) -> dict[str, Any]:
    """Answer with a page of pipelines."""
    rows, total, token = select(list(dspa.pipelines.values()), request.query, FIELDS, "pipelines")
    found = [pipeline_json(dspa, row) for row in rows]
    return message({"pipelines": found, "total_size": total, "next_page_token": token})


def list_versions(dspa: Dspa, request: Request) -> dict[str, Any]:
    """Answer with a page of a pipeline's versions."""
    versions = versions_of(dspa, request.ids[0])
    rows, total, token = select(versions, request.query, FIELDS, "pipeline_versions")
    found = [version_json(dspa, row) for row in rows]
    return message({"pipeline_versions": found, "total_size": total, "next_page_token": token})


def pipeline_json(dspa: Dspa, item: Pipeline) -> dict[str, Any]:
    """Write a pipeline; older servers give it one name only."""
    return message(
        {
            "pipeline_id": item.pipeline_id,
            "display_name": item.display_name,
            "name": item.display_name if dspa.version.pipeline_store else "",
            "description": item.description,
            "created_at": timestamp(item.created_at),
        }
    )


def version_json(dspa: Dspa, item: Pipeline) -> dict[str, Any]:
    """Write a version, with its IR."""
    spec, platform = item.documents
    return message(
        {
            **pipeline_json(dspa, item),
            "pipeline_version_id": item.version_id,
            "pipeline_spec": {"pipeline_spec": spec, "platform_spec": platform} if platform else spec,
        }
    )
