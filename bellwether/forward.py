"""A cluster's gateway at an address of this machine, by `kubectl port-forward`, while a command runs."""

import collections.abc
import contextlib
import pathlib
import re
import shutil
import subprocess
import tempfile
import time

from bellwether import deployment
from infra.cluster import settings as cluster_settings

SERVICE = "seldon-mesh"
PLACEHOLDER = "{gateway}"
_PORT = 80
_LISTENS = re.compile(r"Forwarding from 127\.0\.0\.1:(\d+)")
_SECONDS = 30
_POLL_SECONDS = 0.05


def run(wanted: cluster_settings.Cluster, command: collections.abc.Sequence[str]) -> int:
    """Run a command with `{gateway}` replaced by the gateway's URL; give its exit status.

    Raises:
        deployment.NotReadyError: kubectl is missing, or cannot forward.

    """
    with gateway(wanted) as url:
        filled = [each.replace(PLACEHOLDER, url) for each in command]
        return subprocess.run(filled, check=False).returncode


@contextlib.contextmanager
def gateway(wanted: cluster_settings.Cluster) -> collections.abc.Iterator[str]:
    """Give the URL at which a cluster's gateway answers while the block runs; errors as `run`."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        raise deployment.NotReadyError(
            "kubectl is missing: https://kubernetes.io/docs/tasks/tools/ has it; where the gateway "
            "has an address of its own, `--against URL` needs none"
        )
    command = [kubectl, "--context", wanted.context, "--namespace", wanted.namespace]
    if wanted.kubeconfig is not None:
        command += ["--kubeconfig", str(wanted.kubeconfig.expanduser())]
    command += ["port-forward", "--address", "127.0.0.1", f"service/{SERVICE}", f":{_PORT}"]
    with tempfile.TemporaryDirectory() as folder:
        log = pathlib.Path(folder) / "log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT
            )
        try:
            yield f"http://127.0.0.1:{_port(process, log, wanted)}"
        finally:
            process.terminate()
            process.wait()


def _port(
    process: subprocess.Popen[bytes], log: pathlib.Path, wanted: cluster_settings.Cluster
) -> int:
    until = time.monotonic() + _SECONDS
    while time.monotonic() < until:
        said = log.read_text()
        if found := _LISTENS.search(said):
            return int(found[1])
        if process.poll() is not None:
            break
        time.sleep(_POLL_SECONDS)
    raise deployment.NotReadyError(
        f"the service {SERVICE} in namespace {wanted.namespace} of context {wanted.context} "
        f"cannot be reached; kubectl says: {log.read_text().strip() or 'nothing'}"
    )
