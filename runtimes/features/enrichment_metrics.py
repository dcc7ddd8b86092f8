"""What the enrichment step measures of itself, beside what every step does.

The collectors belong to the process: MLServer imports `enrichment` anew on every load, this once.
"""

import prometheus_client

READS = prometheus_client.Histogram(
    "bellwether_feature_read_seconds",
    "Time from asking the online store to its answer, at this end.",
    buckets=(0.0001, 0.0002, 0.0003, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1),
)
QUALITY = prometheus_client.Histogram(
    "bellwether_feature_quality",
    "Quality scores of enriched requests.",
    ("symbol",),
    buckets=(0.0, 0.25, 0.5, 0.7, 0.8, 0.9, 0.95, 1.0),
)
AWAY = prometheus_client.Counter(
    "bellwether_feature_reads_away", "Requests for which the online store did not answer."
)
