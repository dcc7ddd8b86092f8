"""What the router counts, in Prometheus' own registry, beside the steps' own metrics.

Apart from the runtime: MLServer imports that anew on every load, and this module once.
"""

import prometheus_client

CHOICES = prometheus_client.Counter(
    "bellwether_router_choices", "Requests by the branch that was chosen.", ("model", "branch")
)
