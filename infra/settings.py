"""One typed model of a stack's configuration: `Pulumi.<stack>.yaml`, keys `bellwether:…`.

Unknown keys are errors that name the nearest right one.
This is the one place that knows ports.
"""

import collections.abc
import difflib
import json
import pathlib
import typing

import pydantic
import yaml

from infra import paths

PROJECT = "bellwether"
"""The Pulumi project, and the namespace of its configuration keys."""

Port = typing.Annotated[int, pydantic.Field(ge=1024, le=65535)]


class SettingsError(Exception):
    """A stack's configuration is wrong; the message names each key, what is wrong, and a remedy."""


class _Frozen(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class Ports(_Frozen):
    """Every port of the local environment, all on 127.0.0.1."""

    gateway: Port = pydantic.Field(9000, description="Envoy: the one address for predictions")
    gateway_admin: Port = pydantic.Field(9003, description="Envoy's admin interface and metrics")
    model_server: Port = pydantic.Field(9010, description="MLServer, REST")
    model_server_grpc: Port = pydantic.Field(9011, description="MLServer, gRPC")
    model_server_metrics: Port = pydantic.Field(9012, description="MLServer's metrics")
    mesh: Port = pydantic.Field(9020, description="the mesh: Seldon objects over HTTP")
    feature_stream: Port = pydantic.Field(
        9030, description="the feature stream: readiness and metrics"
    )
    kafka: Port = pydantic.Field(9092, description="Kafka")
    kafka_controller: Port = pydantic.Field(9093, description="Kafka's KRaft controller")
    kafka_metrics: Port = pydantic.Field(9094, description="Kafka's metrics")
    valkey: Port = pydantic.Field(6379, description="Valkey")
    valkey_metrics: Port = pydantic.Field(9121, description="Valkey's metrics")
    prometheus: Port = pydantic.Field(9090, description="Prometheus")
    drift: Port = pydantic.Field(9041, description="the drift watcher's metrics and readiness")
    monitor: Port = pydantic.Field(9060, description="the monitor: its API, metrics and readiness")
    bandit: Port = pydantic.Field(
        9050, description="the bandit's controller: metrics and readiness"
    )
    console: Port = pydantic.Field(8050, description="the console: what people look at")

    @pydantic.model_validator(mode="after")
    def _each_once(self) -> typing.Self:
        names: dict[int, str] = {}
        for name, port in self:
            if port in names:
                message = (
                    f"port {port} is given to both `{names[port]}` and `{name}`: give each its own"
                )
                raise ValueError(message)
            names[port] = name
        return self


class Settings(_Frozen):
    """What a stack may set. Every key has a default that works on a laptop."""

    target: typing.Literal["local"] = pydantic.Field(
        "local", description="where the catalogue runs: `local` is this machine"
    )
    namespace: str = pydantic.Field(
        "bellwether",
        pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        max_length=63,
        description="the namespace of the Seldon objects",
    )
    ports: Ports = pydantic.Field(default_factory=Ports, description="ports of the local target")
    data: pathlib.Path | None = pydantic.Field(
        None,
        description="a folder of OHLCV CSV files (relative to the checkout) to train on, "
        "instead of the `arch` package's data",
    )

    @pydantic.field_validator("data")
    @classmethod
    def _absolute(cls, data: pathlib.Path | None) -> pathlib.Path | None:
        """Relative paths begin at the checkout, wherever a command runs."""
        return None if data is None else paths.ROOT / data.expanduser()

    manifests: tuple[pathlib.Path, ...] = pydantic.Field(
        (),
        description="files, or folders of YAML files, with Seldon objects to serve as they are "
        "beside the catalogue (relative to the checkout)",
    )

    @pydantic.field_validator("manifests")
    @classmethod
    def _all_absolute(cls, manifests: tuple[pathlib.Path, ...]) -> tuple[pathlib.Path, ...]:
        return tuple(paths.ROOT / each.expanduser() for each in manifests)

    seed: int = pydantic.Field(1, ge=0, le=2**31 - 1, description="seed of every training")
    max_request_bytes: int = pydantic.Field(
        16 * 2**20, ge=1024, le=2**30, description="largest request body that the gateway takes"
    )
    record_days: int = pydantic.Field(
        7,
        ge=1,
        le=3650,
        description="how long records of pipelines' steps are kept: so long a prediction can be "
        "audited; about 20 kB each",
    )
    alert_pace: float = pydantic.Field(
        1.0,
        gt=0,
        le=1,
        description="what the times of alert rules are multiplied by: below 1 they fire and "
        "resolve sooner, for demos and tests",
    )
    monitor_retention_days: float = pydantic.Field(
        400.0, gt=0, le=36_500, description="how long the monitor keeps what it saw of predictions"
    )
    kafka_heap_mb: int = pydantic.Field(
        256, ge=128, le=16384, description="heap of the Kafka broker"
    )

    @classmethod
    def parse(cls, values: collections.abc.Mapping[str, typing.Any], where: str) -> typing.Self:
        """Read a mapping of full keys (`bellwether:ports`) to values or to JSON text of values.

        Raises:
            SettingsError: naming `where`, each wrong key, and what it should be.

        """
        return parse_as(cls, values, where)


Model = typing.TypeVar("Model", bound=pydantic.BaseModel)


def parse_as(
    model: type[Model],
    values: collections.abc.Mapping[str, typing.Any],
    where: str,
    found: collections.abc.Sequence[str] = (),
) -> Model:
    """Read a mapping of full keys (`bellwether:ports`) as `model`; `found` are problems seen before.

    Raises:
        SettingsError: naming `where`, each wrong key, and what it should be.

    """
    problems: list[str] = list(found)
    plain: dict[str, typing.Any] = {}
    for key, value in values.items():
        namespace, _, name = key.rpartition(":")
        if namespace == "pulumi":
            continue
        if namespace != PROJECT:
            problems.append(
                f"`{key}`: keys begin with `{PROJECT}:`, so this would be `{PROJECT}:{name}`"
            )
        else:
            plain[name] = _decoded(value)
    try:
        settings = model.model_validate(plain)
    except pydantic.ValidationError as error:
        problems += [_described(model, problem) for problem in error.errors()]
    if problems:
        listed = "\n".join(f"  - {problem}" for problem in problems)
        raise SettingsError(f"{where} is refused:\n{listed}")
    return settings


def target(values: collections.abc.Mapping[str, typing.Any]) -> str:
    """Say where a configuration's catalogue is to run."""
    return str(values.get(f"{PROJECT}:target", "local"))


def read(path: pathlib.Path) -> Settings:
    """Read the `Pulumi.<stack>.yaml` of a local stack.

    Raises:
        SettingsError: the file is missing, is no YAML, or holds a wrong key or value.

    """
    values = configuration(path)
    if target(values) != "local":
        raise SettingsError(
            f"{path.name} is the stack of a cluster, and this needs a local one: "
            "`-s local`, or none, is this machine"
        )
    return Settings.parse(values, path.name)


def configuration(path: pathlib.Path) -> dict[str, typing.Any]:
    """Give the keys and values of `Pulumi.<stack>.yaml`, as they are in the file.

    Raises:
        SettingsError: the file is missing or is no mapping in YAML.

    """
    if not path.exists():
        known = ", ".join(sorted(p.name.split(".")[1] for p in path.parent.glob("Pulumi.*.yaml")))
        raise SettingsError(f"{path} does not exist; stacks here: {known or 'none'}")
    try:
        document = yaml.safe_load(path.read_text()) or {}
    except yaml.YAMLError as error:
        raise SettingsError(f"{path} is no valid YAML: {error}") from error
    if not isinstance(document, dict) or not isinstance(document.get("config") or {}, dict):
        raise SettingsError(f"{path}: expected a mapping with the key `config`")
    return document.get("config") or {}


def _decoded(value: typing.Any) -> typing.Any:
    """Pulumi hands structured values and numbers over as JSON text."""
    if isinstance(value, str):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _described(model: type[pydantic.BaseModel], problem: typing.Any) -> str:
    path = [str(part) for part in problem["loc"]]
    key = f"`{PROJECT}:{'.'.join(path)}`" if path else f"`{PROJECT}:…`"
    if problem["type"] == "extra_forbidden":
        known = list(_model_at(model, path[:-1]).model_fields)
        near = difflib.get_close_matches(path[-1], known, n=1)
        hint = f"did you mean `{near[0]}`?" if near else f"known keys: {', '.join(known)}"
        return f"{key} is unknown; {hint}"
    # What a whole part was given may hold secrets; the message of its check names what is wrong.
    given = problem["input"]
    shown = "" if isinstance(given, dict | pydantic.SecretStr) else f", got {given!r}"
    return f"{key}: {problem['msg'].removeprefix('Value error, ')}{shown}"


def _model_at(model: type[pydantic.BaseModel], path: list[str]) -> type[pydantic.BaseModel]:
    for part in path:
        field = model.model_fields.get(part)
        annotation = None if field is None else field.annotation
        for each in (annotation, *typing.get_args(annotation)):
            if isinstance(each, type) and issubclass(each, pydantic.BaseModel):
                model = each
    return model
