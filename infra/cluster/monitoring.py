"""Prometheus: the operator, one Prometheus, what it scrapes, its rules, Grafana's dashboards."""

import collections.abc

import pulumi

from infra import versions
from infra.catalogue import alerts, dashboards
from infra.cluster import component, labels, manifest, network, workload

_API = "monitoring.coreos.com/v1"
_OURS = {"app.kubernetes.io/part-of": labels.PART_OF}


class Monitoring(component.Component):
    """Metrics, alerts and dashboards."""

    def __init__(self, site: component.Site, after: component.Resources) -> None:
        super().__init__(site, "monitoring", after)
        operator = self._operator()
        account = [self.add(each, workload="prometheus") for each in _account(site.namespace)]
        self.add(
            network.policy(
                "prometheus",
                labels.selector("prometheus"),
                ingress=(
                    network.Way("the bandit's guardrails", (9090,), pods="bandit"),
                    network.Way("the console", (9090,), pods="console"),
                    network.Way(
                        "people, by Grafana", (9090,), namespace=site.settings.operators_namespace
                    ),
                ),
                egress=(
                    network.Way("scrapes", _PORTS),
                    network.api_server(),
                ),
            ),
            workload="prometheus",
        )
        self.add(_prometheus(site), ready="condition=Available", after=[*operator, *account])
        if site.size.replicas > 1:
            self.add(workload.budget("prometheus", labels.selector("prometheus")))
        for watched in (*pod_monitors(), prometheus_rule()):
            self.add(watched, after=operator)
        for dashboard in dashboard_files():
            self.add(dashboard)

    def _operator(self) -> list[pulumi.Resource]:
        stack = self.site.settings
        if not stack.operators.prometheus:
            return []
        off = {"enabled": False}
        return [
            self.chart(
                "kube-prometheus-stack",
                version=versions.PROMETHEUS_STACK,
                repository="https://prometheus-community.github.io/helm-charts",
                namespace=stack.operators_namespace,
                values={
                    "defaultRules": {"create": False},
                    "prometheus": off,
                    "alertmanager": off,
                    "nodeExporter": off,
                    "kubeStateMetrics": off,
                    "grafana": {
                        "sidecar": {
                            "dashboards": {
                                "enabled": True,
                                "label": DASHBOARD_LABEL,
                                "labelValue": "1",
                                "searchNamespace": stack.namespace,
                            },
                        },
                        "additionalDataSources": [
                            {
                                "name": "Bellwether",
                                "type": "prometheus",
                                "uid": "bellwether",
                                "url": f"http://prometheus-operated.{stack.namespace}:9090",
                            }
                        ],
                    },
                },
            )
        ]


DASHBOARD_LABEL = "grafana_dashboard"
_PORTS = (9003, 9006, 8082, 8404, 9030, 9050, 9060, 9070, 9404, 9999)


def _account(namespace: str) -> collections.abc.Iterator[manifest.Manifest]:
    group = "rbac.authorization.k8s.io"
    yield workload.account("prometheus")
    yield {
        "apiVersion": f"{group}/v1",
        "kind": "Role",
        "metadata": {"name": "prometheus"},
        "rules": [
            {
                "apiGroups": [""],
                "resources": ["endpoints", "pods", "services"],
                "verbs": ["get", "list", "watch"],
            }
        ],
    }
    yield {
        "apiVersion": f"{group}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "prometheus"},
        "roleRef": {"apiGroup": group, "kind": "Role", "name": "prometheus"},
        "subjects": [{"kind": "ServiceAccount", "name": "prometheus", "namespace": namespace}],
    }


def _prometheus(site: component.Site) -> manifest.Manifest:
    size = site.size
    return {
        "apiVersion": _API,
        "kind": "Prometheus",
        "metadata": {"name": "bellwether"},
        "spec": {
            "replicas": min(2, size.replicas),
            "version": versions.PROMETHEUS,
            "serviceAccountName": "prometheus",
            "automountServiceAccountToken": True,
            "podMetadata": {"labels": labels.selector("prometheus")},
            "retention": f"{size.prometheus_days}d",
            "scrapeInterval": "15s",
            "evaluationInterval": "15s",
            "podMonitorSelector": {"matchLabels": _OURS},
            "ruleSelector": {"matchLabels": _OURS},
            "securityContext": workload.pod_security(1000),
            "resources": {
                "requests": {"cpu": "200m", "memory": "1Gi"},
                "limits": {"memory": "2Gi"},
            },
            "storage": {
                "volumeClaimTemplate": {
                    "spec": {
                        "accessModes": ["ReadWriteOnce"],
                        "resources": {"requests": {"storage": size.prometheus_storage}},
                    }
                }
            },
            "topologySpreadConstraints": workload.spread(labels.selector("prometheus")),
        },
    }


def pod_monitors() -> collections.abc.Iterator[manifest.Manifest]:
    """Write what is scraped: Seldon's agents, servers and gateways, and our own processes."""
    yield _monitor(
        "seldon-servers",
        {labels.NAME: "seldon-server"},
        [{"portNumber": 9006, "path": "/metrics"}, {"portNumber": 8082, "path": "/metrics"}],
    )
    yield _monitor(
        "seldon-pipelinegateway",
        {labels.NAME: "seldon-pipelinegateway"},
        [{"portNumber": 9006, "path": "/metrics"}],
    )
    yield _monitor(
        "seldon-envoy",
        {labels.NAME: "seldon-envoy"},
        [{"portNumber": 9003, "path": "/stats/prometheus"}],
    )
    for name in ("feature-stream", "bandit", "monitor", "console", "valkey-primary"):
        yield _monitor(name, labels.selector(name), [{"port": "metrics", "path": "/metrics"}])
    yield _monitor(
        "kafka",
        {"strimzi.io/cluster": labels.PART_OF},
        [{"portNumber": 9404, "path": "/metrics"}],
    )


def prometheus_rule() -> manifest.Manifest:
    """Write the catalogue's rules."""
    return {
        "apiVersion": _API,
        "kind": "PrometheusRule",
        "metadata": {"name": "bellwether"},
        "spec": alerts.document(alerts.rules("cluster")),
    }


def dashboard_files() -> collections.abc.Iterator[manifest.Manifest]:
    """Write each dashboard into what Grafana's side-car looks for."""
    for name, text in dashboards.files().items():
        yield {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": f"dashboard-{name.removesuffix('.json')}",
                "labels": {DASHBOARD_LABEL: "1"},
            },
            "data": {name: text},
        }


def _monitor(
    name: str,
    pods: collections.abc.Mapping[str, str],
    endpoints: list[manifest.Manifest],
) -> manifest.Manifest:
    return {
        "apiVersion": _API,
        "kind": "PodMonitor",
        "metadata": {"name": name},
        "spec": {
            "selector": {"matchLabels": dict(pods)},
            "podMetricsEndpoints": endpoints,
            "podTargetLabels": [labels.NAME],
        },
    }
