"""What the catalogue's bandit policy would have earned on real history.

Forecasts of days that the models had not seen (`models.unseen`), rewards from the closes of the
five trading days after, known five days later; the experiment's declared split to begin with, and
to compare with. Needs trained models, and no environment that runs.
"""

import collections.abc
import dataclasses
import os
from typing import Any

import numpy as np

from infra import settings
from infra.catalogue import bandits, experiments
from infra.catalogue import models as catalogue
from loadtests import bandit_replay, endpoints
from loadtests.benchmarks import benchmark
from models import gains, sources, unseen
from runtimes.bandit import declaration

NAME = "bandit-history"
ABOUT = "the bandit's split on real history beside the fixed one and the best single arm"

RUNS = 10
FIXED = "fixed split"
CATALOGUE = "the catalogue's policy"

_SIMPLER: dict[str, declaration.Algorithm] = {
    "epsilon-greedy": declaration.EpsilonGreedy(),
    "ucb1": declaration.Ucb1(),
    "thompson": declaration.Thompson(),
}


def policies() -> dict[str, declaration.BanditPolicySpec]:
    """Give the catalogue's policy and simpler ones, which explore as much and forget nothing."""
    spec = bandits.FINANCIAL_MAB.spec
    simpler = {
        name: spec.model_copy(update={"algorithm": algorithm, "forgetting": declaration.KeepAll()})
        for name, algorithm in _SIMPLER.items()
    }
    return {CATALOGUE: spec, **simpler}


def run(context: benchmark.Context) -> benchmark.Result:
    """Replay the history for each policy."""
    name = os.environ.get("BELLWETHER_STACK", "local")
    configured = settings.read(context.root / f"Pulumi.{name}.yaml")
    fixed = {
        _artifact(each.name): each.weight for each in experiments.FINANCIAL_MAB.spec.candidates
    }
    try:
        days = unseen.load(sources.Source(configured.data), configured.seed, tuple(fixed))
    except sources.DataError as error:
        raise endpoints.LoadTestError(str(error)) from error
    traffic = bandit_replay.Traffic(runs=RUNS, seed=configured.seed)
    return measured(days, fixed, policies(), traffic, context.progress)


def _artifact(served: str) -> str:
    return next(each.artifact for each in catalogue.MODELS if each.name == served)


def measured(
    days: unseen.Unseen,
    fixed: collections.abc.Mapping[str, int],
    specs: collections.abc.Mapping[str, declaration.BanditPolicySpec],
    traffic: bandit_replay.Traffic,
    progress: collections.abc.Callable[[float, str], None],
) -> benchmark.Result:
    """Replay each policy, and compare it with the fixed split and every arm alone."""
    weights = np.array([float(fixed[arm]) for arm in days.models])
    others = {
        FIXED: days.utility @ (weights / weights.sum()),
        **{arm: days.utility[:, place] for place, arm in enumerate(days.models)},
    }
    best = max(days.models, key=lambda arm: float(others[arm].mean()))
    found: dict[str, Any] = {}
    for number, (name, spec) in enumerate(specs.items()):
        share = number / len(specs)

        def on_day(done: float, share: float = share, name: str = name) -> None:
            progress(share + done / len(specs), name)

        replay = bandit_replay.replay(days, spec, fixed, traffic, on_day)
        earned = replay.earned.mean(axis=0)
        compared = gains.compare(days.date, {name: earned, **others}, traffic.seed)
        runs = replay.earned.mean(axis=1) - float(others[FIXED].mean())
        found[name] = {
            "earned": compared.earned[name].document(),
            "gain_over_fixed": compared.over[FIXED].document(),
            "gain_over_best_single": compared.over[best].document(),
            "runs_that_beat_fixed": int((runs > 0).sum()),
            "gain_of_each_run": [float(f"{each:.6g}") for each in runs],
            "shares_at_the_end": {
                arm: round(float(value), 4)
                for arm, value in zip(days.models, replay.shares[-1].mean(axis=0), strict=True)
            },
        }
    alone = gains.compare(days.date, {FIXED: others.pop(FIXED), **others}, traffic.seed)
    document = {
        "from": str(days.date[0]),
        "to": str(days.date[-1]),
        "days": alone.days,
        "rows": len(days),
        "traffic": dataclasses.asdict(traffic),
        "fixed_split": dict(fixed),
        "best_single": best,
        "fixed": alone.earned[FIXED].document(),
        "alone": {arm: alone.earned[arm].document() for arm in days.models},
        "policies": found,
    }
    return benchmark.Result(tables=(_table(document),), document=document)


def _table(document: dict[str, Any]) -> benchmark.Table:
    rows = [
        (
            name,
            f"{each['earned']['value']:.3%}",
            _points(each["gain_over_fixed"]),
            _points(each["gain_over_best_single"]),
            f"{each['runs_that_beat_fixed']} of {document['traffic']['runs']}",
        )
        for name, each in document["policies"].items()
    ]
    rows.append((FIXED, f"{document['fixed']['value']:.3%}", "", "", ""))
    for arm, each in document["alone"].items():
        name = f"{arm} alone" + (", the best" if arm == document["best_single"] else "")
        rows.append((name, f"{each['value']:.3%}", "", "", ""))
    traffic = document["traffic"]
    return benchmark.Table(
        f"realised utility, {document['from']} to {document['to']}: "
        f"{document['days']} days, {document['rows']} forecasts an arm",
        (
            "who answers",
            "utility a year",
            "over the fixed split",
            "over the best arm",
            "runs above",
        ),
        tuple(rows),
        note="gains in hundredths of a per cent of wealth a year, mean of "
        f"{traffic['runs']} runs, 95 % intervals over days (stationary bootstrap); "
        f"{traffic['requests']} requests a symbol and day, an epoch a day; "
        "the best arm is known afterwards",
    )


def _points(estimate: dict[str, float | None]) -> str:
    value, low, high = (estimate[name] for name in ("value", "low", "high"))
    if value is None:
        return ""
    if low is None or high is None:
        return f"{value * 1e4:+.1f}"
    return f"{value * 1e4:+.1f} [{low * 1e4:+.1f}, {high * 1e4:+.1f}]"
