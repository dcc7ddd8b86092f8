"""What is counted of explanations, on MLServer's metrics port."""

import prometheus_client

EXPLANATIONS = prometheus_client.Counter(
    "bellwether_explanations",
    "Explanations by the step that made them, by method, and by outcome: "
    "made, cached, or the reason why there is none.",
    ("model", "method", "outcome"),
)
SECONDS = prometheus_client.Histogram(
    "bellwether_explanation_seconds",
    "Time to make an explanation.",
    ("model", "method"),
    buckets=(0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0),
)
