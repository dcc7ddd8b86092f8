"""How severe a rule is in which kind of environment, and where it can be excused: the one table."""

import collections.abc
import dataclasses
import typing

from infra.cluster import sizes

Level = typing.Literal["mandatory", "advisory", "off"]

_MUST: Level = "mandatory"
_SHOULD: Level = "advisory"
_OFF: Level = "off"


@dataclasses.dataclass(frozen=True, slots=True)
class Levels:
    """Of one rule."""

    dev: Level
    staging: Level
    production: Level
    excused_in: tuple[sizes.Environment, ...]
    """Where an object's annotation may excuse it."""

    def of(self, environment: sizes.Environment) -> Level:
        """Give the level in an environment."""
        level: Level = getattr(self, environment)
        return level

    def excusable(self, environment: sizes.Environment) -> bool:
        """Whether an object may excuse itself there."""
        return environment in self.excused_in


_ANYWHERE: tuple[sizes.Environment, ...] = ("dev", "staging", "production")
_BEFORE_PRODUCTION: tuple[sizes.Environment, ...] = ("dev", "staging")
_NOWHERE: tuple[sizes.Environment, ...] = ()

LEVELS: collections.abc.Mapping[str, Levels] = {
    # What would be found out there by an attacker first: no exception in production.
    "plaintext-secret": Levels(_MUST, _MUST, _MUST, _NOWHERE),
    "restricted-pod": Levels(_MUST, _MUST, _MUST, _BEFORE_PRODUCTION),
    "read-only-root": Levels(_SHOULD, _MUST, _MUST, _ANYWHERE),
    "image-pinned": Levels(_SHOULD, _MUST, _MUST, _BEFORE_PRODUCTION),
    "image-registry": Levels(_SHOULD, _MUST, _MUST, _BEFORE_PRODUCTION),
    "chart-pinned": Levels(_MUST, _MUST, _MUST, _NOWHERE),
    "service-account": Levels(_SHOULD, _MUST, _MUST, _ANYWHERE),
    "idle-token": Levels(_SHOULD, _MUST, _MUST, _BEFORE_PRODUCTION),
    "named-rights": Levels(_MUST, _MUST, _MUST, _BEFORE_PRODUCTION),
    "deny-by-default": Levels(_MUST, _MUST, _MUST, _BEFORE_PRODUCTION),
    "narrow-network-policy": Levels(_SHOULD, _MUST, _MUST, _ANYWHERE),
    # What would be missed at the first disturbance; `dev` is one of each by design, and keeps nothing.
    "requests-and-limits": Levels(_SHOULD, _MUST, _MUST, _ANYWHERE),
    "replicas": Levels(_OFF, _SHOULD, _MUST, _ANYWHERE),
    "disruption-budget": Levels(_SHOULD, _MUST, _MUST, _ANYWHERE),
    "stateful-kept": Levels(_OFF, _MUST, _MUST, _BEFORE_PRODUCTION),
    "backed-up": Levels(_OFF, _SHOULD, _MUST, _ANYWHERE),
    # What serving gets wrong without an error.
    "experiment-weights": Levels(_MUST, _MUST, _MUST, _NOWHERE),
    "content-addressed": Levels(_SHOULD, _MUST, _MUST, _BEFORE_PRODUCTION),
    "bandit-bounds": Levels(_SHOULD, _MUST, _MUST, _BEFORE_PRODUCTION),
    "bandit-owns-weights": Levels(_MUST, _MUST, _MUST, _NOWHERE),
    "labels": Levels(_SHOULD, _MUST, _MUST, _ANYWHERE),
    "exception": Levels(_SHOULD, _MUST, _MUST, _NOWHERE),
}
