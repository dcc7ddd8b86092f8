import pathlib
import subprocess
import sys

import pytest

from bellwether import training
from models import cache, code, discovery, sources, steps


@pytest.fixture(autouse=True)
def own_cache(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "cache"))


def test_with_an_empty_cache_no_model_is_trained_and_no_step_built() -> None:
    assert training.trained(None, seed=1) is None
    states = training.states(None, seed=1)
    assert set(states) == {*discovery.folders(), *steps.folders()}
    assert set(states.values()) == {None}


def test_asking_imports_neither_pandas_nor_torch_nor_numpy() -> None:
    program = (
        "import sys; from bellwether import training; training.trained(None, 1);"
        "sys.exit(bool({'pandas', 'torch', 'numpy', 'lightgbm'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=code.REPOSITORY, check=False)
    assert done.returncode == 0


def test_a_missing_folder_of_data_is_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(sources.DataError, match="does not exist"):
        training.trained(tmp_path / "nowhere", seed=1)


def test_command_lines_name_data_seed_and_what_is_asked_for() -> None:
    python = pathlib.Path("/env/bin/python")
    data = pathlib.Path("/data")
    assert training.train_command(python, data, 3, only="robust", as_json=True) == [
        *("/env/bin/python", "-m", "models.train", "--seed", "3", "--data", "/data", "--json"),
        *("--only", "robust"),
    ]
    assert training.evaluate_command(python, None, 1, models="robust", from_year=2015) == [
        *("/env/bin/python", "-m", "models.evaluate", "--seed", "1"),
        *("--models", "robust", "--from-year", "2015"),
    ]
