"""What the console makes of what it reads."""

import asyncio

import pytest

from runtimes.console import experiments, explaining, live, predictions
from runtimes.console.doors import Away
from runtimes.contract import inference


def arm(name, mean, weight=50):
    return experiments.Arm(name, weight, weight / 100, 0, 0, mean, 0.1, None)


def epoch(number, decisions, weights=None):
    split = weights or {"a": 50, "b": 50}
    return experiments.Epoch(number, float(number), "p", "active", True, split, decisions, ())


def test_regret_counts_what_each_answer_was_short_of_the_best_arm():
    history = [epoch(1, {"a": 10, "b": 10}), epoch(2, {"a": 0, "b": 20})]
    found = experiments.regret([arm("a", 0.25), arm("b", 0.75)], history)
    assert found.policy == (5.0, 5.0)
    assert found.fixed == (5.0, 10.0), "the first split, half and half, for all 40"


def test_there_is_no_regret_where_nothing_is_believed_or_nothing_was_decided():
    assert experiments.regret([arm("a", None), arm("b", 1.0)], [epoch(1, {})]) is None
    assert experiments.regret([arm("a", 1.0)], []) is None


@pytest.mark.parametrize("text", ["", "a b", "x" * 257, "a\x00b"])
def test_an_id_that_cannot_be_one_is_told_what_is_wrong(text):
    assert predictions.usable(text)


def test_a_uuid_may_be_an_id():
    assert predictions.usable("4b23ccfa-cb53-403b-8525-8dd5dc3679ef") is None


def subject(features):
    return explaining.Subject("1", "SPX", "d", "m", "1", "sha", 0.2, features, (), (1, 0, 0), {})


def weight(name, value):
    return {"feature": name, "value": value, "unit": "u", "standard_deviation": 2.0}


def test_a_slider_stands_where_its_feature_is_in_the_request():
    weights = {"attributions": [weight("b", 0.5), weight("a", -1.0)]}
    first, second = explaining.sliders(subject((-1.0, 0.5)), weights)
    assert (first.feature, first.place, first.least, first.most) == ("b", 1, -5.5, 6.5)
    assert (second.feature, second.place) == ("a", 0)


def test_features_that_cannot_be_told_apart_have_no_slider():
    weights = {"attributions": [weight("a", 0.0), weight("b", 0.0), weight("c", 1.0)]}
    assert [each.feature for each in explaining.sliders(subject((0.0, 0.0, 1.0)), weights)] == ["c"]


def test_a_live_value_keeps_what_it_had_while_its_part_is_away():
    answers = iter([1, Away("Kafka", "gone"), 1, 2])

    async def read():
        found = next(answers)
        if isinstance(found, Away):
            raise found
        return found

    async def follow():
        value = live.Live(read, 0.001)
        seen = []
        async for each in value.follow():
            seen.append((each.value, str(each.problem or "")))
            if each.value == 2:
                return seen
        return seen

    assert asyncio.run(follow()) == [(1, ""), (1, "gone"), (1, ""), (2, "")]


def test_nothing_is_read_while_nobody_looks():
    async def read():
        return 1

    async def look_and_leave():
        value = live.Live(read, 0.001)
        changes = value.follow()
        await anext(changes)
        reading = value._task
        await changes.aclose()
        with pytest.raises(asyncio.CancelledError):
            await reading
        return value._task

    assert asyncio.run(look_and_leave()) is None


def test_a_document_that_is_not_there_is_none():
    tensors = {"rules": inference.Tensor("BYTES", (1,), ['[{"name": "x"}]'])}
    assert predictions.document(tensors, "rules") == [{"name": "x"}]
    assert predictions.document(tensors, "quality") is None
