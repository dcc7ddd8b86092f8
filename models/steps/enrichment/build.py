"""Writes what the enrichment step, the feature stream and training sets read.

`feature-store.json` (see `runtimes.features.repository.Manifest`), `bars.npz` (all raw bars),
`offline/<view>.parquet` (every day's features of the view, by the batch engine).
"""

import json
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from models import data, steps
from runtimes.features import artifact, bars, batch, clock, definitions


def build(task: steps.Task, folder: pathlib.Path) -> Mapping[str, Any]:
    """Compute all features of all days of all symbols, and write them."""
    frames = data.load(task.source)
    write(frames, definitions.declare(frames), folder)
    return steps.settings("enrichment", "runtimes.features.enrichment.Enrichment")


def write(
    frames: Mapping[str, pd.DataFrame], declared: definitions.Definitions, folder: pathlib.Path
) -> None:
    """Write the artifact for `frames` (see `models.data`)."""
    bars.write(folder / bars.FILE, _bars(frames))
    (folder / artifact.OFFLINE).mkdir()
    for view in declared.views:
        known = view.source == "bars"
        pq.write_table(
            _offline(batch.view(frames, declared, view.name)) if known else _none(view),
            artifact.offline_file(folder, view.name),
            compression="zstd",
            # A history shares all but a day with the one before: that is zstd's to find.
            use_dictionary=["symbol"],
        )
    manifest = {"symbols": list(declared.symbols), "definitions": declared.digest}
    (folder / artifact.MANIFEST).write_text(
        json.dumps(manifest, indent=2, sort_keys=True) + "\n", encoding="utf-8"
    )


def _bars(frames: Mapping[str, pd.DataFrame]) -> bars.Bars:
    symbols = tuple(sorted(frames))
    place = np.concatenate(
        [np.full(len(frames[symbol]), number) for number, symbol in enumerate(symbols)]
    )
    date = np.concatenate(
        [frames[symbol].index.to_numpy().astype("datetime64[D]") for symbol in symbols]
    )
    values = np.concatenate([frames[symbol][list(bars.COLUMNS)].to_numpy() for symbol in symbols])
    order = np.lexsort((place, date))
    return bars.Bars(symbols, place[order], date[order], values[order])


def _offline(view: pd.DataFrame) -> pa.Table:
    """Give a view's rows with the moment from which they are known, ascending by it."""
    days = pd.DatetimeIndex(view["date"])
    moments = pd.DatetimeIndex([clock.close_of(day) for day in days.date])
    columns: dict[str, Any] = {
        artifact.ENTITY: pa.array(view["symbol"].tolist(), pa.string()),
        artifact.EVENT_TIME: _times(moments),
        artifact.CREATED_TIME: _times(moments),
    }
    for name in view.columns.drop(["symbol", "date"]):
        columns[name] = _column(view[name])
    return pa.table(columns).sort_by(
        [(artifact.EVENT_TIME, "ascending"), (artifact.ENTITY, "ascending")]
    )


def _none(view: definitions.View) -> pa.Table:
    """Give no rows: the data has no texts, they begin with the stream."""
    columns: dict[str, Any] = {
        artifact.ENTITY: pa.array([], pa.string()),
        artifact.EVENT_TIME: _times(pd.DatetimeIndex([])),
        artifact.CREATED_TIME: _times(pd.DatetimeIndex([])),
    }
    columns |= {feature.name: pa.array([], pa.float64()) for feature in view.features}
    return pa.table(columns)


def _column(values: pd.Series) -> pa.Array:
    if values.dtype != object:
        # What is not known is null, as it is online.
        return pa.array(values.to_numpy(np.float64), pa.float64(), from_pandas=True)
    rows = np.stack(values.to_list())
    offsets = np.arange(len(rows) + 1, dtype=np.int32) * rows.shape[1]
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(rows.ravel()))


def _times(moments: pd.DatetimeIndex) -> pa.Array:
    return pa.array(moments.as_unit("us"), pa.timestamp("us", tz="UTC"))
