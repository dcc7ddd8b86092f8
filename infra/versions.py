"""Every version that is not in a lock file of its own.

Python packages are pinned in `uv.lock`, Go modules in `tools/go.mod`, Java artifacts in `tools/pom.xml`.
"""

UV = "0.13.9"  # renovate: datasource=pypi depName=uv
PULUMI = "3.259.0"  # renovate: datasource=go depName=github.com/pulumi/pulumi/pkg/v3
GO_MINIMUM = (1, 25)
JAVA_MINIMUM = 17

PROMETHEUS_MINIMUM = (2, 42)  # Debian 12's; a newer one on PATH is used
VALKEY_EXPORTER_MINIMUM = (1, 45)  # Debian 12's prometheus-redis-exporter
