"""What the mesh, the model server and Envoy are told: one file each, JSON."""

from pathlib import Path
from typing import Annotated, TypeVar

import pydantic

from infra import paths

HOST = "127.0.0.1"
"""Everything listens here and nowhere else."""

MEBIBYTE = 2**20

Port = Annotated[int, pydantic.Field(ge=1, le=65535)]


class _Frozen(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class Ports(_Frozen):
    """Where each part listens."""

    gateway: Port = 9000
    envoy_admin: Port = 9003
    mlserver_http: Port = 9010
    mlserver_grpc: Port = 9011
    mlserver_metrics: Port = 9012
    mesh: Port = 9020


class Settings(_Frozen):
    """What the mesh needs to know. Times in seconds, sizes in bytes."""

    state_dir: Path
    """Absolute; everything that the mesh keeps lies below it."""

    ports: Ports = Ports()
    namespace: str = "bellwether"
    capabilities: tuple[str, ...] = ("mlserver", "python")
    """What the built-in server can run, and what a Server object with
    `serverConfig: mlserver` can run before its own `extraCapabilities`."""

    max_request_bytes: int = pydantic.Field(16 * MEBIBYTE, ge=1024, le=2**30)
    """Largest body of an inference request."""

    max_object_bytes: int = pydantic.Field(MEBIBYTE, ge=1024)
    """Largest body of a request to the mesh's own API."""

    request_timeout: float = pydantic.Field(60.0, gt=0)
    """How long an inference may take before Envoy answers 504."""

    load_timeout: float = pydantic.Field(120.0, gt=0)
    """How long MLServer may take to load one model."""

    drain_timeout: float = pydantic.Field(60.0, gt=0)
    """How long an old version may finish its requests before it is unloaded all the same."""

    @pydantic.field_validator("state_dir")
    @classmethod
    def _absolute(cls, path: Path) -> Path:
        if not path.is_absolute():
            raise ValueError(f"{path} must be absolute: processes start in different directories")
        return path

    @property
    def database(self) -> Path:
        """Where objects are kept."""
        return self.state_dir / "mesh.sqlite3"

    @property
    def repository(self) -> Path:
        """MLServer's model repository, a folder a model version."""
        return self.state_dir / "repository"

    @property
    def socket(self) -> Path:
        """Where MLServer's REST listens for the gateway: a Unix socket costs less than a port."""
        return socket_of(self.repository)

    @property
    def bootstrap(self) -> Path:
        """What Envoy is started with."""
        return self.state_dir / "envoy" / "bootstrap.json"

    @property
    def clusters(self) -> Path:
        """Envoy's clusters. Alone in its folder, because Envoy watches the folder."""
        return self.state_dir / "envoy" / "clusters" / "clusters.json"

    @property
    def routes(self) -> Path:
        """Envoy's routes. Alone in its folder, because Envoy watches the folder."""
        return self.state_dir / "envoy" / "routes" / "routes.json"


def socket_of(repository: Path) -> Path:
    """Give the Unix socket of the MLServer that serves a repository."""
    return paths.socket(repository.with_name("model-server.sock"))


class ModelServerSettings(_Frozen):
    """What the model server needs to know. Times in seconds, sizes in bytes."""

    repository: Path
    """The same folder as the mesh's `Settings.repository`."""

    ports: Ports = Ports()
    server_name: str = "mlserver"
    max_request_bytes: int = pydantic.Field(16 * MEBIBYTE, ge=1024, le=2**30)
    keep_alive: float = pydantic.Field(75.0, gt=0)
    """How long an idle connection stays open;
    longer than Envoy's, or Envoy sends into a connection that is being closed."""

    namespace: str = "bellwether"
    """The mesh's; part of the names of Seldon's topics."""

    kafka: str | None = None
    """The broker's address, where pipelines' messages are published; without, nothing is."""

    kafka_partitions: int = pydantic.Field(1, ge=1)
    """Partitions of the pipelines' topics that are made: of all alike, as Seldon needs it."""

    @property
    def socket(self) -> Path:
        """Where REST listens for the gateway, beside the port that is for everybody."""
        return socket_of(self.repository)


_Model = TypeVar("_Model", bound=_Frozen)


def read(kind: type[_Model], path: Path) -> _Model:
    """Read a settings file.

    Raises `SystemExit` with a sentence for a person if it is missing or wrong.
    """
    try:
        return kind.model_validate_json(path.read_bytes())
    except OSError as error:
        raise SystemExit(f"{path}: cannot be read: {error.strerror}") from error
    except pydantic.ValidationError as error:
        lines = (
            f"  {'.'.join(str(step) for step in line['loc']) or 'the file'}: {line['msg']}"
            for line in error.errors(include_url=False)
        )
        raise SystemExit("\n".join((f"{path}: not valid {kind.__name__}:", *lines))) from error
