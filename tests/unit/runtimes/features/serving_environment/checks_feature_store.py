"""Feast over a real Valkey and real files; run by `test_feature_store.py`, which says where they are."""

import datetime as dt
import json
import os
import pathlib

import numpy as np
import pandas as pd
import pytest
import redis

from runtimes.features import (
    artifact,
    bars,
    clock,
    definitions,
    folding,
    online_store,
    records,
    repository,
    rows,
    training_set,
)
from runtimes.features.quick_feast import feast

FOLDER = pathlib.Path(os.environ["BELLWETHER_TEST_FOLDER"])
VALKEY = os.environ["BELLWETHER_TEST_VALKEY"]
ARTIFACT = FOLDER / "artifact"

MOMENTS = [
    dt.date(2011, 8, 8),
    dt.date(2008, 9, 15),
    dt.date(2008, 10, 10),
    dt.date(2012, 7, 3),
    dt.date(2015, 8, 24),
    dt.date(2017, 12, 26),
    dt.date(2018, 12, 31),
]


@pytest.fixture(scope="module")
def declared():
    return artifact.declared(ARTIFACT)


@pytest.fixture
def client():
    host, _, port = VALKEY.rpartition(":")
    client = redis.Redis(host=host, port=int(port))
    client.flushall()
    return client


@pytest.fixture
def store(declared, tmp_path):
    return repository.apply(declared, ARTIFACT, tmp_path / "registry.db", VALKEY)


@pytest.fixture
def folded(declared):
    return folding.Folding(declared, bars.read(ARTIFACT / bars.FILE))


def layout(store, declared):
    return repository.layout(store, "enriched", declared.digest)


def test_applying_again_changes_nothing_and_a_changed_definition_is_applied(declared, tmp_path):
    registry = tmp_path / "registry.db"
    repository.apply(declared, ARTIFACT, registry, VALKEY)
    before = registry.stat()
    repository.apply(declared, ARTIFACT, registry, VALKEY)
    assert registry.stat().st_ino == before.st_ino
    assert registry.stat().st_mtime_ns == before.st_mtime_ns
    more = with_one_more(declared)
    changed = repository.apply(more, ARTIFACT, registry, VALKEY)
    view = changed.get_feature_view("technical_indicators")
    assert "return_3d" in {field.name for field in view.features}


def with_one_more(declared):
    added = definitions.Feature(
        "return_3d",
        definitions.RETURN,
        "over three days",
        definitions.CLOSE.log().change(3),
        -1,
        1,
        model=True,
    )
    return definitions.declare(declared.symbols, (*definitions.TECHNICAL_INDICATORS, added))


def test_what_is_declared_is_what_feast_knows(store, declared):
    assert [entity.name for entity in store.list_entities()] == ["symbol"]
    found = {view.name: view for view in store.list_feature_views()}
    for view in declared.views:
        names = [field.name for field in found[view.name].features]
        assert sorted(names) == sorted(feature.name for feature in view.features)
        assert found[view.name].ttl == view.max_age
        assert isinstance(found[view.name].stream_source, feast.PushSource)
    assert {service.name for service in store.list_feature_services()} == {
        "forecasting",
        "enriched",
    }


def test_another_make_of_definitions_is_refused_with_what_to_do(store, declared):
    with pytest.raises(repository.RepositoryError, match="make up"):
        repository.layout(store, "enriched", "another digest")
    with pytest.raises(repository.RepositoryError, match="does not exist"):
        repository.opened(FOLDER / "no" / "registry.db", VALKEY)
    with pytest.raises(artifact.ArtifactError, match="bellwether train"):
        artifact.declared(FOLDER)


def test_feast_reads_what_the_stream_writes_and_the_step_reads_what_feast_writes(
    store, declared, folded, client
):
    folded.seed(dt.date(2010, 1, 4))
    writer = online_store.Writer(VALKEY, layout(store, declared), folded)
    assert writer.flush({"begin": 0, "next": 0})
    read = feast_row(store, declared, "SPX")
    for view, (values, _) in folded.row("SPX").items():
        for name, value in values.items():
            np.testing.assert_array_equal(read[name], value, err_msg=f"{view}:{name}")

    # The other way: Feast's own batch write, read back by the layout.
    client.flushall()
    types = feast.protos.feast.types
    view = store.get_feature_view("technical_indicators")
    values = {field.name: types.Value_pb2.Value(double_val=0.5) for field in view.features}
    moment = clock.close_of(dt.date(2010, 1, 5))
    entity = types.EntityKey_pb2.EntityKey(
        join_keys=["symbol"], entity_values=[types.Value_pb2.Value(string_val="SPX")]
    )
    store._get_provider().online_write_batch(
        store.config, view, [(entity, values, moment, None)], None
    )
    where = layout(store, declared)
    row = where.decode(client.hmget(where.key("SPX"), where.fields))
    assert row.features["technical_indicators"] == dict.fromkeys(values, 0.5)
    assert row.features["market_data"] == {}
    assert row.moments == {"technical_indicators": moment.timestamp()}


def feast_row(store, declared, symbol, service="enriched"):
    """Give what Feast's own online read has, NaN where it has nothing."""
    found = store.get_online_features(
        store.get_feature_service(service), [{"symbol": symbol}]
    ).to_dict()
    return {
        name: np.nan if value[0] is None else np.asarray(value[0], dtype=float)
        for name, value in found.items()
        if name != "symbol"
    }


def test_training_set_dataset_and_online_store_are_the_same_numbers(
    store, declared, folded, client, tmp_path
):
    with np.load(FOLDER / "dataset.npz") as stored:
        data = {name: stored[name] for name in stored.files}
    writer = online_store.Writer(VALKEY, layout(store, declared), folded)
    order = [feature.name for feature in declared.model_features]
    compared = 0
    for day in MOMENTS:
        # What was streamed: everything up to a month before as seed, then day by day.
        folded.seed(day - dt.timedelta(days=30))
        writer.replace()
        for symbol, at, values in bars.read(ARTIFACT / bars.FILE).until(day):
            if at > day - dt.timedelta(days=30):
                record = dict(zip(bars.COLUMNS, values, strict=True))
                writer.changed(folded.bar(records.Bar(symbol=symbol, date=at, **record)))
                assert writer.flush({"begin": 0, "next": 0})
        moment = pd.Timestamp(clock.close_of(day))
        asked = pd.DataFrame(
            {"symbol": list(declared.symbols), "event_timestamp": [moment] * len(declared.symbols)}
        )
        trained = training_set.training_set(ARTIFACT, tmp_path / "registry.db", asked)
        for place, symbol in enumerate(declared.symbols):
            here = (data["symbol"] == list(data["symbols"]).index(symbol)) & (
                data["date"] == np.datetime64(day)
            )
            if not here.any():
                continue  # a symbol without a bar on that day
            online = feast_row(store, declared, symbol, "forecasting")
            for name, values in (
                ("dataset", data["features"][here][0]),
                ("training set", trained.loc[place, order].to_numpy(float)),
            ):
                np.testing.assert_allclose(
                    [online[feature] for feature in order],
                    values,
                    rtol=1e-9,
                    atol=1e-12,
                    err_msg=f"{symbol} {day} {name}",
                )
            for values in (data["history"][here][0].ravel(), trained.loc[place, "history"]):
                np.testing.assert_allclose(online["history"], values, rtol=1e-9, atol=1e-12)
            compared += 1
    assert compared >= 18


def test_a_join_gives_the_newest_row_of_then_and_nothing_that_is_too_old(tmp_path):
    close = clock.close_of
    asked = pd.DataFrame(
        {
            "symbol": ["SPX", "SPX", "SPX", "SPX"],
            "event_timestamp": [
                close(dt.date(2018, 12, 24)),
                close(dt.date(2018, 12, 24)) - dt.timedelta(seconds=1),
                close(dt.date(2018, 12, 31)) + dt.timedelta(days=5),
                close(dt.date(2018, 12, 31)) + dt.timedelta(days=5, seconds=1),
            ],
        }
    )
    made = training_set.training_set(ARTIFACT, tmp_path / "registry.db", asked, "enriched")
    raw = bars.read(ARTIFACT / bars.FILE)
    closes = {day: values[3] for symbol, day, values in raw.until(None) if symbol == "SPX"}
    # On the 24th itself the day before it, the 21st, is what was known a second before the close.
    np.testing.assert_array_equal(
        made["close"],
        [
            closes[dt.date(2018, 12, 24)],
            closes[dt.date(2018, 12, 21)],
            closes[dt.date(2018, 12, 31)],
            np.nan,
        ],
    )


def test_joins_are_those_of_feasts_own_store_over_files(declared, tmp_path):
    asked = training_set.days(ARTIFACT, ["SPX"], dt.date(2018, 12, 20), dt.date(2018, 12, 31))
    asked["event_timestamp"] += pd.Timedelta(hours=7)
    ours = repository.apply(declared, ARTIFACT, tmp_path / "registry.db", VALKEY)
    theirs = feast.FeatureStore(
        config=ours.config.model_copy(
            update={
                "offline_config": {"type": "dask"},
                "offline_store": feast.infra.offline_stores.dask.DaskOfflineStoreConfig(),
            }
        )
    )
    theirs.config._offline_store = None
    features = [
        f"technical_indicators:{feature.name}"
        for feature in declared.view("technical_indicators").features
    ]
    frames = [
        store.get_historical_features(entity_df=asked, features=features).to_df()
        for store in (ours, theirs)
    ]
    assert type(theirs._get_provider().offline_store).__name__ == "DaskOfflineStore"
    assert type(ours._get_provider().offline_store).__name__ == "AsOfOfflineStore"
    first, second = (
        frame.sort_values("event_timestamp").reset_index(drop=True) for frame in frames
    )
    pd.testing.assert_frame_equal(first, second[first.columns], check_dtype=False, check_exact=True)


def test_what_a_store_loses_is_written_again(store, declared, folded, client):
    folded.seed(dt.date(2018, 1, 4))
    where = layout(store, declared)
    writer = online_store.Writer(VALKEY, where, folded)
    writer.flush({"begin": 0, "next": 0})
    client.flushall()
    writer.check()
    assert writer.pending
    assert writer.flush({"begin": 0, "next": 0})
    assert {symbol for symbol in declared.symbols if client.exists(where.key(symbol))} == set(
        declared.symbols
    )


def test_a_text_counts_once_and_moves_the_sentiment(folded):
    folded.seed(dt.date(2010, 1, 4))
    moment = dt.datetime(2010, 1, 5, 12, tzinfo=dt.UTC)
    good = records.Text(
        kind="headline", symbol="SPX", time=moment, text="great success, wonderful gains"
    )
    assert "SPX" in folded.text(good)
    values, at = folded.row("SPX")["sentiment"]
    assert values["news_sentiment"] > 0.5
    assert values["news_count_1d"] == 1
    assert at == moment
    assert folded.text(good) == frozenset()
    post = records.Text(kind="post", symbol="SPX", time=moment, text="horrible awful disaster")
    folded.text(post)
    values, _ = folded.row("SPX")["sentiment"]
    assert values["social_sentiment"] < -0.5
    assert values["news_count_1d"] == 1


def test_the_clock_stands_at_old_data_goes_on_with_it_and_leaves_a_replay_alone(
    store, declared, folded, client
):
    writer = online_store.Writer(VALKEY, layout(store, declared), folded)
    day = dt.date(2010, 1, 4)
    now = clock.close_of(dt.date(2024, 1, 2)).timestamp()
    writer.set_clock(day, now, back=False)
    assert clock.loads(client.get(clock.KEY)).now() == clock.close_of(day).timestamp()
    writer.set_clock(day + dt.timedelta(days=1), now, back=False)
    assert clock.loads(client.get(clock.KEY)).now() > clock.close_of(day).timestamp()
    writer.set_clock(day, now, back=False)
    assert clock.loads(client.get(clock.KEY)).now() > clock.close_of(day).timestamp()
    writer.set_clock(day, now, back=True)
    assert clock.loads(client.get(clock.KEY)).now() == clock.close_of(day).timestamp()
    going = clock.going(clock.close_of(day), clock.close_of(dt.date(2011, 1, 4)), 3600)
    client.set(clock.KEY, going.dumps())
    writer.set_clock(dt.date(2010, 6, 1), now, back=False)
    assert client.get(clock.KEY) == going.dumps()
    # A bar that came on its own day is live: the market's time is the wall's.
    client.set(clock.KEY, clock.frozen(clock.close_of(day)).dumps())
    today = dt.date(2024, 1, 2)
    writer.set_clock(today, now, back=False)
    assert client.get(clock.KEY) is None


def test_a_row_takes_as_little_of_nothing_as_of_everything(store, declared):
    where = layout(store, declared)
    empty = where.decode([None] * len(where.fields))
    assert empty.moments == {}
    assert set(empty.features) == {view.name for view in declared.views}
    assert not any(empty.features.values())
    assert store.config.entity_key_serialization_version == rows.ENTITY_KEY_VERSION


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_training_set_is_written_and_summed_up(tmp_path, capsys, suffix):
    out = tmp_path / f"set{suffix}"
    common = ["--artifact", str(ARTIFACT), "--registry", str(tmp_path / "registry.db")]
    span = ["--symbols", "SPX,WTI", "--from", "2008-09-12", "--to", "2008-09-16"]
    assert training_set.main([*common, *span, "--out", str(out)]) == 0
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert summary["rows"] == summary["complete"] == 6
    assert summary["symbols"] == ["SPX", "WTI"]
    frame = pd.read_csv(out) if suffix == ".csv" else pd.read_parquet(out)
    assert list(frame.columns) == ["symbol", "event_timestamp", *summary["features"]]
    history = frame.loc[0, "history"]
    assert len(json.loads(history) if suffix == ".csv" else history) == 180


def test_a_training_set_of_nothing_says_what_there_is(tmp_path, capsys):
    common = ["--artifact", str(ARTIFACT), "--registry", str(tmp_path / "registry.db")]
    common += ["--out", str(tmp_path / "set.csv")]
    assert training_set.main([*common, "--symbols", "SPY"]) == 1
    assert "known are IXIC, SPX, VIX, WTI" in capsys.readouterr().err
    assert training_set.main([*common, "--from", "2030-01-01"]) == 1
    assert "there is data from 2006-01-03 to 2018-12-31" in capsys.readouterr().err
