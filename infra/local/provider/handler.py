"""What a resource type of the local provider does: a small, typed life cycle.

A handler knows nothing of Pulumi: it takes a frozen model of its inputs and returns plain values.
"""

import abc
import typing

import pydantic

from infra.local.provider import values


class ResourceError(Exception):
    """A resource could not be brought into its declared state; the message says why and what to do."""


class Inputs(pydantic.BaseModel):
    """Base of every resource type's inputs: camelCase for Pulumi, snake_case here, nothing unknown."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


InputsT = typing.TypeVar("InputsT", bound=Inputs)


class Handler(abc.ABC, typing.Generic[InputsT]):
    """One resource type."""

    inputs: type[InputsT]
    replace_on: frozenset[str] = frozenset()
    """Properties whose change makes a new resource; the old one goes first."""

    @abc.abstractmethod
    def identify(self, wanted: InputsT) -> str:
        """Give the resource's id."""

    @abc.abstractmethod
    def create(self, wanted: InputsT, timeout: float) -> values.Plain:
        """Make it, wait until it is ready, and give its outputs."""

    @abc.abstractmethod
    def read(self, last: InputsT) -> values.Plain | None:
        """Give the properties as they really are (inputs that drifted included), or None if it is gone."""

    @abc.abstractmethod
    def update(self, old: InputsT, wanted: InputsT, timeout: float) -> values.Plain:
        """Bring what exists into the wanted state, and give its outputs."""

    @abc.abstractmethod
    def delete(self, last: InputsT, timeout: float) -> None:
        """Take it away; what is gone already is no error."""
