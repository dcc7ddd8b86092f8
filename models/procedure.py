"""How every model is trained: fitted before a cut, tried after it, calibrated, fitted on all.

First a model is fitted on the days before a cut, and forecasts the days after it (its ledger);
from the ledger's errors its interval is learnt.
Then it is fitted on all days, going on from the first fit if it can.
In a walk-forward evaluation the first fit of a year is the last one of the year before.
A model that combines others is fitted on their ledgers, and its own is cross-fitted from them.
"""

import dataclasses
import importlib
from collections.abc import Mapping

import numpy as np

from runtimes.predictor import artifact

from . import calibration, dataset, discovery, fitting, regimes, sources

EMBARGO = np.timedelta64(7, "D")
"""Between the day on which the last target of a fit was known and the first forecast.

The targets reach five trading days ahead; a calendar week more lets shocks fade.
"""

HELD_OUT = 0.15
"""Share of the days, the newest ones, that a first fit does not see."""

FEWEST_ROWS = 50
"""Rows before the cut, and rows after it, that training needs at least."""


def train(  # noqa: PLR0913  # each is a different thing
    name: str,
    data: dataset.Dataset,
    feature_names: tuple[str, ...],
    *,
    seed: int,
    until: np.datetime64 | None = None,
    earlier: fitting.Trained | None = None,
    members: Mapping[str, fitting.Member] | None = None,
) -> fitting.Trained:
    """Train the model `name` on what was known a week before `until`, or on everything.

    `earlier`, trained up to an earlier day, spares the first fit.
    Raises DataError if there are too few rows.
    """
    rows = known_before(data, until)
    chosen = sample(data, feature_names, rows)
    if discovery.declared(name).combines:
        task = _combination(data, chosen, seed, members or {})
        ledger = _cross_fitted(name, data, task)
    else:
        before = earlier or _first(name, data, feature_names, rows, seed)
        ledger = before.ledger.append(
            forecast(data, rows[data.date[rows] >= before.until], before.fitted)
        )
        task = fitting.Task(sample=chosen, seed=seed, start=before.fitted)
    return fitting.Trained(
        name=name,
        fitted=_fit(name, task),
        interval=calibration.learn(
            feature_names,
            data.features[ledger.rows],
            data.log_volatility[ledger.rows] - ledger.log_volatility,
        ),
        ledger=ledger,
        until=data.date.max() + 1 if until is None else until,
    )


def known_before(data: dataset.Dataset, until: np.datetime64 | None) -> dataset.Rows:
    """Give the rows whose targets were known a week before `until`, ascending by date."""
    known = ~np.isnat(data.known)
    if until is not None:
        known &= data.known < until - EMBARGO
    rows = np.flatnonzero(known)
    return rows[np.argsort(data.date[rows], kind="stable")]


def sample(
    data: dataset.Dataset, feature_names: tuple[str, ...], rows: dataset.Rows
) -> fitting.Sample:
    """Give what a fit may see of `rows`."""
    history = data.history(rows)
    return fitting.Sample(
        feature_names=feature_names,
        features=data.features[rows],
        history=history,
        log_volatility=data.log_volatility[rows],
        rise=data.rise[rows],
        regime=regimes.of(history),
    )


def forecast(
    data: dataset.Dataset, rows: dataset.Rows, estimator: artifact.Estimator
) -> fitting.Ledger:
    """Let a model that was fitted without `rows` forecast them."""
    return fitting.Ledger(rows, *estimator.estimate(data.features[rows], data.history(rows)))


def _fit(name: str, task: fitting.Task) -> fitting.Fitted:
    fitted: fitting.Fitted = importlib.import_module(f"models.{name}.model").fit(task)
    return fitted


def _first(
    name: str,
    data: dataset.Dataset,
    feature_names: tuple[str, ...],
    rows: dataset.Rows,
    seed: int,
) -> fitting.Trained:
    """Fit on the older days; the ledger is empty, the interval not learnt yet."""
    older, newer = split(data, rows)
    nothing = np.array([])
    return fitting.Trained(
        name=name,
        fitted=_fit(name, fitting.Task(sample=sample(data, feature_names, older), seed=seed)),
        interval=calibration.NOT_LEARNT,
        ledger=fitting.Ledger(np.array([], dtype=np.intp), nothing, nothing),
        until=data.date[newer].min(),
    )


def split(data: dataset.Dataset, rows: dataset.Rows) -> tuple[dataset.Rows, dataset.Rows]:
    """Give the rows to fit on first, and those to hold out; raise DataError if they are few."""
    dates = np.unique(data.date[rows])
    older = newer = rows[:0]
    if len(dates):
        cut = dates[int(len(dates) * (1 - HELD_OUT))]
        older = rows[data.known[rows] < cut - EMBARGO]
        newer = rows[data.date[rows] >= cut]
    if min(len(older), len(newer)) < FEWEST_ROWS:
        raise sources.DataError(
            f"the data gives {len(older)} rows to fit on and {len(newer)} to hold out, "
            f"at least {FEWEST_ROWS} of each are needed: give longer histories or more symbols"
        )
    return older, newer


def _combination(
    data: dataset.Dataset,
    chosen: fitting.Sample,
    seed: int,
    members: Mapping[str, fitting.Member],
) -> fitting.Task:
    rows = next(iter(members.values())).ledger.rows
    if not all(np.array_equal(member.ledger.rows, rows) for member in members.values()):
        raise ValueError(f"the ledgers of {', '.join(members)} are not of the same rows")
    return fitting.Task(sample=chosen, seed=seed, members=members, outcomes=_outcomes(data, rows))


def _outcomes(data: dataset.Dataset, rows: dataset.Rows) -> fitting.Outcomes:
    return fitting.Outcomes(data.log_volatility[rows], data.rise[rows])


@dataclasses.dataclass(frozen=True, slots=True)
class Recorded:
    """Stands in for a member on the rows of its ledger: it repeats what it forecast then."""

    ledger: fitting.Ledger

    def estimate(
        self, features: dataset.Array, history: dataset.Array
    ) -> tuple[dataset.Array, dataset.Array]:
        """See `artifact.Estimator`; the inputs have to be those of the ledger's rows."""
        del features, history
        return self.ledger.log_volatility, self.ledger.direction


def _cross_fitted(name: str, data: dataset.Dataset, task: fitting.Task) -> fitting.Ledger:
    """Combine the members' ledgers: each half with what was learnt on the other one."""
    rows = next(iter(task.members.values())).ledger.rows
    middle = len(rows) // 2
    halves = (slice(None, middle), slice(middle, None))
    parts = []
    for here, other in (halves, halves[::-1]):
        members = {
            key: fitting.Member(
                estimator=Recorded(member.ledger.part(here)), ledger=member.ledger.part(other)
            )
            for key, member in task.members.items()
        }
        learnt = dataclasses.replace(task, members=members, outcomes=_outcomes(data, rows[other]))
        parts.append(forecast(data, rows[here], _fit(name, learnt)))
    return parts[0].append(parts[1])
