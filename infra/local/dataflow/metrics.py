"""What is counted of pipelines, at the model server's metrics port.

Names and labels that begin with `seldon_` are those of Seldon's pipeline gateway;
`server` is what it calls itself.
"""

import functools

import prometheus_client

SERVER = "pipeline-gateway"

BUCKETS = (
    0.0005, 0.001, 0.002, 0.003, 0.004, 0.006, 0.008, 0.012, 0.02, 0.035, 0.06, 0.1, 0.25, 0.5, 1.0,
    2.5, 5.0, 10.0, 30.0, 60.0,
)  # fmt: skip

_CALL = ("server", "pipeline", "method_type", "code")

TOTAL = prometheus_client.Counter("seldon_pipeline_infer", "Calls of pipelines.", _CALL)
SECONDS = prometheus_client.Counter(
    "seldon_pipeline_infer_seconds", "Sum of the latencies of calls of pipelines.", _CALL
)
AGGREGATE_TOTAL = prometheus_client.Counter(
    "seldon_pipeline_aggregate_infer", "Calls of all pipelines.", ("server", "method_type")
)
AGGREGATE_SECONDS = prometheus_client.Counter(
    "seldon_pipeline_aggregate_infer_seconds",
    "Sum of the latencies of calls of all pipelines.",
    ("server", "method_type"),
)
LATENCY = prometheus_client.Histogram(
    "seldon_pipeline_infer_api_seconds",
    "Latency of calls of pipelines, as the model server sees it.",
    ("server", "pipeline", "method", "code"),
    buckets=BUCKETS,
)
STEP = prometheus_client.Histogram(
    "bellwether_pipeline_step_seconds",
    "Time of a step inside a pipeline, from asking its model to having its answer.",
    ("pipeline", "step"),
    buckets=BUCKETS,
)
EXTERNAL = prometheus_client.Counter(
    "bellwether_pipeline_external",
    "Runs of pipelines on what other pipelines emitted.",
    ("pipeline", "code"),
)
EXTERNAL_SECONDS = prometheus_client.Counter(
    "bellwether_pipeline_external_seconds",
    "Sum of the times of runs of pipelines on what other pipelines emitted.",
    ("pipeline",),
)
EXTERNAL_DROPPED = prometheus_client.Counter(
    "bellwether_pipeline_external_dropped",
    "Runs of pipelines on what other pipelines emitted that were left out: too many at once.",
    ("pipeline",),
)

# A pipeline's name comes from the document and a code from us, so these stay few.
_step = functools.cache(STEP.labels)


@functools.cache
def _call(
    pipeline: str, method: str, code: str
) -> tuple[tuple[prometheus_client.Counter, ...], prometheus_client.Histogram]:
    labels = (SERVER, pipeline, method, code)
    counters = (
        TOTAL.labels(*labels),
        SECONDS.labels(*labels),
        AGGREGATE_TOTAL.labels(SERVER, method),
        AGGREGATE_SECONDS.labels(SERVER, method),
    )
    return counters, LATENCY.labels(*labels)


def step_took(pipeline: str, step: str, seconds: float) -> None:
    """Count a step that ran."""
    _step(pipeline, step).observe(seconds)


def call_took(pipeline: str, method: str, code: str, seconds: float) -> None:
    """Count a call that was answered, whatever the answer."""
    (total, sum_of, all_total, all_sum), latency = _call(pipeline, method, code)
    total.inc()
    sum_of.inc(seconds)
    all_total.inc()
    all_sum.inc(seconds)
    latency.observe(seconds)


def external_ended(pipeline: str, code: str, seconds: float) -> None:
    """Count a run that no caller waited for."""
    EXTERNAL.labels(pipeline, code).inc()
    EXTERNAL_SECONDS.labels(pipeline).inc(seconds)


def external_dropped(pipeline: str) -> None:
    """Count a run that was left out."""
    EXTERNAL_DROPPED.labels(pipeline).inc()
