"""Resources as the rules see them: plain values, secrets hidden."""

import collections.abc
import dataclasses
import typing

HIDDEN = "[secret]"
"""What stands for a value that Pulumi keeps as a secret: also Pulumi's own word for it."""

Values = collections.abc.Mapping[str, typing.Any]


def at(values: typing.Any, *keys: str, default: typing.Any = None) -> typing.Any:
    """Give what lies at the end of these keys, or the default where one of them is missing."""
    for key in keys:
        if not isinstance(values, collections.abc.Mapping):
            return default
        values = values.get(key)
    return default if values is None else values


def mapping(values: typing.Any, *keys: str) -> Values:
    """Give the mapping at the end of these keys, empty where there is none."""
    found = at(values, *keys)
    return found if isinstance(found, collections.abc.Mapping) else {}


def items(values: typing.Any, *keys: str) -> list[typing.Any]:
    """Give the list at the end of these keys, empty where there is none."""
    found = at(values, *keys)
    return list(found) if isinstance(found, list | tuple) else []


@dataclasses.dataclass(frozen=True, slots=True)
class Resource:
    """One resource of a stack."""

    type: str
    """Pulumi's token, such as `kubernetes:apps/v1:Deployment`."""
    name: str
    """Its name in Pulumi."""
    inputs: Values
    """camelCase, as the engine gets them; a secret's value is `HIDDEN`."""
    urn: str = ""
    protect: bool = False
    retained: bool | None = None
    """Kept when its declaration goes; None where nobody says so: the engine does not tell policies."""
    ignored: tuple[str, ...] = ()
    """Paths of inputs whose changes are ignored."""

    @property
    def is_object(self) -> bool:
        """Whether it is an object of Kubernetes: not a component, a chart, a patch or a provider."""
        return (
            self.type.startswith("kubernetes:")
            and not self.is_release
            and not self.type.endswith("Patch")
            and bool(self.kind)
        )

    @property
    def is_release(self) -> bool:
        """Whether it is a chart's release."""
        return self.type.startswith("kubernetes:helm.sh/")

    @property
    def kind(self) -> str:
        """The object's kind."""
        return str(self.inputs.get("kind") or "")

    @property
    def group(self) -> str:
        """The group of its API, empty for the core one."""
        version = str(self.inputs.get("apiVersion") or "")
        return version.rpartition("/")[0]

    @property
    def object_name(self) -> str:
        """Its name in Kubernetes, or in Pulumi where it has none."""
        given = self.inputs.get("name") if self.is_release else at(self.inputs, "metadata", "name")
        return str(given or self.name)

    @property
    def namespace(self) -> str:
        """Where it is; `default` where it does not say, as the API server takes it."""
        given = (
            self.inputs.get("namespace")
            if self.is_release
            else at(self.inputs, "metadata", "namespace")
        )
        return str(given or "default")

    @property
    def labels(self) -> Values:
        """Its labels."""
        return mapping(self.inputs, "metadata", "labels")

    @property
    def annotations(self) -> Values:
        """Its annotations."""
        return mapping(self.inputs, "metadata", "annotations")

    @property
    def title(self) -> str:
        """What people call it: kind, namespace, name."""
        if self.is_release:
            return f"Release {self.namespace}/{self.object_name}"
        if self.is_object:
            where = f"{self.namespace}/" if at(self.inputs, "metadata", "namespace") else ""
            return f"{self.kind} {where}{self.object_name}"
        return f"{self.type} {self.name}"


@dataclasses.dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a resource, and where."""

    path: str
    """Of the input, such as `spec.template.spec.containers[0].image`."""
    what: str


Faults = collections.abc.Iterator[Fault]
