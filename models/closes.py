"""The closes that followed a day: of what a forecast is judged by."""

import numpy as np

from runtimes import contract

from . import dataset


def after(data: dataset.Dataset, rows: dataset.Rows) -> dataset.Array:
    """Give the closes [k, 6] of `rows` and of the five trading days after each, oldest first.

    NaN where these days have not come yet, or where one of them is no row of the dataset.
    """
    steps = np.arange(contract.HORIZON_DAYS + 1)
    places = np.minimum(np.asarray(rows)[:, None] + steps, len(data) - 1)
    last = places[:, -1]
    whole = (
        (data.symbol[last] == data.symbol[rows])
        & (data.date[last] == data.known[rows])
        & ~np.isnat(data.known[rows])
    )
    found: dataset.Array = np.where(whole[:, None], data.close[places], np.nan)
    return found
