"""What the mesh tells the model server about pipelines: one document, renamed into place.

The mesh writes it, and asks the model server to read it (`POST RELOAD_PATH`, answered once it acts);
the model server also reads it when it starts.
References are whole here: `<step or pipeline>.<inputs|outputs>[.<tensor>]`.
"""

import pathlib
from typing import Literal

import pydantic

Join = Literal["inner", "outer", "any"]

JOIN_WINDOW_MS = 60_000
"""How far apart joined messages may be where nothing is said, as in Seldon."""

RELOAD_PATH = "/mesh/dataflow"
"""Of the model server, for this machine only: not reachable through the gateway."""

DRAIN_PATH = "/mesh/drain"
"""`POST DRAIN_PATH/<internal name>`: answered when no pipeline is at that model version."""


class _Frozen(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class Share(_Frozen):
    """A model version and its weight, relative to the sum of all weights."""

    internal_name: str
    weight: int


class Step(_Frozen):
    """A model that runs when its inputs are there, and its triggers too."""

    name: str
    inputs: tuple[str, ...]
    """At least one; a step that names none has `<pipeline>.inputs`."""
    inputs_join: Join = "inner"
    triggers: tuple[str, ...] = ()
    triggers_join: Join = "inner"
    tensor_map: dict[str, str] = {}
    """`<source>.<inputs|outputs>.<tensor>` -> the name that the step's model gets it by."""
    join_window_ms: int = JOIN_WINDOW_MS
    batch_size: int | None = None
    """So many rows are collected over requests before the step is called."""


class External(_Frozen):
    """Where a pipeline gets its requests from, when not from callers alone.

    References are `<pipeline>.inputs|outputs[.<tensor>]`
    or `<pipeline>.step.<step>.inputs|outputs[.<tensor>]`.
    """

    inputs: tuple[str, ...]
    inputs_join: Join = "inner"
    triggers: tuple[str, ...] = ()
    triggers_join: Join = "inner"
    tensor_map: dict[str, str] = {}
    join_window_ms: int = JOIN_WINDOW_MS


class Output(_Frozen):
    """What a pipeline answers."""

    steps: tuple[str, ...]
    steps_join: Join = "inner"
    tensor_map: dict[str, str] = {}
    join_window_ms: int = JOIN_WINDOW_MS


class Pipeline(_Frozen):
    """One pipeline, whole and valid: steps in an order in which each comes after its sources."""

    name: str
    version: int
    """Its generation, shown as `x-pipeline-version`."""
    steps: tuple[Step, ...]
    input: External | None = None
    output: Output | None = None


class Document(_Frozen):
    """Everything that the model server needs to execute pipelines."""

    pipelines: tuple[Pipeline, ...] = ()
    models: dict[str, tuple[Share, ...]] = {}
    """Who answers for a model's name: its live version, or the candidates of the experiment whose
    default it is. A model that is not here cannot answer."""


def path_of(repository: pathlib.Path) -> pathlib.Path:
    """Give the document of the model server that serves a repository."""
    return repository.with_name("dataflow.json")
