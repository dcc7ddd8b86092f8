"""What is written is read back, byte for byte the same; what is damaged is refused with a remedy."""

import json

import numpy as np
import pytest
import usual_days

from runtimes.guard import artifact


@pytest.fixture
def folder(tmp_path):
    return usual_days.write(tmp_path / "guard")


def test_what_is_written_is_read_back(folder):
    wrote, read = usual_days.world(), artifact.read(folder)
    assert (read.features, read.symbols) == (wrote.features, wrote.symbols)
    assert (read.scale, read.limits.sizes, read.limits.border) == (
        wrote.scale,
        wrote.limits.sizes,
        wrote.limits.border,
    )
    assert np.array_equal(read.limits.critical, wrote.limits.critical)
    for symbol in usual_days.SYMBOLS:
        assert np.array_equal(read.references[symbol].samples, wrote.references[symbol].samples)
    row = np.array([71.0, 2.0, 3.0, 4.0])
    assert read.anomaly("AAA", row) == wrote.anomaly("AAA", row)


def test_the_same_artifact_has_the_same_bytes(folder, tmp_path):
    other = usual_days.write(tmp_path / "other")
    for name in (artifact.DOCUMENT, artifact.ARRAYS):
        assert (folder / name).read_bytes() == (other / name).read_bytes()


@pytest.mark.parametrize(
    ("standardised", "paths"),
    [([1.4, -1.9], (6.0, 4.0)), ([1.6, -2.1], (1.0, 1.0)), ([-0.1, 0.0], (6.0, 5.0))],
)
def test_a_score_is_two_to_the_mean_path(standardised, paths):
    found = usual_days.trees().score(np.array([*standardised, 0.0, 0.0]))
    assert found == pytest.approx(2.0 ** (-np.mean(paths) / 4.0), abs=1e-15)


def test_the_anomaly_is_a_symbols_own(folder):
    world = artifact.read(folder)
    usual = np.array(usual_days.usual_row("BBB"))
    assert world.anomaly("BBB", usual) < 0.5
    assert world.anomaly("AAA", usual) > world.anomaly("BBB", usual)


def test_the_anomaly_runs_from_0_to_1_over_what_the_forest_can_say():
    scale = usual_days.world().scale
    assert [scale(each) for each in (scale.lowest, scale.border, scale.highest)] == [0.0, 0.5, 1.0]
    scores = np.linspace(scale.lowest, scale.highest, 50)
    assert (np.diff([scale(each) for each in scores]) > 0).all()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_missing_is_as_unusual_as_can_be(folder, value):
    row = np.array(usual_days.usual_row("AAA"))
    row[2] = value
    assert artifact.read(folder).anomaly("AAA", row) == 1.0


def test_a_value_beyond_single_precision_is_scored(folder):
    row = np.array(usual_days.usual_row("AAA"))
    row[0] = 1e200
    assert artifact.read(folder).anomaly("AAA", row) > 0.5


def test_damaged_arrays_are_refused(folder):
    content = bytearray((folder / artifact.ARRAYS).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / artifact.ARRAYS).write_bytes(content)
    with pytest.raises(artifact.ArtifactError, match=r"guard\.npz: is damaged"):
        artifact.read(folder)


def test_a_folder_without_artifact_names_the_command(tmp_path):
    with pytest.raises(artifact.ArtifactError, match=r"guard\.json.*bellwether train"):
        artifact.read(tmp_path)


def test_another_schema_is_refused(folder):
    document = json.loads((folder / artifact.DOCUMENT).read_text())
    (folder / artifact.DOCUMENT).write_text(json.dumps(document | {"schema": 99}))
    with pytest.raises(artifact.ArtifactError, match="schema 99"):
        artifact.read(folder)


def test_a_missing_field_is_named(folder):
    document = json.loads((folder / artifact.DOCUMENT).read_text())
    del document["scale"]
    (folder / artifact.DOCUMENT).write_text(json.dumps(document))
    with pytest.raises(artifact.ArtifactError, match="'scale'"):
        artifact.read(folder)
