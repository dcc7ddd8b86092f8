"""Prometheus' configuration for the local environment: it scrapes every part, and judges by rules."""

import typing

import yaml

from infra import settings
from infra.catalogue import alerts

RULES = "rules.yml"
"""The file of rules, beside `prometheus.yml`."""


def configuration(ports: settings.Ports) -> str:
    """Render `prometheus.yml`."""
    targets = {
        "bandit": (ports.bandit, "/metrics"),
        "drift": (ports.drift, "/metrics"),
        "envoy": (ports.gateway_admin, "/stats/prometheus"),
        "feature-stream": (ports.feature_stream, "/metrics"),
        "kafka": (ports.kafka_metrics, "/metrics"),
        "mesh": (ports.mesh, "/metrics"),
        "monitor": (ports.monitor, "/metrics"),
        "mlserver": (ports.model_server_metrics, "/metrics"),
        "prometheus": (ports.prometheus, "/metrics"),
        "valkey": (ports.valkey_metrics, "/metrics"),
    }
    jobs: list[dict[str, typing.Any]] = [
        {
            "job_name": job,
            "metrics_path": path,
            "static_configs": [{"targets": [f"127.0.0.1:{port}"]}],
        }
        for job, (port, path) in targets.items()
    ]
    document = {
        "global": {
            "scrape_interval": "5s",
            "scrape_timeout": "4s",
            "evaluation_interval": "5s",
        },
        "rule_files": [RULES],
        "scrape_configs": jobs,
    }
    return yaml.safe_dump(document, sort_keys=False)


def rules(pace: float) -> str:
    """Render the file of rules, with all their times multiplied by `pace`."""
    return yaml.safe_dump(alerts.document(alerts.rules("local", pace)), sort_keys=False)
