"""What differs between the servers in the field: an old one, today's fork, one without ML Metadata."""

from dataclasses import dataclass

RUN_FIELDS = frozenset(
    "experiment_id run_id display_name storage_state description pipeline_version_id pipeline_spec"
    " pipeline_version_reference runtime_config service_account created_at scheduled_at finished_at state"
    " error run_details recurring_run_id state_history".split()
)
"""What every v2beta1 server knows of a run."""

PLUGINS = frozenset({"plugins_input", "plugins_output"})


@dataclass(frozen=True)
class Profile:
    """A server's version, as far as a client can see it."""

    tag_name: str
    commit_sha: str
    run_fields: frozenset[str]
    unknown_spec_fields: frozenset[str] = frozenset()
    """Fields of the IR that came after this server; it refuses the whole spec."""
    pipeline_store: bool = True
    """Whether healthz names the pipeline store, and a pipeline has a name beside its display name."""
    gateway: int = 2
    """The version of grpc-gateway: the first says the message of an error twice."""
    context_ids: bool = False
    """Whether a run shows the ids of its ML Metadata contexts: 64-bit integers, so strings in JSON."""
    task_details: bool = True
    """Whether a run shows its workflow's nodes; without, `?view=FULL` gives tasks."""


PROFILES = {
    "2.5": Profile(
        tag_name="2.5.0",
        commit_sha="8c6d6a0e2f5b4a1d9c3e7f6a5b4c3d2e1f0a9b8c",
        run_fields=RUN_FIELDS,
        unknown_spec_fields=frozenset({"pipelineConfig", "taskConfigPassthroughs", "cacheKey"}),
        pipeline_store=False,
        gateway=1,
        context_ids=True,
    ),
    "2.16": Profile(
        tag_name="2.16.1",
        commit_sha="537860c41d1f4a0b8e2c6a7d9b5e3f1c0a4d8e6f",
        run_fields=RUN_FIELDS | PLUGINS,
    ),
    "next": Profile(
        tag_name="2.99.0",
        commit_sha="0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c",
        run_fields=RUN_FIELDS | PLUGINS | {"task_count", "tasks", "namespace", "pipeline_reference"},
        task_details=False,
    ),
}
