"""What the guard and the fallback measure of themselves, beside what every step does.

The collectors belong to the process: MLServer imports a runtime anew on every load, this once.
"""

import prometheus_client

BRANCHES = prometheus_client.Counter(
    "bellwether_guard_branches",
    "Requests by the branch that was emitted, and why: ok, quality, incomplete.",
    ("model", "branch", "reason"),
)
ANOMALY = prometheus_client.Histogram(
    "bellwether_guard_anomaly_score",
    "Anomaly scores; 0.5 is the border of what is usual.",
    ("model",),
    buckets=(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0),
)
DRIFT_UNKNOWN = prometheus_client.Counter(
    "bellwether_guard_drift_unknown",
    "Requests answered with drift 0 because the score was not known: none (the symbol has no "
    "full window yet), old (nothing fresh came from Valkey for too long).",
    ("model", "reason"),
)
DRIFT_READS = prometheus_client.Counter(
    "bellwether_guard_drift_reads",
    "Reads of the drift scores from Valkey by outcome: ok, away, malformed.",
    ("model", "outcome"),
)
