import numpy as np
import pytest

from runtimes.bandit.policies import beliefs, best, conjugate

DRAWS = 200_000


def drawn(mixture, seed):
    generator = np.random.default_rng(seed)
    _, arms, runs = mixture.laws.mean.shape
    world = generator.choice(len(mixture.worlds[0]), DRAWS, p=mixture.worlds[0])
    values = np.empty((DRAWS, arms))
    for arm in range(arms):
        edges = np.cumsum(mixture.runs[0, world, arm], axis=1)
        run = (generator.random(DRAWS)[:, None] > edges).sum(axis=1).clip(0, runs - 1)
        laws = mixture.laws
        if isinstance(laws, conjugate.BetaLaw):
            values[:, arm] = generator.beta(laws.a[0, arm, run], laws.b[0, arm, run])
        else:
            t = generator.standard_t(laws.freedom[0, arm, run])
            values[:, arm] = laws.mean[0, arm, run] + laws.scale[0, arm, run] * t
    return np.bincount(values.argmax(axis=1), minlength=arms) / DRAWS


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", ["beta", "student"])
def test_it_is_how_often_an_arm_wins_among_draws(kind, seed):
    generator = np.random.default_rng(seed)
    shape = (1, 4, 3)
    a = generator.uniform(2, 300, shape)
    if kind == "beta":
        laws = conjugate.BetaLaw(a, a * generator.uniform(0.8, 1.2, shape))
    else:
        laws = conjugate.StudentLaw(
            generator.normal(0, 1, shape), generator.uniform(0.1, 1, shape), a
        )
    mixture = beliefs.Mixture(
        np.array([[0.3, 0.7]]), generator.dirichlet(np.ones(3), (1, 2, 4)), laws
    )
    assert best.probabilities(mixture)[0] == pytest.approx(drawn(mixture, seed), abs=6e-3)


def test_what_is_decided_is_decided_and_what_is_even_is_even():
    even = best.of_normals(np.zeros(5), np.ones(5))
    assert even == pytest.approx(np.full(5, 0.2), abs=1e-3)
    decided = best.of_normals(np.array([0.0, 1.0, 0.5]), np.full(3, 1e-3))
    assert decided == pytest.approx([0, 1, 0], abs=1e-6)


def test_many_lanes_are_computed_in_pieces_to_the_same_numbers(monkeypatch):
    generator = np.random.default_rng(1)
    a = generator.uniform(2, 300, (7, 3, 2))
    laws = conjugate.BetaLaw(a, a[::-1].copy())
    mixture = beliefs.Mixture(np.ones((7, 1)), np.full((7, 1, 3, 2), 0.5), laws)
    whole = best.probabilities(mixture)
    monkeypatch.setattr(best, "_CELLS", 1)
    assert (best.probabilities(mixture) == whole).all()
