"""Backups of what cannot be made again: Valkey's data, into the artifacts' bucket, every six hours.

Kafka keeps its own copies; features and posteriors can be rebuilt from its topics, slower than from here.
"""

from infra import versions
from infra.cluster import access, artifacts, component, labels, manifest, network, sizes, workload

NAME = "valkey-backup"
_FOLDER = "/backup"
_SCHEDULE = "17 */6 * * *"
_USER = 999

_DUMP = f"""\
set -eu
VALKEYCLI_AUTH="$(cat {access.VALKEY_FOLDER}/password)"
export VALKEYCLI_AUTH
exec valkey-cli -h "$VALKEY_HOST" --rdb {_FOLDER}/dump.rdb
"""


class Backups(component.Component):
    """A dump of Valkey that is taken away."""

    def __init__(self, site: component.Site, after: component.Resources) -> None:
        super().__init__(site, "backups", after)
        stack = site.settings
        if stack.valkey.managed is not None or not site.size.keep:
            return
        policy = network.policy(
            NAME,
            labels.selector(NAME),
            egress=(access.valkey(stack).way, artifacts.way(stack)),
        )
        first = [self.add(workload.account(NAME)), self.add(policy)]
        self.add(self._job(), after=first)

    def _job(self) -> manifest.Manifest:
        site = self.site
        meta = {"labels": labels.of(NAME, self.component, site.settings.environment)}
        return {
            "apiVersion": "batch/v1",
            "kind": "CronJob",
            "metadata": {"name": NAME},
            "spec": {
                "schedule": _SCHEDULE,
                "timeZone": "Etc/UTC",
                "concurrencyPolicy": "Forbid",
                "startingDeadlineSeconds": 3600,
                "successfulJobsHistoryLimit": 1,
                "failedJobsHistoryLimit": 3,
                "jobTemplate": {
                    "metadata": meta,
                    "spec": {
                        "backoffLimit": 2,
                        "activeDeadlineSeconds": 1800,
                        "template": {"metadata": meta, "spec": self._pod()},
                    },
                },
            },
        }

    def _pod(self) -> manifest.Manifest:
        stack = self.site.settings
        mounts = (
            workload.Mount(_FOLDER, name="backup", size=stack.size.valkey_storage),
            workload.Mount(access.VALKEY_FOLDER, access.VALKEY_SECRET, name="password"),
            workload.Mount(artifacts.CONFIGURATION, artifacts.SECRET, ("rclone.conf",), "bucket"),
        )
        backup, password, bucket = workload.mounted(mounts)
        target = f"{artifacts.REMOTE}:{stack.artifacts.bucket}/backups/valkey"
        security = workload.CONTAINER_SECURITY
        small = sizes.Resources("50m", "128Mi", "256Mi").manifest()
        host = access.valkey(stack).address.rpartition(":")[0]
        upload = (
            f"rclone --config={artifacts.CONFIGURATION}/rclone.conf copyto {_FOLDER}/dump.rdb "
            f'"{target}/$(date -u +%Y-%m-%dT%H-%M).rdb"'
        )
        return {
            "restartPolicy": "Never",
            "serviceAccountName": NAME,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "securityContext": workload.pod_security(_USER),
            "initContainers": [
                {
                    "name": "dump",
                    "image": versions.VALKEY_IMAGE,
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["sh", "-c", _DUMP],
                    "env": [{"name": "VALKEY_HOST", "value": host}],
                    "resources": small,
                    "securityContext": security,
                    "volumeMounts": [backup, password],
                }
            ],
            "containers": [
                {
                    "name": "upload",
                    "image": versions.RCLONE_IMAGE,
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["sh", "-c", upload],
                    "resources": small,
                    "securityContext": security,
                    "volumeMounts": [backup, bucket],
                }
            ],
            "volumes": workload.volumes(mounts),
        }
