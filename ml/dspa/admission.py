"""Check a compiled pipeline against the admission policy before it is submitted.

Whatever the policy does not name is refused, and so is every field of the IR that `ml.dspa.ir` does not
declare. Commands and arguments are not checked: the commit's image may run anything.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from ml.dspa.admission_policy import AdmissionPolicy, amount
from ml.dspa.compiled import Pipeline
from ml.dspa.failures import NotAdmitted
from ml.dspa.ir import Resources, Specification, is_flat
from ml.dspa.ir_platform import Given, Platform
from ml.dspa.ir_problems import field_problems

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


def require_admitted(violations: Sequence[str], about: str) -> None:
    """Raise if there are violations of the admission policy.

    Raises:
        NotAdmitted: the message has the first violation, ``details`` all of them.
    """
    if violations:
        more = f" (and {len(violations) - 1} more)" if violations[1:] else ""
        raise NotAdmitted(f"{about} is not admitted: {violations[0]}{more}", {"violations": [*violations]})


def examine(pipeline: Pipeline, policy: AdmissionPolicy) -> list[str]:
    """Return each violation of the policy in a compiled pipeline, as one line.

    Args:
        pipeline: the pipeline; its ``image`` is the component image by digest, as the caller knows it.
        policy: what is allowed.
    """
    violations = [*field_problems(Specification, pipeline.spec), *field_problems(Platform, pipeline.platform)]
    try:
        # Unknown fields are reported above; the known ones are checked all the same.
        spec = Specification.model_validate(pipeline.spec, extra="ignore")
        platform = Platform.model_validate(pipeline.platform, extra="ignore")
    except ValidationError:
        return violations
    given = platform.platforms.kubernetes.deployment_spec.executors
    for name, executor in spec.deployment_spec.executors.items():
        lines = [*_image(executor.container.image, pipeline.image, policy)]
        lines += _resources(executor.container.resources, policy)
        lines += _given(given[name], policy) if name in given else ["a timeout is missing"]
        violations += [f"executor {name}: {line}" for line in lines]
    unknown = [name for name in given if name not in spec.deployment_spec.executors]
    violations += [f"executor {name}: not in the specification" for name in unknown]
    return [*violations, *_graph(spec, policy), *_declared(spec, pipeline.image, policy)]


def examine_parameters(
    pipeline: Pipeline, parameters: Mapping[str, Any], policy: AdmissionPolicy
) -> list[str]:
    """Return each violation of the policy in the parameters of a run of an admitted pipeline."""
    known = pipeline.parameters
    violations = [
        f"parameter {name}: the pipeline has no such parameter" for name in parameters if name not in known
    ]
    for name, value in parameters.items():
        kind = known.get(name, {}).get("parameterType", "")
        fits = isinstance(value, KINDS.get(kind, object)) and (
            kind == "BOOLEAN" or not isinstance(value, bool)
        )
        fits = fits and (kind != "STRUCT" or is_flat(value))
        if not fits:
            violations.append(f"parameter {name}: not a {kind}")
    return violations + _places(parameters, policy)


def below(uri: str, places: Iterable[str]) -> bool:
    """Return whether a URI is one of the places, or below one; a place that ends in / or : is a prefix.

    A URI with a query, a fragment, an escape or ``..`` is below no place: servers interpret those
    differently (``s3://bucket/x?endpoint=…`` names another server).
    """
    if not uri.isprintable() or set("?#%\\ ") & set(uri) or {".", ".."} & set(uri.split("/")):
        return False
    return any(
        uri == place or (place and uri.startswith(place if place.endswith(("/", ":")) else f"{place}/"))
        for place in places
    )


def _places(values: Mapping[str, Any], policy: AdmissionPolicy) -> list[str]:
    """Return the parameters that are URIs outside the allowed places."""
    violations = []
    for name, value in values.items():
        places = policy.uris.get(name, ())
        points = value is not None and (name in policy.uris or name.endswith(("_uri", "_uris")))
        for uri in (value.values() if isinstance(value, dict) else [value]) if points else ():
            if not below(str(uri), ("", *places)):
                violations.append(f"parameter {name}: {_shown(str(uri))} is not allowed{_of(places)}")
    return violations


def _shown(uri: str) -> str:
    """Return a URI without its password or signature."""
    where, query, _ = re.sub("//[^/]*@", "//…@", uri).partition("?")
    return f"{where}?…" if query else where


def _of(allowed: Iterable[str]) -> str:
    return f"; the policy allows {', '.join(allowed) or 'none'}"


def _image(image: str, component: str, policy: AdmissionPolicy) -> list[str]:
    if image in (component, *policy.images):
        return []
    return [f"image {image} is not allowed{_of((component, *policy.images))}"]


def _resources(resources: Resources, policy: AdmissionPolicy) -> Iterator[str]:
    """Return the resource bounds of a step that are too high; the IR has each bound twice, and both count."""
    bounds = {"cpu": (policy.max_cpu, 1.0), "memory": (policy.max_memory, GIGABYTE)}
    for field, value in resources.model_dump(by_alias=True).items():
        most, unit = bounds["cpu" if "cpu" in field.lower() else "memory"]
        try:
            has = amount(value) if isinstance(value, str) else value * unit
        except ValueError as error:
            yield f"{field}: {error}"
            continue
        if not has and "limit" in field.lower():
            yield f"{field} is 0, which means no limit"
        if has > amount(most):
            yield f"{field} {value} exceeds {most}, the most that the policy allows"


def _given(given: Given, policy: AdmissionPolicy) -> Iterator[str]:
    """Return the secrets, claims and other objects of the cluster that a step must not get."""
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
        yield f"a timeout of {given.active_deadline_seconds} s; the policy allows {60 * policy.max_minutes} s"


def _labels(labels: Mapping[str, str]) -> list[str]:
    return [f"{label}={value}" for label, value in labels.items()]


def _graph(spec: Specification, policy: AdmissionPolicy) -> Iterator[str]:
    """Return the limits that the graph exceeds, and its pipeline root if it is not allowed."""
    tasks = spec.root.dag.tasks
    if len(tasks) > policy.max_steps:
        yield f"the pipeline: {len(tasks)} steps; the policy allows {policy.max_steps}"
    for name, task in tasks.items():
        retries = task.retry_policy.max_retry_count if task.retry_policy else 0
        if retries > policy.max_retries:
            yield f"task {name}: {retries} retries; the policy allows {policy.max_retries}"
    root = spec.default_pipeline_root
    if not below(root, ("", *policy.pipeline_roots)):
        yield f"the pipeline: root {_shown(root)} is not allowed{_of(policy.pipeline_roots)}"


def _declared(spec: Specification, image: str, policy: AdmissionPolicy) -> Iterator[str]:
    """Return the parameters of the pipeline whose type or default is not allowed."""
    parameters = spec.root.input_definitions.parameters
    for name, known in parameters.items():
        if known.parameter_type not in KINDS:
            yield f"parameter {name}: a pipeline parameter cannot be a {known.parameter_type}"
    defaults = {name: known.default_value for name, known in parameters.items()}
    if defaults.get("image") not in (None, image):
        yield f"parameter image: its default is {defaults['image']}, not {image}"
    yield from _places(defaults, policy)
