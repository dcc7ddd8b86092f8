"""What the mesh counts and times, for Prometheus."""

import prometheus_client

REQUESTS = prometheus_client.Histogram(
    "mesh_request_seconds",
    "Time to answer a request to the mesh's API",
    ("method", "kind", "code"),
    buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0),
)
OBJECTS = prometheus_client.Gauge("mesh_objects", "Declared objects", ("kind",))
MODEL_READY = prometheus_client.Gauge(
    "mesh_model_ready", "1 if a model serves what is declared", ("model",)
)
PIPELINE_READY = prometheus_client.Gauge(
    "mesh_pipeline_ready",
    "1 if a pipeline is executed as declared and its models are there",
    ("pipeline",),
)
CANDIDATE_WEIGHT = prometheus_client.Gauge(
    "mesh_candidate_weight",
    "Declared weight of an experiment's candidate",
    ("experiment", "candidate"),
)
MODEL_SERVER_UP = prometheus_client.Gauge("mesh_model_server_up", "1 if MLServer answers")
