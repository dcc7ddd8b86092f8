"""How objects fare, written as the status of Seldon's custom resources."""

from collections.abc import Mapping
from typing import Any

from infra import seldon
from infra.local.mesh import artifacts, dataflow, pipelines, plan
from infra.local.mesh.conditions import Conditions
from infra.local.mesh.envoy import ModelVersion
from infra.local.mesh.objects import BUILT_IN_SERVER, Stored, runs_here
from infra.local.mesh.state import State

JsonObject = dict[str, Any]

_Standing = tuple[bool, str, str]
"""Whether all is well, Kubernetes' kind of reason, and a message for a person."""


class Statuses:
    """Writes statuses from the state. `server_address` is where MLServer should listen."""

    def __init__(self, state: State, conditions: Conditions, server_address: str) -> None:
        self._state = state
        self._conditions = conditions
        self._server_down: _Standing = (
            False,
            "ModelServerDown",
            f"MLServer does not answer on {server_address}",
        )

    def model(self, model: seldon.Model, acting: int, server: str) -> JsonObject:
        """Write a model's status, when the routes of version `acting` act."""
        ok, reason, message = self.model_standing(model, acting)
        serving = self._state.server_up and model.metadata.name in self._state.live()
        replicas = 1 if model.spec.replicas is None else model.spec.replicas
        if ok and replicas > 1:
            message += f" with 1 of {replicas} replicas: this machine has one model server"
        standing = (ok, reason, message)
        return {
            "observedGeneration": model.metadata.generation,
            "replicas": replicas,
            "availableReplicas": min(1, replicas) if serving else 0,
            "selector": f"server={model.spec.server or server}",
            "conditions": self._written(model, {"ModelReady": standing, "Ready": standing}),
        }

    def model_standing(self, model: seldon.Model, acting: int) -> _Standing:
        """Say whether a model serves what is declared; if not, why not."""
        name, digest = model.metadata.name, artifacts.digest_of(model.spec)
        live = self._state.live_record(name)
        still = ""
        if live is not None and live.digest != digest:
            still = f"; {live.version.internal_name} keeps serving"
        if model.spec.replicas == 0:
            return False, "ModelScaledDown", "spec.replicas is 0"
        problem = self._state.problems.get(name)
        if problem is not None and problem.digest == digest:
            return False, problem.reason, problem.message + still
        if live is None or live.digest != digest:
            waiting = "" if self._state.server_up else ", waiting for MLServer"
            return False, "ModelProgressing", f"loading{waiting}{still}"
        return self._live_standing(live.version, acting)

    def experiment(self, experiment: seldon.Experiment, acting: int, live: plan.Live) -> JsonObject:
        """Write an experiment's status, when the routes of version `acting` act."""
        planned = plan.plan_experiment(experiment, live)
        routed = self._state.routed.get(experiment.metadata.name)
        followed = routed.acting(acting) if routed is not None else None
        standing = self._experiment_standing(planned, followed)
        return {
            "observedGeneration": followed or experiment.metadata.generation,
            "conditions": self._written(
                experiment,
                {
                    "ExperimentReady": standing,
                    "CandidatesReady": _part(
                        "Candidates", planned, ok=not planned.missing_candidates
                    ),
                    "MirrorReady": _part("Mirror", planned, ok=planned.missing_mirror is None),
                    "Ready": standing,
                },
            ),
        }

    def pipeline(
        self,
        pipeline: seldon.Pipeline,
        acting: int,
        others: Mapping[str, seldon.Pipeline],
        refused: str | None,
    ) -> JsonObject:
        """Write a pipeline's status, when the routes of version `acting` act.

        `others` are all declared pipelines,
        `refused` is why the model server does not act on the newest document.
        """
        executed = self._state.executed.get(pipeline.metadata.name)
        execution = self._execution_standing(pipeline, executed, refused)
        gateway = self._pipeline_gateway_standing(pipeline.metadata.name, acting)
        models = self._steps_standing(pipeline)
        ready = next((each for each in (execution, gateway, models) if not each[0]), execution)
        if ready[0]:
            unfed = pipelines.unfed(pipeline, others)
            if not self._state.server_up:
                ready = self._server_down
            elif unfed:
                waits = f"callers are answered; nothing comes from {', '.join(unfed)} yet"
                ready = (True, "PipelineReady", waits)
        return {
            "observedGeneration": (
                pipeline.metadata.generation if executed is None else executed.version
            ),
            "conditions": self._written(
                pipeline,
                {
                    "PipelineReady": execution,
                    "PipelineGwReady": gateway,
                    "ModelsReady": models,
                    "Ready": ready,
                },
            ),
        }

    def server(self, server: seldon.Server) -> JsonObject:
        """Write a server's status."""
        here = runs_here(server)
        standing: _Standing = (True, "ServerReady", "")
        if not here:
            wanted = server.spec.server_config
            message = f"serverConfig {wanted}: this machine runs {BUILT_IN_SERVER} only"
            standing = (False, "ServerNotAvailable", message)
        elif not self._state.server_up:
            standing = self._server_down
        return {
            "observedGeneration": server.metadata.generation,
            "loadedModels": len(self._state.loaded) if standing[0] else 0,
            "replicas": 1 if standing[0] else 0,
            "selector": f"seldon-server-name={server.metadata.name}",
            "conditions": self._written(server, {"StatefulSetReady": standing, "Ready": standing}),
        }

    def _live_standing(self, version: ModelVersion, acting: int) -> _Standing:
        if not self._state.server_up:
            return self._server_down
        if version not in self._state.loaded:
            return False, "ModelProgressing", "loading"
        if acting < self._state.live_since.get(version.model, 0):
            return False, "ModelProgressing", "Envoy does not route to it yet"
        return True, "ModelAvailable", f"{version.internal_name} serves"

    def _execution_standing(
        self,
        pipeline: seldon.Pipeline,
        executed: dataflow.Pipeline | None,
        refused: str | None,
    ) -> _Standing:
        if executed == pipelines.whole(pipeline):
            return True, "PipelineReady", f"version {executed.version} is executed"
        if refused is not None:
            return False, "PipelineFailed", refused
        waiting = "" if self._state.server_up else ", waiting for MLServer"
        still = "" if executed is None else f"; version {executed.version} keeps serving"
        return False, "PipelineCreating", f"the model server does not act on it yet{waiting}{still}"

    def _pipeline_gateway_standing(self, name: str, acting: int) -> _Standing:
        if self._state.routes_problem is not None:
            return False, "RoutesRejected", self._state.routes_problem
        since = self._state.reachable_since.get(name)
        if since is None or acting < since:
            return False, "PipelineCreating", "Envoy does not route to it yet"
        return True, "PipelineReady", ""

    def _steps_standing(self, pipeline: seldon.Pipeline) -> _Standing:
        live = self._state.live()
        missing = [step.name for step in pipeline.spec.steps if step.name not in live]
        if missing:
            said = f"Some models are not available: {', '.join(missing)}"
            return False, "ModelsNotAvailable", said
        return True, "ModelsAvailable", "Models all available"

    def _experiment_standing(self, planned: plan.ExperimentPlan, followed: int | None) -> _Standing:
        if planned.missing_candidates:
            return False, "CandidatesNotReady", planned.description
        if planned.missing_mirror is not None:
            return False, "MirrorNotReady", planned.description
        if self._state.routes_problem is not None:
            return False, "RoutesRejected", self._state.routes_problem
        if followed is None:
            return False, "RoutesPending", "Envoy does not route by it yet"
        if not self._state.server_up:
            return self._server_down
        return True, "ExperimentActive", planned.description

    def _written(self, resource: Stored, standings: dict[str, _Standing]) -> list[JsonObject]:
        uid = resource.metadata.uid or ""
        return [
            self._conditions.write(uid, kind, *standing) for kind, standing in standings.items()
        ]


def _part(part: str, planned: plan.ExperimentPlan, *, ok: bool) -> _Standing:
    return (True, f"{part}Ready", "") if ok else (False, f"{part}NotReady", planned.description)
