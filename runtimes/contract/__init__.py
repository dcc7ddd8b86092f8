"""What the runtimes share: the names and shapes of the tensors they exchange.

A forecast's signature, the same for every predictor:

| tensor       | shape     | datatype | unit |
|--------------|-----------|----------|------|
| `features`   | [n, F]    | FP32/64  | per feature, see the model's metadata |
| `history`    | [n, T, C] | FP32/64  | per channel; oldest day first, the last row is the day itself |
| `volatility` | [n]       | FP64     | annualised standard deviation over the next five trading days |
| `direction`  | [n]       | FP64     | probability that tomorrow closes above today, 0..1 |
| `interval`   | [n, 2]    | FP64     | lower and upper end for `volatility` at the model's stated level |
| `model`      | [n, 3]    | BYTES    | who made it: the model's name, its version, its artifact's digest |

The steps of the prediction pipeline add, for one request of one symbol:

| tensor          | from       | shape | datatype | what |
|-----------------|------------|-------|----------|------|
| `symbol`        | the caller, enrichment | [1] | BYTES | what is forecast |
| `date`          | enrichment | [1]   | BYTES    | trading day of the newest bar, ISO 8601 |
| `quality_score` | enrichment | [1]   | FP64     | 0..1, share that is there, fresh and sane |
| `quality`       | enrichment | [1]   | BYTES    | JSON: what is missing, stale, out of range or not finite |
| `anomaly_score` | guard      | [1]   | FP64     | 0..1, 0.5 is the border of what is usual |
| `drift_score`   | guard      | [1]   | FP64     | 0..1, drift of the recent days; 0.5 is the border |
| `accepted`      | guard      | [1]   | BYTES    | a reason; there exactly when `fallback` is not |
| `fallback`      | guard      | [1]   | BYTES    | a reason; there exactly when `accepted` is not |
| `regime`        | router     | [1]   | BYTES    | the market's regime |
| of `BRANCHES` | router     | [1]   | BYTES    | a reason; exactly one of the four is there |
| `explanation`   | explainer  | [1]   | BYTES    | JSON |

What the pipeline answers is made by `decision`: see `DECISION_OUTPUTS`.
"""

FEATURES = "features"
HISTORY = "history"
VOLATILITY = "volatility"
DIRECTION = "direction"
INTERVAL = "interval"
MODEL = "model"

INPUTS = (FEATURES, HISTORY)
OUTPUTS = (VOLATILITY, DIRECTION, INTERVAL, MODEL)

SYMBOL = "symbol"
DATE = "date"
QUALITY_SCORE = "quality_score"
QUALITY = "quality"
ANOMALY_SCORE = "anomaly_score"
DRIFT_SCORE = "drift_score"
ACCEPTED = "accepted"
FALLBACK = "fallback"
REGIME = "regime"
EXPLANATION = "explanation"

ROBUST = "robust"
AGGRESSIVE = "aggressive"
CONSERVATIVE = "conservative"
BASELINE = "baseline"
BRANCHES = (ROBUST, AGGRESSIVE, CONSERVATIVE, BASELINE)
"""What the router emits one of, in the order in which the regimes are checked."""

PREDICTION = "prediction"
CONFIDENCE = "confidence"
POSITION = "position"
RULES = "rules"
PREDICTION_ID = "prediction_id"

DECISION_OUTPUTS = (
    PREDICTION_ID,
    SYMBOL,
    DATE,
    PREDICTION,
    INTERVAL,
    DIRECTION,
    CONFIDENCE,
    POSITION,
    RULES,
    EXPLANATION,
    DRIFT_SCORE,
    ANOMALY_SCORE,
    QUALITY_SCORE,
    QUALITY,
    REGIME,
    MODEL,
)
"""What the prediction pipeline answers, one row each.

`prediction` [1] FP64 is the forecast volatility, annualised; `confidence` [1] FP64 is 0..1,
calibrated; `position` [1] FP64 is a share of wealth, after the rules; `rules` [1] BYTES is JSON,
each rule that fired with its reason; `prediction_id` [1] BYTES is the request's id;
`model` [1, 3] BYTES is the forecast's, given on.
"""

TRADING_DAYS = 252
"""Trading days in a year: what annualises a daily variance."""

HORIZON_DAYS = 5
"""Trading days that a volatility forecast looks ahead."""
