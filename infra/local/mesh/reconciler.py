"""Brings MLServer and Envoy to what is declared, and says how far that is.

A change of weights is one write of the routes, done at once.
A model goes through these steps, so that no request fails on the way:
load the new version; let Envoy know its clusters; switch the routes, and the pipelines;
wait until the old version has answered what it was asked; unload it; remove its clusters.
A pipeline is executed by the model server before Envoy has a route to it,
and until Envoy has no request for it any more.
"""

import asyncio
import contextlib
import logging
from typing import Any

from infra import seldon
from infra.local.mesh import artifacts, dataflow, envoy, pipelines, plan, validation
from infra.local.mesh.conditions import Conditions
from infra.local.mesh.envoy import ModelVersion, ServedPipeline
from infra.local.mesh.executor import Executor
from infra.local.mesh.gateway import Gateway, RejectedError
from infra.local.mesh.model_server_client import ModelServerClient
from infra.local.mesh.model_server_errors import LoadError, ModelServerGoneError, ReloadError
from infra.local.mesh.objects import Objects, Stored
from infra.local.mesh.settings import HOST, Settings
from infra.local.mesh.state import Leaving, Problem, Routed, State
from infra.local.mesh.statuses import Statuses
from infra.local.mesh.store import Store, VersionRecord

logger = logging.getLogger(__name__)

_FIRST_RETRY_SECONDS = 2.0
_LAST_RETRY_SECONDS = 300.0
_ROUTED_SECONDS = 0.5
_FATAL_GROWTH = 30
"""A model that may kill MLServer is tried again soon once, in case it did not, and then rarely."""


class Reconciler:
    """Follows the objects. Not for use from several threads."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        objects: Objects,
        gateway: Gateway,
        model_server: ModelServerClient,
    ) -> None:
        self._settings = settings
        self._store = store
        self._objects = objects
        self._gateway = gateway
        self._model_server = model_server
        self._conditions = Conditions()
        self._state = State(store.versions())
        # What was live before a restart counts as loaded until MLServer says otherwise.
        self._state.loaded = {each.version for each in self._state.records if each.live}
        self._state.executed = {
            name: pipelines.whole(each) for name, each in objects.pipelines.items()
        }
        self._state.reachable = set(self._state.executed)
        self._executor = Executor(settings.repository, model_server, self._executing)
        address = f"{HOST}:{settings.ports.mlserver_http}"
        self._statuses = Statuses(self._state, self._conditions, address)
        self._retries: dict[str, asyncio.TimerHandle] = {}
        self._delays: dict[str, float] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._dirty: set[str] = set()
        self._confirming: asyncio.Task[None] | None = None
        self._departures: set[asyncio.Task[None]] = set()

    @property
    def server_up(self) -> bool:
        """Whether MLServer is there and has loaded its repository."""
        return self._state.server_up

    def start(self) -> None:
        """Write Envoy's documents from what is remembered, and begin."""
        self._gateway.write_bootstrap()
        self._write_clusters()
        version = self._write_routes()
        self._state.live_since = dict.fromkeys(self._state.live(), version)
        self._state.reachable_since = dict.fromkeys(self._state.reachable, version)

    async def run(self) -> None:
        """Keep MLServer as declared, for ever."""
        while True:
            presence = await self._model_server.started()
            try:
                ready = await self._model_server.ready_models()
            except ModelServerGoneError:
                continue
            self._state.loaded = {
                record.version
                for record in self._state.records
                if record.version.internal_name in ready
            }
            self._state.server_up = True
            self._executor.restarted()
            logger.info("MLServer is up with %d models", len(self._state.loaded))
            for model in {
                *self._objects.models,
                *(each.version.model for each in self._state.records),
            }:
                problem = self._state.problems.get(model)
                if problem is None or not problem.fatal:
                    self._delays.pop(model, None)
                    self._wake(model)
            await presence.ended()
            self._state.server_up = False
            logger.warning("MLServer is gone, waiting for it to come back")

    def changed(self, resource: Stored) -> None:
        """Act on an object that is new or different."""
        if isinstance(resource, seldon.Model):
            self._delays.pop(resource.metadata.name, None)
            self._wake(resource.metadata.name)
        elif isinstance(resource, seldon.Experiment):
            self._write_routes()
        elif isinstance(resource, seldon.Pipeline):
            self._state.leaving.pop(resource.metadata.name, None)
            self._write_routes()
        else:
            self._servers_changed()

    def removed(self, resource: Stored) -> None:
        """Act on an object that is gone."""
        self._conditions.forget(resource.metadata.uid or "")
        if isinstance(resource, seldon.Model):
            self._state.problems.pop(resource.metadata.name, None)
            self._take_off(resource.metadata.name)
            self._wake(resource.metadata.name)
        elif isinstance(resource, seldon.Experiment):
            self._write_routes()
        elif isinstance(resource, seldon.Pipeline):
            self._leave(resource)
        else:
            self._servers_changed()

    async def routed(self) -> None:
        """Wait until pipelines and routes act, but not for long: the others may be busy or away."""
        with contextlib.suppress(TimeoutError, ReloadError):
            async with asyncio.timeout(_ROUTED_SECONDS):
                await self._executor.acts()
                if self._confirming is not None:
                    await asyncio.shield(self._confirming)

    def status(self, resource: Stored) -> dict[str, Any]:
        """Write an object's status, as Seldon's custom resource has it."""
        acting = self._gateway.routes_acting
        if isinstance(resource, seldon.Model):
            server = next(iter(self._objects.servers), "")
            return self._statuses.model(resource, acting, server)
        if isinstance(resource, seldon.Experiment):
            return self._statuses.experiment(resource, acting, self._live())
        if isinstance(resource, seldon.Pipeline):
            return self._statuses.pipeline(
                resource, acting, self._objects.pipelines, self._executor.problem
            )
        return self._statuses.server(resource)

    def ready_by_model(self) -> dict[str, bool]:
        """Say of every declared model whether it serves what is declared."""
        acting = self._gateway.routes_acting
        return {
            name: self._statuses.model_standing(model, acting)[0]
            for name, model in self._objects.models.items()
        }

    def ready_by_pipeline(self) -> dict[str, bool]:
        """Say of every declared pipeline whether it is executed as declared, and can be."""
        ready = {}
        for name, pipeline in self._objects.pipelines.items():
            conditions = self.status(pipeline)["conditions"]
            ready[name] = all(each["status"] == "True" for each in conditions)
        return ready

    # What follows writes what Envoy and the executor of pipelines read.

    def _live(self) -> plan.Live:
        return plan.Live(
            self._state.live(),
            {
                name: ServedPipeline(name)
                for name in self._objects.pipelines
                if name in self._state.reachable
            },
        )

    def _write_clusters(self) -> int:
        versions = (
            record.version
            for record in self._state.records
            if record.live or record.version in self._state.loaded
        )
        return self._gateway.write_clusters((*versions, *map(ServedPipeline, self._state.executed)))

    def _write_document(self, live: plan.Live) -> None:
        objects = self._objects
        document = plan.document(
            objects.pipelines.values(), self._state.leaving, live, objects.experiments.values()
        )
        self._executor.write(document, up=self._state.server_up)

    async def _executing(self, document: dataflow.Document) -> None:
        """Lead the routes to pipelines that the model server has begun to execute."""
        state = self._state
        state.executed = {each.name: each for each in document.pipelines}
        clusters = self._write_clusters()
        if not state.reachable.issuperset(state.executed):
            try:
                await self._gateway.clusters_act(clusters)
            except RejectedError as error:
                logger.exception("clusters refused")
                state.routes_problem = str(error)
                return
        for name, pipeline in self._objects.pipelines.items():
            # A pipeline that changes in place keeps its route; one that is new gets it now.
            if state.executed.get(name) == pipelines.whole(pipeline):
                state.reachable.add(name)
        version = self._write_routes()
        for name in state.reachable & set(self._objects.pipelines):
            state.reachable_since.setdefault(name, version)

    def _leave(self, pipeline: seldon.Pipeline) -> None:
        """Take a pipeline's route away, and have it executed until its last request is answered."""
        name, state = pipeline.metadata.name, self._state
        alone = plan.document((pipeline,), {}, self._live(), self._objects.experiments.values())
        leaving = Leaving(pipelines.whole(pipeline), alone.models)
        state.leaving[name] = leaving
        state.reachable.discard(name)
        state.reachable_since.pop(name, None)
        task = asyncio.create_task(self._depart(name, leaving, self._write_routes()))
        self._departures.add(task)
        task.add_done_callback(self._departures.discard)

    async def _depart(self, name: str, leaving: Leaving, version: int) -> None:
        try:
            async with asyncio.timeout(self._settings.drain_timeout):
                await self._gateway.routes_act(version)
                await self._gateway.drained(ServedPipeline(name))
        except TimeoutError:
            logger.warning("pipeline %s may still have requests and is removed all the same", name)
        except RejectedError:
            logger.exception("routes refused")
        finally:
            if self._state.leaving.get(name) is leaving:
                del self._state.leaving[name]
                self._write_document(self._live())

    async def _departed(self, version: ModelVersion) -> None:
        """Wait until no pipeline that is on its way out needs a model version."""
        while any(each.needs(version) for each in self._state.leaving.values()):
            await asyncio.wait(self._departures, return_when=asyncio.FIRST_COMPLETED)

    def _write_routes(self) -> int:
        settings, live = self._settings, self._live()
        experiments = self._objects.experiments
        self._write_document(live)
        routing = envoy.Routing(
            plan.targets(live, experiments.values()),
            settings.max_request_bytes,
            settings.request_timeout,
        )
        before = self._gateway.routes_version
        version = self._gateway.write_routes(routing)
        if version != before:
            self._confirm()
        acting = self._gateway.routes_acting
        routed: dict[str, Routed] = {}
        for name, experiment in experiments.items():
            if plan.plan_experiment(experiment, live).routable:
                known = self._state.routed.get(name)
                generation = experiment.metadata.generation or 0
                if known is None or known.generation != generation:
                    followed = None if known is None else known.acting(acting)
                    known = Routed(followed, generation, version)
                routed[name] = known
        self._state.routed = routed
        return version

    def _confirm(self) -> None:
        """Find out in the background when the newest routes act."""
        if self._confirming is None or self._confirming.done():
            self._confirming = asyncio.create_task(self._confirm_routes())

    async def _confirm_routes(self) -> None:
        while self._gateway.routes_acting < self._gateway.routes_version:
            try:
                await self._gateway.routes_act(self._gateway.routes_version)
            except RejectedError as error:
                logger.exception("routes refused")
                self._state.routes_problem = str(error)
                return
        self._state.routes_problem = None

    # What follows brings one model to what is declared.

    def _wake(self, model: str) -> None:
        timer = self._retries.pop(model, None)
        if timer is not None:
            timer.cancel()
        self._dirty.add(model)
        task = self._tasks.get(model)
        if task is None or task.done():
            self._tasks[model] = asyncio.create_task(self._work(model))

    async def _work(self, model: str) -> None:
        while model in self._dirty:
            self._dirty.discard(model)
            try:
                await self._converge(model)
            except ModelServerGoneError:
                # `run` notices, waits for it, and wakes every model.
                logger.info("model %s: MLServer is gone, waiting for it", model)
            except Exception as error:
                logger.exception("model %s: unexpected failure", model)
                self._note_failure(model, error)
                self._retry(model)
        if self._tasks.get(model) is asyncio.current_task():
            del self._tasks[model]

    async def _converge(self, model: str) -> None:
        declared = self._objects.models.get(model)
        records = self._state.records_of(model)
        live = self._state.live_record(model)
        if declared is None or declared.spec.replicas == 0:
            await self._gateway.routes_act(self._take_off(model))
            await self._retire(records)
            return
        digest = artifacts.digest_of(declared.spec)
        wanted = self._wanted(model, digest, records, live)
        if not self._state.server_up:
            return
        if wanted.version not in self._state.loaded or not wanted.live:
            problem = await self._bring_up(declared.spec, wanted)
            if problem is not None:
                logger.warning("model %s: %s: %s", model, problem.reason, problem.message)
                self._state.problems[model] = problem
                await self._give_up(wanted)
                self._retry(model)
                return
        self._state.problems.pop(model, None)
        self._delays.pop(model, None)
        await self._retire([each for each in records if each.version != wanted.version])

    def _wanted(
        self,
        model: str,
        digest: str,
        records: list[VersionRecord],
        live: VersionRecord | None,
    ) -> VersionRecord:
        """Find the version that the declared spec asks for, or begin a new one."""
        if live is not None and live.digest == digest:
            return live
        newest = records[-1] if records else None
        if newest is not None and newest.digest == digest:
            return newest
        version = ModelVersion(model, newest.version.version + 1 if newest else 1)
        self._store.add_version(version, digest)
        self._reload_records()
        return VersionRecord(version, digest, live=False)

    async def _bring_up(self, spec: seldon.ModelSpec, wanted: VersionRecord) -> Problem | None:
        """Load a version and lead the routes to it, or say why not."""
        version, repository = wanted.version, self._settings.repository
        why = validation.why_unschedulable(spec, self._objects.servers)
        if why is not None:
            return Problem(wanted.digest, "ScheduleFailed", why)
        try:
            folder = artifacts.folder_of(spec)
            rewritten = artifacts.rewritten_settings(spec, folder, version)
            artifacts.write(repository, version, rewritten, folder)
            await self._model_server.load(version)
        except (artifacts.ArtifactError, LoadError) as error:
            return Problem(wanted.digest, "ModelFailed", str(error))
        except ModelServerGoneError:
            # Perhaps because of this model: its folder goes, or MLServer would load it at its
            # start, and die again and again.
            why = "MLServer stopped while loading it, it will be tried again"
            return Problem(wanted.digest, "ModelFailed", why, fatal=True)
        self._state.loaded.add(version)
        await self._gateway.clusters_act(self._write_clusters())
        self._store.set_live(version)
        self._reload_records()
        self._state.live_since[version.model] = self._write_routes()
        await self._gateway.routes_act(self._state.live_since[version.model])
        logger.info("model %s: %s serves", version.model, version.internal_name)
        return None

    def _take_off(self, model: str) -> int:
        """Let no route lead to a model, and say which version of the routes that is."""
        self._store.set_none_live(model)
        self._reload_records()
        return self._write_routes()

    async def _give_up(self, failed: VersionRecord) -> None:
        """Leave nothing of a version that could not be loaded but its number."""
        artifacts.remove(self._settings.repository, failed.version)
        if failed.live:
            self._take_off(failed.version.model)
        self._write_clusters()

    async def _retire(self, records: list[VersionRecord]) -> None:
        """Let versions that no route leads to finish, and unload them."""
        for record in records:
            version = record.version
            if version in self._state.loaded:
                await self._finish(version)
            # First the folder: a restarted MLServer must not load it again.
            artifacts.remove(self._settings.repository, version)
            if version in self._state.loaded:
                self._state.loaded.discard(version)
                try:
                    await self._model_server.unload(version)
                except LoadError as error:
                    logger.warning("%s: unloading failed: %s", version.internal_name, error)
                except ModelServerGoneError:
                    pass  # and with it the model
            self._store.remove_version(version)
            self._reload_records()
            self._write_clusters()
            logger.info("%s is gone", version.internal_name)

    async def _finish(self, version: ModelVersion) -> None:
        """Wait until a version has answered what it was asked, directly and by pipelines."""
        await self._executor.acts()
        try:
            async with asyncio.timeout(self._settings.drain_timeout):
                await self._gateway.drained(version)
                await self._departed(version)
                await self._executor.acts()
                await self._model_server.drain(version)
        except TimeoutError:
            logger.warning(
                "%s still has requests after %g s and is unloaded all the same",
                version.internal_name,
                self._settings.drain_timeout,
            )
        except LoadError as error:
            logger.warning("%s: no word of its last request: %s", version.internal_name, error)
        except ModelServerGoneError:
            pass  # and with it the requests

    def _note_failure(self, model: str, error: Exception) -> None:
        declared = self._objects.models.get(model)
        if declared is not None:
            message = f"{type(error).__name__}: {error}; it will be tried again"
            digest = artifacts.digest_of(declared.spec)
            self._state.problems[model] = Problem(digest, "InternalError", message)

    def _retry(self, model: str) -> None:
        problem = self._state.problems.get(model)
        delay = self._delays.get(model, _FIRST_RETRY_SECONDS)
        growth = _FATAL_GROWTH if problem is not None and problem.fatal else 2
        self._delays[model] = min(delay * growth, _LAST_RETRY_SECONDS)
        loop = asyncio.get_running_loop()
        self._retries[model] = loop.call_later(delay, self._wake, model)

    def _reload_records(self) -> None:
        self._state.records = self._store.versions()

    def _servers_changed(self) -> None:
        for model, problem in self._state.problems.items():
            if problem.reason == "ScheduleFailed":
                self._wake(model)
