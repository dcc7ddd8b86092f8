"""The second demo: the feature store as it is, or while history streams through it."""

import datetime as dt
import typing

import numpy as np
import rich.console
import rich.markup
import typer

from bellwether import environment
from models import requests, sources

from . import (
    arrivals,
    command,
    freshness,
    gateway,
    live,
    past,
    shelf,
    store_picture,
    streaming,
    work,
)

SHOWN = ("return_1d", "rsi_14d", "macd_12_26")
"""Features that the live table has room for, beside volatility."""

MONTH = "log_variance_22d"
SENTIMENT = "news_sentiment"

SPEED = 4.0
BEGIN = dt.datetime(2016, 1, 4)  # noqa: DTZ001  a trading day, not a moment


def live_table(watch: streaming.Watch, now: streaming.Now) -> rich.console.RenderableType:
    """Make the table that changes while the demo runs."""
    rows = []
    for symbol in watch.shelf.symbols:
        row = watch.shelf.rows.get(symbol)
        if row is None:
            rows.append((symbol, *([""] * (len(SHOWN) + 4))))
            continue
        sentiment = _found(watch.monitored.get(symbol), SENTIMENT)
        rows.append(
            (
                symbol,
                row.date,
                *(f"{row.features[name]:.4g}" if name in row.features else "" for name in SHOWN),
                f"{np.exp(row.features[MONTH] / 2):.1%}" if MONTH in row.features else "",
                "" if sentiment is None else f"{sentiment:+.2f}",
                f"{row.quality:.3f}",
            )
        )
    table = command.table(
        ("symbol", "newest", *SHOWN, "volatility", SENTIMENT, "quality"), rows, title=now.phase
    )
    return rich.console.Group(table, line(watch, now))


def line(watch: streaming.Watch, now: streaming.Now) -> str:
    """Say in one line how it stands."""
    latencies = watch.fresh.milliseconds()
    p50, p99 = freshness.percentiles(latencies)
    qualities = [row.quality for row in watch.shelf.rows.values()]
    newest = max((row.date for row in watch.shelf.rows.values()), default="nothing yet")
    return (
        f"{now.phase}: newest {newest}, {watch.fresh.bars} bars, "
        f"bar to answer p50 {p50:.0f} ms, p99 {p99:.0f} ms of {len(latencies)}, "
        f"quality {min(qualities, default=float('nan')):.3f} at least"
    )


def _found(record: typing.Any, name: str) -> float | None:
    """Find a feature in a record of `feature-monitoring`, wherever it is grouped."""
    if not isinstance(record, dict):
        return None
    for key, value in record.items():
        if key == name and isinstance(value, int | float):
            return float(value)
        found = _found(value, name)
        if found is not None:
            return found
    return None


def rows_table(of: shelf.Shelf) -> rich.console.RenderableType:
    """Make the table of what the store has: a row a feature, a column a symbol."""
    known = [symbol for symbol in of.symbols if symbol in of.rows]
    lines: list[tuple[str, ...]] = [
        ("newest bar", "", *(of.rows[symbol].date for symbol in known)),
        ("quality", "0..1", *(f"{of.rows[symbol].quality:.3f}" for symbol in known)),
    ]
    for name, unit in of.columns:
        lines.append((name, unit, *(f"{of.rows[symbol].features[name]:.4g}" for symbol in known)))
    return command.table(("feature", "unit", *known), lines, title="the feature store, now")


def sentences(result: streaming.Result) -> list[str]:
    """Say in words what came of a stream."""
    p50, p99 = freshness.percentiles(result.milliseconds)
    seconds = result.ended - result.began
    arrived = (
        f"{result.bars} bars in {seconds:.0f} s ({result.bars / seconds:.1f} a second); "
        f"{result.monitored} records on {streaming.FEATURE_MONITORING}."
    )
    latency = (
        f"From a bar's arrival on {streaming.MARKET_DATA} to the first answer of {shelf.MODEL} with "
        f"its date: p50 {p50:.0f} ms, p99 {p99:.0f} ms of {len(result.served)} bars, asked every "
        f"{streaming.ASK_SECONDS * 1000:.0f} ms; {result.within_limit:.1%} within "
        f"{streaming.LIMIT_MS:.0f} ms."
    )
    said = [arrived, latency]
    if result.superseded:
        said.append(
            f"{result.superseded} of them were first seen in an answer that had a later bar already: "
            "their latency is an upper bound."
        )
    if result.overdue:
        said.append(
            f"{result.overdue} bars were in no answer after {streaming.OVERDUE_SECONDS:g} s."
        )
    for reason, count in result.surprises.most_common(3):
        said.append(f"{count} answers were below {streaming.POOR} though bars came: {reason}.")
    if result.held:
        begin, end = result.held
        said.append(
            f"Lowest quality: {result.lowest(result.began, begin):.3f} before the hold, "
            f"{result.lowest(begin, end):.3f} while the stream was held for {end - begin:.0f} s, "
            f"{result.lowest(result.ended - 1, result.ended):.3f} at the end."
        )
    return said


def main(  # noqa: PLR0913  each is an option of the command
    realtime: typing.Annotated[
        bool, typer.Option("--realtime", help="Replay history as a stream, and watch.")
    ] = False,
    speed: typing.Annotated[
        float, typer.Option(min=0.1, max=100, help="Trading days a second of the replay.")
    ] = SPEED,
    begin: typing.Annotated[
        dt.datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="First day of the replay.")
    ] = BEGIN,
    duration: command.DurationOption = command.DURATION,
    picture: command.PictureOption = None,
    stack: command.StackOption = environment.DEFAULT_STACK,
    json_: command.JsonOption = False,
) -> None:
    """Show what the feature store has; with --realtime, while history streams through it."""
    selected, seconds = environment.Stack(stack), command.seconds(duration)
    configured = selected.settings()
    source = sources.Source(configured.data)
    symbols = requests.symbols(source)
    with gateway.Gateway(selected.endpoints().gateway, callers=len(symbols) + 1) as asked:
        of = shelf.Shelf(asked, symbols)
        if not realtime:
            _show(of, json_=json_)
            return
        path = command.picture_path(selected, picture, "feature-store")
        history = past.Past.of(selected, source, speed, begin.date())
        watch, screen = streaming.Watch(of), live.Screen("feature store", seconds)
        heard = arrivals.Arrivals(history.kafka, streaming.TOPICS, watch.record)
        replay = history.replaying(streaming.held_seconds(seconds))
        with past.put_back(of, history.kafka) as newest, heard:
            with replay, watch, screen:
                result = streaming.run(
                    watch,
                    heard,
                    replay,
                    seconds,
                    lambda now: screen.show(
                        lambda: live_table(watch, now), lambda: line(watch, now)
                    ),
                )
            command.say(f"putting the store back to {newest}")
        with_store = work.measure(of, symbols[0], source)
    store_picture.draw(result, with_store, path)
    command.say(*sentences(result), *work.sentences(with_store), f"picture: {path}")
    if json_:
        command.print_document(
            result.document() | {"work": with_store.document(), "picture": str(path)}
        )


def _show(of: shelf.Shelf, *, json_: bool) -> None:
    for symbol in of.symbols:
        of.read(symbol)
    command.say(rows_table(of))
    for symbol, reason in of.refusals.items():
        command.say(f"{symbol}: {rich.markup.escape(reason)}")
    if json_:
        command.print_document({"rows": [row.document() for row in of.rows.values()]})
