"""The fields of a Kubernetes pod that tell the state of its step."""

from pydantic import AwareDatetime, BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class PodPart(BaseModel):
    """Part of a pod: other fields are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel)


class Waiting(PodPart):
    """Why a container waits."""

    reason: str = ""
    message: str = ""


class Terminated(Waiting):
    """How a container ended."""

    exit_code: int = 0


class ContainerState(PodPart):
    """What a container does."""

    waiting: Waiting | None = None
    terminated: Terminated | None = None


class ContainerStatus(PodPart):
    """A container, its image and its state."""

    name: str
    image: str = ""
    state: ContainerState = ContainerState()


class Condition(PodPart):
    """A condition of the pod, such as PodScheduled."""

    type: str
    status: str
    reason: str = ""
    message: str = ""


class Status(PodPart):
    """The status of a pod."""

    phase: str = ""
    reason: str = ""
    message: str = ""
    conditions: tuple[Condition, ...] = ()
    init_container_statuses: tuple[ContainerStatus, ...] = ()
    container_statuses: tuple[ContainerStatus, ...] = ()


class Metadata(PodPart):
    """The metadata of a pod."""

    name: str
    creation_timestamp: AwareDatetime
    annotations: dict[str, str] = {}


class Resources(PodPart):
    """The resources of a container."""

    limits: dict[str, str] = {}


class Container(PodPart):
    """A container of the pod's specification."""

    name: str
    resources: Resources = Resources()


class Spec(PodPart):
    """The specification of a pod."""

    containers: tuple[Container, ...] = ()
    active_deadline_seconds: int = 0
