"""What a learnt split earned, against the fixed split and every single arm on the same days."""

import dataclasses
import typing

import numpy as np

from models import gains as earnings

from . import earning, epochs, outcomes, served, walks

Array = outcomes.Array
Estimate = earnings.Estimate

LEARNT = "learnt split"
EXPECTED = "learnt split, in the mean"
FIXED = "fixed split"

FLATTERED = (
    "The served models were fitted on these days, which flatters each of them: the same on days "
    "that models had not seen is `uv run bellwether bench bandit-history`."
)


@dataclasses.dataclass(frozen=True, slots=True)
class Result:
    """What a walk came to."""

    walk: earning.Walk
    told: epochs.Epochs
    origin: outcomes.Origin
    about: str
    gains: earnings.Gains
    """Of the arms that answered."""
    expected: earnings.Gains
    """Of the split that acted, whoever answered: without the luck of the draw."""
    of_rows: int
    took: float

    @property
    def over_fixed(self) -> Estimate:
        """By how much the learnt split earned more than the fixed one."""
        return self.gains.over[FIXED]

    @property
    def best(self) -> str:
        """The arm that would have earned most alone: known afterwards."""
        arms = map(walks.short, self.walk.arms)
        return max(arms, key=lambda arm: self.gains.earned[arm].value)

    @property
    def verdict(self) -> str:
        """Say whether the learnt split beat the fixed one."""
        gain = self.over_fixed
        if not np.isfinite(gain.low):
            return f"not tested: {self.gains.days} days are too few for an interval"
        if gain.low > 0:
            return "the learnt split earned more"
        return "the fixed split earned more" if gain.high < 0 else "undecided"

    @property
    def seen(self) -> bool | None:
        """Whether the served models were fitted on days of the walk; None where no card tells."""
        if self.origin is outcomes.Origin.SYNTHETIC:
            return False
        days = self.walk.days
        pasts = [
            served.past(artifact, symbol)
            for artifact in sorted(self.walk.artifacts)
            for symbol in days.symbols
        ]
        known = [each for each in pasts if each]
        if not known:
            return None
        return any(
            each.first <= days.date[self.walk.done - 1] and days.date[0] <= each.last
            for each in known
        )

    def document(self) -> dict[str, typing.Any]:
        """Give it as JSON's types."""
        walk, beliefs = self.walk, self.told.beliefs
        counts = walk.answers()
        known = self.told.known
        shares = known[-1].shares if known else walk.fixed
        return {
            "source": str(self.origin),
            "made_up": self.origin is outcomes.Origin.SYNTHETIC,
            "rewards_are": self.about,
            "symbols": list(walk.days.symbols),
            "from": str(walk.days.date[0]),
            "to": str(walk.today),
            "days": self.gains.days,
            "rows": walk.done,
            "of_rows": self.of_rows,
            "requests": walk.asked,
            "rewards": {"acknowledged": walk.acknowledged, "learnt": self.told.learnt},
            "epochs": len(known),
            "arms": [
                {
                    "name": arm,
                    "fixed_share": round(float(walk.fixed[place]), 4),
                    "share": round(float(shares[place]), 4),
                    "requests": int(counts[place]),
                    "posterior": _belief(beliefs[-1], place) if beliefs else None,
                    "earned_alone": self.gains.earned[walks.short(arm)].document(),
                }
                for place, arm in enumerate(walk.arms)
            ],
            "earned": {
                "learnt": self.gains.earned[LEARNT].document(),
                "learnt_expected": self.expected.earned[EXPECTED].document(),
                "fixed": self.gains.earned[FIXED].document(),
            },
            "gain_over_fixed": self.over_fixed.document(),
            "expected_gain_over_fixed": self.expected.over[FIXED].document(),
            "best_single": self.best,
            "gain_over_best_single": self.gains.over[self.best].document(),
            "verdict": self.verdict,
            "models_were_fitted_on_these_days": self.seen,
            "seconds": round(self.took, 1),
        }


def _belief(belief: epochs.Belief, place: int) -> dict[str, float | None]:
    values = {"mean": belief.mean[place], "sd": belief.sd[place]}
    return {
        name: float(f"{value:.6g}") if np.isfinite(value) else None
        for name, value in values.items()
    }


def judged(  # noqa: PLR0913  what a result is made of
    walk: earning.Walk,
    told: epochs.Epochs,
    origin: outcomes.Origin,
    about: str,
    *,
    seed: int,
    took: float,
) -> Result:
    """Compare what was earned with what others would have earned on the same rows."""
    dates = walk.days.date[: walk.done]
    worth = walk.worth[: walk.done]
    shares = told.acting(walk.moment[: walk.done], walk.fixed).mean(axis=1)
    others = {
        FIXED: walk.fixed_earned,
        **{walks.short(arm): worth[:, place] for place, arm in enumerate(walk.arms)},
    }
    return Result(
        walk=walk,
        told=told,
        origin=origin,
        about=about,
        gains=earnings.compare(dates, {LEARNT: walk.earned, **others}, seed),
        expected=earnings.compare(dates, {EXPECTED: (worth * shares).sum(axis=1), **others}, seed),
        of_rows=len(walk.days),
        took=took,
    )


def sentences(result: Result) -> list[str]:
    """Say in words what came out."""
    walk = result.walk
    took = (
        f"{walk.asked} requests for {result.gains.days} days of {', '.join(walk.days.symbols)}, "
        f"{walk.days.date[0]} to {walk.today}, in {result.took:.0f} s; {walk.acknowledged} rewards "
        f"acknowledged, {result.told.learnt} learnt, {len(result.told.known)} epochs."
    )
    gain, best = result.over_fixed, result.gains.over[result.best]
    measured = (
        f"Utility of the learnt split less that of the fixed one: {points(gain)}; in the mean over "
        f"the draw {points(result.expected.over[FIXED])}. Less that of the best single arm "
        f"({result.best}, known afterwards): {points(best)}. In hundredths of a per cent of wealth "
        "a year; 95 % intervals over days."
    )
    said = [result.about, took, measured, f"So: {result.verdict}."]
    if walk.done < result.of_rows:
        said.append(
            f"Only {walk.done} of {result.of_rows} rows were reached: the environment was slower "
            "than --rate asks for."
        )
    if result.told.learnt < walk.acknowledged:
        said.append(
            f"{walk.acknowledged - result.told.learnt} acknowledged rewards were not learnt when "
            "the demo ended."
        )
    if result.seen:
        said.append(FLATTERED)
    elif result.seen is None:
        said.append(
            "Which days the served models were fitted on is not known here: their cards are not "
            "on this machine."
        )
    return said


def points(estimate: Estimate) -> str:
    """Write a difference of utilities in hundredths of a per cent."""
    if not np.isfinite(estimate.low):
        return f"{estimate.value * 1e4:+.1f}"
    return f"{estimate.value * 1e4:+.1f} [{estimate.low * 1e4:+.1f}, {estimate.high * 1e4:+.1f}]"
