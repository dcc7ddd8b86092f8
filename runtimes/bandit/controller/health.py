"""How arms fare, by what Envoy counted: errors and latency, judged by exact binomial tests.

An arm is vetoed if it failed (or was slow) significantly more often than the policy allows,
so that one failed request of an arm with little traffic is no verdict, and two may be.
"""

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from runtimes.bandit import declaration

SIGNIFICANT = 0.01
SLOW_SHARE = 0.01
"""How many requests may take longer than a 99th percentile."""

_SECONDS = 2.0
_PREFIX = "envoy_cluster_"
_LINE = re.compile(r"(?P<name>[a-z0-9_]+)\{(?P<labels>[^}]*)\} (?P<value>\S+)")
_LABEL = re.compile(r'([a-z_]+)="([^"]*)"')
_CLUSTER = re.compile(r"(?P<model>.+)_[0-9]+_(?:http|grpc)")
_SERVER_ERROR = "5"


@dataclasses.dataclass(frozen=True)
class Counters:
    """What happened to an arm's requests: how many, how many failed, how many took how long.

    `times` are cumulative counts by upper bound in milliseconds.
    """

    requests: float = 0.0
    errors: float = 0.0
    times: Mapping[float, float] = dataclasses.field(default_factory=dict)

    def since(self, before: "Counters | None") -> "Counters":
        """Say what happened since other counters were read; a restart begins at zero."""
        if before is None or self.requests < before.requests:
            before = Counters()
        return Counters(
            self.requests - before.requests,
            max(0.0, self.errors - before.errors),
            {
                bound: max(0.0, count - before.times.get(bound, 0.0))
                for bound, count in self.times.items()
            },
        )

    def plus(self, other: "Counters") -> "Counters":
        """Add the counters of another cluster."""
        bounds = {*self.times, *other.times}
        return Counters(
            self.requests + other.requests,
            self.errors + other.errors,
            {each: self.times.get(each, 0.0) + other.times.get(each, 0.0) for each in bounds},
        )

    def slower_than(self, milliseconds: float) -> tuple[float, float]:
        """Say how many requests took longer (between bounds: linearly), and of how many."""
        if not self.times:
            return 0.0, 0.0
        total = max(self.times.values())
        within, low, below = total, 0.0, 0.0
        for bound, count in sorted(self.times.items()):
            if bound >= milliseconds:
                part = 1.0 if math.isinf(bound) else (milliseconds - low) / (bound - low)
                within = below + (0.0 if math.isinf(bound) else part * (count - below))
                break
            low, below = bound, count
        return max(0.0, total - within), total


def why_vetoed(seen: Counters, allowed: declaration.Guardrails) -> str | None:
    """Say why an arm loses its traffic, or None."""
    if allowed.max_error_rate is not None and seen.requests:
        chance = at_least(seen.errors, seen.requests, allowed.max_error_rate)
        if chance < SIGNIFICANT:
            return (
                f"{seen.errors:.0f} of {seen.requests:.0f} requests failed, "
                f"{allowed.max_error_rate:.1%} may"
            )
    if allowed.max_p99_ms is not None:
        slow, total = seen.slower_than(allowed.max_p99_ms)
        if total and at_least(slow, total, SLOW_SHARE) < SIGNIFICANT:
            return (
                f"{slow:.0f} of {total:.0f} requests took longer than {allowed.max_p99_ms:g} ms, "
                f"{SLOW_SHARE:.0%} may"
            )
    return None


def at_least(successes: float, trials: float, chance: float) -> float:
    """Give the probability of at least so many successes, rounded down, of a binomial law."""
    count, total = math.floor(successes), round(trials)
    if count <= 0 or chance >= 1:
        return 1.0
    if chance <= 0:
        return 0.0
    if count <= total * chance:
        return 1.0  # no more than expected: not worth the sum
    log = (
        math.lgamma(total + 1)
        - math.lgamma(count + 1)
        - math.lgamma(total - count + 1)
        + count * math.log(chance)
        + (total - count) * math.log1p(-chance)
    )
    term = found = math.exp(log)
    odds = chance / (1 - chance)
    for k in range(count, total):
        term *= (total - k) / (k + 1) * odds
        found += term
        if term < found * 1e-12:
            break
    return min(1.0, found)


class EnvoyCounters:
    """Reads counters from Envoy's admin interface, or from the Prometheus that scrapes it."""

    def __init__(self, envoy: str | None = None, prometheus: str | None = None) -> None:
        self._envoy, self._prometheus = envoy, prometheus
        self._client = httpx.Client(timeout=_SECONDS)

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()

    def read(self, arms: Sequence[str]) -> dict[str, Counters]:
        """Give the counters of each arm; all its versions, REST and gRPC together.

        Raises:
            httpx.HTTPError: neither is there.

        """
        models = "|".join(arms)
        if self._envoy is not None:
            parameters = {
                "filter": rf"^cluster\.({models})_[0-9]+_(http|grpc)\.upstream_rq_([0-9]xx|time)$"
            }
            answer = self._client.get(f"{self._envoy}/stats/prometheus", params=parameters)
            answer.raise_for_status()
            return _by_arm(_lines(answer.text), arms)
        if self._prometheus is not None:
            name = "envoy_cluster_upstream_rq_(xx|time_bucket)"
            clusters = f"({models})_[0-9]+_(http|grpc)"
            query = f'{{__name__=~"{name}",envoy_cluster_name=~"{clusters}"}}'
            answer = self._client.get(f"{self._prometheus}/api/v1/query", params={"query": query})
            answer.raise_for_status()
            return _by_arm(_series(answer.json()), arms)
        return {}


_Sample = tuple[str, Mapping[str, str], float]


def _lines(text: str) -> list[_Sample]:
    found: list[_Sample] = []
    for line in text.splitlines():
        match = _LINE.match(line)
        if match is not None:
            labels = dict(_LABEL.findall(match["labels"]))
            found.append((match["name"], labels, float(match["value"])))
    return found


def _series(answer: Any) -> list[_Sample]:
    return [
        (each["metric"]["__name__"], each["metric"], float(each["value"][1]))
        for each in answer["data"]["result"]
    ]


def _by_arm(samples: Sequence[_Sample], arms: Sequence[str]) -> dict[str, Counters]:
    found = {arm: Counters() for arm in arms}
    for name, labels, value in samples:
        match = _CLUSTER.fullmatch(labels.get("envoy_cluster_name", ""))
        if match is None or match["model"] not in found:
            continue
        arm, what = match["model"], name.removeprefix(_PREFIX)
        if what == "upstream_rq_xx":
            failed = labels.get("envoy_response_code_class") == _SERVER_ERROR
            seen = Counters(value, value if failed else 0.0)
        elif what == "upstream_rq_time_bucket":
            seen = Counters(times={float(labels["le"]): value})
        else:
            continue
        found[arm] = found[arm].plus(seen)
    return found
