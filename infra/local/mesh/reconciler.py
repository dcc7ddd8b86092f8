"""Brings MLServer and Envoy to what is declared, and says how far that is.

A change of weights is one write of the routes, done at once.
A model goes through these steps, so that no request fails on the way:
load the new version; let Envoy know its clusters; switch the routes;
wait until the old version has answered what it was asked; unload it; remove its clusters.
"""

import asyncio
import logging
from dataclasses import dataclass
from typing import Any

from infra import seldon
from infra.local.mesh import artifacts, envoy, plan, validation
from infra.local.mesh.conditions import Conditions
from infra.local.mesh.envoy import ModelVersion
from infra.local.mesh.gateway import Gateway, RejectedError
from infra.local.mesh.model_server_client import (
    LoadError,
    ModelServerClient,
    ModelServerGoneError,
)
from infra.local.mesh.objects import BUILT_IN_SERVER, Objects, Stored, runs_here
from infra.local.mesh.settings import HOST, Settings
from infra.local.mesh.store import Store, VersionRecord

logger = logging.getLogger(__name__)

_FIRST_RETRY_SECONDS = 2.0
_LAST_RETRY_SECONDS = 300.0
_FATAL_GROWTH = 30
"""A model that may kill MLServer is tried again soon once, in case it did not, and then rarely."""


@dataclass(frozen=True)
class _Problem:
    """Why a version of a model does not serve."""

    version: ModelVersion | None
    digest: str
    reason: str
    message: str
    fatal: bool = False
    """Whether MLServer may have died of it."""


@dataclass(frozen=True)
class _Routed:
    """What the routes say about an experiment.

    `version` of the routes carries `generation`; before it acts, they follow `before`.
    """

    before: int | None
    generation: int
    version: int

    def acting(self, version: int) -> int | None:
        """Say which generation is followed when this version of the routes acts."""
        return self.generation if version >= self.version else self.before


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
        self._records = store.versions()
        # What was live before a restart counts as loaded until MLServer says otherwise.
        self._loaded = {record.version for record in self._records if record.live}
        self._problems: dict[str, _Problem] = {}
        self._retries: dict[str, asyncio.TimerHandle] = {}
        self._delays: dict[str, float] = {}
        self._server_up = False
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._dirty: set[str] = set()
        self._confirming: asyncio.Task[None] | None = None
        self._routes_problem: str | None = None
        self._routed: dict[str, _Routed] = {}
        self._live_since: dict[str, int] = {}

    @property
    def server_up(self) -> bool:
        """Whether MLServer is there and has loaded its repository."""
        return self._server_up

    def start(self) -> None:
        """Write Envoy's documents from what is remembered, and begin."""
        self._gateway.write_bootstrap()
        self._write_clusters()
        version = self._write_routes()
        self._live_since = dict.fromkeys(self._live(), version)

    async def run(self) -> None:
        """Keep MLServer as declared, for ever."""
        while True:
            presence = await self._model_server.started()
            try:
                ready = await self._model_server.ready_models()
            except ModelServerGoneError:
                continue
            self._loaded = {
                record.version for record in self._records if record.version.internal_name in ready
            }
            self._server_up = True
            logger.info("MLServer is up with %d models", len(self._loaded))
            for model in {*self._objects.models, *(each.version.model for each in self._records)}:
                problem = self._problems.get(model)
                if problem is None or not problem.fatal:
                    self._delays.pop(model, None)
                    self._wake(model)
            await presence.ended()
            self._server_up = False
            logger.warning("MLServer is gone, waiting for it to come back")

    def changed(self, resource: Stored) -> None:
        """Act on an object that is new or different."""
        if isinstance(resource, seldon.Model):
            self._delays.pop(resource.metadata.name, None)
            self._wake(resource.metadata.name)
        elif isinstance(resource, seldon.Experiment):
            self._write_routes()
        else:
            self._servers_changed()

    def removed(self, resource: Stored) -> None:
        """Act on an object that is gone."""
        self._conditions.forget(resource.metadata.uid or "")
        if isinstance(resource, seldon.Model):
            self._problems.pop(resource.metadata.name, None)
            self._wake(resource.metadata.name)
        elif isinstance(resource, seldon.Experiment):
            self._write_routes()
        else:
            self._servers_changed()

    def status(self, resource: Stored) -> dict[str, Any]:
        """Write an object's status, as Seldon's custom resource has it."""
        if isinstance(resource, seldon.Model):
            return self._model_status(resource)
        if isinstance(resource, seldon.Experiment):
            return self._experiment_status(resource)
        return self._server_status(resource)

    def ready_by_model(self) -> dict[str, bool]:
        """Say of every declared model whether it serves what is declared."""
        return {name: self._model_state(model)[0] for name, model in self._objects.models.items()}

    # What follows writes what Envoy reads.

    def _live(self) -> dict[str, ModelVersion]:
        return {
            record.version.model: record.version
            for record in self._records
            if record.live and record.version in self._loaded
        }

    def _write_clusters(self) -> int:
        return self._gateway.write_clusters(
            record.version
            for record in self._records
            if record.live or record.version in self._loaded
        )

    def _write_routes(self) -> int:
        settings, live = self._settings, self._live()
        experiments = self._objects.experiments
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
        routed: dict[str, _Routed] = {}
        for name, experiment in experiments.items():
            if plan.plan_experiment(experiment, live).routable:
                known = self._routed.get(name)
                generation = experiment.metadata.generation or 0
                if known is None or known.generation != generation:
                    followed = None if known is None else known.acting(acting)
                    known = _Routed(followed, generation, version)
                routed[name] = known
        self._routed = routed
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
                self._routes_problem = str(error)
                return
        self._routes_problem = None

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
            except Exception:
                logger.exception("model %s: unexpected failure", model)
                self._retry(model)
        if self._tasks.get(model) is asyncio.current_task():
            del self._tasks[model]

    async def _converge(self, model: str) -> None:
        declared = self._objects.models.get(model)
        records = [each for each in self._records if each.version.model == model]
        live = next((each for each in records if each.live), None)
        if declared is None or declared.spec.replicas == 0:
            if live is not None:
                self._store.set_none_live(model)
                self._reload_records()
                await self._gateway.routes_act(self._write_routes())
            await self._retire(records)
            return
        digest = artifacts.digest_of(declared.spec)
        wanted = self._wanted(model, digest, records, live)
        if not self._server_up:
            return
        if wanted.version not in self._loaded or not wanted.live:
            problem = await self._bring_up(declared.spec, wanted)
            if problem is not None:
                logger.warning("model %s: %s: %s", model, problem.reason, problem.message)
                self._problems[model] = problem
                await self._give_up(wanted)
                self._retry(model)
                return
        self._problems.pop(model, None)
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

    async def _bring_up(self, spec: seldon.ModelSpec, wanted: VersionRecord) -> _Problem | None:
        """Load a version and lead the routes to it, or say why not."""
        version, repository = wanted.version, self._settings.repository
        why = validation.why_unschedulable(spec, self._objects.servers)
        if why is not None:
            return _Problem(version, wanted.digest, "ScheduleFailed", why)
        try:
            folder = artifacts.folder_of(spec)
            rewritten = artifacts.rewritten_settings(spec, folder, version)
            artifacts.write(repository, version, rewritten, folder)
            await self._model_server.load(version)
        except (artifacts.ArtifactError, LoadError) as error:
            return _Problem(version, wanted.digest, "ModelFailed", str(error))
        except ModelServerGoneError:
            # Perhaps because of this model: its folder goes, or MLServer would load it at its
            # start, and die again and again.
            why = "MLServer stopped while loading it, it will be tried again"
            return _Problem(version, wanted.digest, "ModelFailed", why, fatal=True)
        self._loaded.add(version)
        await self._gateway.clusters_act(self._write_clusters())
        self._store.set_live(version)
        self._reload_records()
        self._live_since[version.model] = self._write_routes()
        await self._gateway.routes_act(self._live_since[version.model])
        logger.info("model %s: %s serves", version.model, version.internal_name)
        return None

    async def _give_up(self, failed: VersionRecord) -> None:
        """Leave nothing of a version that could not be loaded but its number."""
        artifacts.remove(self._settings.repository, failed.version)
        if failed.live:
            self._store.set_none_live(failed.version.model)
            self._reload_records()
            self._write_routes()
        self._write_clusters()

    async def _retire(self, records: list[VersionRecord]) -> None:
        """Let versions that no route leads to finish, and unload them."""
        for record in records:
            version = record.version
            if version in self._loaded:
                try:
                    async with asyncio.timeout(self._settings.drain_timeout):
                        await self._gateway.drained(version)
                except TimeoutError:
                    logger.warning(
                        "%s still has requests after %g s and is unloaded all the same",
                        version.internal_name,
                        self._settings.drain_timeout,
                    )
            # First the folder: a restarted MLServer must not load it again.
            artifacts.remove(self._settings.repository, version)
            if version in self._loaded:
                self._loaded.discard(version)
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

    def _retry(self, model: str) -> None:
        problem = self._problems.get(model)
        delay = self._delays.get(model, _FIRST_RETRY_SECONDS)
        growth = _FATAL_GROWTH if problem is not None and problem.fatal else 2
        self._delays[model] = min(delay * growth, _LAST_RETRY_SECONDS)
        loop = asyncio.get_running_loop()
        self._retries[model] = loop.call_later(delay, self._wake, model)

    def _reload_records(self) -> None:
        self._records = self._store.versions()

    def _servers_changed(self) -> None:
        for model, problem in self._problems.items():
            if problem.reason == "ScheduleFailed":
                self._wake(model)

    # What follows writes statuses.

    def _model_state(self, model: seldon.Model) -> tuple[bool, str, str]:
        """Say whether a model serves what is declared; if not, why not."""
        name, digest = model.metadata.name, artifacts.digest_of(model.spec)
        live = next((e for e in self._records if e.live and e.version.model == name), None)
        still = ""
        if live is not None and live.digest != digest:
            still = f"; {live.version.internal_name} keeps serving"
        if model.spec.replicas == 0:
            return False, "ModelScaledDown", "spec.replicas is 0"
        problem = self._problems.get(name)
        if problem is not None and problem.digest == digest:
            return False, problem.reason, problem.message + still
        if live is None or live.digest != digest:
            waiting = "" if self._server_up else ", waiting for MLServer"
            return False, "ModelProgressing", f"loading{waiting}{still}"
        return self._live_state(live.version)

    def _live_state(self, version: ModelVersion) -> tuple[bool, str, str]:
        if not self._server_up:
            where = f"{HOST}:{self._settings.ports.mlserver_http}"
            return False, "ModelServerDown", f"MLServer does not answer on {where}"
        if version not in self._loaded:
            return False, "ModelProgressing", "loading"
        if self._gateway.routes_acting < self._live_since.get(version.model, 0):
            return False, "ModelProgressing", "Envoy does not route to it yet"
        return True, "ModelAvailable", f"{version.internal_name} serves"

    def _model_status(self, model: seldon.Model) -> dict[str, Any]:
        ok, reason, message = self._model_state(model)
        serving = self._server_up and model.metadata.name in self._live()
        replicas = 1 if model.spec.replicas is None else model.spec.replicas
        available = min(1, replicas) if serving else 0
        if ok and replicas > 1:
            message += f" with 1 of {replicas} replicas: this machine has one model server"
        return {
            "observedGeneration": model.metadata.generation,
            "replicas": replicas,
            "availableReplicas": available,
            "selector": f"server={model.spec.server or next(iter(self._objects.servers), '')}",
            "conditions": self._written(
                model, (("ModelReady", ok, reason, message), ("Ready", ok, reason, message))
            ),
        }

    def _experiment_status(self, experiment: seldon.Experiment) -> dict[str, Any]:
        planned = plan.plan_experiment(experiment, self._live())
        routed = self._routed.get(experiment.metadata.name)
        acts = routed.acting(self._gateway.routes_acting) if routed is not None else None
        ok, reason, message = planned.routable, "ExperimentActive", planned.description
        if not ok:
            reason = "CandidatesNotReady" if planned.missing_candidates else "MirrorNotReady"
        elif self._routes_problem is not None:
            ok, reason, message = False, "RoutesRejected", self._routes_problem
        elif acts is None:
            ok, reason, message = False, "RoutesPending", "Envoy does not route by it yet"
        elif not self._server_up:
            where = f"{HOST}:{self._settings.ports.mlserver_http}"
            ok, reason = False, "ModelServerDown"
            message = f"MLServer does not answer on {where}"
        candidates = not planned.missing_candidates
        mirror = planned.missing_mirror is None
        return {
            "observedGeneration": acts or experiment.metadata.generation,
            "conditions": self._written(
                experiment,
                (
                    ("ExperimentReady", ok, reason, message),
                    (
                        "CandidatesReady",
                        candidates,
                        "CandidatesReady" if candidates else "CandidatesNotReady",
                        "" if candidates else planned.description,
                    ),
                    (
                        "MirrorReady",
                        mirror,
                        "MirrorReady" if mirror else "MirrorNotReady",
                        "" if mirror else planned.description,
                    ),
                    ("Ready", ok, reason, message),
                ),
            ),
        }

    def _server_status(self, server: seldon.Server) -> dict[str, Any]:
        here = runs_here(server)
        ok, reason, message = True, "ServerReady", ""
        if not here:
            ok, reason = False, "ServerNotAvailable"
            wanted = server.spec.server_config
            message = f"serverConfig {wanted}: this machine runs {BUILT_IN_SERVER} only"
        elif not self._server_up:
            ok, reason = False, "ModelServerDown"
            message = f"MLServer does not answer on {HOST}:{self._settings.ports.mlserver_http}"
        return {
            "observedGeneration": server.metadata.generation,
            "loadedModels": len(self._loaded) if here and self._server_up else 0,
            "replicas": 1 if here and self._server_up else 0,
            "selector": f"seldon-server-name={server.metadata.name}",
            "conditions": self._written(
                server, (("StatefulSetReady", ok, reason, message), ("Ready", ok, reason, message))
            ),
        }

    def _written(
        self, resource: Stored, conditions: tuple[tuple[str, bool, str, str], ...]
    ) -> list[dict[str, Any]]:
        uid = resource.metadata.uid or ""
        return [self._conditions.write(uid, *condition) for condition in conditions]
