"""What Prometheus gets of the monitor."""

import prometheus_client

RECORDS = prometheus_client.Counter(
    "bellwether_monitor_records",
    "Records read, by topic's dataset and outcome: kept, malformed, known (a bar that says nothing new).",
    ("dataset", "outcome"),
)
ROWS = prometheus_client.Gauge(
    "bellwether_monitor_rows", "Records in the files: each exactly once.", ("dataset",)
)
WAITED = prometheus_client.Counter(
    "bellwether_monitor_waits", "Times that a part was away and was waited for.", ("part",)
)
BEHIND = prometheus_client.Gauge(
    "bellwether_monitor_behind_records", "Records that are not read yet.", ("dataset",)
)
PREDICTION = prometheus_client.Gauge(
    "bellwether_monitor_prediction", "The last forecast volatility, annualised.", ("symbol",)
)
PERCENTILE = prometheus_client.Gauge(
    "bellwether_monitor_percentile",
    "Where the last forecast stands among the symbol's 1,000 before, 0 to 1.",
    ("symbol",),
)
CONFIDENCE = prometheus_client.Gauge(
    "bellwether_monitor_confidence", "Confidence of the last forecast, 0 to 1.", ("symbol",)
)
LATENCY = prometheus_client.Histogram(
    "bellwether_monitor_latency_seconds",
    "From the pipeline's input to its output, by Kafka's times.",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 5),
)
REGIMES = prometheus_client.Counter(
    "bellwether_monitor_predictions", "Predictions, by who made them.", ("model", "regime")
)
ERROR = prometheus_client.Gauge(
    "bellwether_monitor_log_error",
    "Mean |ln(forecast volatility / realised)| over the last market days.",
    ("model", "regime", "days"),
)
HIT_RATE = prometheus_client.Gauge(
    "bellwether_monitor_hit_rate",
    "Share of directions that came true over the last market days.",
    ("model", "regime", "days"),
)
COVERAGE = prometheus_client.Gauge(
    "bellwether_monitor_coverage",
    "Share of realised volatilities within the interval over the last market days.",
    ("model", "regime", "days"),
)
UTILITY = prometheus_client.Gauge(
    "bellwether_monitor_utility",
    "Mean realised utility of forecasts over the last market days, share of wealth a year.",
    ("model", "regime", "days"),
)
REWARDS = prometheus_client.Counter(
    "bellwether_monitor_rewards",
    "Rewards by outcome: joined, unknown (of no prediction that is remembered), double.",
    ("outcome",),
)
ARM_REWARD = prometheus_client.Gauge(
    "bellwether_monitor_arm_reward", "Mean of the last 1,000 rewards of an arm.", ("arm",)
)
DRIFT_ADWIN = prometheus_client.Counter(
    "bellwether_monitor_changes",
    "Changes that ADWIN found in the mean of a stream: error of a model, reward of an arm.",
    ("stream", "name"),
)
FLUSH = prometheus_client.Histogram(
    "bellwether_monitor_flush_seconds",
    "Time to write what was read into files.",
    buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
)
