"""From a symbol to everything that a forecast needs: the pipeline's first step.

Set `implementation` to `runtimes.features.enrichment.Enrichment` and `parameters.uri` to the
artifact of the step `enrichment`; `Settings` lists what `parameters.extra` may say.
"""

import dataclasses
import datetime as dt
import difflib
import pathlib
import time
import uuid
from collections.abc import Mapping
from typing import Any, ClassVar, cast

import hiredis
import numpy as np
import orjson
import pydantic

from runtimes import contract
from runtimes.contract import publishing, step
from runtimes.features import (
    artifact,
    clock,
    connection,
    definitions,
    enrichment_metrics,
    online_row,
    quality,
    records,
    repository,
)


class Settings(step.Settings):
    """What `parameters.extra` may say."""

    kafka: str = pydantic.Field(description="host:port, for the topic `feature-monitoring`")
    valkey: str = pydantic.Field(description="host:port of the online store")
    registry: pathlib.Path = pydantic.Field(description="Feast's registry, a file")
    connect_ms: float = pydantic.Field(default=50, gt=0, le=10_000)
    reply_ms: float = pydantic.Field(default=50, gt=0, le=10_000)


@dataclasses.dataclass(slots=True)
class _Known:
    """What was read last of a symbol, and what was made of it: most requests find the same."""

    stored: Any
    row: online_row.Row
    date: str
    features: dict[str, float]
    """All numbers that the store has, by name."""
    vector: step.Array
    """[1, F]: those that predictors take."""
    history: step.Array
    """[1, T, C]"""
    record: orjson.Fragment
    """`features` as JSON."""
    views: orjson.Fragment
    """Each view's event time and features as JSON."""
    judged: dict[tuple[str, ...], tuple[float, str]]
    """Score and report, by the views that are stale."""


class Enrichment(step.Step):
    """`symbol` in, with any features that the caller knows better; features, history, quality out."""

    SETTINGS = Settings
    GIVES: ClassVar[tuple[step.Tensor, ...]] = (
        step.Tensor(contract.SYMBOL, "BYTES", (1,), "as it was asked"),
        step.Tensor(
            contract.DATE, "BYTES", (1,), "day of the newest bar, ISO 8601; empty if there is none"
        ),
        step.Tensor(
            contract.FEATURES,
            "FP64",
            (1, -1),
            "as predictors take them; NaN: missing",
            finite=False,
        ),
        step.Tensor(
            contract.HISTORY,
            "FP64",
            (1, -1, -1),
            "as predictors take it; NaN: missing",
            finite=False,
        ),
        step.Tensor(contract.QUALITY_SCORE, "FP64", (1,), "0..1, see runtimes.features.quality"),
        step.Tensor(
            contract.QUALITY,
            "BYTES",
            (1,),
            "JSON: missing, not_finite, out_of_range, stale (views), reason",
        ),
    )

    def open(self, folder: pathlib.Path) -> None:
        """Read the artifact's definitions, and where the registry says that the features lie."""
        given = cast("Settings", self.given)
        self._declared = artifact.declared(folder)
        self._judge = quality.Judge(self._declared)
        store = repository.opened(given.registry, given.valkey)
        self._layout = repository.layout(store, "enriched", self._declared.digest)
        clock_command = hiredis.pack_command(("GET", clock.KEY))
        self._commands = {
            symbol: hiredis.pack_command(("HMGET", self._layout.key(symbol), *self._layout.fields))
            + clock_command
            for symbol in self._declared.symbols
        }
        self._wanted = tuple(feature.name for feature in self._declared.model_features)
        self._bases = tuple(
            feature
            for view in self._declared.views
            for feature in view.features
            if feature.length == 1
        )
        self._shape = (1, definitions.HISTORY_DAYS, len(definitions.CHANNELS))
        self._known: dict[str, _Known] = {}
        self._nothing = self._read([None] * len(self._layout.fields))
        self._clock: tuple[Any, clock.Clock] = (None, clock.LIVE)
        self._scores = {
            symbol: enrichment_metrics.QUALITY.labels(symbol) for symbol in self._declared.symbols
        }
        self._publisher = publishing.shared(given.kafka)

    def signature(self) -> tuple[step.Tensor, ...]:
        """Take `symbol`, and any declared feature by its name."""
        return (
            step.Tensor(contract.SYMBOL, "BYTES", (1,), "what to forecast"),
            *(
                step.Tensor(
                    feature.name,
                    "FP64",
                    (1,),
                    f"{feature.description} [{feature.unit}]; stands for the store's value",
                    required=False,
                )
                for feature in self._bases
            ),
        )

    async def load(self) -> bool:
        """Open the artifact, and connect; a store that is away is no reason not to be loaded."""
        await super().load()
        given = cast("Settings", self.given)
        self._store = connection.Connection(
            given.valkey, connect=given.connect_ms / 1000, reply=given.reply_ms / 1000
        )
        await self._store.open()
        return True

    async def unload(self) -> bool:
        """Let the connection go."""
        await self._store.close()
        return bool(await super().unload())

    async def run(
        self, inputs: Mapping[str, step.Value], asked: step.Asked
    ) -> Mapping[str, step.Value]:
        """Read, judge, publish, answer."""
        symbol = str(inputs[contract.SYMBOL][0])
        commands = self._commands.get(symbol)
        if commands is None:
            raise step.InvalidRequest(self._unknown(symbol))
        given = {name: float(value[0]) for name, value in inputs.items() if name != contract.SYMBOL}
        began = time.perf_counter()
        try:
            stored, stored_clock = await self._store.ask(commands, 2)
            now = self._market(stored_clock).now()
        except (connection.Away, clock.ClockError) as error:
            enrichment_metrics.AWAY.inc()
            return self._without_store(symbol, given, str(error), asked)
        enrichment_metrics.READS.observe(time.perf_counter() - began)
        known = self._known.get(symbol)
        if known is None or known.stored != stored:
            known = self._known[symbol] = self._read(stored)
        stale = self._judge.stale(known.row.moments, now)
        score, report = self._judged(known, stale, given, now)
        self._publish(symbol, known, given, score, now, asked)
        return self._answer(symbol, known, given, score, report)

    def _read(self, stored: Any) -> _Known:
        row = self._layout.decode(stored)
        features = {
            name: value
            for values in row.features.values()
            for name, value in values.items()
            if isinstance(value, float)
        }
        moment = row.moments.get(quality.MARKET_DATA)
        date = (
            "" if moment is None else dt.datetime.fromtimestamp(moment, dt.UTC).date().isoformat()
        )
        history = row.features[quality.MARKET_DATA].get(quality.HISTORY)
        return _Known(
            stored=stored,
            row=row,
            date=date,
            features=features,
            vector=self._vector(features),
            history=(
                np.full(self._shape, np.nan)
                if history is None
                else np.reshape(history, self._shape)
            ),
            record=orjson.Fragment(orjson.dumps(features)),
            views=self._views(row),
            judged={},
        )

    def _views(self, row: online_row.Row) -> orjson.Fragment:
        described = {
            view: {
                "time": dt.datetime.fromtimestamp(moment, dt.UTC),
                "features": sorted(row.features[view]),
            }
            for view, moment in row.moments.items()
        }
        return orjson.Fragment(orjson.dumps(described))

    def _judged(
        self, known: _Known, stale: tuple[str, ...], given: Mapping[str, float], now: float
    ) -> tuple[float, str]:
        if given:
            found = self._judge.judge(known.row, stale, given, now)
            return found.score, found.report()
        judged = known.judged.get(stale)
        if judged is None:
            found = self._judge.judge(known.row, stale, given, now)
            judged = known.judged[stale] = found.score, found.report()
        return judged

    def _answer(
        self, symbol: str, known: _Known, given: Mapping[str, float], score: float, report: str
    ) -> dict[str, step.Value]:
        vector = self._vector({**known.features, **given}) if given else known.vector
        self._scores[symbol].observe(score)
        return {
            contract.SYMBOL: [symbol],
            contract.DATE: [known.date],
            contract.FEATURES: vector,
            contract.HISTORY: known.history,
            contract.QUALITY_SCORE: np.array([score]),
            contract.QUALITY: [report],
        }

    def _without_store(
        self, symbol: str, given: Mapping[str, float], reason: str, asked: step.Asked
    ) -> dict[str, step.Value]:
        found = self._judge.unknown(reason)
        self._publish(symbol, self._nothing, given, 0.0, None, asked)
        return self._answer(symbol, self._nothing, given, found.score, found.report())

    def _vector(self, features: Mapping[str, float]) -> step.Array:
        return np.array([[features.get(name, np.nan) for name in self._wanted]])

    def _publish(  # noqa: PLR0913  a record has this many sides
        self,
        symbol: str,
        known: _Known,
        given: Mapping[str, float],
        score: float,
        now: float | None,
        asked: step.Asked,
    ) -> None:
        record = {
            "id": asked.id or str(uuid.uuid4()),
            "time": dt.datetime.now(dt.UTC),
            "market_time": None if now is None else dt.datetime.fromtimestamp(now, dt.UTC),
            "symbol": symbol,
            "date": known.date,
            "features": {**known.features, **given} if given else known.record,
            "views": known.views,
            "given": list(given),
            "base": len(given),
            "enriched": len(known.features) - sum(name in known.features for name in given),
            "quality_score": score,
        }
        self._publisher.publish(records.FEATURE_MONITORING, orjson.dumps(record), key=symbol)

    def _market(self, stored: Any) -> clock.Clock:
        if stored != self._clock[0]:
            self._clock = stored, clock.loads(stored)
        return self._clock[1]

    def _unknown(self, symbol: str) -> str:
        known = self._declared.symbols
        near = difflib.get_close_matches(symbol.upper(), known, n=1)
        meant = f" (did you mean {near[0]!r}?)" if near else ""
        return f"symbol {symbol!r} is unknown{meant}; known are {', '.join(known)}"
