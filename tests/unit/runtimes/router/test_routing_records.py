"""What the router records of its choices, on a real Kafka."""

import datetime as dt
import pathlib

import pytest
import router_parts
import steps_process


def test_each_choice_is_recorded_with_its_reason(tmp_path: pathlib.Path) -> None:
    repository, folder = tmp_path / "repository", tmp_path / "kafka"
    folder.mkdir()
    falling = [[[0.0]] * 40 + [[-0.002]] * 20]
    with router_parts.broker(folder) as bootstrap:
        extra = {"kafka": bootstrap, "hysteresis": "0.1"}
        steps_process.write_settings(
            repository, "regime-router_2", "runtimes.router.runtime.Router", None, extra
        )
        with steps_process.running(repository) as server:
            for name, history, symbol in [
                ("first", falling, ["SPX"]),
                ("second", [[[0.0]] * 60], ["SPX"]),
                ("third", falling, []),
            ]:
                server.outputs(
                    "regime-router_2",
                    steps_process.numbers("history", history),
                    *(steps_process.texts("symbol", each) for each in symbol),
                    id=name,
                )
            found = router_parts.records(bootstrap, 3)
    assert [key for key, _ in found] == [b"SPX", b"SPX", None]
    first, second, third = (record for _, record in found)
    age = dt.datetime.now(dt.UTC) - dt.datetime.fromisoformat(first.pop("time"))
    assert dt.timedelta(0) <= age < dt.timedelta(minutes=2)
    assert first == {
        "id": "first",
        "router": "regime-router",
        "symbol": "SPX",
        "regime": "falling",
        "branch": "conservative",
        "volatility": pytest.approx(0.002 * 252**0.5),
        "trend": pytest.approx(2.718281828459045**-0.04 - 1),
        "thresholds": {
            "volatility_threshold": 0.3,
            "trend_threshold": 0.02,
            "window_days": 20,
            "hysteresis": 0.1,
        },
        "previous": None,
        "reason": "trend -3.921 % over 20 days is below -2 %",
        "propensity": 1.0,
    }
    assert (second["id"], second["regime"], second["previous"]) == ("second", "calm", "falling")
    assert (third["symbol"], third["previous"]) == (None, None)
