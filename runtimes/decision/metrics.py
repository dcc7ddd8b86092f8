"""What the decision measures, in Prometheus' own registry, beside the steps' own metrics.

Apart from the runtime: MLServer imports that anew on every load, and this module once.
"""

import prometheus_client

RULES = prometheus_client.Counter(
    "bellwether_decision_rules", "Rules that fired, by name.", ("model", "rule")
)
CONFIDENCE = prometheus_client.Histogram(
    "bellwether_decision_confidence",
    "Confidence of decisions.",
    ("model",),
    buckets=(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0),
)
POSITION = prometheus_client.Histogram(
    "bellwether_decision_position",
    "Positions of decisions, as shares of wealth.",
    ("model",),
    buckets=(0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 2.0, 5.0),
)
EXPLANATIONS = prometheus_client.Counter(
    "bellwether_decision_explanations",
    "Explanations by what became of them: given, missing, unreadable, of_another_model.",
    ("model", "outcome"),
)
