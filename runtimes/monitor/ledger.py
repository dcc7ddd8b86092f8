"""What the monitor has seen: rows on their way into files, and what follows from them.

Everything beside the files is found again from them at the next start.
"""

import collections
import logging
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

import duckdb
import river.drift

from . import dataset, metrics, performance, records, schemas, standing, truth

logger = logging.getLogger("bellwether.monitor")

_REMEMBERED = 1000
"""Predictions of a symbol, and rewards of an arm, that means and percentiles look back on."""
_IDS = 200_000

# Names of columns and tables alone go in.
_LATEST = f'select {{}} from {{}} order by time desc, "offset" desc limit {_IDS}'  # noqa: S608
_DISTINCT = """
select symbol, date, prediction, lower, upper, direction, model, regime, count(*) as count
from predictions {where} group by all order by date, symbol, model
"""
"""Thousands of requests for one day are one forecast, and a handful of rows."""


class Ledger:
    """The files, and the figures over them."""

    def __init__(self, folder: pathlib.Path, closes: truth.Closes, window_days: int) -> None:
        self.datasets = {
            name: dataset.Dataset(folder / name, schema)
            for name, schema in schemas.DATASETS.items()
        }
        self.performance = performance.Performance(window_days)
        self._closes = closes
        self._buffers: dict[str, list[records.Row]] = {name: [] for name in self.datasets}
        self._next = {name: each.next for name, each in self.datasets.items()}
        self._standings: dict[str, standing.Standing] = {}
        self._predictions = standing.Recent(_IDS)
        self._rewarded = standing.Recent(_IDS)
        self._arms: collections.OrderedDict[str, str] = collections.OrderedDict()
        self._arm_rewards: dict[str, collections.deque[float]] = {}
        self._adwin: dict[tuple[str, str], river.drift.ADWIN] = {}
        self._changed_days: set[tuple[str, str]] = set()
        self._resume()

    def offset(self, name: str) -> int:
        """Give where reading of a dataset's topic goes on."""
        return self._next[name]

    @property
    def waiting(self) -> int:
        """How many rows are not in a file yet."""
        return sum(len(rows) for rows in self._buffers.values())

    def take(self, name: str, offset: int, row: records.Row | None) -> None:
        """Take a record in; None for one that was malformed. One that is known already is passed over."""
        if offset < self._next[name]:
            return
        self._next[name] = offset + 1
        if row is None:
            return
        row["offset"] = offset
        if name == "predictions":
            self._placed(row)
        elif name == "decisions":
            self._remember_arm(row["id"], row["arm"])
        elif name == "rewards":
            self._rewarded_row(row)
        self._buffers[name].append(row)

    def close(self, symbol: str, day: str, close: float) -> bool:
        """Take a bar in; say whether it said something new."""
        days = self._closes.add(symbol, day, close)
        self._changed_days.update((symbol, each) for each in days)
        return bool(days)

    def begin_anew(self, name: str) -> None:
        """Take note that a topic's offsets began anew."""
        self.datasets[name].begin_anew()
        self._next[name] = 0

    def flush(self) -> dict[str, int]:
        """Write what was taken in; give the offsets that are safe now, by dataset.

        Raises OSError where the disk is full: nothing is lost, it may be called again.
        """
        safe = {}
        for name, each in self.datasets.items():
            rows = self._buffers[name]
            if self._next[name] > each.next:
                each.append(rows, self._next[name])
                if name == "predictions":
                    self._judge(rows)
                self._buffers[name] = []
                safe[name] = each.next
            each.join()
        if self._changed_days:
            self._judge_again()
        return safe

    def forget(self, days: float) -> None:
        """Take away files that are older."""
        for each in self.datasets.values():
            each.forget(days)

    def query(self, sql: str, parameters: Iterable[Any] = ()) -> list[dict[str, Any]]:
        """Ask the files; the datasets are tables by their names. Rows not yet in a file are missing."""
        return query(
            {name: each.paths for name, each in self.datasets.items()}, sql, tuple(parameters)
        )

    def _placed(self, row: records.Row) -> None:
        symbol = row["symbol"]
        place = self._standings.setdefault(symbol, standing.Standing(_REMEMBERED)).place(
            row["prediction"]
        )
        row["percentile"] = place
        self._predictions.add(row["id"])
        metrics.PREDICTION.labels(symbol).set(row["prediction"])
        metrics.CONFIDENCE.labels(symbol).set(row["confidence"])
        if place is not None:
            metrics.PERCENTILE.labels(symbol).set(place)
        metrics.REGIMES.labels(row["model"], row["regime"]).inc()
        if row["latency_ms"] is not None:
            metrics.LATENCY.observe(row["latency_ms"] / 1000)

    def _remember_arm(self, id_: str, arm: str) -> None:
        self._arms[id_] = arm
        if len(self._arms) > _IDS:
            self._arms.popitem(last=False)

    def _rewarded_row(self, row: records.Row) -> None:
        id_ = row["prediction_id"]
        arm = self._arms.get(id_)
        if arm is None and id_ not in self._predictions:
            metrics.REWARDS.labels("unknown").inc()
            return
        if not self._rewarded.add(f"{id_}\n{row['metric']}"):
            metrics.REWARDS.labels("double").inc()
            return
        metrics.REWARDS.labels("joined").inc()
        if arm is None:
            return
        values = self._arm_rewards.setdefault(arm, collections.deque(maxlen=_REMEMBERED))
        values.append(row["value"])
        metrics.ARM_REWARD.labels(arm).set(sum(values) / len(values))
        self._watch("reward", arm, row["value"])

    def _watch(self, stream: str, name: str, value: float) -> None:
        """Let ADWIN (Bifet and Gavaldà 2007) look at a stream's mean."""
        found = self._adwin.setdefault((stream, name), river.drift.ADWIN())
        found.update(value)
        if found.drift_detected:
            metrics.DRIFT_ADWIN.labels(stream, name).inc()
            logger.warning(
                "the mean %s of %s has changed: now %.4f", stream, name, found.estimation
            )

    def _judge(self, rows: Iterable[Mapping[str, Any]], *, watch: bool = True) -> None:
        judged = []
        for row in rows:
            found = self._closes.truth(row["symbol"], row["date"])
            if found is not None:
                judged.append((row, found))
                if watch:
                    sums = performance.judged(row, found)
                    self._watch("error", row["model"], sums.error / sums.count)
        self.performance.add(judged)

    def _judge_again(self) -> None:
        """Judge all predictions of the days whose truth has come, or has become another."""
        days = sorted({day for _, day in self._changed_days})
        self._changed_days.clear()
        self.performance.drop(days)
        self._judge(self.query(_DISTINCT.format(where="where list_contains(?, date)"), [days]))

    def _resume(self) -> None:
        """Find again from the files what is not in them."""
        for row in self.query(_LATEST.format("symbol, prediction, id", "predictions"))[::-1]:
            place = self._standings.setdefault(row["symbol"], standing.Standing(_REMEMBERED))
            place.place(row["prediction"])
            self._predictions.add(row["id"])
        for row in self.query(_LATEST.format("id, arm", "decisions"))[::-1]:
            self._remember_arm(row["id"], row["arm"])
        for row in self.query(_LATEST.format("prediction_id, metric", "rewards"))[::-1]:
            self._rewarded.add(f"{row['prediction_id']}\n{row['metric']}")
        self._judge(self.query(_DISTINCT.format(where="")), watch=False)


def query(
    paths: Mapping[str, Iterable[pathlib.Path]], sql: str, parameters: tuple[Any, ...] = ()
) -> list[dict[str, Any]]:
    """Ask files of datasets, which are tables by their names; raises `duckdb.Error`."""
    with duckdb.connect(":memory:") as connection:
        connection.execute("set timezone = 'UTC'")
        for name, files in paths.items():
            listed = [str(path) for path in files]
            if listed:
                connection.read_parquet(listed).create_view(name)
            else:
                empty = schemas.DATASETS[name].empty_table()
                connection.register(name, empty)
        answer = connection.execute(sql, list(parameters))
        names = [column[0] for column in answer.description or ()]
        return [dict(zip(names, row, strict=True)) for row in answer.fetchall()]
