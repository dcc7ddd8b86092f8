"""What the bandit's policy loses in three worlds, beside simpler rules and an oracle.

The worlds have four Bernoulli arms, 20,000 requests, batches of 100, and 200 repetitions;
the policy is the catalogue's, with its exploration and with less.
"""

import os
from typing import Any

from infra.catalogue import bandits, experiments
from loadtests.benchmarks import benchmark
from runtimes.bandit.simulation import environment, trial

NAME = "bandit"
ABOUT = "expected regret of the catalogue's policy in three worlds, beside simpler rules"

_HORIZON = 20_000
_WORST, _BEST = 0.50, 0.57
_BEFORE = (_WORST, 0.52, 0.54, _BEST)
WORLDS: dict[str, tuple[tuple[float, ...], ...]] = {
    "stationary": (_BEFORE,),
    "switching": (_BEFORE, _BEFORE[::-1]),
    "rising": (_BEFORE, (0.64, *_BEFORE[1:])),
}
"""The arms' means, by halves of the horizon."""

LIMITS = {
    0.04: {"stationary": 110, "switching": 220, "rising": 400},
    0.1: {"stationary": 170, "switching": 270, "rising": 400},
}
"""By exploration: the regret that the policy may have."""

_REPETITIONS = 200
_SEED = 2026


def run(context: benchmark.Context) -> benchmark.Result:
    """Simulate each world with each exploration."""
    load_average = os.getloadavg()[0]
    cases = [(rate, world) for rate in LIMITS for world in WORLDS]
    found: dict[tuple[float, str], dict[str, trial.Regret]] = {}
    for number, (rate, world) in enumerate(cases):

        def progress(done: float, what: str, number: int = number, world: str = world) -> None:
            context.progress((number + done) / len(cases), f"{world}: {what}")

        found[rate, world] = trial.run(
            _environment(rate, world), bandits.FINANCIAL_MAB.spec, progress
        )
    return benchmark.Result(
        tables=tuple(_table(rate, found) for rate in LIMITS),
        document={
            "repetitions": _REPETITIONS,
            "seed": _SEED,
            "load_average_before": load_average,
            "regret": {str(rate): _document(rate, found) for rate in LIMITS},
        },
    )


def _environment(rate: float, world: str) -> environment.Environment:
    halves = WORLDS[world]
    return environment.parse(
        {
            "arms": [arm.name for arm in experiments.FINANCIAL_MAB.spec.candidates],
            "horizon": _HORIZON,
            "batch": 100,
            "repetitions": _REPETITIONS,
            "seed": _SEED,
            "phases": [
                {"from": number * _HORIZON // len(halves), "means": means}
                for number, means in enumerate(halves)
            ],
            "policy": {"explorationRate": rate},
        }
    )


def _table(rate: float, found: dict[tuple[float, str], dict[str, trial.Regret]]) -> benchmark.Table:
    names = list(found[rate, next(iter(WORLDS))])
    rows = [(name, *(_cell(found[rate, world][name]) for world in WORLDS)) for name in names]
    rows.append(("limit for the policy", *(str(LIMITS[rate][world]) for world in WORLDS)))
    return benchmark.Table(
        f"expected regret, exploration {rate:g}: mean ± standard error",
        ("", *WORLDS),
        tuple(rows),
        note=f"{_REPETITIONS} repetitions of {_HORIZON:,} requests in batches of 100",
    )


def _cell(regret: trial.Regret) -> str:
    return f"{regret.mean:,.0f} ± {regret.se or 0:,.0f}"


def _document(
    rate: float, found: dict[tuple[float, str], dict[str, trial.Regret]]
) -> dict[str, Any]:
    return {
        world: {
            "limit": LIMITS[rate][world],
            **{
                name: {"mean": each.mean, "se": each.se}
                for name, each in found[rate, world].items()
            },
        }
        for world in WORLDS
    }
