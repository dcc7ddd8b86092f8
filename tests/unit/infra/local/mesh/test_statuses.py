from typing import Any

import pytest

from infra import seldon
from infra.local.mesh import artifacts
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
    statuses = _statuses(_serving(routed={"e": Routed(None, 1, ACTING)}))
    before = statuses.experiment(_experiment(1), ACTING - 1)
    assert _ready(before) == ("False", "RoutesPending", "Envoy does not route by it yet")
    after = statuses.experiment(_experiment(1), ACTING)
    for kind in ("ExperimentReady", "Ready"):
        assert _ready(after, kind) == ("True", "ExperimentActive", "experiment active")


def test_a_change_of_weights_shows_in_the_observed_generation_only() -> None:
    statuses = _statuses(_serving(routed={"e": Routed(4, 5, ACTING)}))
    before = statuses.experiment(_experiment(5), ACTING - 1)
    assert (before["observedGeneration"], _ready(before)[0]) == (4, "True")
    after = statuses.experiment(_experiment(5), ACTING)
    assert (after["observedGeneration"], _ready(after)[0]) == (5, "True")


def test_a_missing_candidate_and_a_missing_mirror_are_told_apart() -> None:
    said = "no live replica for model m for model route e.experiment"
    status = _statuses(State([], server_up=True)).experiment(_experiment(1), ACTING)
    assert _ready(status, "ExperimentReady") == ("False", "CandidatesNotReady", said)
    assert _ready(status, "CandidatesReady") == ("False", "CandidatesNotReady", said)
    assert _ready(status, "MirrorReady")[0] == "True"
    mirrored = _experiment(1, mirror=seldon.Mirror(name="ghost", percent=1))
    status = _statuses(_serving()).experiment(mirrored, ACTING)
    assert _ready(status, "ExperimentReady")[1] == "MirrorNotReady"
    assert _ready(status, "CandidatesReady")[0] == "True"
    assert _ready(status, "MirrorReady")[0] == "False"


def test_refused_routes_show_in_the_experiment() -> None:
    state = _serving(routed={"e": Routed(None, 1, ACTING)}, routes_problem="Envoy refused them")
    status = _statuses(state).experiment(_experiment(1), ACTING)
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
