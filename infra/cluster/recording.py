"""What a cluster's stack registers, without an engine, a provider or a cluster.

The program runs as it does under Pulumi; a monitor in its own process writes down what it is sent.
"""

import collections.abc
import dataclasses
import pathlib
import typing

import google.protobuf.json_format
from pulumi.runtime import mocks, sync_await
from pulumi.runtime import settings as pulumi_settings
from pulumi.runtime import stack as pulumi_stack

from infra import paths, settings
from infra.cluster import settings as cluster_settings

_SIGNATURE = "4dabf18193072939515e22adb298388d"
_SECRET_SIGNATURE = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105  Pulumi's mark of a secret value

Inputs = dict[str, typing.Any]


@dataclasses.dataclass(frozen=True, slots=True)
class Registered:
    """One resource as the engine is told of it."""

    type: str
    name: str
    inputs: Inputs
    """camelCase; a secret's value is `[secret]`."""
    parent: str
    """Its parent's name, or nothing."""
    depends_on: tuple[str, ...]
    """Names."""
    protect: bool
    retain_on_delete: bool
    ignore_changes: tuple[str, ...]
    replace_on_changes: tuple[str, ...]
    secret_paths: tuple[str, ...]
    """Where secrets are, such as `stringData.password`."""
    custom: bool
    """Whether a provider makes it; a component is only a group."""

    @property
    def is_object(self) -> bool:
        """Whether it is an object of Kubernetes: not a component, a chart or the provider."""
        return self.type.startswith("kubernetes:") and "kind" in self.inputs


def record(stack: str, folder: pathlib.Path = paths.ROOT) -> tuple[Registered, ...]:
    """Run the program of a cluster's stack and give what it registers, sorted by type and name.

    Raises:
        settings.SettingsError: the stack's configuration is wrong, or it is no cluster's.

    """
    file = folder / f"Pulumi.{stack}.yaml"
    if settings.target(settings.configuration(file)) == "local":
        raise settings.SettingsError(
            f"{file.name} is a local stack: there is nothing to render of it; "
            "`bellwether preview` says what it would change"
        )
    return record_settings(stack, cluster_settings.read(file))


def record_settings(stack: str, given: cluster_settings.Cluster) -> tuple[Registered, ...]:
    """Run the program with these settings and give what it registers, sorted by type and name."""
    from infra import program  # noqa: PLC0415  it imports every target

    monitor = _Recorder()
    mocks.set_mocks(
        _Answers(), project=settings.PROJECT, stack=stack, preview=False, monitor=monitor
    )
    _run(lambda: program.on_cluster(given))
    return tuple(sorted(monitor.found, key=lambda each: (each.type, each.name)))


def _run(build: collections.abc.Callable[[], None]) -> None:
    # As Pulumi's own decorator for tests does it: on the loop on which the mocks were set.
    pulumi_settings.SETTINGS.rpc_manager.clear()
    pulumi_settings.SETTINGS.outputs.clear()
    sync_await._sync_await(pulumi_stack.run_pulumi_func(build))  # noqa: SLF001  there is no public door


class _Answers(mocks.Mocks):
    """A resource's state is what was asked for."""

    def new_resource(
        self, args: mocks.MockResourceArgs
    ) -> tuple[str | None, dict[str, typing.Any]]:
        return args.name, args.inputs

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[str, typing.Any], None]:
        raise NotImplementedError(f"the program calls {args.token}: a recording has no provider")


class _Recorder(mocks.MockMonitor):
    """Pulumi's monitor for tests, which also keeps the requests themselves."""

    def __init__(self) -> None:
        super().__init__(_Answers())
        self.found: list[Registered] = []

    def RegisterResource(self, request: typing.Any) -> typing.Any:  # noqa: N802  gRPC's name
        answer = super().RegisterResource(request)  # type: ignore[no-untyped-call]
        if request.type != "pulumi:pulumi:Stack":
            secrets: list[str] = []
            plain = google.protobuf.json_format.MessageToDict(request.object)
            self.found.append(
                Registered(
                    type=request.type,
                    name=request.name,
                    inputs=_decoded(plain, "", secrets),
                    parent=_name(request.parent),
                    depends_on=tuple(sorted({_name(urn) for urn in request.dependencies})),
                    protect=request.protect,
                    retain_on_delete=request.retainOnDelete,
                    ignore_changes=tuple(request.ignoreChanges),
                    replace_on_changes=tuple(request.replaceOnChanges),
                    secret_paths=tuple(sorted(secrets)),
                    custom=request.custom,
                )
            )
        return answer


def _name(urn: str) -> str:
    """Give a resource's name; the stack itself has none."""
    if not urn:
        return ""
    kind, name = urn.split("::", 3)[2:]
    return "" if kind == "pulumi:pulumi:Stack" else name


def _decoded(value: typing.Any, path: str, secrets: list[str]) -> typing.Any:
    """Give Python's values: whole numbers as int, secrets hidden and their paths noted."""
    if isinstance(value, dict):
        if value.get(_SIGNATURE) == _SECRET_SIGNATURE:
            secrets.append(path)
            return cluster_settings.PLACEHOLDER
        return {
            key: _decoded(value[key], f"{path}.{key}" if path else key, secrets)
            for key in sorted(value)
        }
    if isinstance(value, list):
        return [_decoded(each, f"{path}[{i}]", secrets) for i, each in enumerate(value)]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value
