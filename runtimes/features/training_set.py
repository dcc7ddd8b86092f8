"""Training sets by point-in-time joins: for a symbol and a moment, what was known then.

`python -m runtimes.features.training_set --artifact DIR --registry FILE --out FILE
[--symbols SPX,WTI] [--from DATE] [--to DATE] [--service forecasting]`
writes a row for each trading day, as of its close, and prints what it wrote as JSON.
"""

import argparse
import datetime as dt
import json
import pathlib
import sys
from collections.abc import Collection

import numpy as np
import pandas as pd

from runtimes.features import artifact, bars, clock, repository

FORMATS = (".parquet", ".csv")

_NO_STORE = "127.0.0.1:6379"
"""Feast's configuration names an online store; a training set never asks it."""


class TrainingSetError(ValueError):
    """What was asked for cannot be made; the message says why."""


def training_set(
    folder: pathlib.Path,
    registry: pathlib.Path,
    entity_rows: pd.DataFrame,
    service: str = "forecasting",
) -> pd.DataFrame:
    """Give the features of a service for each `symbol` and `event_timestamp`, as known then.

    A moment may be any: the newest row at or before it counts, if it is not older than the view's
    `max_age`; what was not known is missing. `history` is an array of its own in each row.
    """
    declared = artifact.declared(folder)
    store = repository.apply(declared, folder, registry, _NO_STORE)
    joined: pd.DataFrame = store.get_historical_features(
        entity_df=entity_rows, features=store.get_feature_service(service)
    ).to_df()
    return joined


def days(
    folder: pathlib.Path,
    symbols: Collection[str] = (),
    first: dt.date | None = None,
    last: dt.date | None = None,
) -> pd.DataFrame:
    """Give `symbol` and `event_timestamp`, the close, of all trading days from `first` to `last`."""
    found = bars.read(folder / bars.FILE)
    if unknown := sorted(set(symbols) - set(found.symbols)):
        raise TrainingSetError(
            f"unknown symbol {', '.join(unknown)}; known are {', '.join(found.symbols)}"
        )
    wanted = np.ones(len(found), dtype=bool)
    if symbols:
        wanted &= np.isin(found.symbol, [found.symbols.index(symbol) for symbol in symbols])
    if first is not None:
        wanted &= found.date >= np.datetime64(first)
    if last is not None:
        wanted &= found.date <= np.datetime64(last)
    if not wanted.any():
        raise TrainingSetError(
            f"no trading day lies between {first or found.date[0]} and {last or found.newest}; "
            f"there is data from {found.date[0]} to {found.newest}"
        )
    return pd.DataFrame(
        {
            artifact.ENTITY: [found.symbols[place] for place in found.symbol[wanted]],
            artifact.EVENT_TIME: pd.to_datetime(
                [clock.close_of(day) for day in found.date[wanted].tolist()], utc=True
            ),
        }
    )


def write(frame: pd.DataFrame, path: pathlib.Path) -> None:
    """Write a training set as Parquet or CSV, by the path's suffix; arrays are JSON in a CSV."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        frame.to_parquet(path, index=False)
        return
    written = frame.copy()
    for name in frame:
        if frame[name].map(lambda each: isinstance(each, np.ndarray)).any():
            written[name] = frame[name].map(_text)
    written.to_csv(path, index=False)


def _text(value: object) -> str | None:
    return json.dumps(value.tolist()) if isinstance(value, np.ndarray) else None


def main(arguments: list[str]) -> int:
    """Make the training set that the arguments ask for."""
    parser = argparse.ArgumentParser(prog="python -m runtimes.features.training_set")
    parser.add_argument("--artifact", type=pathlib.Path, required=True)
    parser.add_argument("--registry", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--symbols", default="")
    parser.add_argument("--from", dest="first", type=dt.date.fromisoformat)
    parser.add_argument("--to", dest="last", type=dt.date.fromisoformat)
    parser.add_argument("--service", choices=("forecasting", "enriched"), default="forecasting")
    given = parser.parse_args(arguments)
    if given.out.suffix not in FORMATS:
        parser.error(f"--out {given.out}: has to end in {' or '.join(FORMATS)}")
    symbols = [symbol for symbol in given.symbols.split(",") if symbol]
    try:
        asked = days(given.artifact, symbols, given.first, given.last)
        made = training_set(given.artifact, given.registry, asked, given.service)
    except (TrainingSetError, artifact.ArtifactError, bars.BarsError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    write(made, given.out)
    features = [name for name in made if name not in (artifact.ENTITY, artifact.EVENT_TIME)]
    complete = int(made[features].notna().all(axis=1).sum())
    summary = {
        "file": str(given.out),
        "rows": len(made),
        "complete": complete,
        "symbols": sorted(made[artifact.ENTITY].unique()),
        "features": features,
    }
    sys.stdout.write(json.dumps(summary) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
