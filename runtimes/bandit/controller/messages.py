"""Kafka's messages as batches of decisions and rewards; what cannot be used is counted."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pydantic_core

from runtimes.contract import bandits

from .joining import ELSEWHERE, LARGEST_REWARD, UNKNOWN_ARM, Decisions, Rewards


class Message(NamedTuple):
    """A record of a topic; `time` is Kafka's timestamp in milliseconds."""

    offset: int
    time: int
    value: bytes | None


def decisions(
    messages: Sequence[Message],
    experiment: str,
    arms: Mapping[str, int],
    features: Sequence[str] = (),
) -> Decisions:
    """Read decisions; `arms` are the places of the experiment's candidates."""
    ids, times, codes, contexts, malformed = [], [], [], [], 0
    decode = bandits.Decision.decode
    for _, time, value in messages:
        try:
            read = decode(value)
        except bandits.InvalidRecord:
            malformed += 1
            continue
        arm = ELSEWHERE
        if read.experiment == experiment:
            arm = arms.get(read.arm, UNKNOWN_ARM)
        row = [0.0] * len(features)
        if features and arm < UNKNOWN_ARM:
            context = read.context or {}
            row = [context.get(name, math.nan) for name in features]
            if any(math.isnan(number) for number in row):
                malformed += 1
                continue
        ids.append(read.id)
        times.append(time)
        codes.append(arm)
        contexts.append(row)
    return Decisions(
        ids,
        np.array(times, dtype=np.int64),
        np.array(codes, dtype=np.uint8),
        np.array(contexts, dtype=np.float64).reshape(len(ids), -1) if features else None,
        malformed,
    )


def rewards(messages: Sequence[Message], metric: str, *, binary: bool) -> Rewards:
    """Read rewards; those of another metric, and values that are no reward, are counted."""
    ids, times, values, offsets = [], [], [], []
    refused: dict[str, int] = {}
    decode = bandits.Reward.decode
    for offset, time, content in messages:
        try:
            read = decode(content)
        except bandits.InvalidRecord:
            why = _malformed(content)
            refused[why] = refused.get(why, 0) + 1
            continue
        value = read.value
        if read.metric != metric:
            refused["other_metric"] = refused.get("other_metric", 0) + 1
        elif abs(value) > LARGEST_REWARD or (binary and value not in {0.0, 1.0}):
            refused["out_of_range"] = refused.get("out_of_range", 0) + 1
        else:
            ids.append(read.prediction_id)
            times.append(time)
            values.append(value)
            offsets.append(offset)
    return Rewards(
        ids,
        np.array(times, dtype=np.int64),
        np.array(values, dtype=np.float64),
        np.array(offsets, dtype=np.int64),
        refused,
    )


def _malformed(content: bytes | None) -> str:
    """Tell a value that is no finite number from a record that is none."""
    try:
        read = pydantic_core.from_json(content or b"", allow_inf_nan=True)
    except ValueError:
        return "malformed"
    value = read.get("value") if isinstance(read, dict) else None
    if isinstance(value, float) and not math.isfinite(value):
        return "non_finite"
    return "malformed"
