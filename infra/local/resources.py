"""The local target's resource types, as Pulumi programs use them; the provider beside it serves them."""

import collections.abc
import typing

import pulumi


class Supervisor(pulumi.CustomResource):
    """The supervisord of the environment at `home`."""

    def __init__(self, name: str, home: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("bellwether-local:index:Supervisor", name, {"home": home}, opts)


class File(pulumi.CustomResource):
    """A rendered file at an absolute `path`."""

    path: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        path: str,
        content: str,
        *,
        executable: bool = False,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        properties = {"path": path, "content": content, "executable": executable}
        super().__init__("bellwether-local:index:File", name, properties, opts)


class Process(pulumi.CustomResource):
    """A supervised process.

    Args:
        name: the process's name, and the resource's.
        home: the environment's folder; its log is `<home>/logs/<name>.log`.
        command: program and arguments.
        readiness: `{"url": …}` (ready at 200) or `{"port": …, "send": …, "expect": …}`.
        environment: variables beside those that supervisord has.
        directory: where it runs; `home` if not given.
        ports: setting that gives the port -> port, for the error when it is taken.
        triggers: what it is started with; a change restarts it.
        stop_seconds: how long it may take to stop before it is killed.
        opts: Pulumi's options.

    """

    log: pulumi.Output[str]

    def __init__(  # noqa: PLR0913  a process has this many sides, all named at the call site
        self,
        name: str,
        *,
        home: str,
        command: collections.abc.Sequence[str],
        readiness: collections.abc.Mapping[str, typing.Any],
        environment: collections.abc.Mapping[str, str] | None = None,
        directory: str | None = None,
        ports: collections.abc.Mapping[str, int] | None = None,
        triggers: collections.abc.Mapping[str, str] | None = None,
        stop_seconds: int = 10,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        properties = {
            "home": home,
            "name": name,
            "command": list(command),
            "environment": dict(environment or {}),
            "directory": directory or home,
            "ports": dict(ports or {}),
            "readiness": dict(readiness),
            "triggers": dict(triggers or {}),
            "stop_seconds": stop_seconds,
            "log": None,
        }
        super().__init__("bellwether-local:index:Process", name, properties, opts)


class Topic(pulumi.CustomResource):
    """A Kafka topic; it is kept when its declaration goes."""

    def __init__(
        self,
        name: str,
        *,
        bootstrap: str,
        partitions: int,
        configuration: collections.abc.Mapping[str, str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        properties = {
            "bootstrap": bootstrap,
            "name": name,
            "partitions": partitions,
            "configuration": dict(configuration),
        }
        kept = pulumi.ResourceOptions(retain_on_delete=True)
        super().__init__(
            "bellwether-local:index:Topic",
            name,
            properties,
            pulumi.ResourceOptions.merge(kept, opts),
        )


class SeldonObject(pulumi.CustomResource):
    """A custom resource, given as a manifest, applied to the mesh at `endpoint`.

    With `keep_weights`, an experiment's weights are left to the bandit policy that owns them,
    as long as its candidates are those that are declared.
    """

    def __init__(
        self,
        name: str,
        *,
        endpoint: str,
        manifest: collections.abc.Mapping[str, typing.Any],
        keep_weights: bool = False,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        properties: dict[str, typing.Any] = {"endpoint": endpoint, "manifest": dict(manifest)}
        if keep_weights:
            properties["keep_weights"] = True
        super().__init__("bellwether-local:index:SeldonObject", name, properties, opts)
