"""What the controller counts and times, for Prometheus."""

from collections.abc import Collection, Mapping

import prometheus_client
from prometheus_client import metrics

from .state import State

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
LAG = prometheus_client.Gauge(
    "bellwether_bandit_lag",
    "Records of the topic that the policy has not taken yet.",
    ("policy", "topic"),
)
MODE = prometheus_client.Gauge(
    "bellwether_bandit_mode",
    "1 for the mode that a policy is in: active, shadow, frozen.",
    ("policy", "mode"),
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
SAMPLE_RATIO = prometheus_client.Gauge(
    "bellwether_bandit_sample_ratio_p",
    "Probability of the last epoch's split of decisions, or a less likely one, by its weights.",
    ("policy",),
)
SAMPLE_RATIO_ALERTS = prometheus_client.Counter(
    "bellwether_bandit_sample_ratio_alerts",
    "Epochs whose decisions were not split as their weights say.",
    ("policy",),
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
_SECONDS = (*(step / 200 for step in range(1, 21)), 0.15, 0.2, 0.3, 0.5, 1.0, 5.0)
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


_OF_A_POLICY = tuple(
    each for each in globals().values() if isinstance(each, metrics.MetricWrapperBase)
)


def begin(policy: str) -> None:
    """Make the series that count what has not happened yet: what grows from 0 is seen."""
    for counter in (FOREIGN, SAMPLE_RATIO_ALERTS, DIFFERENT):
        counter.labels(policy)
    for outcome in ("applied", "conflict", "failed"):
        WRITES.labels(policy, outcome)


def in_mode(policy: str, mode: str) -> None:
    """Say which mode a policy is in."""
    for each in ("active", "shadow", "frozen"):
        MODE.labels(policy, each).set(each == mode)


def forget(policy: str) -> None:
    """Take a policy that is gone out of every metric."""
    for each in _OF_A_POLICY:
        each.remove_by_labels({"policy": policy})


def show(
    policy: str, state: State, weights: Mapping[str, int], vetoed: Collection[str], ended: float
) -> None:
    """Set the gauges of a policy after an epoch that ended at a unix time."""
    for outcome, count in state.join.decision_counts.items():
        DECISIONS.labels(policy, outcome).set(count)
    for outcome, count in state.join.reward_counts.items():
        REWARDS.labels(policy, outcome).set(count)
    total = sum(weights.values()) or 1
    for place, arm in enumerate(state.arms):
        WEIGHT.labels(policy, arm).set(weights.get(arm, 0) / total)
        ARM_REWARDS.labels(policy, arm).set(int(state.rewards_by_arm[place]))
        VETOED.labels(policy, arm).set(arm in vetoed)
    EPOCH.labels(policy).set(state.epoch)
    EPOCH_TIME.labels(policy).set(ended)
    OPEN.labels(policy).set(len(state.join.open))
    WAITING.labels(policy).set(state.join.unanswered())
