"""The bandit's demo against a gateway over a real socket, on real days."""

import collections
import concurrent.futures
import datetime as dt
import io
import itertools
import json
import os
import signal

import numpy as np
import pytest
import rich.console
import small_gateway

from bellwether import demos
from bellwether.demos import (
    bandit,
    bandit_picture,
    bandit_tables,
    earning,
    epochs,
    gateway,
    judging,
    outcomes,
)
from infra.catalogue import bandits, experiments
from models import features, sources
from runtimes.bandit import utility

MONTH = [column.name for column in features.FEATURES].index("log_variance_22d")
FACTORS = {"one-predictor": 0.7, "two-predictor": 1.0, "three-predictor": 1.6}
WEIGHTS = {"one-predictor": 2, "two-predictor": 1, "three-predictor": 1}
EXPERIMENT = "mab-demo-experiment-7"


def forecast(arm, tensors):
    month = np.exp(tensors["features"][:, MONTH] / 2) * FACTORS[arm]
    identity = [arm, "1", f"sha256-{arm}"] * len(month)
    return {"volatility": month, "model": identity}, [f":{arm}_1:"]


class Served:
    """Arms in turn for the experiment, and what model `reward` was told, in order."""

    def __init__(self):
        turns = itertools.cycle(FACTORS)
        self.told = []
        self.gateway = small_gateway.Gateway(
            {
                f"{EXPERIMENT}.experiment": lambda tensors: forecast(next(turns), tensors),
                "reward": self._reward,
                **{arm: lambda tensors, arm=arm: forecast(arm, tensors) for arm in FACTORS},
            },
            metadata={
                "one-predictor": {
                    "inputs": [{"name": "features", "parameters": {"columns": "a", "units": "b"}}]
                }
            },
        )

    def _reward(self, tensors):
        ids, values = tensors["prediction_id"], tensors["value"].tolist()
        self.told += zip(ids, values, strict=True)
        return {"acknowledged": np.array([float(len(ids))])}, []


@pytest.fixture
def served():
    return Served()


@pytest.fixture(scope="module")
def days():
    return outcomes.days(sources.Source(), ("SPX", "WTI")).last(60)


def asked(served, walk, worth, frames):
    """Ask for rows frame by frame; give how many rewards were told after each, and at the end."""
    counts = []
    with (
        small_gateway.running(served.gateway) as url,
        gateway.Gateway(url) as connection,
        concurrent.futures.ThreadPoolExecutor(4) as pool,
    ):
        client = earning.Client(connection, EXPERIMENT, walk, worth)
        client.begin()
        for frame in frames:
            client.frame(frame, pool)
            counts.append(len(served.told))
        client.finish()
    return [*counts, len(served.told)]


def test_every_answer_is_rewarded_once_with_what_its_own_forecast_was_worth(served, days):
    walk = earning.Walk.of(days, WEIGHTS, 3)
    asked(served, walk, outcomes.Realised(days), [slice(0, 20), slice(20, 60)])
    assert walk.done == walk.rewarded == 60
    assert walk.acknowledged == len(served.told) == 180
    assert len({identity for identity, _ in served.told}) == 180
    month = np.exp(days.features[:, MONTH] / 2)
    expected = collections.Counter()
    for row in range(60):
        for arm in walk.chosen[row]:
            volatility = month[row] * list(FACTORS.values())[arm]
            expected[round(float(utility.realised_utility(volatility, days.closes[row])), 9)] += 1
    assert collections.Counter(round(value, 9) for _, value in served.told) == expected


def test_a_reward_is_sent_when_its_five_days_have_passed_and_not_before(served, days):
    walk = earning.Walk.of(days, WEIGHTS, 2)
    frames = [slice(row, row + 2) for row in range(0, 20, 2)]
    counts = asked(served, walk, outcomes.Realised(days), frames)
    for frame, told in zip(frames, counts[:-1], strict=True):
        today = days.date[frame.stop - 1]
        assert told == 2 * int((days.known[: frame.stop] <= today).sum())
    assert counts[4] == 0, "on the fifth day nothing is known of the first"
    assert counts[-1] == 40, "at the end the days that follow pass"


def test_all_arms_are_asked_for_every_row_so_that_any_split_can_be_judged(served, days):
    walk = earning.Walk.of(days, WEIGHTS, 2)
    asked(served, walk, outcomes.Realised(days), [slice(0, 60)])
    month = np.exp(days.features[:, MONTH] / 2)
    for place, factor in enumerate(FACTORS.values()):
        expected = utility.realised_utility(month * factor, days.closes)
        assert np.allclose(walk.worth[:, place], expected)
    assert np.allclose(walk.fixed_earned, walk.worth @ [0.5, 0.25, 0.25])
    taken = [walk.worth[row, walk.chosen[row]].mean() for row in range(60)]
    assert np.allclose(walk.earned, taken)
    assert walk.answers().sum() == 120


def test_an_answer_by_a_stranger_stops_the_demo(served, days):
    served.gateway.targets[f"{EXPERIMENT}.experiment"] = lambda tensors: (
        forecast("one-predictor", tensors)[0],
        [":robust-predictor_1:"],
    )
    walk = earning.Walk.of(days, WEIGHTS, 2)
    with pytest.raises(demos.DemoError, match=r"answered by robust-predictor.*one-predictor"):
        asked(served, walk, outcomes.Realised(days), [slice(0, 2)])


def test_without_model_reward_the_message_says_what_to_do(served, days):
    del served.gateway.targets["reward"]
    walk = earning.Walk.of(days, WEIGHTS, 2)
    with pytest.raises(demos.DemoError, match=r"reward answers 404.*make up"):
        asked(served, walk, outcomes.Realised(days), [slice(0, 60)])


def test_made_up_rewards_say_so_and_turn_round_half_way(days):
    made_up = outcomes.MadeUp(tuple(WEIGHTS), len(days), seed=1)
    assert "MADE UP" in made_up.about
    worth = made_up.worth(slice(0, 60), np.ones((60, 3)))
    assert worth[:30].argmax(axis=1).tolist() == [0] * 30
    assert worth[30:].argmax(axis=1).tolist() == [2] * 30
    drawn = np.array([made_up.reward(0, 0, 0.2) for _ in range(4000)])
    assert drawn.mean() == pytest.approx(worth[0, 0], abs=4 * outcomes.MADE_UP_SD / 4000**0.5)
    again = outcomes.MadeUp(tuple(WEIGHTS), len(days), seed=1)
    assert again.reward(0, 0, 0.2) == drawn[0]


def test_days_are_whole_ascend_and_have_what_followed(days):
    assert (np.diff(days.date) >= np.timedelta64(0)).all()
    assert days.symbols == ("SPX", "WTI")
    assert np.isfinite(days.closes).all()
    assert (days.known > days.date).all()


def allocation(epoch, time, applied=True, experiment=EXPERIMENT, **weights):
    return {
        "experiment": experiment, "policy": "p", "epoch": epoch, "time": time,
        "weights": {f"{arm}-predictor": weight for arm, weight in weights.items()},
        "previous": dict(WEIGHTS), "applied": applied, "mode": "active",
        "offsets": {"decisions": [0, 1], "rewards": [0, 1]},
        "spec_digest": "s", "state_digest": "t",
    }  # fmt: skip


def three_epochs():
    told = epochs.Epochs(EXPERIMENT, tuple(WEIGHTS))
    told.record("allocations", allocation(1, 100.0, one=1, two=1, three=2), 0.0)
    told.record("allocations", allocation(1, 150.0, experiment="another", one=1), 0.0)
    told.record("allocations", allocation(2, 160.0, applied=False, one=1, two=0, three=0), 0.0)
    told.record("allocations", None, 0.0)
    told.record("allocations", allocation(3, 200.0, one=0, two=1, three=3), 0.0)
    return told


@pytest.fixture
def told():
    return three_epochs()


def test_the_shares_of_a_moment_are_those_of_the_last_epoch_that_acted(told):
    first = np.array([0.5, 0.25, 0.25])
    shares = told.acting(np.array([[99.0, 100.0], [199.9, 300.0]]), first)
    assert shares[0, 0].tolist() == first.tolist()
    assert shares[0, 1].tolist() == shares[1, 0].tolist() == [0.25, 0.25, 0.5]
    assert shares[1, 1].tolist() == [0.0, 0.25, 0.75]
    assert [each.number for each in told.known] == [1, 3]


def test_a_record_that_is_none_is_told_not_passed_over(told):
    with pytest.raises(demos.DemoError, match="epoch"):
        told.record("allocations", {"experiment": EXPERIMENT}, 0.0)


def status(**rewards):
    return {
        "arms": [
            {"name": arm, "rewards": rewards.get(arm.partition("-")[0], 0),
             "posterior": {"mean": 0.0, "sd": 0.0}}
            for arm in WEIGHTS
        ]
    }  # fmt: skip


def test_an_arm_without_a_reward_has_no_posterior(told):
    assert told.learnt == 0
    told.believe(1, {})
    told.believe(1, status(one=4))
    assert np.isnan(told.beliefs[-1].mean).tolist() == [False, True, True]
    assert told.learnt == 4


@pytest.fixture(scope="module")
def result():
    """The last year; what the controller said of it is made here."""
    served, told = Served(), three_epochs()
    days = outcomes.days(sources.Source(), ("SPX",)).last(250)
    walk = earning.Walk.of(days, WEIGHTS, 3)
    asked(served, walk, outcomes.Realised(days), [slice(0, 100), slice(100, 250)])
    told.believe(250, status(one=700))
    return judging.judged(walk, told, outcomes.Origin.HISTORY, "about", seed=1, took=2.0)


def test_the_result_stands_beside_the_fixed_split_and_the_best_arm(result):
    found = json.loads(json.dumps(result.document(), allow_nan=False))
    walk = result.walk
    gain = float((walk.earned - walk.fixed_earned).mean())
    assert found["gain_over_fixed"]["value"] == pytest.approx(gain, rel=1e-4)
    assert found["gain_over_fixed"]["low"] < gain < found["gain_over_fixed"]["high"]
    alone = walk.worth.mean(axis=0)
    assert found["best_single"] == judging.walks.short(walk.arms[int(alone.argmax())])
    over = found["gain_over_best_single"]["value"]
    assert over == pytest.approx(float(walk.earned.mean() - alone.max()), rel=1e-4)
    assert found["rewards"] == {"acknowledged": 750, "learnt": 700}
    assert found["days"] == found["rows"] == found["of_rows"] == 250
    assert [arm["share"] for arm in found["arms"]] == [0.0, 0.25, 0.75]
    assert found["verdict"] in {
        "undecided", "the learnt split earned more", "the fixed split earned more",
    }  # fmt: skip
    assert found["models_were_fitted_on_these_days"] is None, "no card has these digests"


def test_what_is_missing_is_said_in_words(result):
    said = " ".join(judging.sentences(result))
    assert "50 acknowledged rewards were not learnt" in said
    assert "cards are not on this machine" in said
    assert result.best in said


def test_the_verdict_follows_the_interval(result):
    def verdict(low, high):
        estimate = judging.Estimate((low + high) / 2, low, high)
        over = {**result.gains.over, judging.FIXED: estimate}
        gains = judging.dataclasses.replace(result.gains, over=over)
        return judging.dataclasses.replace(result, gains=gains).verdict

    assert verdict(0.001, 0.002) == "the learnt split earned more"
    assert verdict(-0.002, -0.001) == "the fixed split earned more"
    assert verdict(-0.001, 0.001) == "undecided"
    assert "too few" in verdict(np.nan, np.nan)


def test_tables_line_and_picture_show_it(result, tmp_path):
    console = rich.console.Console(file=io.StringIO(), width=160)
    console.print(bandit_tables.live(result.walk, result.told))
    console.print(bandit_tables.earned(result))
    printed = console.file.getvalue()
    assert "not yet" in printed, "of arms without a reward"
    assert "███████████████" in printed, "three quarters of the bar"
    assert f"{result.best} (best single)" in printed
    assert "three 75%" in bandit_tables.line(result.walk, result.told)
    path = tmp_path / "mab.png"
    bandit_picture.draw(result, path)
    assert path.read_bytes().startswith(b"\x89PNG")


def test_arms_are_the_catalogues_first_ones_and_more_share_evenly():
    declared = [each.name for each in experiments.FINANCIAL_MAB.spec.candidates]
    assert bandit.arms(2) == {declared[0]: 40, declared[1]: 30}
    assert list(bandit.arms(4)) == declared
    assert set(bandit.arms(6).values()) == {1}
    for count in (1, 20):
        with pytest.raises(demos.DemoError, match=rf"--models {count}: .* 2 to 8 models"):
            bandit.arms(count)


def test_speed_is_epochs_a_minute_and_the_rest_is_the_catalogues():
    spec = bandit.spec(20)
    assert spec.update_frequency == dt.timedelta(seconds=3)
    assert spec.algorithm == bandits.FINANCIAL_MAB.spec.algorithm
    assert spec.forgetting == bandits.FINANCIAL_MAB.spec.forgetting
    assert spec.exploration_rate == bandits.FINANCIAL_MAB.spec.exploration_rate
    assert bandit.SPEED >= 20, "a minute has 20 epochs at least"
    for speed in (0, -3, 1000):
        with pytest.raises(demos.DemoError, match="--speed"):
            bandit.spec(speed)


def test_a_minute_asks_for_the_last_days_and_an_hour_for_all_of_them_more_often():
    assert bandit.plan(60, 100, 19_000) == (1500, 4)
    rows, requests = bandit.plan(3600, 100, 19_000)
    assert rows == pytest.approx(19_000, rel=0.01)
    assert requests == 19
    with pytest.raises(demos.DemoError, match="--rate"):
        bandit.plan(60, 0, 19_000)


def test_a_termination_ends_the_demo_as_ctrl_c_does():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), bandit._termination_interrupts():
        os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before
