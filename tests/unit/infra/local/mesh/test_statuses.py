from typing import Any

import pytest

from infra import seldon
from infra.local.mesh import artifacts, pipelines, plan
from infra.local.mesh.conditions import Conditions
from infra.local.mesh.envoy import ModelVersion
from infra.local.mesh.state import Problem, Routed, State
from infra.local.mesh.statuses import Statuses
from infra.local.mesh.store import VersionRecord

OLD = seldon.ModelSpec(storage_uri="/old")
NEW = seldon.ModelSpec(storage_uri="/new")
OLD_DIGEST, NEW_DIGEST = artifacts.digest_of(OLD), artifacts.digest_of(NEW)
V1, V2 = ModelVersion("m", 1), ModelVersion("m", 2)
ACTING = 100


def _model(spec: seldon.ModelSpec = NEW, **more: Any) -> seldon.Model:
    metadata = seldon.ObjectMeta(name="m", uid="u", generation=2)
    return seldon.Model(metadata=metadata, spec=spec.model_copy(update=more))


def _statuses(state: State) -> Statuses:
    return Statuses(state, Conditions(), "127.0.0.1:9010")


def _experiment_status(state: State, experiment: seldon.Experiment, acting: int) -> dict[str, Any]:
    return _statuses(state).experiment(experiment, acting, plan.Live(state.live(), {}))


def _ready(status: dict[str, Any], kind: str = "Ready") -> tuple[str, str, str]:
    (found,) = [each for each in status["conditions"] if each["type"] == kind]
    return found["status"], found["reason"], found["message"]


@pytest.mark.parametrize(
    ("state", "model", "wanted"),
    [
        (State([]), _model(), ("ModelProgressing", "loading, waiting for MLServer")),
        (State([], server_up=True), _model(), ("ModelProgressing", "loading")),
        (
            State([VersionRecord(V1, OLD_DIGEST, live=True)], {V1}, server_up=True),
            _model(),
            ("ModelProgressing", "loading; m_1 keeps serving"),
        ),
        (
            State(
                [VersionRecord(V1, OLD_DIGEST, live=True)],
                {V1},
                {"m": Problem(NEW_DIGEST, "ModelFailed", "no weights")},
                server_up=True,
            ),
            _model(),
            ("ModelFailed", "no weights; m_1 keeps serving"),
        ),
        (
            State([VersionRecord(V2, NEW_DIGEST, live=True)], {V2}),
            _model(),
            ("ModelServerDown", "MLServer does not answer on 127.0.0.1:9010"),
        ),
        (
            State([VersionRecord(V2, NEW_DIGEST, live=True)], server_up=True),
            _model(),
            ("ModelProgressing", "loading"),
        ),
        (
            State(
                [VersionRecord(V2, NEW_DIGEST, live=True)],
                {V2},
                live_since={"m": ACTING + 1},
                server_up=True,
            ),
            _model(),
            ("ModelProgressing", "Envoy does not route to it yet"),
        ),
        (
            State([VersionRecord(V2, NEW_DIGEST, live=True)], {V2}, server_up=True),
            _model(replicas=0),
            ("ModelScaledDown", "spec.replicas is 0"),
        ),
    ],
)
def test_a_model_that_is_not_ready_says_why(
    state: State, model: seldon.Model, wanted: tuple[str, str]
) -> None:
    status = _statuses(state).model(model, ACTING, "mlserver")
    for kind in ("ModelReady", "Ready"):
        assert _ready(status, kind) == ("False", *wanted)


def test_a_problem_of_an_earlier_spec_is_not_told_of_the_next() -> None:
    state = State([], problems={"m": Problem(OLD_DIGEST, "ModelFailed", "x")}, server_up=True)
    assert _ready(_statuses(state).model(_model(), ACTING, ""))[1] == "ModelProgressing"


def test_a_model_that_serves_says_what_it_has() -> None:
    state = State([VersionRecord(V2, NEW_DIGEST, live=True)], {V2}, server_up=True)
    status = _statuses(state).model(_model(replicas=3), ACTING, "mlserver")
    ok, reason, message = _ready(status)
    assert (ok, reason) == ("True", "ModelAvailable")
    assert message == "m_2 serves with 1 of 3 replicas: this machine has one model server"
    assert (status["replicas"], status["availableReplicas"]) == (3, 1)
    assert status["observedGeneration"] == 2


def _experiment(generation: int, **spec: Any) -> seldon.Experiment:
    return seldon.Experiment(
        metadata=seldon.ObjectMeta(name="e", uid="e", generation=generation),
        spec=seldon.ExperimentSpec(candidates=(seldon.Candidate(name="m", weight=1),), **spec),
    )


def _serving(**more: Any) -> State:
    return State([VersionRecord(V2, NEW_DIGEST, live=True)], {V2}, server_up=True, **more)


def test_an_experiment_is_ready_once_its_routes_act() -> None:
    state = _serving(routed={"e": Routed(None, 1, ACTING)})
    before = _experiment_status(state, _experiment(1), ACTING - 1)
    assert _ready(before) == ("False", "RoutesPending", "Envoy does not route by it yet")
    after = _experiment_status(state, _experiment(1), ACTING)
    for kind in ("ExperimentReady", "Ready"):
        assert _ready(after, kind) == ("True", "ExperimentActive", "experiment active")


def test_a_change_of_weights_shows_in_the_observed_generation_only() -> None:
    state = _serving(routed={"e": Routed(4, 5, ACTING)})
    before = _experiment_status(state, _experiment(5), ACTING - 1)
    assert (before["observedGeneration"], _ready(before)[0]) == (4, "True")
    after = _experiment_status(state, _experiment(5), ACTING)
    assert (after["observedGeneration"], _ready(after)[0]) == (5, "True")


def test_a_missing_candidate_and_a_missing_mirror_are_told_apart() -> None:
    said = "no live replica for model m for model route e.experiment"
    status = _experiment_status(State([], server_up=True), _experiment(1), ACTING)
    assert _ready(status, "ExperimentReady") == ("False", "CandidatesNotReady", said)
    assert _ready(status, "CandidatesReady") == ("False", "CandidatesNotReady", said)
    assert _ready(status, "MirrorReady")[0] == "True"
    mirrored = _experiment(1, mirror=seldon.Mirror(name="ghost", percent=1))
    status = _experiment_status(_serving(), mirrored, ACTING)
    assert _ready(status, "ExperimentReady")[1] == "MirrorNotReady"
    assert _ready(status, "CandidatesReady")[0] == "True"
    assert _ready(status, "MirrorReady")[0] == "False"


def test_refused_routes_show_in_the_experiment() -> None:
    state = _serving(routed={"e": Routed(None, 1, ACTING)}, routes_problem="Envoy refused them")
    status = _experiment_status(state, _experiment(1), ACTING)
    assert _ready(status) == ("False", "RoutesRejected", "Envoy refused them")


@pytest.mark.parametrize(
    ("configuration", "up", "reason", "models"),
    [
        ("mlserver", True, "ServerReady", 1),
        ("mlserver", False, "ModelServerDown", 0),
        ("triton", True, "ServerNotAvailable", 0),
    ],
)
def test_a_server_says_whether_it_runs_here(
    configuration: str, up: bool, reason: str, models: int
) -> None:
    state = _serving()
    state.server_up = up
    server = seldon.Server(
        metadata=seldon.ObjectMeta(name="s", uid="s"),
        spec=seldon.ServerSpec(server_config=configuration),
    )
    status = _statuses(state).server(server)
    assert _ready(status)[1] == reason
    assert (status["loadedModels"], status["replicas"]) == (models, models)


def _pipeline(generation: int = 2, *steps: str, **spec: Any) -> seldon.Pipeline:
    listed = tuple(seldon.PipelineStep(name=each) for each in steps or ("m",))
    return seldon.Pipeline(
        metadata=seldon.ObjectMeta(name="p", uid="p", generation=generation),
        spec=seldon.PipelineSpec(steps=listed, **spec),
    )


def _executing(pipeline: seldon.Pipeline, since: int = ACTING) -> State:
    return _serving(executed={"p": pipelines.whole(pipeline)}, reachable_since={"p": since})


def _pipeline_status(
    state: State, pipeline: seldon.Pipeline, refused: str | None = None
) -> dict[str, Any]:
    return _statuses(state).pipeline(pipeline, ACTING, {"p": pipeline}, refused)


def test_a_pipeline_is_ready_once_it_is_executed_routed_and_has_its_models() -> None:
    status = _pipeline_status(_executing(_pipeline()), _pipeline())
    assert {each["type"]: each["status"] for each in status["conditions"]} == dict.fromkeys(
        ("PipelineReady", "PipelineGwReady", "ModelsReady", "Ready"), "True"
    )
    assert _ready(status) == ("True", "PipelineReady", "version 2 is executed")
    assert _ready(status, "ModelsReady") == ("True", "ModelsAvailable", "Models all available")
    assert status["observedGeneration"] == 2


def test_a_pipeline_without_a_model_is_executed_and_says_which_it_lacks() -> None:
    pipeline = _pipeline(2, "m", "ghost")
    status = _pipeline_status(_executing(pipeline), pipeline)
    assert _ready(status, "PipelineReady")[0] == "True"
    missing = ("False", "ModelsNotAvailable", "Some models are not available: ghost")
    assert _ready(status, "ModelsReady") == _ready(status) == missing


def test_a_pipeline_that_changes_in_place_says_what_still_serves() -> None:
    status = _pipeline_status(_executing(_pipeline(1, "old")), _pipeline())
    said = "the model server does not act on it yet; version 1 keeps serving"
    assert _ready(status) == ("False", "PipelineCreating", said)
    assert status["observedGeneration"] == 1


def test_a_pipeline_of_the_same_generation_that_says_something_else_is_not_executed() -> None:
    assert _ready(_pipeline_status(_executing(_pipeline(2, "old")), _pipeline()))[0] == "False"


def test_a_pipeline_that_envoy_does_not_know_yet_says_so() -> None:
    status = _pipeline_status(_executing(_pipeline(), since=ACTING + 1), _pipeline())
    assert _ready(status, "PipelineReady")[0] == "True"
    waiting = ("False", "PipelineCreating", "Envoy does not route to it yet")
    assert _ready(status, "PipelineGwReady") == _ready(status) == waiting


def test_a_pipeline_that_the_model_server_refuses_says_why() -> None:
    status = _pipeline_status(_serving(), _pipeline(), "no such join")
    assert _ready(status) == ("False", "PipelineFailed", "no such join")


def test_a_pipeline_of_a_dead_model_server_says_that_it_is_down() -> None:
    state = _executing(_pipeline())
    state.server_up = False
    assert _ready(_pipeline_status(state, _pipeline()))[1] == "ModelServerDown"


def test_a_pipeline_that_waits_for_another_one_is_ready_and_says_so() -> None:
    pipeline = _pipeline(input=seldon.PipelineInput(external_inputs=("ghost.outputs",)))
    ok, _, message = _ready(_pipeline_status(_executing(pipeline), pipeline))
    assert ok == "True"
    assert message == "callers are answered; nothing comes from ghost.outputs yet"
