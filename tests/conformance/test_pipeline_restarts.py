"""Pipelines come back by themselves when a part of the environment dies."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.conformance import apply
from tests.conformance.environment import eventually, started, write_artifact
from tests.conformance.worlds import World, routes, values

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder: Path = tmp_path_factory.mktemp("restarts")
    artifacts = {
        each.name: str(each)
        for each in (
            write_artifact(folder / "artifacts" / "mul10", factor=10),
            write_artifact(folder / "artifacts" / "add10", term=10),
            write_artifact(folder / "artifacts" / "mul2", factor=2),
        )
    }
    with (
        started(folder) as environment,
        World(environment, apply.MeshApplier(environment), artifacts) as own,
    ):
        own.serve("mul10", "add10", "mul2")
        own.experiment("e", [("mul10", 0), ("mul2", 1)], default="mul10")
        own.pipeline("pa", ["mul10"], "mul10")
        own.pipeline("pb", ["add10"], "add10")
        own.experiment("pe", [("pa", 1), ("pb", 0)], default="pb", resourceType="pipeline")
        yield own


@pytest.mark.parametrize("part", ["mesh", "gateway", "model server"])
def test_a_killed_process_comes_back_with_its_pipelines(world: World, part: str) -> None:
    environment = world.environment
    urls = {
        "mesh": environment.mesh_url,
        "gateway": environment.gateway_url,
        "model server": environment.model_server_url,
    }
    killed = environment.kill(urls[part])

    def back() -> bool:
        ready = httpx.get(f"{environment.mesh_url}/readyz", timeout=5).status_code == 200
        anew = environment.listener(urls[part]) not in {None, killed}
        return ready and anew and world.infer("pe.experiment", 1).status_code == 200

    eventually(back, f"{part} is back", 20)
    for name in ("pe.experiment", "pb.pipeline", "pa.pipeline"):
        response = world.infer(name, 3)
        assert values(response) == [6]
        assert routes(response) == ["mul2", "pa.pipeline"]

    def ready() -> bool:
        status = world.applier.status("pipelines", "pa")
        return bool(apply.condition(status, "Ready")["status"] == "True")

    eventually(ready, "the pipeline is ready")


def test_while_the_mesh_is_away_pipelines_answer(world: World) -> None:
    killed = world.environment.kill(world.environment.mesh_url)
    answered = 0
    while world.environment.listener(world.environment.mesh_url) in {None, killed}:
        assert values(world.infer("pa.pipeline", 1)) == [2]
        answered += 1
    assert answered
    eventually(lambda: world.applier.names("pipelines") == ["pa", "pb"], "the mesh is back")
    assert values(world.infer("pa.pipeline", 1)) == [2]


def test_a_pipeline_that_is_changed_while_the_model_server_is_away_acts_when_it_is_back(
    world: World,
) -> None:
    world.environment.kill(world.environment.model_server_url)
    world.pipeline("pb", ["mul2"], "mul2")
    world.pipeline("pc", ["add10"], "add10")

    def changed() -> bool:
        answers = [world.infer(f"{each}.pipeline", 3) for each in ("pa", "pc")]
        return all(each.status_code == 200 for each in answers) and values(answers[1]) == [13]

    eventually(changed, "both pipelines answer", 20)
    status = world.applier.status("pipelines", "pb")
    assert status["observedGeneration"] == 2
    assert world.remove("pipelines", "pc").accepted
    assert world.infer("pc.pipeline", 1).status_code == 404
