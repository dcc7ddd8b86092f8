"""Seldon Core 2's objects, typed: snake_case inside, Kubernetes manifests at the edge.

`parse` reads a manifest and refuses what the custom resource does not have,
with the path and the nearest right name.
`manifest` writes one.
The fields are those of the custom resource definitions of `mlops.seldon.io/v1alpha1`.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, TypeVar, get_args

import pydantic
from pydantic.alias_generators import to_camel

GROUP = "mlops.seldon.io"
VERSION = "v1alpha1"
API_VERSION: Literal["mlops.seldon.io/v1alpha1"] = "mlops.seldon.io/v1alpha1"

INT32_MAX = 2**31 - 1

Text = Annotated[str, pydantic.Strict()]
Flag = Annotated[bool, pydantic.Strict()]
Int32 = Annotated[int, pydantic.Strict(), pydantic.Field(ge=-(2**31), le=INT32_MAX)]
Count = Annotated[int, pydantic.Strict(), pydantic.Field(ge=0, le=INT32_MAX)]
Percent = Annotated[int, pydantic.Strict(), pydantic.Field(ge=0, le=100)]
Reference = Annotated[
    str, pydantic.BeforeValidator(lambda given: "" if given is None else given), pydantic.Strict()
]
"""What a pipeline's part refers to. An item that YAML leaves empty is an empty text, as in Seldon."""

QuantityText = Annotated[
    str,
    pydantic.Strict(),
    pydantic.Field(
        pattern=r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))"
        r"(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$"
    ),
]
Quantity = Annotated[int, pydantic.Strict()] | QuantityText
"""Kubernetes' notation of an amount: `200Mi`, `1G`, `100000`."""


class Part(pydantic.BaseModel):
    """A part of a manifest: frozen, camelCase outside, unknown fields refused."""

    model_config = pydantic.ConfigDict(
        extra="forbid",
        frozen=True,
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        protected_namespaces=(),
    )


class ObjectMeta(Part):
    """What Kubernetes keeps about every object.

    The fields from `uid` on are the server's own: a manifest may carry them
    (an exported one does), and only `uid` and `resource_version` mean something when it does.
    """

    name: Text = ""
    namespace: Text | None = None
    labels: dict[Text, Text] | None = None
    annotations: dict[Text, Text] | None = None
    uid: Text | None = None
    resource_version: Text | None = None
    generation: int | None = None
    creation_timestamp: Text | None = None
    deletion_timestamp: Text | None = None
    deletion_grace_period_seconds: int | None = None
    finalizers: tuple[Text, ...] | None = None
    generate_name: Text | None = None
    managed_fields: tuple[dict[str, Any], ...] | None = None
    owner_references: tuple[dict[str, Any], ...] | None = None
    self_link: Text | None = None


class Parameter(Part):
    """A setting that reaches a model as text, in `settings.parameters.extra`."""

    name: Text
    value: Text


class Explainer(Part):
    """What a model explains, and how."""

    type: Text | None = None
    model_ref: Text | None = None
    pipeline_ref: Text | None = None


class Llm(Part):
    """What a language model's runtime refers to."""

    model_ref: Text | None = None
    pipeline_ref: Text | None = None


class Logger(Part):
    """How many payloads are logged."""

    percent: Percent | None = None


class ModelDataflow(Part):
    """What becomes of a model's topics when it is removed."""

    clean_topics_on_delete: Flag | None = None


class ModelSpec(Part):
    """What is loaded, from where, and on what kind of server.

    `storage_uri` has to change when the bytes behind it change:
    an unchanged spec loads nothing.
    """

    storage_uri: Text
    requirements: tuple[Text, ...] | None = None
    parameters: tuple[Parameter, ...] | None = None
    server: Text | None = None
    memory: Quantity | None = None
    replicas: Count | None = None
    min_replicas: Count | None = None
    max_replicas: Count | None = None
    artifact_version: Int32 | None = None
    model_type: Text | None = None
    schema_uri: Text | None = None
    secret_name: Text | None = None
    explainer: Explainer | None = None
    llm: Llm | None = None
    logger: Logger | None = None
    dataflow: ModelDataflow | None = None
    dedicated: Flag | None = None
    preloaded: Flag | None = None


class Candidate(Part):
    """An arm: a model (or pipeline) and its share, relative to the sum of all weights."""

    name: Text
    weight: Count


class Mirror(Part):
    """Who gets a copy of how many requests; its answers are dropped."""

    name: Text
    percent: Percent


class ExperimentSpec(Part):
    """A split of traffic.

    With `default`, requests to that candidate's own name are split too.
    """

    candidates: tuple[Candidate, ...]
    default: Text | None = None
    mirror: Mirror | None = None
    resource_type: Literal["model", "pipeline"] | None = None


Join = Literal["inner", "outer", "any"]
"""`inner` waits for all, `outer` for what comes within the window, `any` for the first."""


class PipelineBatch(Part):
    """How many rows are collected before a step is called. Seldon acts on `size` alone."""

    size: Count | None = None
    window_ms: Count | None = None
    rolling: Flag | None = None


class PipelineStep(Part):
    """A model that runs once its inputs and triggers are there.

    References are `<step or pipeline>.<inputs|outputs>[.<tensor>]`; a step's name alone means
    its outputs; without any input, a step has the pipeline's.
    """

    name: Text
    inputs: tuple[Reference, ...] | None = None
    inputs_join_type: Join | None = None
    tensor_map: dict[Text, Text] | None = None
    triggers: tuple[Reference, ...] | None = None
    triggers_join_type: Join | None = None
    join_window_ms: Count | None = None
    batch: PipelineBatch | None = None


class PipelineInput(Part):
    """Other pipelines, or steps of them, whose data starts this one."""

    external_inputs: tuple[Reference, ...] | None = None
    external_triggers: tuple[Reference, ...] | None = None
    join_type: Join | None = None
    triggers_join_type: Join | None = None
    join_window_ms: Count | None = None
    tensor_map: dict[Text, Text] | None = None


class PipelineOutput(Part):
    """The steps that a caller is answered from."""

    steps: tuple[Reference, ...] | None = None
    steps_join: Join | None = None
    join_window_ms: Count | None = None
    tensor_map: dict[Text, Text] | None = None


class PipelineSpec(Part):
    """Models as the steps of one request. The scheduler says what is wrong with it."""

    steps: tuple[PipelineStep, ...]
    input: PipelineInput | None = None
    output: PipelineOutput | None = None
    dataflow: ModelDataflow | None = None
    allow_cycles: Flag | None = None
    max_step_revisits: Count | None = None


class RollingUpdate(Part):
    """How far a rolling update may go at once."""

    max_surge: int | str | None = None
    max_unavailable: int | str | None = None


class DeploymentStrategy(Part):
    """How a server's replicas are replaced."""

    type: Text | None = None
    rolling_update: RollingUpdate | None = None


class ClaimRetention(Part):
    """What becomes of a server's volume claims."""

    when_deleted: Text | None = None
    when_scaled: Text | None = None


class ServerSpec(Part):
    """A model server and what it can run.

    `capabilities` replaces the server configuration's list, `extra_capabilities` adds to it.
    Kubernetes' own types (`pod_spec`, `image_overrides`) are passed on as they are.
    """

    server_config: Text
    capabilities: tuple[Text, ...] | None = None
    extra_capabilities: tuple[Text, ...] | None = None
    replicas: Count | None = None
    min_replicas: Count | None = None
    max_replicas: Count | None = None
    pod_spec: dict[str, Any] | None = None
    image_overrides: dict[str, Any] | None = None
    deployment_strategy: DeploymentStrategy | None = None
    disable_auto_update: Flag | None = None
    stateful_set_persistent_volume_claim_retention_policy: ClaimRetention | None = None


class Resource(Part):
    """What every object has: its kind and its metadata."""

    plural: ClassVar[str]

    api_version: Literal["mlops.seldon.io/v1alpha1"] = API_VERSION
    metadata: ObjectMeta
    status: dict[str, Any] | None = None
    """Written by the server alone; what a manifest says here is ignored."""


class Model(Resource):
    """A model to serve."""

    plural: ClassVar[str] = "models"

    kind: Literal["Model"] = "Model"
    spec: ModelSpec


class Experiment(Resource):
    """A split of traffic between models."""

    plural: ClassVar[str] = "experiments"

    kind: Literal["Experiment"] = "Experiment"
    spec: ExperimentSpec


class Pipeline(Resource):
    """Models as the steps of one request."""

    plural: ClassVar[str] = "pipelines"

    kind: Literal["Pipeline"] = "Pipeline"
    spec: PipelineSpec


class Server(Resource):
    """A model server."""

    plural: ClassVar[str] = "servers"

    kind: Literal["Server"] = "Server"
    spec: ServerSpec


Kind = TypeVar("Kind", bound=Part)

Object = Model | Experiment | Pipeline | Server
"""An object of any kind."""

KINDS: Mapping[str, type[Object]] = {
    kind.__name__: kind for kind in (Model, Experiment, Pipeline, Server)
}
"""The kinds by name."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a manifest.

    `path` is written as Kubernetes writes it: `spec.candidates[0].weight`.
    """

    kind: Literal["unknown", "required", "invalid"]
    path: str
    message: str


class ManifestError(ValueError):
    """A manifest that cannot be read; `problems` says everything that is wrong with it."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("; ".join(problem.message for problem in problems))
        self.problems = problems


def parse(manifest: Mapping[str, Any]) -> Object:
    """Read a manifest as an object of the kind that it names.

    Raises `ManifestError` with every problem found.
    """
    name = manifest.get("kind")
    kind = KINDS.get(name) if isinstance(name, str) else None
    if kind is None:
        near = _nearest(str(name), KINDS)
        message = f"kind: {name!r} is not one of {', '.join(KINDS)}" + (
            f", did you mean {near!r}?" if near else ""
        )
        raise ManifestError((Problem("invalid", "kind", message),))
    return parse_as(kind, manifest)


def parse_as(kind: type[Kind], manifest: Mapping[str, Any]) -> Kind:
    """Read a manifest as an object of one kind.

    Raises `ManifestError` with every problem found.
    """
    try:
        return kind.model_validate(manifest, by_name=False, by_alias=True)
    except pydantic.ValidationError as error:
        problems = tuple(_problem(kind, line) for line in error.errors(include_url=False))
        raise ManifestError(tuple(dict.fromkeys(problems))) from error


def manifest(resource: Part) -> dict[str, Any]:
    """Write an object as a manifest: camelCase, without what is not set."""
    return resource.model_dump(mode="json", by_alias=True, exclude_none=True)


def path_of(location: tuple[int | str, ...]) -> str:
    """Write a location as Kubernetes does: `spec.candidates[0].weight`."""
    path = ""
    for step in location:
        path += f"[{step}]" if isinstance(step, int) else f".{step}"
    return path.removeprefix(".")


def _problem(kind: type[Part], line: Mapping[str, Any]) -> Problem:
    location: tuple[int | str, ...] = line["loc"]
    path = path_of(location)
    if line["type"] == "extra_forbidden":
        fields = _fields_at(kind, location[:-1])
        near = _nearest(str(location[-1]), fields)
        message = f'unknown field "{path}"'
        if near:
            message += f', did you mean "{path_of((*location[:-1], near))}"?'
        elif fields:
            message += f", known are: {', '.join(fields)}"
        return Problem("unknown", path, message)
    if line["type"] == "missing":
        return Problem("required", path, f"{path}: Required value")
    given = repr(line["input"])
    if len(given) > 80:  # noqa: PLR2004 - about a line, enough to recognise the value
        given = given[:80] + "…"
    return Problem("invalid", path, f"{path}: Invalid value: {given}: {line['msg']}")


def _nearest(name: str, known: Mapping[str, Any] | tuple[str, ...]) -> str | None:
    lowered = {item.lower(): item for item in known}
    found = difflib.get_close_matches(name.lower().replace("_", ""), lowered, n=1, cutoff=0.6)
    return lowered[found[0]] if found else None


def _fields_at(kind: type[Part], location: tuple[int | str, ...]) -> tuple[str, ...]:
    """Name the fields that a manifest may have at a location, as they are written there."""
    part: type[Part] | None = kind
    for step in location:
        if isinstance(step, int):
            continue
        if part is None:
            return ()
        by_alias = {field.alias: field for field in part.model_fields.values()}
        field = by_alias.get(step)
        part = _part_in(field.annotation) if field else None
    if part is None:
        return ()
    return tuple(str(field.alias) for field in part.model_fields.values())


def _part_in(annotation: Any) -> type[Part] | None:
    if isinstance(annotation, type) and issubclass(annotation, Part):
        return annotation
    for inner in get_args(annotation):
        found = _part_in(inner)
        if found is not None:
            return found
    return None
