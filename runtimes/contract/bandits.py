"""The bandit's records: what an arm decides, what that was worth, and how traffic was split.

JSON, one record a message; unknown keys, wrong types, empty texts and numbers that are not finite
are refused. Decoding takes 1 to 2 µs (`tests/unit/runtimes/contract/test_bandit_records.py`).

| topic         | key              | record |
|---------------|------------------|--------|
| `decisions`   | the decision's id | `Decision` |
| `rewards`     | the decision's id | `Reward` |
| `allocations` | the experiment   | `Allocation` |
"""

from typing import Annotated, Literal, Self

import pydantic
import pydantic_core

DECISIONS = "decisions"
REWARDS = "rewards"
ALLOCATIONS = "allocations"

BUSINESS_VALUE = "business_value"
"""The metric of a reward that names none."""

CONTEXT_VOLATILITY = "volatility"
CONTEXT_TREND = "trend"
"""A decision's context: volatility (annualised) and simple return of the last 20 days, as
`contract.regimes` measures them of the request's own history."""

LONGEST_ID = 256
"""Characters that an id, a metric or a name may have."""

SHADOW_HOST = "-shadow"
"""How the host of a copy ends that Envoy made for a mirror: it decides nothing."""

EXPERIMENT_SUFFIX = ".experiment"
"""What a caller adds to an experiment's name in the header `seldon-model`."""

Name = Annotated[str, pydantic.StringConstraints(min_length=1, max_length=LONGEST_ID)]
Probability = Annotated[float, pydantic.Field(gt=0, le=1)]
Offset = Annotated[int, pydantic.Field(ge=0)]
Range = tuple[Offset, Offset]
"""Kafka offsets, the second one excluded."""


class InvalidRecord(ValueError):  # noqa: N818  named after the record, as readers count it
    """A message that is no such record: which key, what is wrong with it, what was there."""


class Record(pydantic.BaseModel):
    """A record of one of the three topics."""

    model_config = pydantic.ConfigDict(
        strict=True, extra="forbid", frozen=True, allow_inf_nan=False
    )

    @classmethod
    def decode(cls, value: bytes | None) -> Self:
        """Read a message's value; raises `InvalidRecord`."""
        try:
            return cls.model_validate_json(value or b"")
        except pydantic.ValidationError as error:
            raise InvalidRecord(_told(cls.__name__, error)) from error

    def encode(self) -> bytes:
        """Write a message's value: floats come back to the bit."""
        return pydantic_core.to_json(self)


class Decision(Record):
    """One request that an arm of an experiment answered, however many rows it had."""

    id: Name
    """The request's `x-request-id`: what a reward names."""
    time: float
    """Unix time in seconds."""
    experiment: Name
    arm: Name
    """The model that answered, without its version."""
    context: dict[Name, float] | None
    """What a contextual policy may look at, by name."""
    propensity: Probability | None
    """With which probability the arm was chosen; null: as the split of that time has it."""


class Reward(Record):
    """What one decision turned out to be worth."""

    prediction_id: Name
    """The decision's id."""
    metric: Name
    value: float
    time: float
    """Unix time in seconds."""


class Veto(Record):
    """An arm that lost its traffic for an epoch, and why."""

    arm: Name
    reason: str


class Consumed(Record):
    """Which records an epoch learnt of."""

    decisions: Range
    rewards: Range


class Allocation(Record):
    """One epoch of a policy: the split that it gave, of which records, and from which split."""

    experiment: Name
    policy: Name
    epoch: Annotated[int, pydantic.Field(ge=0)]
    time: float
    """Unix time in seconds; `weights` act from here on if they were applied."""
    weights: dict[Name, Annotated[int, pydantic.Field(ge=0)]]
    """Weight by arm, relative to their sum."""
    previous: dict[Name, Annotated[int, pydantic.Field(ge=0)]]
    """What acted until then."""
    applied: bool
    """Whether the split is the experiment's, rather than what would have been (shadow, frozen)."""
    mode: Literal["active", "shadow", "frozen"]
    vetoes: tuple[Veto, ...] = ()
    counts: dict[str, pydantic.JsonValue] = {}
    """What was joined, and what was not: double, late, unknown; as the controller names it."""
    offsets: Consumed
    spec_digest: str
    """Of the policy's spec."""
    state_digest: str
    """Of the policy's state after the epoch."""
    details: dict[str, pydantic.JsonValue] = {}
    """What else the controller has to say."""


def _told(kind: str, error: pydantic.ValidationError) -> str:
    wrong = "; ".join(
        f"{'.'.join(map(str, each['loc'])) or 'value'}: {each['msg']}, got {each['input']!r:.80}"
        for each in error.errors(include_url=False)
    )
    return f"{kind.lower()}: {wrong}"
