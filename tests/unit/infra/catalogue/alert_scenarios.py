"""For each alert, a course of what Prometheus scrapes in which it has to fire, and to resolve."""

import dataclasses
from collections.abc import Mapping
from typing import Any

HOUR = 60


@dataclasses.dataclass(frozen=True)
class Scenario:
    """A well time, an ill one, and a well one again; each of so many minutes."""

    alert: str
    series: Mapping[str, str]
    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """What the alert has, beside its name and severity."""
    well: int = 30
    ill: int = 30
    again: int = 30
    also: tuple[str, ...] = ()
    """Other alerts that may fire."""

    def test(self, severity: str, unchanged: Mapping[str, str]) -> dict[str, Any]:
        """Write it for `promtool`, with series that stay as they are beside those that change."""
        sample = {"alertname": self.alert, "alertstate": "firing", "severity": severity}
        sample |= self.labels
        inside = ", ".join(f'{key}="{value}"' for key, value in sample.items())
        firing = [{"labels": f"ALERTS{{{inside}}}", "value": 1}]
        others = "|".join((self.alert, *self.also))
        own = f'ALERTS{{alertname="{self.alert}",alertstate="firing"}}'
        other = f'ALERTS{{alertname!~"{others}",alertstate="firing"}}'
        moments = (self.well, self.well + self.ill, self.well + self.ill + self.again)
        series = {
            **{name: value for name, value in unchanged.items() if name not in self.series},
            **self.series,
        }
        return {
            "name": self.alert,
            "interval": "1m",
            "input_series": [{"series": k, "values": v} for k, v in series.items()],
            "promql_expr_test": [
                test
                for moment, expected in zip(moments, ([], firing, []), strict=True)
                for test in (
                    {"expr": own, "eval_time": f"{moment}m", "exp_samples": expected},
                    {"expr": other, "eval_time": f"{moment}m", "exp_samples": []},
                )
            ],
        }


def level(well: float, ill: float, minutes: tuple[int, int, int] = (30, 30, 30)) -> str:
    """A gauge that has one value, then another, then the first again; one sample a minute."""
    values = (well, ill, well)
    return " ".join(f"{v}+0x{n - 1}" for v, n in zip(values, _samples(minutes), strict=True))


def growing(well: float, ill: float, minutes: tuple[int, int, int] = (30, 30, 30)) -> str:
    """A counter that grows at one rate a minute, then at another, then at the first again."""
    parts, at = [], 0.0
    for rate, count in zip((well, ill, well), _samples(minutes), strict=True):
        parts.append(f"{at:g}+{rate:g}x{count - 1}")
        at += rate * count
    return " ".join(parts)


def _samples(minutes: tuple[int, int, int]) -> tuple[int, int, int]:
    """The first and the last of the three moments have their samples in their own time."""
    well, ill, again = minutes
    return well + 1, ill, again


def _objective(
    name: str, title: str, good: str, bad: str, budget: float
) -> tuple[Scenario, Scenario]:
    """600 requests a minute, of which 50 times, or 5 times, as many are bad as may be.

    `good` counts the good ones, `bad` the bad ones; where `bad` is a histogram's count, all.
    """
    everything = "_count" in bad
    fast, slow = (30, 2 * HOUR, HOUR), (6 * HOUR, 12 * HOUR, 7 * HOUR)
    made = []
    for suffix, minutes, times in (("Fast", fast, 50), ("Slowly", slow, 5)):
        wrong = 600 * budget * times
        series = {
            good: growing(600, 600 - wrong, minutes),
            bad: growing(600, 600, minutes) if everything else growing(0, wrong, minutes),
        }
        made.append(
            Scenario(
                f"{title}Burns{suffix}",
                series,
                {"objective": name},
                *minutes,
                also=(f"{title}BurnsSlowly", "PipelineErrors") if suffix == "Fast" else (),
            )
        )
    return made[0], made[1]


_ENVOY = 'envoy_http_conn_manager_prefix="gateway"'
_PIPELINE = 'pipeline="financial-prediction-pipeline"'
_CALLS = "seldon_pipeline_infer_total"
_SECONDS = "seldon_pipeline_infer_api_seconds"

OBJECTIVES = (
    *_objective(
        "gateway-availability",
        "GatewayAvailability",
        f'envoy_http_downstream_rq_xx{{{_ENVOY},envoy_response_code_class="2"}}',
        f'envoy_http_downstream_rq_xx{{{_ENVOY},envoy_response_code_class="5"}}',
        0.001,
    ),
    *_objective(
        "gateway-latency",
        "GatewayLatency",
        f'envoy_http_downstream_rq_time_bucket{{{_ENVOY},le="250"}}',
        f"envoy_http_downstream_rq_time_count{{{_ENVOY}}}",
        0.01,
    ),
    *_objective(
        "pipeline-availability",
        "PipelineAvailability",
        f'{_CALLS}{{{_PIPELINE},code="200"}}',
        f'{_CALLS}{{{_PIPELINE},code="503"}}',
        0.005,
    ),
    *_objective(
        "pipeline-latency",
        "PipelineLatency",
        f'{_SECONDS}_bucket{{{_PIPELINE},le="0.25"}}',
        f"{_SECONDS}_count{{{_PIPELINE}}}",
        0.01,
    ),
)

_POLICY = {"policy": "financial-mab"}
_MAB = 'policy="financial-mab"'
_LEADING = f"bellwether_bandit_leading{{{_MAB}}}"
_STREAM = 'up{job="feature-stream",instance="a"}'
_REWARDS = "bellwether_bandit_rewards"
_DECISIONS = f'bellwether_bandit_decisions{{{_MAB},outcome="taken"}}'
_DAY = (HOUR, 8 * HOUR, 4 * HOUR)

UNCHANGED = {_STREAM: "1x3000", _LEADING: "1x3000"}
"""Without these something would be amiss in every scenario."""

SCENARIOS = (
    *OBJECTIVES,
    Scenario(
        "TargetDown",
        {'up{job="bandit",instance="a"}': level(1, 0)},
        {"job": "bandit", "instance": "a"},
    ),
    Scenario("FeatureStreamDead", {_STREAM: level(1, 0)}, also=("TargetDown",)),
    Scenario(
        "ModelNotReady",
        {'mesh_model_ready{model="guard"}': level(1, 0)},
        {"model": "guard"},
    ),
    Scenario(
        "PipelineNotReady",
        {'mesh_pipeline_ready{pipeline="p"}': level(1, 0)},
        {"pipeline": "p"},
    ),
    Scenario(
        "RulesFail",
        {'prometheus_rule_evaluation_failures_total{rule_group="g"}': growing(0, 1)},
        {"rule_group": "g"},
    ),
    Scenario("ValkeyDown", {"redis_up": level(1, 0)}),
    Scenario("KafkaPartitionsOffline", {"kafka_controller_offlinepartitionscount": level(0, 2)}),
    Scenario(
        "ConsumerLags",
        {'bellwether_feature_stream_lag{topic="news"}': level(10, 2000)},
        {"consumer": "feature-stream", "topic": "news"},
    ),
    Scenario(
        "DeadLettersGrow",
        {
            'kafka_log_end_offset{topic="dead-letters",partition="0",instance="a"}': growing(0, 1),
            'kafka_log_end_offset{topic="dead-letters",partition="0",instance="b"}': growing(0, 1),
        },
        {"topic": "dead-letters", "partition": "0"},
    ),
    Scenario(
        "RecordsLost",
        {
            'bellwether_records_lost_total{client="c",reason="queue_full",instance="a"}': "0x90",
            # Its series begins with the first loss.
            'bellwether_records_lost_total{client="c",reason="late",instance="a"}': "_x50 7x40",
        },
        {"client": "c", "instance": "a"},
        ill=25,
    ),
    Scenario(
        "PipelineErrors",
        {
            f'{_CALLS}{{pipeline="p",code="200"}}': growing(100, 90),
            f'{_CALLS}{{pipeline="p",code="400"}}': growing(0, 10),
        },
        {"pipeline": "p"},
    ),
    Scenario(
        "StepErrors",
        {
            'bellwether_step_requests_total{model="guard",outcome="ok"}': growing(100, 90),
            'bellwether_step_requests_total{model="guard",outcome="error"}': growing(0, 10),
        },
        {"model": "guard"},
    ),
    Scenario(
        "FeaturesStale",
        {'bellwether_feature_stream_newest_bar_age_seconds{symbol="SPX"}': level(259200, 440000)},
        {"symbol": "SPX"},
    ),
    Scenario("FeatureStoreNotWritten", {"bellwether_feature_stream_store_up": level(1, 0)}),
    Scenario("FeatureReadsFail", {"bellwether_feature_reads_away_total": growing(0, 5)}),
    Scenario(
        "DataQualityLow",
        {
            'bellwether_guard_branches_total{branch="accepted",reason="ok"}': growing(100, 50),
            'bellwether_guard_branches_total{branch="fallback",reason="quality"}': growing(1, 50),
        },
    ),
    Scenario(
        "DriftDetected",
        {'bellwether_drift_score{symbol="SPX"}': level(0.4, 0.6)},
        {"symbol": "SPX"},
    ),
    Scenario(
        "DriftUnknown",
        {
            'bellwether_guard_drift_unknown_total{reason="old"}': growing(0, 5),
            'bellwether_guard_drift_unknown_total{reason="none"}': growing(5, 5),
        },
    ),
    Scenario(
        "PredictionErrors",
        {
            'bellwether_predictions_total{model="m",outcome="ok"}': growing(100, 90),
            'bellwether_predictions_total{model="m",outcome="error"}': growing(0, 10),
        },
        {"model": "m"},
    ),
    Scenario(
        "ErrorsChanged",
        {'bellwether_monitor_changes_total{stream="error",name="m"}': "_x50 1x40"},
        {"stream": "error", "name": "m"},
        ill=25,
    ),
    Scenario(
        "ExplanationsMissing",
        {
            'bellwether_decision_explanations_total{model="d",outcome="given"}': growing(100, 90),
            'bellwether_decision_explanations_total{model="d",outcome="missing"}': growing(0, 10),
        },
        {"model": "d"},
    ),
    Scenario(
        "RewardsLate",
        {
            f'{_REWARDS}{{{_MAB},outcome="learnt",instance="a"}}': growing(100, 50, (60, 30, 120)),
            f'{_REWARDS}{{{_MAB},outcome="late",instance="a"}}': growing(0, 50, (60, 30, 120)),
        },
        _POLICY,
        *(60, 30, 120),
    ),
    Scenario(
        "RewardsMissing",
        {
            _DECISIONS: growing(0, 1, _DAY),
            # They come after all.
            f'{_REWARDS}{{{_MAB},outcome="learnt"}}': growing(0, 0, _DAY).rpartition(" ")[0]
            + f" 0+1x{_DAY[2]}",
        },
        _POLICY,
        *_DAY,
    ),
    Scenario(
        "SampleRatioMismatch",
        {f"bellwether_bandit_sample_ratio_alerts_total{{{_MAB}}}": growing(0, 0.2)},
        _POLICY,
    ),
    Scenario(
        "ArmVetoed",
        {f'bellwether_bandit_vetoed{{{_MAB},arm="a"}}': level(0, 1)},
        {**_POLICY, "arm": "a"},
    ),
    Scenario(
        "ForeignWeights",
        {f"bellwether_bandit_foreign_changes_total{{{_MAB}}}": growing(0, 1)},
        _POLICY,
    ),
    Scenario(
        "WeightsFrozen",
        {
            f'bellwether_bandit_mode{{{_MAB},mode="frozen"}}': level(0, 1),
            f'bellwether_bandit_mode{{{_MAB},mode="active"}}': level(1, 0),
        },
        _POLICY,
    ),
    Scenario("PolicyHeld", {f"bellwether_bandit_problem{{{_MAB}}}": level(0, 1)}, _POLICY),
    Scenario("PolicyWithoutLeader", {_LEADING: level(1, 0)}, _POLICY),
    Scenario(
        "StatesDiffer",
        {f"bellwether_bandit_different_states_total{{{_MAB}}}": level(0, 1)},
        _POLICY,
    ),
)
