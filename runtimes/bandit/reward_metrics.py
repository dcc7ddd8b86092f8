"""What the reward model counts, in Prometheus' own registry.

Apart from the runtime: MLServer imports that anew on every load, and this module once.
"""

import prometheus_client

REWARDS = prometheus_client.Counter(
    "bellwether_rewards",
    "Rewards that came in: acknowledged (Kafka has them), refused (invalid), unacknowledged.",
    ("model", "outcome"),
)
SECONDS = prometheus_client.Histogram(
    "bellwether_reward_acknowledgement_seconds",
    "Time until Kafka has a request's rewards.",
    ("model",),
    buckets=(0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0, 5.0),
)
