"""A simulation's environment: arms, how long, how their means move, which policy.

Its keys are written in lower case, its `policy` as a `BanditPolicy`'s spec.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

import pydantic

from runtimes.bandit import notation

_Number = Annotated[float, pydantic.Field(allow_inf_nan=False)]
_Spread = Annotated[float, pydantic.Field(ge=0)]


class Phase(notation.Part):
    """From the request with this number on, the arms' mean rewards, and their standard deviations.

    `sd` is for normal rewards alone, and 1 where it is left out.
    """

    begin: Annotated[int, pydantic.Strict(), pydantic.Field(ge=0, alias="from")]
    means: tuple[_Number, ...]
    sd: tuple[_Spread, ...] | None = None


class Environment(notation.Part):
    """What a policy is tried in."""

    arms: Annotated[tuple[str, ...], pydantic.Field(min_length=1)]
    horizon: Annotated[int, pydantic.Strict(), pydantic.Field(ge=1, le=100_000_000)] = 20_000
    """Requests."""
    batch: Annotated[int, pydantic.Strict(), pydantic.Field(ge=1)] = 100
    """Requests in an epoch."""
    delay: Annotated[int, pydantic.Strict(), pydantic.Field(ge=0)] = 0
    """How many batches later rewards are known."""
    repetitions: Annotated[int, pydantic.Strict(), pydantic.Field(ge=1, le=100_000)] = 200
    seed: Annotated[int, pydantic.Strict(), pydantic.Field(ge=0)] = 1
    reward: Literal["bernoulli", "normal"] = "bernoulli"
    phases: Annotated[tuple[Phase, ...], pydantic.Field(min_length=1)]
    drift: Annotated[float, pydantic.Field(ge=0)] = 0.0
    """Standard deviation of each mean's step from batch to batch, a random walk."""
    policy: dict[str, Any] = pydantic.Field(default_factory=dict)
    """A policy's spec; what is left out is as in the catalogue."""

    @property
    def batches(self) -> int:
        """How many epochs there are; the last one may be shorter."""
        return -(-self.horizon // self.batch)

    @pydantic.model_validator(mode="after")
    def _phases_fit(self) -> Self:
        begins = [phase.begin for phase in self.phases]
        if begins[0] != 0 or sorted(set(begins)) != begins:
            raise notation.wrong(
                "phases", f"the first phase is from 0, and each later than the one before: {begins}"
            )
        if begins[-1] >= self.horizon:
            raise notation.wrong(
                f"phases[{len(begins) - 1}].from",
                f"{begins[-1]} is not before the horizon of {self.horizon} requests",
            )
        for number, phase in enumerate(self.phases):
            self._fits(phase, f"phases[{number}]")
        return self

    def _fits(self, phase: Phase, at: str) -> None:
        for name, values in (("means", phase.means), ("sd", phase.sd)):
            if values is not None and len(values) != len(self.arms):
                raise notation.wrong(
                    f"{at}.{name}", f"{len(values)} values for {len(self.arms)} arms"
                )
        if self.reward == "bernoulli":
            if phase.sd is not None:
                raise notation.wrong(f"{at}.sd", 'only rewards that are "normal" have one')
            if not all(0 <= mean <= 1 for mean in phase.means):
                raise notation.wrong(f"{at}.means", "the mean of a bernoulli reward is 0 to 1")

    @pydantic.model_validator(mode="after")
    def _rewards_arrive(self) -> Self:
        if len(set(self.arms)) != len(self.arms):
            raise notation.wrong("arms", "an arm is named once")
        if self.delay >= self.batches:
            raise notation.wrong(
                "delay",
                f"it counts batches, and of {self.batches} none would be learnt: {self.delay}",
            )
        return self


def parse(document: Any) -> Environment:
    """Read an environment.

    Raises:
        notation.ManifestError: what is wrong with it, all of it, each with its path.

    """
    if not isinstance(document, Mapping):
        problem = "an environment is an object with arms, horizon, phases, …"
        raise notation.ManifestError((notation.Problem("invalid", "", problem),))
    return notation.parse_as(Environment, document)
