"""What the runtimes share: the names and shapes of the tensors they exchange.

A forecast's signature, the same for every predictor:

| tensor       | shape     | datatype | unit |
|--------------|-----------|----------|------|
| `features`   | [n, F]    | FP32/64  | per feature, see the model's metadata |
| `history`    | [n, T, C] | FP32/64  | per channel; oldest day first, the last row is the day itself |
| `volatility` | [n]       | FP64     | annualised standard deviation over the next five trading days |
| `direction`  | [n]       | FP64     | probability that tomorrow closes above today, 0..1 |
| `interval`   | [n, 2]    | FP64     | lower and upper end for `volatility` at the model's stated level |
"""

FEATURES = "features"
HISTORY = "history"
VOLATILITY = "volatility"
DIRECTION = "direction"
INTERVAL = "interval"

INPUTS = (FEATURES, HISTORY)
OUTPUTS = (VOLATILITY, DIRECTION, INTERVAL)

TRADING_DAYS = 252
"""Trading days in a year: what annualises a daily variance."""

HORIZON_DAYS = 5
"""Trading days that a volatility forecast looks ahead."""
