"""What the feature stream measures of itself."""

import prometheus_client

BARS = prometheus_client.Counter(
    "bellwether_feature_stream_bars", "Bars folded into the features.", ("symbol",)
)
TEXTS = prometheus_client.Counter(
    "bellwether_feature_stream_texts", "Headlines and posts folded into the features.", ("kind",)
)
DEAD_LETTERS = prometheus_client.Counter(
    "bellwether_feature_stream_dead_letters",
    "Records that could not be used, by topic and reason.",
    ("topic", "reason"),
)
RESETS = prometheus_client.Counter(
    "bellwether_feature_stream_resets", "Times that the stream was set back to a day."
)
SECONDS = prometheus_client.Histogram(
    "bellwether_feature_stream_batch_seconds",
    "Time from the first record of a batch in hand to its rows in the online store.",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.5, 5.0, 10.0),
)
LAG = prometheus_client.Gauge(
    "bellwether_feature_stream_lag", "Records of the topic that are not folded yet.", ("topic",)
)
AGE = prometheus_client.Gauge(
    "bellwether_feature_stream_newest_bar_age_seconds",
    "Age of a symbol's newest bar by the market's clock.",
    ("symbol",),
)
STORE = prometheus_client.Gauge(
    "bellwether_feature_stream_store_up", "Whether the last write to the online store succeeded."
)
