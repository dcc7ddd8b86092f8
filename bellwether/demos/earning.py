"""Real days sent through an experiment, and what its answers were worth sent back as rewards.

Each row (a day of a symbol) is asked for a few times: the experiment's split says who answers.
Beside that every arm is asked for it by its own name, so that what any other split would have
earned on the same rows is known.
"""

import collections.abc
import concurrent.futures
import dataclasses
import time

import numpy as np
import numpy.typing as npt

from bellwether import demos
from infra.catalogue import models as catalogue
from runtimes import contract

from . import gateway, outcomes

Array = outcomes.Array

REWARD = catalogue.REWARD.name
PREDICTION_ID, VALUE, ACKNOWLEDGED = "prediction_id", "value", "acknowledged"
"""Its tensors."""

_ROUTED_SECONDS = 10.0
_LOOK_SECONDS = 0.05
_NOT_ROUTED_YET = {404, 503}


@dataclasses.dataclass(slots=True)
class Walk:
    """Rows and what came of them; rows from `done` on were not asked for yet."""

    days: outcomes.Days
    arms: tuple[str, ...]
    fixed: Array
    """[K]: the fixed split that the learnt one is compared with."""
    chosen: npt.NDArray[np.int64]
    """[n, R]: which arm answered."""
    moment: Array
    """[n, R]: when, in seconds since 1970."""
    worth: Array
    """[n, K]: what each arm's forecast was worth."""
    artifacts: set[str] = dataclasses.field(default_factory=set)
    done: int = 0
    rewarded: int = 0
    """Rows whose rewards were sent."""
    acknowledged: int = 0
    """Rewards that Kafka has, as model `reward` says."""

    @classmethod
    def of(
        cls, days: outcomes.Days, weights: collections.abc.Mapping[str, int], requests: int
    ) -> "Walk":
        """Begin; each row is to be asked for `requests` times."""
        split = np.array(list(weights.values()), dtype=np.float64)
        return cls(
            days=days,
            arms=tuple(weights),
            fixed=split / split.sum(),
            chosen=np.full((len(days), requests), -1),
            moment=np.full((len(days), requests), np.nan),
            worth=np.full((len(days), len(weights)), np.nan),
        )

    @property
    def requests(self) -> int:
        """How often each row is asked for."""
        return int(self.chosen.shape[1])

    @property
    def asked(self) -> int:
        """Requests so far."""
        return self.done * self.requests

    @property
    def today(self) -> np.datetime64:
        """The day of the newest row that was asked for."""
        day: np.datetime64 = self.days.date[max(0, self.done - 1)]
        return day

    @property
    def earned(self) -> Array:
        """What the answers of each row were worth in the mean, [done]."""
        taken = np.take_along_axis(self.worth[: self.done], self.chosen[: self.done], axis=1)
        mean: Array = taken.mean(axis=1)
        return mean

    @property
    def fixed_earned(self) -> Array:
        """What the fixed split earns on each row in the mean, [done]."""
        earned: Array = self.worth[: self.done] @ self.fixed
        return earned

    def answers(self) -> npt.NDArray[np.int64]:
        """Count the answers of each arm [K]."""
        counts: npt.NDArray[np.int64] = np.bincount(
            self.chosen[: self.done].ravel(), minlength=len(self.arms)
        )
        return counts


class Client:
    """Asks for the rows of a walk, and sends what the answers were worth once it is known."""

    def __init__(
        self, asked: gateway.Gateway, experiment: str, walk: Walk, worth: outcomes.Outcomes
    ) -> None:
        self._asked = asked
        self._experiment = experiment
        self._walk = walk
        self._outcomes = worth
        self._places = {arm: place for place, arm in enumerate(walk.arms)}
        self._ids: list[list[str]] = [[""] * walk.requests for _ in range(len(walk.days))]
        self._forecasts = np.full(walk.chosen.shape, np.nan)

    def begin(self) -> None:
        """Wait until the experiment answers.

        Raises:
            DemoError: it does not, or model `reward` is not there.

        """
        self._asked.columns(self._walk.arms[0], contract.FEATURES)
        deadline = time.monotonic() + _ROUTED_SECONDS
        while not self._routed(last=time.monotonic() > deadline):
            time.sleep(_LOOK_SECONDS)  # Envoy has not read its new routes yet

    def _routed(self, *, last: bool) -> bool:
        try:
            self._asked.experiment(self._experiment, self._inputs(slice(0, 1)))
        except gateway.Refused as error:
            if last or error.status not in _NOT_ROUTED_YET:
                raise
            return False
        return True

    def frame(self, which: slice, pool: concurrent.futures.Executor) -> None:
        """Ask for the rows `which`, and send the rewards that are known by then.

        Raises:
            DemoError: something does not answer, or a stranger does.

        """
        walk = self._walk
        singles = [pool.submit(self._single, arm, which) for arm in walk.arms]
        jobs = [
            pool.submit(self._ask, row, number)
            for row in range(which.start, which.stop)
            for number in range(walk.requests)
        ]
        for job in jobs:
            job.result()
        volatility = np.column_stack([single.result() for single in singles])
        walk.worth[which] = self._outcomes.worth(which, volatility)
        walk.done = which.stop
        # A row's rewards wait for its five days; rows ascend by date, but not by what follows.
        known = walk.days.known[walk.rewarded : walk.done] <= walk.today
        self._send(walk.rewarded + _leading(known))

    def finish(self) -> None:
        """Let the days after the last row pass: send the rewards of all rows."""
        self._send(self._walk.done)

    def _send(self, end: int) -> None:
        walk = self._walk
        rows = range(walk.rewarded, end)
        if not rows:
            return
        ids, values = [], []
        for row in rows:
            for number, identity in enumerate(self._ids[row]):
                ids.append(identity)
                arm = int(walk.chosen[row, number])
                values.append(self._outcomes.reward(row, arm, float(self._forecasts[row, number])))
        answer = self._asked.model(REWARD, {PREDICTION_ID: ids, VALUE: np.array(values)})
        walk.acknowledged += int(answer.number(ACKNOWLEDGED))
        walk.rewarded = end

    def _inputs(self, which: slice) -> dict[str, gateway.Value]:
        days = self._walk.days
        return {contract.FEATURES: days.features[which], contract.HISTORY: days.history[which]}

    def _ask(self, row: int, number: int) -> None:
        answer = self._asked.experiment(self._experiment, self._inputs(slice(row, row + 1)))
        arm = answer.route[0] if answer.route else ""
        if arm not in self._places or not answer.request_id:
            raise demos.DemoError(
                f"{self._experiment} was answered by {arm or 'nobody that its route names'} "
                f"(request {answer.request_id or 'without an id'}); its arms are "
                f"{', '.join(self._places)}"
            )
        walk = self._walk
        walk.moment[row, number] = answer.came
        walk.chosen[row, number] = self._places[arm]
        self._forecasts[row, number] = answer.number(contract.VOLATILITY)
        self._ids[row][number] = answer.request_id

    def _single(self, arm: str, which: slice) -> Array:
        answer = self._asked.model(arm, self._inputs(which))
        # Each row's three: name, version, artifact.
        self._walk.artifacts.add(answer.texts(contract.MODEL)[2])
        return answer.numbers(contract.VOLATILITY).ravel()


def _leading(true: npt.NDArray[np.bool_]) -> int:
    """Count the true ones before the first false one."""
    return len(true) if true.all() else int(np.argmin(true))
