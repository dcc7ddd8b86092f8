"""MLServer in one process, with what Seldon's agent does around it.

Run it with `python -m infra.local.model_server CONFIG.json`,
see `infra.local.mesh.settings.ModelServerSettings`.

- The header `seldon-internal-model` says which model a request is for, whatever its path says.
- A model's failure is told as MLServer's worker processes tell it: `builtins.ValueError: …`.
- A model that cannot be loaded is told with its reason, and does not stop the others.
- Nothing but models, pipelines and health is reachable through the gateway.
- Pipelines are executed here, see `infra.local.dataflow`. What the mesh tells about them is read
  at the start, and on `POST /mesh/dataflow`.
"""

import asyncio
import contextlib
import gc
import json
import logging
import signal
import sys
import time
import types
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import fastapi
import pydantic
import uvicorn
import uvloop
from grpc import StatusCode, aio
from mlserver import context as model_context
from mlserver.batching import load_batching
from mlserver.errors import MLServerError, ModelNotReady
from mlserver.grpc.dataplane_pb2_grpc import add_GRPCInferenceServiceServicer_to_server
from mlserver.grpc.interceptors import PromServerInterceptor
from mlserver.grpc.model_repository import ModelRepositoryServicer
from mlserver.grpc.model_repository_pb2_grpc import add_ModelRepositoryServiceServicer_to_server
from mlserver.grpc.servicers import InferenceServicer
from mlserver.handlers import DataPlane, ModelRepositoryHandlers
from mlserver.logging import configure_logger
from mlserver.metrics import MetricsServer
from mlserver.model import MLModel
from mlserver.parallel.errors import WorkerError
from mlserver.registry import MultiModelRegistry
from mlserver.repository.repository import ModelRepository
from mlserver.rest import RESTServer
from mlserver.settings import ModelSettings, Settings

from infra.local.dataflow import metrics as pipeline_metrics
from infra.local.dataflow.broker import TopicKeeper
from infra.local.dataflow.executor import Executor
from infra.local.dataflow.outbox import Outbox
from infra.local.dataflow.rest import RestPipelines
from infra.local.dataflow.rpc import RpcPipelines
from infra.local.dataflow.serving import SUFFIX, Models, Pipelines
from infra.local.mesh import dataflow, envoy
from infra.local.mesh import settings as mesh_settings
from infra.local.mesh.artifacts import SETTINGS_FILE
from infra.local.mesh.gateway_requests import GatewayRequests
from runtimes.predictor import client_errors, lean_lightgbm

logger = logging.getLogger(__name__)

ARGUMENTS = 2
SETTLED_SECONDS = 2
"""How long after a model was loaded the loading counts as over."""

COLLECTED_EVERY = (20_000, 20, 20)
"""Python's thresholds (objects, then collections) for its collector: a request makes thousands of
objects, and hardly a cycle."""

GRACE_SECONDS = 5
"""How long requests may take to finish when the server is told to stop."""

DRAIN_SECONDS = 60.0
"""How long a drain waits where the caller says nothing."""

MAX_COUNTED = 10_000
"""How many models' metrics are kept at hand."""

Listing = list[ModelSettings]


class _Metadatum(NamedTuple):
    """A pair as gRPC gives it, and as MLServer reads it."""

    key: str
    value: str


class LoadFailed(MLServerError):  # type: ignore[misc] # noqa: N818 - untyped; named as MLServer's
    """A model could not be loaded, with the reason."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"model {name} could not be loaded: {reason}", 500)


class Repository(ModelRepository):  # type: ignore[misc] # MLServer is not typed
    """The folders that the mesh writes, one a model version."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def list(self) -> Listing:
        """Read the settings of all models, without those that cannot be read."""
        found = []
        for path in sorted(self._root.glob(f"*/{SETTINGS_FILE}")):
            try:
                found.append(model_settings(path))
            except Exception:  # one model's settings must not hide the others
                logger.exception("%s cannot be read", path)
        return found

    async def find(self, name: str) -> Listing:
        """Read the settings of one model."""
        return [model_settings(self._root / name / SETTINGS_FILE)]


class Plane(DataPlane):  # type: ignore[misc] # MLServer is not typed
    """Inference, with failures told as MLServer's worker processes tell them."""

    def __init__(self, settings: Settings, registry: MultiModelRegistry) -> None:
        super().__init__(settings=settings, model_registry=registry)
        self.loaded_repository = False
        self._counts: dict[tuple[str, str | None], tuple[Any, Any, Any]] = {}

    async def ready(self) -> bool:
        """Say whether what lay in the repository at the start has been loaded.

        A model that is being loaded makes the others no less ready; each has a readiness of its own.
        """
        return self.loaded_repository

    def counts(self, name: str, version: str | None) -> tuple[Any, Any, Any]:
        """Give MLServer's own metrics of a model: durations, failures, successes."""
        found = self._counts.get((name, version))
        if found is None:
            labels = {"model": name, "version": version}
            found = (
                self._ModelInferRequestDuration.labels(**labels),
                self._ModelInferRequestFailure.labels(**labels),
                self._ModelInferRequestSuccess.labels(**labels),
            )
            if len(self._counts) >= MAX_COUNTED:  # a caller can ask for any name
                self._counts.clear()
            self._counts[name, version] = found
        return found

    async def model(self, name: str, version: str | None) -> MLModel:
        """Give a model that can answer. Raises MLServer's errors."""
        model = await self._model_registry.get_model(name, version)
        if not model.ready:
            raise ModelNotReady(name, version)
        return model

    def around(self, name: str, version: str | None = None) -> "_Inference":
        """Do what MLServer does around a call of a model, in a block that is given the model."""
        return _Inference(self, name, version)

    def _infer_contextmanager(self, name: str, version: str | None = None) -> "_Inference":
        return self.around(name, version)


class _Inference:
    """What MLServer does around a call of a model, in a third of its time.

    MLServer nests two generators and looks three metrics up by their labels for each call;
    a pipeline makes eight calls a request.
    """

    def __init__(self, plane: Plane, name: str, version: str | None) -> None:
        self._plane = plane
        self._name = name
        self._version = version

    async def __aenter__(self) -> MLModel:
        self._began = time.perf_counter()
        self._duration, self._failures, self._successes = self._plane.counts(
            self._name, self._version
        )
        try:
            model = await self._plane.model(self._name, self._version)
        except Exception:
            self._duration.observe(time.perf_counter() - self._began)
            self._failures.inc()
            raise
        settings = model.settings
        self._tokens = (
            model_context.model_name_var.set(settings.name),
            model_context.model_version_var.set(settings.version or ""),
        )
        return model

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: types.TracebackType | None,
    ) -> None:
        del kind, traceback
        model_context.model_name_var.reset(self._tokens[0])
        model_context.model_version_var.reset(self._tokens[1])
        self._duration.observe(time.perf_counter() - self._began)
        if error is None:
            self._successes.inc()
        elif isinstance(error, Exception):
            self._failures.inc()
            raise WorkerError(error) from error


class Garbage:
    """Keeps Python's collector of cycles away from what stays.

    Libraries and models are hundreds of thousands of objects: going through them takes 150 ms,
    during which nobody is answered, and Python does so every few thousand requests.
    What is there a moment after models were loaded is collected once, and left alone from then on.
    Until then nothing is collected: a fifth of the start went into it.
    """

    def __init__(self) -> None:
        self._timer: asyncio.TimerHandle | None = None

    def loaded(self) -> None:
        """Take that a model was loaded; perhaps others follow at once."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(SETTLED_SECONDS, self._settle)

    def _settle(self) -> None:
        gc.set_threshold(*COLLECTED_EVERY)
        gc.enable()
        gc.unfreeze()  # a model that was replaced since may be among it
        gc.collect()
        gc.freeze()


class Handlers(ModelRepositoryHandlers):  # type: ignore[misc] # MLServer is not typed
    """The repository API, with reasons for failures."""

    garbage = Garbage()

    async def load(self, name: str) -> bool:
        """Load a model. Raises `LoadFailed` with the reason."""
        try:
            await super().load(name)
            model = await self._model_registry.get_model(name)
        except Exception as error:
            kind = f"{type(error).__module__}.{type(error).__qualname__}"
            raise LoadFailed(name, f"{kind}: {error}") from error
        if not model.ready:
            await self._model_registry.unload(name)
            raise LoadFailed(name, "its load() did not return True")
        self.garbage.loaded()
        return True


class _Uvicorn(uvicorn.Server):  # type: ignore[misc] # uvicorn is not installed where types are checked
    """A server among others in its process, which leaves signals to the process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Rest(RESTServer):  # type: ignore[misc] # MLServer is not typed
    """MLServer's REST server behind `GatewayRequests`."""

    def __init__(
        self,
        own: mesh_settings.ModelServerSettings,
        settings: Settings,
        plane: Plane,
        handlers: Handlers,
        pipelines: Pipelines,
    ) -> None:
        super().__init__(settings, plane, handlers)
        self._own = own
        app = GatewayRequests(self._app, own.max_request_bytes, RestPipelines(pipelines))
        self._servers = (
            self._configured(app, host=settings.host, port=settings.http_port),
            self._configured(app, uds=str(own.socket), lifespan="off"),
        )

    async def start(self) -> None:
        """Serve at the port, and at the gateway's socket, until stopped."""
        self._own.socket.unlink(missing_ok=True)  # what a killed process left behind
        async with asyncio.TaskGroup() as group:
            for server in self._servers:
                group.create_task(server.serve())

    def route(self, path: str, answer: Callable[..., Any]) -> None:
        """Answer `POST path`, for this machine only: the gateway does not lead there."""
        self._app.add_api_route(path, answer, methods=["POST"])

    async def stop(self, sig: int | None = None) -> None:
        """Finish what is running, and stop."""
        del sig
        for server in self._servers:
            server.should_exit = True

    def _configured(self, app: GatewayRequests, **where: Any) -> _Uvicorn:
        config = uvicorn.Config(
            app,
            **where,
            access_log=False,
            log_level="warning",
            server_header=False,
            date_header=False,
            timeout_keep_alive=self._own.keep_alive,
            timeout_graceful_shutdown=GRACE_SECONDS,
            backlog=2048,
        )
        return _Uvicorn(config)


class Metrics(MetricsServer):  # type: ignore[misc] # MLServer is not typed
    """MLServer's metrics."""

    async def start(self) -> None:
        """Serve until stopped."""
        self._server = _Uvicorn(self._get_config())
        await self._server.serve()

    async def stop(self, sig: int | None = None) -> None:
        """Stop."""
        del sig
        self._server.should_exit = True


class Servicer(InferenceServicer):  # type: ignore[misc] # MLServer is not typed
    """gRPC inference: the model that the gateway names, and the request's id in the trailers."""

    def __init__(self, plane: Plane, handlers: Handlers, pipelines: RpcPipelines) -> None:
        super().__init__(plane, handlers)
        self._pipelines = pipelines

    async def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        """Answer one inference request."""
        internal = _begin(context)
        if internal.endswith(SUFFIX):
            return await self._pipelines.infer(internal, request, context)
        if internal:
            request.model_name, request.model_version = internal, ""
        return await super().ModelInfer(request, context)

    async def ModelStreamInfer(  # noqa: N802 - gRPC's name
        self, requests_stream: AsyncIterator[Any], context: Any
    ) -> AsyncIterator[Any]:
        """Answer a stream of inference requests."""
        internal = _begin(context)
        if internal.endswith(SUFFIX):
            await context.abort(
                StatusCode.UNIMPLEMENTED, "pipelines take single requests: call ModelInfer"
            )

        async def renamed() -> AsyncIterator[Any]:
            async for request in requests_stream:
                if internal:
                    request.model_name, request.model_version = internal, ""
                yield request

        async for response in super().ModelStreamInfer(renamed(), context):
            yield response

    async def ModelMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        """Describe a model."""
        internal = _begin(context)
        if internal.endswith(SUFFIX):
            return await self._pipelines.metadata(internal, context)
        if internal:
            request.name, request.version = internal, ""
        return await super().ModelMetadata(request, context)

    async def ModelReady(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        """Say whether a model can answer."""
        internal = _begin(context)
        if internal.endswith(SUFFIX):
            return await self._pipelines.ready(internal)
        if internal:
            request.name, request.version = internal, ""
        try:
            return await super().ModelReady(request, context)
        except MLServerError as error:
            await context.abort(StatusCode.NOT_FOUND, str(error))

    async def RepositoryIndex(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        """List the repository, for this machine only."""
        await _refuse_through_gateway(context)
        return await super().RepositoryIndex(request, context)

    async def RepositoryModelLoad(  # noqa: N802 - gRPC's name
        self, request: Any, context: Any
    ) -> Any:
        """Load a model, for this machine only."""
        await _refuse_through_gateway(context)
        return await super().RepositoryModelLoad(request, context)

    async def RepositoryModelUnload(  # noqa: N802 - gRPC's name
        self, request: Any, context: Any
    ) -> Any:
        """Unload a model, for this machine only."""
        await _refuse_through_gateway(context)
        return await super().RepositoryModelUnload(request, context)

    def _SetTrailingMetadata(self, result: Any, context: Any) -> None:  # noqa: N802 - overrides
        before = context.trailing_metadata()
        super()._SetTrailingMetadata(result, context)
        context.set_trailing_metadata((*before, *context.trailing_metadata()))


class Grpc:
    """MLServer's gRPC services."""

    def __init__(
        self, settings: Settings, plane: Plane, handlers: Handlers, pipelines: Pipelines
    ) -> None:
        limit = settings.grpc_max_message_length
        self._server = aio.server(
            interceptors=[PromServerInterceptor(enable_handling_time_histogram=True)],
            options=[
                ("grpc.max_send_message_length", limit),
                ("grpc.max_receive_message_length", limit),
            ],
        )
        servicer = Servicer(plane, handlers, RpcPipelines(pipelines))
        add_GRPCInferenceServiceServicer_to_server(servicer, self._server)
        add_ModelRepositoryServiceServicer_to_server(
            ModelRepositoryServicer(handlers), self._server
        )
        self._address = f"{settings.host}:{settings.grpc_port}"

    async def start(self) -> None:
        """Serve until stopped."""
        if not self._server.add_insecure_port(self._address):
            raise OSError(f"{self._address} is taken")
        await self._server.start()
        await self._server.wait_for_termination()

    async def stop(self) -> None:
        """Finish what is running, and stop."""
        await self._server.stop(grace=GRACE_SECONDS)


class ModelServer:
    """MLServer's parts, put together for one process."""

    def __init__(self, own: mesh_settings.ModelServerSettings) -> None:
        limit = own.max_request_bytes
        self._settings = Settings(
            debug=False,
            host=mesh_settings.HOST,
            http_port=own.ports.mlserver_http,
            grpc_port=own.ports.mlserver_grpc,
            metrics_port=own.ports.mlserver_metrics,
            grpc_max_message_length=limit,
            server_name=own.server_name,
            parallel_workers=0,
            # Compressing answers costs more than sending them on one machine.
            gzip_enabled=False,
            model_repository_root=str(own.repository),
        )
        configure_logger(self._settings)
        self._repository = Repository(own.repository)
        registry = MultiModelRegistry(
            on_model_load=[self._add_handlers, load_batching],
            on_model_reload=[self._replace_handlers],
            on_model_unload=[self._remove_handlers],
        )
        self._plane = Plane(self._settings, registry)
        self._handlers = Handlers(repository=self._repository, model_registry=registry)
        self._outbox, self._topics = _publishing(own)
        self._executor = Executor(
            Models(self._plane),
            own.namespace,
            pipeline_metrics,
            self._outbox.take if self._outbox is not None else None,
        )
        pipelines = Pipelines(self._executor, self._plane)
        self._document = dataflow.path_of(own.repository)
        self._rest = Rest(own, self._settings, self._plane, self._handlers, pipelines)
        self._rest.route(dataflow.RELOAD_PATH, self._reload)
        self._rest.route(dataflow.DRAIN_PATH + "/{internal_name}", self._drain)
        self._grpc = Grpc(self._settings, self._plane, self._handlers, pipelines)
        self._metrics = Metrics(self._settings)

    async def serve(self) -> None:
        """Serve until told to stop; load what the repository holds first."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT):
            loop.add_signal_handler(number, lambda: loop.create_task(self.stop()))
        try:
            self._act_on_document()
        except (OSError, ValueError):
            # The mesh writes another and says so; models are served all the same.
            logger.exception("%s cannot be acted on", self._document)
        keeper = asyncio.create_task(self._topics.keep()) if self._topics is not None else None
        if self._outbox is not None:
            self._outbox.start()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._rest.start())
                group.create_task(self._grpc.start())
                group.create_task(self._metrics.start())
                group.create_task(self._load_repository())
        finally:
            if keeper is not None:
                keeper.cancel()
            if self._outbox is not None:
                left = await self._outbox.close()
                logger.info("%d records of pipelines were not published", left)

    async def stop(self) -> None:
        """Finish what is running, and stop."""
        await self._grpc.stop()
        await self._rest.stop()
        await self._metrics.stop()

    def _act_on_document(self) -> dataflow.Document:
        """Execute what the mesh has written. Raises `OSError`, `ValueError`."""
        try:
            content = self._document.read_bytes()
        except FileNotFoundError:
            document = dataflow.Document()
        else:
            document = dataflow.Document.model_validate_json(content)
        self._executor.act_on(document)
        if self._topics is not None:
            self._topics.want(self._executor.topics())
        return document

    async def _reload(self) -> fastapi.Response:
        """Act on the document as it is now; answered once it acts."""
        try:
            document = self._act_on_document()
        except pydantic.ValidationError as error:
            lines = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
            return _told(422, {"error": f"{self._document}: {'; '.join(lines)}"})
        except (OSError, ValueError) as error:
            return _told(422, {"error": f"{self._document}: {error}"})
        return _told(200, {"pipelines": [each.name for each in document.pipelines]})

    async def _drain(self, internal_name: str, timeout: float = DRAIN_SECONDS) -> fastapi.Response:  # noqa: ASYNC109 - a query parameter of that name
        """Answer when no call of a pipeline is at a model version, or after `timeout` seconds."""
        try:
            async with asyncio.timeout(timeout):
                await self._executor.drained(internal_name)
        except TimeoutError:
            count = self._executor.at(internal_name)
            error = f"{count} calls of pipelines are still at {internal_name} after {timeout:g} s"
            return _told(504, {"error": error, "calls": count})
        return _told(200, {"calls": 0})

    async def _load_repository(self) -> None:
        for settings in await self._repository.list():
            try:
                await self._handlers.load(settings.name)
            except LoadFailed:
                logger.exception("loading at start")
        self._plane.loaded_repository = True
        self._handlers.garbage.loaded()  # there may be no model

    async def _add_handlers(self, model: MLModel) -> MLModel:
        return await self._rest.add_custom_handlers(model)

    async def _remove_handlers(self, model: MLModel) -> MLModel:
        return await self._rest.delete_custom_handlers(model)

    async def _replace_handlers(self, old: MLModel, new: MLModel) -> MLModel:
        await self._rest.add_custom_handlers(new)
        await self._rest.delete_custom_handlers(old)
        return new


def _publishing(
    own: mesh_settings.ModelServerSettings,
) -> tuple[Outbox | None, TopicKeeper | None]:
    if own.kafka is None:
        return None, None
    return Outbox(own.kafka), TopicKeeper(own.kafka, own.kafka_partitions)


def _told(status: int, content: dict[str, Any]) -> fastapi.Response:
    return fastapi.responses.JSONResponse(content, status)


def model_settings(path: Path) -> ModelSettings:
    """Read a model's settings as the mesh wrote them.

    Code that lies beside the artifact is imported from there, as MLServer does,
    which reloads it each time; a runtime that is installed is imported once.
    """
    document = json.loads(path.read_bytes())
    artifact = Path(document.pop("_artifact"))
    root = str(document["implementation"]).partition(".")[0]
    if (artifact / f"{root}.py").exists() or (artifact / root).is_dir():
        document["_source"] = str(artifact / SETTINGS_FILE)
    return ModelSettings.model_validate(document)


def _begin(context: Any) -> str:
    """Read which model the gateway names, and send the request's id back."""
    internal = ""
    for key, value in context.invocation_metadata():
        if key == envoy.INTERNAL_HEADER:
            internal = value
        elif key == "x-request-id":
            context.set_trailing_metadata((_Metadatum(key, value),))
    return internal


async def _refuse_through_gateway(context: Any) -> None:
    if any(key == envoy.INTERNAL_HEADER for key, _ in context.invocation_metadata()):
        await context.abort(StatusCode.UNIMPLEMENTED, "not reachable through the gateway")


def main(arguments: list[str]) -> int:
    """Read the settings and serve."""
    if len(arguments) != ARGUMENTS:
        sys.stderr.write("usage: python -m infra.local.model_server CONFIG.json\n")
        return 2
    own = mesh_settings.read(mesh_settings.ModelServerSettings, Path(arguments[1]))
    own.repository.mkdir(parents=True, exist_ok=True)
    gc.disable()  # until `Garbage` enables it
    lean_lightgbm.import_lean()
    # A runtime of ours installs these as well; here they hold before the first model, and for any.
    client_errors.install()

    async def run() -> None:
        await ModelServer(own).serve()

    uvloop.run(run())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
