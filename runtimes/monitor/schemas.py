"""The columns of the monitor's files, one dataset a topic."""

import pyarrow as pa

_TIME = pa.timestamp("ms", tz="UTC")

PREDICTIONS = pa.schema(
    [
        ("offset", pa.int64()),
        ("id", pa.string()),
        ("time", _TIME),
        ("symbol", pa.string()),
        ("date", pa.string()),  # trading day of the newest bar, ISO 8601
        ("prediction", pa.float64()),  # volatility, annualised
        ("lower", pa.float64()),
        ("upper", pa.float64()),
        ("direction", pa.float64()),  # probability of a rise
        ("confidence", pa.float64()),
        ("position", pa.float64()),  # share of wealth
        ("regime", pa.string()),
        ("model", pa.string()),
        ("version", pa.string()),
        ("artifact", pa.string()),
        ("quality_score", pa.float64()),
        ("anomaly_score", pa.float64()),
        ("drift_score", pa.float64()),
        ("percentile", pa.float64()),  # 0..1, among the symbol's last predictions
        ("latency_ms", pa.float64()),  # from the pipeline's input to its output, as Kafka has them
        ("quality", pa.string()),  # JSON
        ("explanation", pa.string()),  # JSON
        ("rules", pa.string()),  # JSON
    ]
)

FEATURES = pa.schema(
    [
        ("offset", pa.int64()),
        ("id", pa.string()),
        ("time", _TIME),
        ("market_time", pa.string()),
        ("symbol", pa.string()),
        ("date", pa.string()),
        ("quality_score", pa.float64()),
        ("features", pa.string()),  # JSON: value by name, null where it is missing
    ]
)

DECISIONS = pa.schema(
    [
        ("offset", pa.int64()),
        ("id", pa.string()),
        ("time", _TIME),
        ("experiment", pa.string()),
        ("arm", pa.string()),
        ("propensity", pa.float64()),
    ]
)

REWARDS = pa.schema(
    [
        ("offset", pa.int64()),
        ("prediction_id", pa.string()),
        ("time", _TIME),
        ("metric", pa.string()),
        ("value", pa.float64()),
    ]
)

DATASETS = {
    "predictions": PREDICTIONS,
    "features": FEATURES,
    "decisions": DECISIONS,
    "rewards": REWARDS,
}
"""Dataset -> its columns."""
