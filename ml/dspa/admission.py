"""Decide whether a compiled pipeline may be submitted: what it asks of the cluster, against a typed policy.

Everything is refused that the policy does not name, and every field of the IR that `ml.dspa.ir` does not
know. A command is no boundary: the commit's image may run anything, so commands and arguments are not judged.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from ml.dspa.admission_policy import AdmissionPolicy, amount
from ml.dspa.compiled import Pipeline
from ml.dspa.failures import NotAdmitted
from ml.dspa.ir import Part, Resources, Specification, is_flat
from ml.dspa.ir_platform import Given, Platform

KINDS: dict[str, type | tuple[type, ...]] = {
    "STRING": str,
    "NUMBER_INTEGER": int,
    "NUMBER_DOUBLE": (int, float),
    "BOOLEAN": bool,
    "STRUCT": dict,
}
"""The types of the pipeline's own parameters."""


GIGABYTE = 1e9
"""The unit of memory where kfp writes a number."""


def require_admitted(findings: Sequence[str], about: str) -> None:
    """Pass where nothing was found.

    Raises:
        NotAdmitted: with the first finding in its line, and all of them as ``details``.
    """
    if findings:
        more = f" (and {len(findings) - 1} more)" if findings[1:] else ""
        raise NotAdmitted(f"{about} is not admitted: {findings[0]}{more}", {"findings": list(findings)})


def examine(pipeline: Pipeline, policy: AdmissionPolicy) -> list[str]:
    """Return everything in a compiled pipeline that the policy does not allow, one line each.

    Args:
        pipeline: what is to be submitted; its ``image`` is the component by digest, as the caller knows it.
        policy: what is allowed.
    """
    found = [*_unknown(Specification, pipeline.spec), *_unknown(Platform, pipeline.platform)]
    try:
        # The rest is judged too, so that one look shows everything.
        spec = Specification.model_validate(pipeline.spec, extra="ignore")
        platform = Platform.model_validate(pipeline.platform, extra="ignore")
    except ValidationError:
        return found
    given = platform.platforms.kubernetes.deployment_spec.executors
    for name, executor in spec.deployment_spec.executors.items():
        lines = [*_image(executor.container.image, pipeline.image, policy)]
        lines += _resources(executor.container.resources, policy)
        lines += _given(given[name], policy) if name in given else ["a timeout is missing"]
        found += [f"executor {name}: {line}" for line in lines]
    strange = [name for name in given if name not in spec.deployment_spec.executors]
    found += [f"executor {name}: not in the specification" for name in strange]
    return [*found, *_graph(spec, policy), *_declared(spec, pipeline.image, policy)]


def examine_parameters(
    pipeline: Pipeline, parameters: Mapping[str, Any], policy: AdmissionPolicy
) -> list[str]:
    """Return what the policy does not allow in the parameters of a run of an admitted pipeline."""
    known = pipeline.parameters
    found = [
        f"parameter {name}: the pipeline has none of this name" for name in parameters if name not in known
    ]
    for name, value in parameters.items():
        kind = known.get(name, {}).get("parameterType", "")
        fits = isinstance(value, KINDS.get(kind, object)) and (
            kind == "BOOLEAN" or not isinstance(value, bool)
        )
        fits = fits and (kind != "STRUCT" or is_flat(value))
        if not fits:
            found.append(f"parameter {name}: not a {kind}")
    return found + _places(parameters, policy)


def below(uri: str, places: Iterable[str]) -> bool:
    """Tell whether a URI is one of some places, or below one; a place that ends in / or : is a prefix.

    A URI with a query, a fragment, an escape or a step upwards is below nothing: servers read those in
    different ways (``s3://bucket/x?endpoint=…`` is another server).
    """
    if not uri.isprintable() or set("?#%\\ ") & set(uri) or {".", ".."} & set(uri.split("/")):
        return False
    return any(
        uri == place or (place and uri.startswith(place if place.endswith(("/", ":")) else f"{place}/"))
        for place in places
    )


def _places(values: Mapping[str, Any], policy: AdmissionPolicy) -> list[str]:
    """Return which parameters point where they must not."""
    found = []
    for name, value in values.items():
        places = policy.uris.get(name, ())
        points = value is not None and (name in policy.uris or name.endswith(("_uri", "_uris")))
        for uri in (value.values() if isinstance(value, dict) else [value]) if points else ():
            if not below(str(uri), ("", *places)):
                found.append(f"parameter {name}: {_shown(str(uri))} is not allowed{_of(places)}")
    return found


def _shown(uri: str) -> str:
    """Return a URI without the password or the signature that it may hold."""
    where, query, _ = re.sub("//[^/]*@", "//…@", uri).partition("?")
    return f"{where}?…" if query else where


def _of(allowed: Iterable[str]) -> str:
    return f"; the policy allows {', '.join(allowed) or 'none'}"


def _image(image: str, component: str, policy: AdmissionPolicy) -> list[str]:
    if image in (component, *policy.images):
        return []
    return [f"image {image} is not allowed{_of((component, *policy.images))}"]


def _resources(resources: Resources, policy: AdmissionPolicy) -> Iterator[str]:
    """Say which bounds of a step are too high; each is written twice, and both count."""
    bounds = {"cpu": (policy.max_cpu, 1.0), "memory": (policy.max_memory, GIGABYTE)}
    for field, value in resources.model_dump(by_alias=True).items():
        most, unit = bounds["cpu" if "cpu" in field.lower() else "memory"]
        try:
            has = amount(value) if isinstance(value, str) else value * unit
        except ValueError as error:
            yield f"{field}: {error}"
            continue
        if not has and "limit" in field.lower():
            yield f"{field} is 0, which is no limit"
        if has > amount(most):
            yield f"{field} {value} is too much; the policy allows {most}"


def _given(given: Given, policy: AdmissionPolicy) -> Iterator[str]:
    """Say which things of the cluster a step must not be given."""
    secrets = [env.secret_name for env in given.secret_as_env]
    secrets += [volume.secret_name for volume in given.secret_as_volume]
    config_maps = [env.config_map_name for env in given.config_map_as_env]
    config_maps += [volume.config_map_name for volume in given.config_map_as_volume]
    named: tuple[tuple[str, Iterable[str], Iterable[str]], ...] = (
        ("secret", secrets, policy.secrets),
        ("config map", config_maps, policy.config_maps),
        ("claim", [mount.constant for mount in given.pvc_mount], policy.claims),
        (
            "image pull secret",
            [one.secret_name for one in given.image_pull_secret],
            policy.image_pull_secrets,
        ),
        ("node selector", _labels(given.node_selector.labels), _labels(policy.node_selector)),
    )
    for what, names, allowed in named:
        for name in sorted({*names} - {*allowed}):
            yield f"{what} {name} is not allowed{_of(allowed)}"
    if int(given.active_deadline_seconds) > 60 * policy.max_minutes:
        yield f"a timeout of {given.active_deadline_seconds} s; the policy allows {60 * policy.max_minutes}"


def _labels(labels: Mapping[str, str]) -> list[str]:
    return [f"{label}={value}" for label, value in labels.items()]


def _graph(spec: Specification, policy: AdmissionPolicy) -> Iterator[str]:
    """Say where there is too much of the graph."""
    tasks = spec.root.dag.tasks
    if len(tasks) > policy.max_steps:
        yield f"the pipeline: {len(tasks)} steps; the policy allows {policy.max_steps}"
    for name, task in tasks.items():
        retries = task.retry_policy.max_retry_count if task.retry_policy else 0
        if retries > policy.max_retries:
            yield f"task {name}: {retries} retries; the policy allows {policy.max_retries}"
    root = spec.default_pipeline_root
    if not below(root, ("", *policy.pipeline_roots)):
        yield f"the pipeline: its root {_shown(root)} is not allowed{_of(policy.pipeline_roots)}"


def _declared(spec: Specification, image: str, policy: AdmissionPolicy) -> Iterator[str]:
    """Say which parameters of the pipeline have a type or a default that they must not have."""
    parameters = spec.root.input_definitions.parameters
    for name, known in parameters.items():
        if known.parameter_type not in KINDS:
            yield f"parameter {name}: a run is given no {known.parameter_type}"
    defaults = {name: known.default_value for name, known in parameters.items()}
    if defaults.get("image") not in (None, image):
        yield f"parameter image: its default {defaults['image']} is not {image}"
    yield from _places(defaults, policy)


def _unknown(model: type[Part], document: Any) -> list[str]:
    """Return what a document has that is not known, or lacks, one line each."""
    try:
        model.model_validate(document)
    except ValidationError as error:
        problems = error.errors()
        unknown = {problem["loc"][:-1] for problem in problems if problem["type"] == "extra_forbidden"}
        # What is missing beside a field that is not known is only that field's shadow.
        return [
            _line(problem["loc"], problem["type"], problem["msg"])
            for problem in problems
            if problem["type"] != "missing" or problem["loc"][:-1] not in unknown
        ]
    return []


WHOSE = (
    (("deploymentSpec", "executors"), "executor"),
    (("platforms", "kubernetes", "deploymentSpec", "executors"), "executor"),
    (("components",), "component"),
    (("root", "dag", "tasks"), "task"),
    (("root", "inputDefinitions", "parameters"), "parameter"),
)
"""What stands at which place of the IR, by name."""


def _line(where: tuple[int | str, ...], kind: str, message: str) -> str:
    """Say in one line what is wrong with a place of the IR."""
    subject, path = "the pipeline", where
    for place, what in WHOSE:
        if where[: len(place)] == place and len(where) > len(place):
            subject, path = f"{what} {where[len(place)]}", where[len(place) + 1 :]
    field = ".".join(map(str, path)) or "it"
    said = {"extra_forbidden": "is not allowed", "missing": "is missing"}.get(kind)
    return f"{subject}: {field} {said}" if said else f"{subject}: {field}: {message}"
