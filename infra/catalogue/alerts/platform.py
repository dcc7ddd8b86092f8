"""Alerts on the platform's parts: processes, Kafka, Valkey, pipelines, and what goes between."""

from infra.catalogue.alerts import rule

LAG_RECORDS = 1000
"""How far a consumer may be behind."""

FAILING_SHARE = 0.05
"""Of requests that may fail, of one pipeline, step or model."""


def part(name: str) -> str:
    """Give the matcher of a part's targets: on a cluster a job's name begins with its namespace."""
    return f'job=~"(.+/)?{name}"'


def group(pace: rule.Pace) -> rule.Group:
    """Give the platform's rules."""
    return rule.Group(
        name="platform",
        rules=(
            *_parts(pace),
            *_stores(pace),
            *_records(pace),
            *_requests(pace),
        ),
    )


def _parts(pace: rule.Pace) -> tuple[rule.Alert, ...]:
    return (
        rule.Alert(
            name="TargetDown",
            expression="up == 0",
            hold=pace.hold("2m"),
            severity="warning",
            summary="{{ $labels.job }} does not answer Prometheus",
            description="{{ $labels.instance }} of {{ $labels.job }} gives no metrics: it is down, "
            "hangs, or cannot be reached. What it measures is not watched meanwhile.",
            runbook="target-down",
        ),
        rule.Alert(
            name="FeatureStreamDead",
            expression=f"absent(up{{{part('feature-stream')}}} == 1)",
            hold=pace.hold("1m"),
            severity="critical",
            summary="the feature stream is dead: features do not move any more",
            description="No feature stream answers. By the market's clock features may not even "
            "look stale: it stands with the stream (docs/adr/0010).",
            runbook="feature-stream-dead",
        ),
        rule.Alert(
            name="ModelNotReady",
            expression="mesh_model_ready == 0",
            hold=pace.hold("5m"),
            severity="critical",
            summary="model {{ $labels.model }} does not serve what is declared",
            description="It is not loaded, or another version of it answers.",
            runbook="model-not-ready",
            targets=("local",),
        ),
        rule.Alert(
            name="PipelineNotReady",
            expression="mesh_pipeline_ready == 0",
            hold=pace.hold("5m"),
            severity="critical",
            summary="pipeline {{ $labels.pipeline }} is not executed as declared",
            description="A step's model is missing, or the model server has not taken it over.",
            runbook="pipeline-not-ready",
            targets=("local",),
        ),
        rule.Alert(
            name="RulesFail",
            expression="sum by (rule_group) "
            f"(increase(prometheus_rule_evaluation_failures_total[{pace.window('5m')}])) > 0",
            severity="warning",
            summary="Prometheus cannot evaluate rules of {{ $labels.rule_group }}",
            description="Alerts of this group may be missing.",
            runbook="rules-fail",
            targets=("local",),
        ),
    )


def _stores(pace: rule.Pace) -> tuple[rule.Alert, ...]:
    return (
        rule.Alert(
            name="ValkeyDown",
            expression="redis_up == 0",
            hold=pace.hold("1m"),
            severity="critical",
            summary="Valkey does not answer: the fallback does, for every symbol",
            description="Its exporter cannot reach it. Features, drift scores and the bandit's "
            "checkpoints are in it.",
            runbook="valkey-down",
        ),
        rule.Alert(
            name="KafkaPartitionsOffline",
            expression="max(kafka_controller_offlinepartitionscount) > 0",
            hold=pace.hold("1m"),
            severity="critical",
            summary="{{ $value }} partitions of Kafka have no leader",
            description="Their records can neither be written nor read.",
            runbook="kafka-partitions-offline",
        ),
    )


def _records(pace: rule.Pace) -> tuple[rule.Alert | rule.Record, ...]:
    window = pace.window("10m")
    return (
        rule.Record(
            name="consumer:lag:records",
            expression=(
                'label_replace(max by (topic) (bellwether_feature_stream_lag), "consumer", '
                '"feature-stream", "", "")'
                ' or label_replace(max by (topic, policy) (bellwether_bandit_lag), "consumer", '
                '"bandit", "", "")'
                " or label_replace(label_replace(max by (dataset) "
                '(bellwether_monitor_behind_records), "topic", "$1", "dataset", "(.+)"), '
                '"consumer", "monitor", "", "")'
            ),
        ),
        rule.Alert(
            name="ConsumerLags",
            expression=f"consumer:lag:records > {LAG_RECORDS}",
            hold=pace.hold("10m"),
            severity="warning",
            summary="{{ $labels.consumer }} is {{ $value }} records of {{ $labels.topic }} behind",
            description="It reads more slowly than others write, or does not read at all.",
            runbook="consumer-lags",
        ),
        rule.Alert(
            name="DeadLettersGrow",
            # Every broker tells of its replica.
            expression="max by (topic, partition) "
            f'(delta(kafka_log_end_offset{{topic="dead-letters"}}[{window}])) > 0',
            severity="warning",
            summary="records come that cannot be used",
            description="{{ $value | humanize }} records were put aside on {{ $labels.topic }} "
            f"within {window}, each with its reason; what they said is not in the features.",
            runbook="dead-letters-grow",
        ),
        rule.Alert(
            name="RecordsLost",
            # A reason's series begins with its first loss, so the sum is what grows.
            expression="increase(sum by (client, instance) "
            f"(bellwether_records_lost_total)[{window}:]) > 0",
            severity="critical",
            summary="records of {{ $labels.client }} never reached Kafka",
            description="{{ $value | humanize }} records were lost: the queue was full, or the "
            "broker did not take them in time. They cannot be made again.",
            runbook="records-lost",
        ),
    )


def _requests(pace: rule.Pace) -> tuple[rule.Alert, ...]:
    window = pace.window("5m")
    return (
        rule.Alert(
            name="PipelineErrors",
            expression=share("seldon_pipeline_infer_total", 'code!~"2..|OK"', "pipeline", window),
            hold=pace.hold("2m"),
            severity="critical",
            summary="{{ $value | humanizePercentage }} of {{ $labels.pipeline }}'s calls fail",
            description="A step's error and a caller's mistake both count: over REST either is "
            "a 400.",
            runbook="pipeline-errors",
        ),
        rule.Alert(
            name="StepErrors",
            expression=share(
                "bellwether_step_requests_total", 'outcome=~"error|unavailable"', "model", window
            ),
            hold=pace.hold("2m"),
            severity="warning",
            summary="{{ $value | humanizePercentage }} of requests fail in {{ $labels.model }}",
            description="The step raised an error, or what it needs is away.",
            runbook="step-errors",
        ),
    )


def share(metric: str, bad: str, by: str, window: str, border: float = FAILING_SHARE) -> str:
    """Say that more than a share of requests is bad, by a label."""
    return (
        f"sum by ({by}) (rate({metric}{{{bad}}}[{window}])) / "
        f"sum by ({by}) (rate({metric}[{window}])) > {border}"
    )
