"""What the controller counts and times, for Prometheus."""

import prometheus_client

DECISIONS = prometheus_client.Gauge(
    "bellwether_bandit_decisions",
    "Decisions since the policy began, by outcome: taken, duplicate, other_experiment, "
    "unknown_arm, malformed.",
    ("policy", "outcome"),
)
REWARDS = prometheus_client.Gauge(
    "bellwether_bandit_rewards",
    "Rewards since the policy began, by outcome: learnt, duplicate, late, unknown, non_finite, "
    "out_of_range, other_metric, other_experiment, unknown_arm, malformed.",
    ("policy", "outcome"),
)
WEIGHT = prometheus_client.Gauge(
    "bellwether_bandit_weight", "Share of the traffic that an arm has, 0 to 1.", ("policy", "arm")
)
ARM_REWARDS = prometheus_client.Gauge(
    "bellwether_bandit_arm_rewards", "Rewards that were learnt of an arm.", ("policy", "arm")
)
VETOED = prometheus_client.Gauge(
    "bellwether_bandit_vetoed", "1 while an arm has lost its traffic.", ("policy", "arm")
)
EPOCH = prometheus_client.Gauge(
    "bellwether_bandit_epoch", "The last epoch that has ended.", ("policy",)
)
EPOCH_TIME = prometheus_client.Gauge(
    "bellwether_bandit_epoch_time_seconds", "When the last epoch ended, unix time.", ("policy",)
)
OPEN = prometheus_client.Gauge(
    "bellwether_bandit_open_decisions", "Decisions that are remembered.", ("policy",)
)
WAITING = prometheus_client.Gauge(
    "bellwether_bandit_waiting_rewards", "Rewards that wait for their decision.", ("policy",)
)
LEADING = prometheus_client.Gauge(
    "bellwether_bandit_leading", "1 if this controller leads the policy.", ("policy",)
)
PROBLEM = prometheus_client.Gauge(
    "bellwether_bandit_problem", "1 while something keeps the policy from acting.", ("policy",)
)
FOREIGN = prometheus_client.Counter(
    "bellwether_bandit_foreign_changes", "Weights that somebody else wrote.", ("policy",)
)
WRITES = prometheus_client.Counter(
    "bellwether_bandit_weight_writes",
    "PATCHes of weights by outcome: applied, conflict, failed.",
    ("policy", "outcome"),
)
DIFFERENT = prometheus_client.Counter(
    "bellwether_bandit_different_states",
    "Epochs whose state, computed again, was not the one in the log.",
    ("policy",),
)
_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.25, 0.5, 1.0, 5.0)
TO_PATCH = prometheus_client.Histogram(
    "bellwether_bandit_patch_sent_seconds",
    "Time from an epoch's end until its PATCH is sent.",
    ("policy",),
    buckets=_SECONDS,
)
TO_APPLIED = prometheus_client.Histogram(
    "bellwether_bandit_patch_answered_seconds",
    "Time from an epoch's end until its PATCH is answered.",
    ("policy",),
    buckets=_SECONDS,
)
