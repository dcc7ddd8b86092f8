"""What the mesh knows of models and routes while it runs."""

from dataclasses import dataclass, field

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


@dataclass
class State:
    """What is there, as far as the mesh knows.

    `loaded` are the versions that MLServer has,
    `live_since` the version of the routes that first led to a model's live version,
    `routed` what the routes say about the experiments that they contain.
    """

    records: list[VersionRecord]
    loaded: set[ModelVersion] = field(default_factory=set)
    problems: dict[str, Problem] = field(default_factory=dict)
    live_since: dict[str, int] = field(default_factory=dict)
    routed: dict[str, Routed] = field(default_factory=dict)
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
