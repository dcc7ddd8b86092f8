"""Every version that is not in a lock file of its own.

Python packages are pinned in `uv.lock`, Go modules in `tools/go.mod`, Java artifacts in `tools/pom.xml`.
"""

UV = "0.13.9"  # renovate: datasource=pypi depName=uv
PULUMI = "3.259.0"  # renovate: datasource=go depName=github.com/pulumi/pulumi/pkg/v3
GO_MINIMUM = (1, 25)
JAVA_MINIMUM = 17

PROMETHEUS_MINIMUM = (2, 42)  # Debian 12's; a newer one on PATH is used
VALKEY_EXPORTER_MINIMUM = (1, 45)  # Debian 12's prometheus-redis-exporter

# renovate: datasource=docker depName=debian
BASE_IMAGE = (
    "debian:bookworm-slim@sha256:96e378d7e6531ac9a15ad505478fcc2e69f371b10f5cdf87857c4b8188404716"
)
"""What our images are built on where an engine can pull; the Python in them is Debian's."""

STRIMZI = "0.45.2"  # renovate: datasource=github-releases depName=strimzi/strimzi-kafka-operator
"""The last that serves the Kafka versions that Seldon Core 2 is documented for."""
KAFKA = "3.9.1"
KAFKA_METADATA = "3.9-IV0"
SELDON = "2.10.2"  # renovate: datasource=github-releases depName=SeldonIO/seldon-core
PROMETHEUS_STACK = "88.3.0"  # renovate: datasource=helm depName=kube-prometheus-stack
VALKEY_IMAGE = "docker.io/valkey/valkey:8.1.11"  # renovate: datasource=docker depName=valkey/valkey
HAPROXY_IMAGE = "docker.io/library/haproxy:3.2.4"  # renovate: datasource=docker depName=haproxy
RCLONE_IMAGE = "docker.io/rclone/rclone:1.71.2"  # renovate: datasource=docker depName=rclone/rclone
PROMETHEUS = "v3.5.0"  # renovate: datasource=github-releases depName=prometheus/prometheus
