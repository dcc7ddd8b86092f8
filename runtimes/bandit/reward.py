"""Takes rewards, as an MLServer model: feedback comes in as an inference request.

Set `implementation` to `runtimes.bandit.reward.RewardModel`; `Settings` lists what
`parameters.extra` may say. A request is answered once Kafka has all its rewards.
Whether a reward is double, late, or names no decision is for the controller to tell.
"""

import math
import pathlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pydantic

from runtimes.contract import bandits, step

from . import delivery, reward_metrics

PREDICTION_ID = "prediction_id"
VALUE = "value"
METRIC = "metric"
TIME = "time"
ACKNOWLEDGED = "acknowledged"

CLIENT = "rewards"
_AHEAD_SECONDS = 86_400.0
"""How far ahead a reward's time may be: what is beyond was not given in seconds."""


class Settings(step.Settings):
    """A reward model's settings."""

    kafka: str = pydantic.Field(
        pattern=r"^[^\s,:]+:\d+(,[^\s,:]+:\d+)*$", description="Kafka's address, host:port."
    )
    delivery_seconds: float = pydantic.Field(
        default=5.0, gt=0, le=300, description="After how long without Kafka a request is a 503."
    )
    max_rewards: int = pydantic.Field(
        default=10_000, ge=1, le=100_000, description="The most rewards that a request may have."
    )


class RewardModel(step.Step):
    """Answers with `acknowledged` [1], how many rewards Kafka has: all, or the answer is a 503."""

    SETTINGS = Settings
    TAKES = (
        step.Tensor(
            PREDICTION_ID, "BYTES", (-1,), "the `x-request-id` of the forecast's answer, one a row"
        ),
        step.Tensor(VALUE, "FP64", (-1,), "what the forecast was worth"),
        step.Tensor(
            METRIC,
            "BYTES",
            (-1,),
            f"what was measured; {bandits.BUSINESS_VALUE} where it is left out",
            required=False,
        ),
        step.Tensor(
            TIME,
            "FP64",
            (-1,),
            "when it was known, Unix time in seconds (FP64: FP32 holds it to 128 s only); "
            "now where it is left out",
            required=False,
        ),
    )
    GIVES = (step.Tensor(ACKNOWLEDGED, "FP64", (1,), "how many rewards Kafka has"),)

    given: Settings

    def open(self, folder: pathlib.Path) -> None:
        """Nothing is read from the folder: a reward model is its settings."""
        del folder
        self._delivery = delivery.shared(self.given.kafka, CLIENT, self.given.delivery_seconds)
        self._counted = {
            outcome: reward_metrics.REWARDS.labels(self.label, outcome)
            for outcome in ("acknowledged", "refused", "unacknowledged")
        }
        self._seconds_until = reward_metrics.SECONDS.labels(self.label)

    async def run(
        self, inputs: Mapping[str, step.Value], asked: step.Asked
    ) -> Mapping[str, step.Value]:
        """See `step.Step.run`."""
        del asked
        began = time.perf_counter()
        try:
            rewards = read(inputs, self.given.max_rewards, now=time.time())
        except step.InvalidRequest:
            self._counted["refused"].inc(len(inputs[PREDICTION_ID]))
            raise
        records = [(each.prediction_id, each.encode()) for each in rewards]
        try:
            await self._delivery.deliver(bandits.REWARDS, records)
        except delivery.NotDelivered as error:
            self._counted["acknowledged"].inc(error.delivered)
            self._counted["unacknowledged"].inc(error.count - error.delivered)
            raise step.StepUnavailable(
                f"{self.label!r}: Kafka took {error.delivered} of {error.count} rewards within "
                f"{self.given.delivery_seconds:g} s ({error.reason}); send all of them again: "
                "those that it has are recognised and count once"
            ) from error
        self._counted["acknowledged"].inc(len(records))
        self._seconds_until.observe(time.perf_counter() - began)
        return {ACKNOWLEDGED: np.array([float(len(records))])}


def read(inputs: Mapping[str, Any], most: int, *, now: float) -> list[bandits.Reward]:
    """Make the rewards of a request's tensors; raises `step.InvalidRequest` for any that is wrong.

    `now` is Unix time in seconds.
    """
    identities: Sequence[str] = inputs[PREDICTION_ID]
    count = len(identities)
    if not count:
        raise step.InvalidRequest(f"tensor {PREDICTION_ID!r} is empty: send at least one reward")
    if count > most:
        raise step.InvalidRequest(
            f"{count} rewards came, a request may have {most} (`max_rewards`): "
            "send them in several requests"
        )
    values = _column(inputs, VALUE, count, 0.0)
    metrics = _column(inputs, METRIC, count, bandits.BUSINESS_VALUE)
    times = _column(inputs, TIME, count, now)
    latest = now + _AHEAD_SECONDS
    rewards = []
    for row, parts in enumerate(zip(identities, metrics, values, times, strict=True)):
        identity, metric, value, when = parts
        _check_text(PREDICTION_ID, row, identity)
        _check_text(METRIC, row, metric)
        if not (math.isfinite(when) and 0 <= when <= latest):
            raise step.InvalidRequest(
                f"tensor {TIME!r}: expected Unix time in seconds, at most a day ahead, "
                f"got {when!r} at [{row}]"
            )
        rewards.append(
            bandits.Reward(prediction_id=identity, metric=metric, value=value, time=when)
        )
    return rewards


def _column(inputs: Mapping[str, Any], name: str, count: int, usual: Any) -> Sequence[Any]:
    given = inputs.get(name)
    if given is None:
        return [usual] * count
    if len(given) != count:
        raise step.InvalidRequest(
            f"tensor {name!r} has {len(given)} rows, {PREDICTION_ID!r} has {count}: "
            "send one row of each for every reward"
        )
    return given if isinstance(given, list) else given.ravel().tolist()


def _check_text(name: str, row: int, text: str) -> None:
    if not text.strip():
        raise step.InvalidRequest(f"tensor {name!r}: the text at [{row}] is empty")
    if len(text) > bandits.LONGEST_ID:
        raise step.InvalidRequest(
            f"tensor {name!r}: the text at [{row}] has {len(text)} characters, "
            f"at most {bandits.LONGEST_ID} are taken"
        )
