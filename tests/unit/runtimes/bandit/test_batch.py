import numpy as np
import pytest

from runtimes.bandit import policies


def test_rewards_are_summed_up_by_arm():
    batch = policies.Batch.of(3, [0, 2, 0, 2, 2], [1.0, 2.0, 3.0, 4.0, 9.0])
    assert batch.counts.tolist() == [2, 0, 3]
    assert batch.sums.tolist() == [4, 0, 15]
    assert batch.deviations.tolist() == [2, 0, 26]


@pytest.mark.parametrize(
    ("chosen", "rewards", "why"),
    [
        ([3], [1.0], "arm 3 of 3"),
        ([-1], [1.0], "arm -1 of 3"),
        ([0], [float("nan")], "not finite: nan"),
        ([0], [float("inf")], "not finite: inf"),
        ([0, 1], [1.0], "one of each"),
    ],
)
def test_what_cannot_be_learnt_is_refused(chosen, rewards, why):
    with pytest.raises(ValueError, match=why):
        policies.Batch.of(3, chosen, rewards)


def test_contexts_come_one_for_each_reward():
    assert policies.Batch.of(2, [0], [1.0], [[1.0, 2.0]]).rows.contexts.shape == (1, 2)
    with pytest.raises(ValueError, match="2 rewards"):
        policies.Batch.of(2, [0, 1], [1.0, 0.0], [[1.0]])
    with pytest.raises(ValueError, match="context is not finite"):
        policies.Batch.of(2, [0], [1.0], [[np.inf]])
