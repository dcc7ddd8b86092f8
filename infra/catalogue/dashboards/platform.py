"""The platform: what callers get, how fast the promises are used up, how the parts fare."""

from infra.catalogue.alerts import objectives, platform
from infra.catalogue.dashboards.panel import Dashboard, Panel, Row

_GATEWAY = 'envoy_http_conn_manager_prefix!="admin"'
_REQUESTS = f"envoy_http_downstream_rq_xx{{{_GATEWAY}}}"
_TIME = f"envoy_http_downstream_rq_time_bucket{{{_GATEWAY}}}"
_PIPELINE_TIME = "seldon_pipeline_infer_api_seconds_bucket"
_STEP_TIME = "bellwether_pipeline_step_seconds_bucket"


def _quantile(share: float, buckets: str, by: str = "le") -> str:
    return f"histogram_quantile({share}, sum by ({by}) (rate({buckets}[$__rate_interval])))"


def _budget(objective: objectives.Objective) -> str:
    return f'1 - objective:bad:share3d{{objective="{objective.name}"}} / {objective.budget}'


_PROMISES = Row(
    "Promises",
    (
        *(
            Panel(
                title=objective.name,
                about=f"What is left of the error budget at the last three days' rate: "
                f"{objective.budget:.2%} of requests may {objective.what}. Below 0 it is overspent.",
                unit="percentunit",
                queries={"left": _budget(objective)},
                width=6,
                stat=True,
            )
            for objective in objectives.OBJECTIVES
        ),
        Panel(
            title="Alerts that fire",
            about="Each has a page in docs/runbooks; `bellwether alerts` names it.",
            unit="short",
            queries={"{{alertname}} ({{severity}})": 'ALERTS{alertstate="firing"}'},
            width=24,
            stacked=True,
        ),
    ),
)

_CALLERS = Row(
    "Callers",
    (
        Panel(
            title="Requests",
            about="At the gateway, by the class of their answer.",
            unit="reqps",
            queries={
                "{{envoy_response_code_class}}xx": "sum by (envoy_response_code_class) "
                f"(rate({_REQUESTS}[$__rate_interval]))"
            },
            stacked=True,
        ),
        Panel(
            title="Latency",
            about="At the gateway.",
            unit="ms",
            queries={
                "median": _quantile(0.5, _TIME),
                "p95": _quantile(0.95, _TIME),
                "p99": _quantile(0.99, _TIME),
            },
            border=objectives.LATENCY_MS,
        ),
        Panel(
            title="Bad requests",
            about="Share of server errors, and of requests that were not in time.",
            unit="percentunit",
            queries={"{{objective}}": "objective:bad:share5m"},
        ),
        Panel(
            title="Calls of pipelines",
            about="By what came of them.",
            unit="reqps",
            queries={
                "{{pipeline}} {{code}}": "sum by (pipeline, code) "
                "(rate(seldon_pipeline_infer_total[$__rate_interval]))"
            },
        ),
        Panel(
            title="Latency of pipelines",
            about="p99, inside the model server.",
            unit="s",
            queries={"{{pipeline}}": _quantile(0.99, _PIPELINE_TIME, "pipeline, le")},
            border=objectives.LATENCY_MS / 1000,
        ),
        Panel(
            title="Latency of steps",
            about="p95 from asking a step's model to having its answer.",
            unit="s",
            queries={"{{step}}": _quantile(0.95, _STEP_TIME, "step, le")},
        ),
    ),
)

_PARTS = Row(
    "Parts",
    (
        Panel(
            title="Answer Prometheus",
            about="1: it does.",
            unit="none",
            queries={"{{job}}": "min by (job) (up)"},
            largest=1,
        ),
        Panel(
            title="Memory",
            about="Resident, of each process that tells.",
            unit="bytes",
            queries={"{{job}}": "sum by (job) (process_resident_memory_bytes)"},
        ),
        Panel(
            title="CPU",
            about="Cores that each process keeps busy.",
            unit="short",
            queries={"{{job}}": "sum by (job) (rate(process_cpu_seconds_total[$__rate_interval]))"},
        ),
        Panel(
            title="Records into Kafka",
            about="By topic.",
            unit="cps",
            queries={
                "{{topic}}": "topk(12, sum by (topic) "
                "(rate(kafka_topic_messagesin_total[$__rate_interval])))"
            },
        ),
        Panel(
            title="Consumers behind",
            about="Records of a topic that are not read yet.",
            unit="short",
            queries={"{{consumer}} {{topic}}": "consumer:lag:records"},
            border=platform.LAG_RECORDS,
        ),
        Panel(
            title="Lost and unusable records",
            about="Lost: Kafka never had them. Unusable: put aside on `dead-letters`.",
            unit="short",
            queries={
                "lost by {{client}}": "sum by (client) "
                "(increase(bellwether_records_lost_total[$__rate_interval]))",
                "unusable": 'max(delta(kafka_log_end_offset{topic="dead-letters"}'
                "[$__rate_interval]))",
            },
            border=1,
        ),
        Panel(
            title="Valkey",
            about="Memory in use.",
            unit="bytes",
            queries={"used": "max(redis_memory_used_bytes)"},
        ),
        Panel(
            title="Commands of Valkey",
            about="A second.",
            unit="cps",
            queries={"commands": "sum(rate(redis_commands_processed_total[$__rate_interval]))"},
        ),
        Panel(
            title="Kafka",
            about="Partitions without a leader, and brokers that the controller has fenced.",
            unit="short",
            queries={
                "offline partitions": "max(kafka_controller_offlinepartitionscount)",
                "fenced brokers": "max(kafka_controller_fencedbrokercount)",
            },
            border=1,
        ),
    ),
)

DASHBOARD = Dashboard(
    uid="bellwether-platform",
    title="Bellwether: platform",
    about="What callers get, how fast the promises are used up, how the parts fare.",
    rows=(_PROMISES, _CALLERS, _PARTS),
)
