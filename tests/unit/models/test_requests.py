import datetime as dt
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from models import cache, code, dataset, features, requests, sources


def test_the_newest_day_of_a_symbol_becomes_a_request(csvs: sources.Source) -> None:
    request = requests.latest("AAA", csvs)
    assert request.date == dt.date(2022, 1, 24)
    assert request.features.shape == (1, len(features.FEATURES))
    assert request.history.shape == (1, features.HISTORY_DAYS, len(features.CHANNELS))


def test_an_unknown_symbol_is_refused_with_the_known_ones(csvs: sources.Source) -> None:
    with pytest.raises(sources.DataError, match=r"no symbol 'ZZZ'.*AAA, BBB, CCC"):
        requests.latest("ZZZ", csvs)


def test_the_last_days_end_with_the_newest_one(csvs: sources.Source) -> None:
    days = requests.days("BBB", csvs, last=10)
    newest = requests.latest("BBB", csvs)
    assert len(days) == 10
    np.testing.assert_array_equal(days.features[-1:], newest.features)
    np.testing.assert_array_equal(days.history[-1:], newest.history)
    np.testing.assert_array_equal(days.history[1:, :-1], days.history[:-1, 1:])
    assert len(requests.days("BBB", csvs)) > 700


def test_a_cached_dataset_is_the_computed_one_and_needs_no_pandas(csvs: sources.Source) -> None:
    computed = dataset.load(csvs)
    read = dataset.load(csvs)
    for name in dataset.ARRAYS:
        np.testing.assert_array_equal(getattr(computed, name), getattr(read, name))
    program = (
        "import pathlib, sys; from models import requests, sources;"
        f"requests.latest('AAA', sources.Source(pathlib.Path({str(csvs.folder)!r})));"
        "sys.exit('pandas' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=code.REPOSITORY, check=False)
    assert done.returncode == 0


def test_a_damaged_cached_dataset_is_computed_again(
    csvs: sources.Source, own_cache: pathlib.Path
) -> None:
    before = dataset.load(csvs)
    (path,) = cache.datasets().iterdir()
    assert path.is_relative_to(own_cache)
    path.write_bytes(path.read_bytes()[:2000])
    np.testing.assert_array_equal(dataset.load(csvs).features, before.features)
    assert len(path.read_bytes()) > 2000
