"""Where the environment under test is, and how a request to it is addressed."""

import dataclasses
import re
import urllib.parse


class LoadTestError(Exception):
    """A load test or a benchmark cannot run; the message says why, and what to do."""


@dataclasses.dataclass(frozen=True, slots=True)
class Endpoints:
    """The addresses of one environment, as base URLs."""

    gateway: str
    """Envoy: where predictions are asked for."""
    mesh: str
    """The Kubernetes paths of the Seldon objects."""
    model_server: str
    """MLServer's REST port, behind the gateway."""
    namespace: str
    """The namespace of the Seldon objects."""


@dataclasses.dataclass(frozen=True, slots=True)
class Address:
    """A host and a port that speak plain HTTP."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def address(url: str) -> Address:
    """Take a base URL apart; raises `LoadTestError` for one that is not plain HTTP."""
    parts = urllib.parse.urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = -1
    if parts.scheme != "http" or not parts.hostname or port == -1:
        raise LoadTestError(
            f"{url!r} is not the address of a plain HTTP server; expected http://host:port"
        )
    return Address(parts.hostname, port or 80)


@dataclasses.dataclass(frozen=True, slots=True)
class Arm:
    """The model that answered: what `x-seldon-route` names, `:<model>_<version>:`."""

    model: str
    version: str

    @property
    def internal_name(self) -> str:
        """The model's name inside MLServer."""
        return f"{self.model}_{self.version}"


_ROUTE = re.compile(r":(?P<model>[a-z0-9-]+)_(?P<version>\d+):")


def arm(route: str | None) -> Arm | None:
    """Read the first arm that an `x-seldon-route` header names, None if it names none."""
    match = _ROUTE.search(route or "")
    return Arm(match["model"], match["version"]) if match else None


def model_header(name: str) -> dict[str, str]:
    """Return the header that asks for a model."""
    return {"seldon-model": name}


def experiment_header(name: str) -> dict[str, str]:
    """Return the header that asks for an experiment; its path alone is a 404 in Seldon."""
    return {"seldon-model": f"{name}.experiment"}


def pipeline_header(name: str) -> dict[str, str]:
    """Return the header that asks for a pipeline."""
    return {"seldon-model": f"{name}.pipeline"}


def infer_path(name: str) -> str:
    """Return the path of an inference request."""
    return f"/v2/models/{name}/infer"
