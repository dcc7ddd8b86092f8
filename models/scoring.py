"""How good forecasts are: losses for each row, which a mean then sums up.

| name | what | source |
|---|---|---|
| `squared_log_error` | (ln actual - ln forecast)^2 of volatility; its mean's root is the RMSE | |
| `qlike` | RV/f - ln(RV/f) - 1 of variances | Patton 2011, "Volatility forecast comparison using imperfect volatility proxies" |
| `brier` | (probability - outcome)^2 of direction | Brier 1950 |
| `utility` | 8 % sqrt(RV/f) - 4 % RV/f: realised utility of volatility targeting, per unit of wealth; 4 % is a perfect forecast | Bollerslev, Hood, Huss and Pedersen 2018, "Risk Everywhere" |

RV is the realised variance of the five days ahead, f the squared forecast of volatility as served.
"""  # noqa: E501  # a table's rows cannot be broken

import dataclasses

import numpy as np

from . import dataset, fitting

Array = dataset.Array

LOWER_IS_BETTER = {"rmse_log_volatility": True, "qlike": True, "brier": True, "utility": False}
"""The measures, and which way they point."""

SHARPE_TERM, RISK_TERM = 0.08, 0.04
"""An annual Sharpe ratio of 0.4 and relative risk aversion 2 at 20 % target volatility."""


@dataclasses.dataclass(frozen=True, slots=True)
class Losses:
    """Per row [k]; the measure `rmse_log_volatility` is the root of the mean of the first."""

    squared_log_error: Array
    qlike: Array
    brier: Array
    utility: Array

    def matrix(self) -> Array:
        """Give [k, 4], in the order of `LOWER_IS_BETTER`."""
        return np.column_stack([self.squared_log_error, self.qlike, self.brier, self.utility])


def losses(data: dataset.Dataset, ledger: fitting.Ledger) -> Losses:
    """Compare forecasts with what came out."""
    error = data.log_volatility[ledger.rows] - ledger.log_volatility
    ratio = np.exp(2 * error)
    return Losses(
        squared_log_error=error**2,
        qlike=ratio - 2 * error - 1,
        brier=(ledger.direction - data.rise[ledger.rows]) ** 2,
        utility=SHARPE_TERM * np.sqrt(ratio) - RISK_TERM * ratio,
    )


def measures(means: Array) -> Array:
    """Turn means of `Losses.matrix` [..., 4] into measures: the first one's root is taken."""
    result = np.array(means, dtype=np.float64)
    result[..., 0] = np.sqrt(result[..., 0])
    return result


def naive(
    data: dataset.Dataset, feature_names: tuple[str, ...], rows: dataset.Rows, base_rate: float
) -> fitting.Ledger:
    """Forecast with the last value: the past week's volatility, and the share of rises so far."""
    month = data.features[rows, feature_names.index("log_variance_22d")]
    week = month + data.features[rows, feature_names.index("variance_ratio_5d")]
    return fitting.Ledger(rows, week / 2, np.full(len(rows), base_rate))
