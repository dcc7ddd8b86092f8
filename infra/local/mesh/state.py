"""What the mesh knows of models and routes while it runs."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from infra.local.mesh import dataflow
from infra.local.mesh.envoy import ModelVersion
from infra.local.mesh.store import VersionRecord


@dataclass(frozen=True)
class Problem:
    """Why a version of a model does not serve; `digest` is that of the spec it was made from."""

    digest: str
    reason: str
    message: str
    fatal: bool = False
    """Whether MLServer may have died of it."""


@dataclass(frozen=True)
class Routed:
    """What the routes say about an experiment.

    `version` of the routes carries `generation`; before it acts, they follow `before`.
    """

    before: int | None
    generation: int
    version: int

    def acting(self, version: int) -> int | None:
        """Say which generation is followed when this version of the routes acts."""
        return self.generation if version >= self.version else self.before


@dataclass(frozen=True)
class Leaving:
    """A pipeline that was removed and may still have requests, with the models that it needs."""

    pipeline: dataflow.Pipeline
    models: Mapping[str, tuple[dataflow.Share, ...]]

    def needs(self, version: ModelVersion) -> bool:
        """Say whether a model version answers for one of its steps."""
        return any(
            share.internal_name == version.internal_name
            for shares in self.models.values()
            for share in shares
        )


@dataclass
class State:
    """What is there, as far as the mesh knows.

    `loaded` are the versions that MLServer has,
    `live_since` the version of the routes that first led to a model's live version,
    `routed` what the routes say about the experiments that they contain.
    `executed` are the pipelines that the model server acts on,
    `reachable` those of them that Envoy has clusters for,
    `reachable_since` the version of the routes that first led to them.
    """

    records: list[VersionRecord]
    loaded: set[ModelVersion] = field(default_factory=set)
    problems: dict[str, Problem] = field(default_factory=dict)
    live_since: dict[str, int] = field(default_factory=dict)
    routed: dict[str, Routed] = field(default_factory=dict)
    executed: dict[str, dataflow.Pipeline] = field(default_factory=dict)
    reachable: set[str] = field(default_factory=set)
    reachable_since: dict[str, int] = field(default_factory=dict)
    leaving: dict[str, Leaving] = field(default_factory=dict)
    routes_problem: str | None = None
    server_up: bool = False

    def records_of(self, model: str) -> list[VersionRecord]:
        """List the versions of a model, oldest first."""
        return [record for record in self.records if record.version.model == model]

    def live_record(self, model: str) -> VersionRecord | None:
        """Find the version of a model that the routes lead to."""
        return next((record for record in self.records_of(model) if record.live), None)

    def live(self) -> dict[str, ModelVersion]:
        """Say which version of each model can take requests."""
        return {
            record.version.model: record.version
            for record in self.records
            if record.live and record.version in self.loaded
        }
