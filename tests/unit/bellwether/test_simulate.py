import json

import pytest
from typer import testing

from bellwether import __main__, simulation

ENVIRONMENT = {
    "arms": ["a", "b", "c", "d"],
    "horizon": 1000,
    "batch": 100,
    "delay": 0,
    "repetitions": 3,
    "seed": 1,
    "reward": "bernoulli",
    "phases": [
        {"from": 0, "means": [0.3, 0.4, 0.5, 0.6]},
        {"from": 500, "means": [0.6, 0.5, 0.4, 0.3]},
    ],
}
NAMES = ["policy", "fixed", "uniform", "epsilon-greedy", "ucb1", "thompson", "oracle"]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "environment.json"
    path.write_text(json.dumps(ENVIRONMENT))
    return path


def invoke(*arguments):
    return testing.CliRunner().invoke(__main__.app, ["simulate", "bandit", *arguments])


def test_it_prints_each_policys_regret_as_json_and_draws_it(file, tmp_path):
    picture = tmp_path / "regret.png"
    result = invoke("--environment", str(file), "--json", "--plot", str(picture))
    assert result.exit_code == 0, result.output
    regret = json.loads(result.stdout)
    assert list(regret) == ["regret"]
    assert list(regret["regret"]) == NAMES
    for each in regret["regret"].values():
        assert set(each) == {"mean", "se"}
        assert each["mean"] > 0
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_one_repetition_has_no_spread(file):
    file.write_text(json.dumps(ENVIRONMENT | {"repetitions": 1}))
    regret = json.loads(invoke("--environment", str(file), "--json").stdout)["regret"]
    assert regret["policy"]["se"] is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "is no JSON"),
        ("[]", "is an object"),
        (json.dumps(ENVIRONMENT | {"repetition": 1}), 'did you mean "repetitions"'),
        (json.dumps(ENVIRONMENT | {"policy": {"seeed": 1}}), 'did you mean "seed"'),
    ],
)
def test_a_file_that_describes_no_environment_is_refused(file, text, why):
    file.write_text(text)
    with pytest.raises(simulation.SimulationError, match=why):
        simulation.run(file)


def test_files_that_cannot_be_read_or_written_are_named(file, tmp_path):
    with pytest.raises(simulation.SimulationError, match=r"nowhere.json cannot be read"):
        simulation.run(tmp_path / "nowhere.json")
    with pytest.raises(simulation.SimulationError, match="cannot be written"):
        simulation.run(file, tmp_path / "no-such-folder" / "a.png")
