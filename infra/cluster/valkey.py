"""Valkey: append-only, with a password; copies and sentinels that promote one where the size says so.

With a managed one, the credentials alone.
"""

import pulumi

from infra import versions
from infra.cluster import access, component, manifest, network, settings, workload

_USER = 999
"""Who the image runs as."""
_SENTINEL_PORT = 26379
_SENTINELS = 3

_CONFIGURATION = """\
port 6379
dir /data
appendonly yes
appendfsync everysec
save 900 1
maxmemory-policy noeviction
replica-announce-ip ${HOSTNAME}.valkey
replica-announce-port 6379
masteruser default
"""

# The password comes from a file, into a configuration in memory: not into an argument, not into a variable.
_START = """\
set -eu
umask 077
password="$(cat /var/run/secrets/bellwether/valkey/password)"
sed "s/[$]{HOSTNAME}/$HOSTNAME/" /etc/bellwether/valkey.conf > /tmp/valkey.conf
printf 'requirepass %s\\nmasterauth %s\\n' "$password" "$password" >> /tmp/valkey.conf
primary="valkey-0.valkey"
if found="$(VALKEYCLI_AUTH="$password" timeout 3 valkey-cli -h valkey-sentinel -p 26379 \\
    sentinel get-primary-addr-by-name bellwether 2>/dev/null | head -1)" && [ -n "$found" ]; then
  primary="$found"
fi
[ "$primary" = "$HOSTNAME.valkey" ] || printf 'replicaof %s 6379\\n' "$primary" >> /tmp/valkey.conf
exec valkey-server /tmp/valkey.conf
"""

# Sentinels keep what they agreed on in their file; password and address are of each start.
_SENTINEL_START = """\
set -eu
umask 077
password="$(cat /var/run/secrets/bellwether/valkey/password)"
file=/data/sentinel.conf
if [ ! -f "$file" ]; then
  {
    printf 'port 26379\\ndir /data\\n'
    printf 'sentinel resolve-hostnames yes\\nsentinel announce-hostnames yes\\n'
    printf 'sentinel monitor bellwether valkey-0.valkey 6379 2\\n'
    printf 'sentinel down-after-milliseconds bellwether 5000\\n'
    printf 'sentinel failover-timeout bellwether 30000\\n'
  } > "$file"
fi
sed -i '/^sentinel auth-pass /d; /^sentinel announce-ip /d; /^requirepass /d; /^user default /d' "$file"
{
  printf 'sentinel announce-ip %s.valkey-sentinel\\n' "$HOSTNAME"
  printf 'sentinel auth-pass bellwether %s\\nrequirepass %s\\n' "$password" "$password"
} >> "$file"
exec valkey-sentinel "$file"
"""

# Of the copies, only the one that says it is the primary gets connections.
_PROXY = """\
global
  maxconn 4000
defaults
  mode tcp
  timeout connect 1s
  timeout client 1h
  timeout server 1h
resolvers cluster
  parse-resolv-conf
  hold valid 1s
frontend metrics
  mode http
  bind :8404
  http-request use-service prometheus-exporter if { path /metrics }
  http-request return status 200 if { path /ready }
frontend primary
  bind :6379
  default_backend copies
backend copies
  option tcp-check
  tcp-check send "AUTH ${VALKEY_PASSWORD}\\r\\n"
  tcp-check expect string +OK
  tcp-check send "INFO replication\\r\\n"
  tcp-check expect string role:master
  default-server check inter 1s fall 2 rise 1 on-marked-down shutdown-sessions
  default-server resolvers cluster init-addr none
"""

_PROXY_START = """\
set -eu
VALKEY_PASSWORD="$(cat /var/run/secrets/bellwether/valkey/password)"
export VALKEY_PASSWORD
exec haproxy -W -db -f /etc/bellwether/haproxy.cfg
"""

_PROXY_PORT = 8404
_PROXY_USER = 99

_CLIENTS = ("feature-stream", "bandit", "monitor", "console", "seldon-server", "valkey-backup")
"""Whose pods read and write."""

_READY = (
    "sh",
    "-c",
    f'VALKEYCLI_AUTH="$(cat {access.VALKEY_FOLDER}/password)" valkey-cli ping | grep -q PONG',
)


class Valkey(component.Component):
    """Valkey, own or managed."""

    def __init__(self, site: component.Site, after: component.Resources) -> None:
        super().__init__(site, "valkey", after)
        stack = site.settings
        secret = self.add(_credentials(stack))
        self.ready: list[pulumi.Resource] = [secret]
        if stack.valkey.managed is not None:
            return
        wanted = [_server(stack)]
        if stack.valkey_replicas:
            wanted += [_sentinel(), _proxy(stack)]
        self.ready += [workload.declare(self, each, [secret]) for each in wanted]


def _credentials(stack: settings.Cluster) -> manifest.Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": access.VALKEY_SECRET},
        "type": "Opaque",
        "stringData": {"password": pulumi.Output.secret(stack.secret("valkey_password"))},
    }


def _ways(port: int, why: str, *pods: str) -> tuple[network.Way, ...]:
    return tuple(network.Way(why, (port,), pods=each) for each in pods)


def _server(stack: settings.Cluster) -> workload.Workload:
    own = stack.valkey.own or settings.OwnValkey()
    copies = stack.valkey_replicas > 0
    port = access.VALKEY_PORT
    callers = ("valkey", "valkey-sentinel", "valkey-primary") if copies else _CLIENTS
    return workload.Workload(
        name="valkey",
        image=versions.VALKEY_IMAGE,
        command=("sh", f"{workload.CONFIGURATION}/start.sh"),
        resources=stack.size.valkey,
        ready=workload.Probe(command=_READY),
        alive=workload.Probe(command=_READY, start_seconds=300),
        ports={"valkey": port},
        replicas=1 + stack.valkey_replicas,
        files={"valkey.conf": _CONFIGURATION, "start.sh": _START},
        mounts=(workload.Mount(access.VALKEY_FOLDER, access.VALKEY_SECRET),),
        storage=own.storage or stack.size.valkey_storage,
        storage_class=own.storage_class,
        ingress=_ways(port, "reads, writes, replication", *callers),
        egress=(
            *_ways(port, "replication", "valkey"),
            *_ways(_SENTINEL_PORT, "who is the primary", "valkey-sentinel"),
        )
        if copies
        else (),
        user=_USER,
    )


def _sentinel() -> workload.Workload:
    ready = (
        "sh",
        "-c",
        (
            f'VALKEYCLI_AUTH="$(cat {access.VALKEY_FOLDER}/password)" '
            f"valkey-cli -p {_SENTINEL_PORT} ping | grep -q PONG"
        ),
    )
    return workload.Workload(
        name="valkey-sentinel",
        image=versions.VALKEY_IMAGE,
        command=("sh", f"{workload.CONFIGURATION}/start.sh"),
        resources=component.SMALL,
        ready=workload.Probe(command=ready),
        alive=workload.Probe(command=ready),
        ports={"sentinel": _SENTINEL_PORT},
        replicas=_SENTINELS,
        files={"start.sh": _SENTINEL_START},
        mounts=(workload.Mount(access.VALKEY_FOLDER, access.VALKEY_SECRET),),
        storage="1Gi",
        annotations={"bellwether.dev/backup": "sentinels find out anew who the primary is"},
        ingress=_ways(_SENTINEL_PORT, "who is the primary", "valkey", "valkey-sentinel"),
        egress=(
            *_ways(_SENTINEL_PORT, "sentinels agree", "valkey-sentinel"),
            *_ways(access.VALKEY_PORT, "watched", "valkey"),
        ),
        user=_USER,
    )


def _proxy(stack: settings.Cluster) -> workload.Workload:
    servers = "".join(
        f"  server valkey-{number} valkey-{number}.valkey:{access.VALKEY_PORT}\n"
        for number in range(1 + stack.valkey_replicas)
    )
    return workload.Workload(
        name="valkey-primary",
        image=versions.HAPROXY_IMAGE,
        command=("sh", f"{workload.CONFIGURATION}/start.sh"),
        resources=component.SMALL,
        ready=workload.Probe(_PROXY_PORT, "/ready"),
        alive=workload.Probe(_PROXY_PORT, "/ready"),
        ports={"valkey": access.VALKEY_PORT, "metrics": _PROXY_PORT},
        replicas=2,
        files={"haproxy.cfg": _PROXY + servers, "start.sh": _PROXY_START},
        mounts=(workload.Mount(access.VALKEY_FOLDER, access.VALKEY_SECRET),),
        ingress=(
            *_ways(access.VALKEY_PORT, "reads and writes", *_CLIENTS),
            *_ways(_PROXY_PORT, "scrapes", "prometheus"),
        ),
        egress=_ways(access.VALKEY_PORT, "the primary", "valkey"),
        user=_PROXY_USER,
    )
