"""What each image is asked, to see that its runtime answers: a model of its own, through its port."""

import collections.abc
import contextlib
import dataclasses
import json
import math
import pathlib
import shutil
import time
import typing

import httpx

from bellwether.images import catalogue, engine
from loadtests import bandit_parts
from models import cache

PATIENCE = 120.0

Tensors = dict[str, dict[str, typing.Any]]


@dataclasses.dataclass(frozen=True, slots=True)
class Served:
    """A model that a server in an image loads."""

    name: str
    artifact: str | None = None
    """The folder under `models/` that trains it; None for one that needs no file."""
    implementation: str = ""
    extra: collections.abc.Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """What came of a trial."""

    asked: str
    answer: str
    seconds: float
    """From the container's start to the answer."""


class Inspect(typing.Protocol):
    """Looks into a container."""

    def __call__(self, container: engine.Container, *, health: bool = True) -> None:
        """Raise catalogue.ImageError if it may more than it has to, or its HEALTHCHECK fails."""


@dataclasses.dataclass(slots=True)
class Bench:
    """One image's trial: where it runs, and with what."""

    on: engine.Engine
    reference: str
    folder: pathlib.Path
    inspect: "Inspect"
    """Called with each container that serves."""

    @contextlib.contextmanager
    def container(
        self, name: str, log: str, **given: typing.Any
    ) -> collections.abc.Iterator[engine.Container]:
        """Run the image."""
        wanted = engine.Run(
            name=f"bellwether-{name}", user=catalogue.USER, log=self.folder / f"{log}.log", **given
        )
        with self.on.run(self.reference, wanted) as container:
            yield container

    @contextlib.contextmanager
    def server(
        self, models: collections.abc.Sequence[Served], **given: typing.Any
    ) -> collections.abc.Iterator["Server"]:
        """Run the image's model server over models, until all of them are ready."""
        repository = self.folder / "models"
        for model in models:
            _write(repository / model.name, model)
        http, grpc, metrics = bandit_parts.free_ports(3)
        environment = {
            "MLSERVER_HOST": "127.0.0.1",
            "MLSERVER_HTTP_PORT": str(http),
            "MLSERVER_GRPC_PORT": str(grpc),
            "MLSERVER_METRICS_PORT": str(metrics),
        }
        mounts = {repository: "/mnt/models", **given.pop("mounts", {})}
        began = time.monotonic()
        with (
            self.container(
                "server", "server", environment=environment, mounts=mounts, **given
            ) as container,
            httpx.Client(base_url=f"http://127.0.0.1:{http}", timeout=60) as client,
        ):
            for model in models:
                self.await_page(container, "server", client, f"/v2/models/{model.name}/ready")
            self.inspect(container)
            yield Server(client, began)

    def await_page(
        self, container: engine.Container, log: str, client: httpx.Client, path: str
    ) -> None:
        """Wait until a page answers 200.

        Raises:
            catalogue.ImageError: it does not, or the container ended; with the end of its log.

        """
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and container.ended() is None:
            with contextlib.suppress(httpx.TransportError):  # until it listens
                if client.get(path).is_success:
                    return
            time.sleep(0.05)  # between two probes
        ended = container.ended()
        state = "does not get ready" if ended is None else f"ended with {ended}"
        said = (self.folder / f"{log}.log").read_text(errors="replace")[-3000:]
        raise catalogue.ImageError(f"{self.reference} {state} ({path}):\n{said}")


@dataclasses.dataclass(frozen=True, slots=True)
class Server:
    """A model server in an image."""

    http: httpx.Client
    began: float

    def ask(self, model: str, tensors: Tensors) -> Tensors:
        """Send one request; give the answer's tensors by name.

        Raises:
            catalogue.ImageError: the answer is no 200.

        """
        answer = self.http.post(
            f"/v2/models/{model}/infer", json={"inputs": list(tensors.values())}
        )
        if not answer.is_success:
            raise catalogue.ImageError(
                f"{model} answers {answer.status_code}: {answer.text[:2000]}"
            )
        return {each["name"]: each for each in answer.json()["outputs"]}

    def taken(self, model: str, tensors: Tensors) -> Tensors:
        """Give those of the tensors that a model says it takes."""
        wanted = {each["name"] for each in self.http.get(f"/v2/models/{model}").json()["inputs"]}
        return {name: tensor for name, tensor in tensors.items() if name in wanted}

    def since_start(self) -> float:
        """Give the seconds since the container was started."""
        return time.monotonic() - self.began


def numbers(name: str, shape: collections.abc.Sequence[int], data: list[float]) -> Tensors:
    """Write a tensor of numbers."""
    return {name: {"name": name, "shape": list(shape), "datatype": "FP64", "data": data}}


def texts(name: str, *values: str) -> Tensors:
    """Write a tensor of texts, one row."""
    shape = [1] if len(values) == 1 else [1, len(values)]
    return {name: {"name": name, "shape": shape, "datatype": "BYTES", "data": list(values)}}


def expect(condition: object, what: str, answer: object) -> None:
    """Raise catalogue.ImageError unless an answer is as it has to be."""
    if not condition:
        raise catalogue.ImageError(f"expected {what}, got {json.dumps(answer)[:2000]}")


def trained(name: str) -> pathlib.Path:
    """Give the newest artifact of a model that was trained here.

    Raises:
        catalogue.ImageError: none was.

    """
    found = sorted(
        (cache.artifacts() / name).glob("sha256-*"), key=lambda folder: folder.stat().st_mtime
    )
    if not found:
        raise catalogue.ImageError(
            f"{name} was not trained here, and its image is tried on a trained model: "
            "`uv run bellwether train`"
        )
    return found[-1]


def _write(folder: pathlib.Path, model: Served) -> None:
    if model.artifact is None:
        folder.mkdir(parents=True)
        settings: dict[str, typing.Any] = {
            "implementation": model.implementation, "parameters": {"uri": "."},
        }  # fmt: skip
    else:
        shutil.copytree(trained(model.artifact), folder)
        settings = json.loads((folder / "model-settings.json").read_text())
    settings["name"] = model.name
    parameters = settings.setdefault("parameters", {})
    parameters["extra"] = {**(parameters.get("extra") or {}), **model.extra}
    (folder / "model-settings.json").write_text(json.dumps(settings))


def router(bench: Bench) -> Answer:
    """A volatile market has to take the branch `robust`, and no other."""
    history = [move for day in range(60) for move in (0.04 * (-1) ** day, 0.0, 0.0)]
    served = Served("regime-router", None, "runtimes.router.runtime.Router", {"history_days": "60"})
    with bench.server([served]) as server:
        answer = server.ask("regime-router", numbers("history", (1, 60, 3), history))
        found = {"robust", "aggressive", "conservative", "baseline"} & set(answer)
        expect(found == {"robust"}, "the branch robust alone", answer)
        volatility = answer["market_volatility"]["data"][0]
        expect(math.isclose(volatility, 0.04 * math.sqrt(252), rel_tol=0.05), "4 % a day", answer)
        return Answer(
            "regime-router, days of 4 %", answer["robust"]["data"][0], server.since_start()
        )
