"""What the router counts, in Prometheus' own registry, beside the steps' own metrics.

Apart from the runtime: MLServer imports that anew on every load, and this module once.
"""

import prometheus_client

CHOICES = prometheus_client.Counter(
    "bellwether_router_choices", "Requests by the branch that was chosen.", ("model", "branch")
)
STATE_READS = prometheus_client.Counter(
    "bellwether_router_state_reads",
    "Reads of the contextual policy's state from Valkey by outcome: ok, away, malformed.",
    ("model", "outcome"),
)
LEADS = prometheus_client.Counter(
    "bellwether_router_leads",
    "Choices with a contextual policy by who led: policy, fallback (too few rewards in the "
    "context), shadow (the rule with exploration), rule (there is no state).",
    ("model", "lead"),
)
DECISIONS = prometheus_client.Counter(
    "bellwether_router_decisions",
    "Decisions of a contextual policy by outcome: published, without_id, lost, invalid.",
    ("model", "outcome"),
)
