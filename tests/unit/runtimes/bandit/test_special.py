import numpy as np
import pytest
import scipy.special
import scipy.stats

from runtimes.bandit.policies import conjugate, special


def test_log_gamma_is_scipys():
    x = np.exp(np.linspace(-7, 14, 2000))
    assert special.log_gamma(x) == pytest.approx(scipy.special.gammaln(x), rel=1e-12, abs=1e-12)


def test_the_normal_law_is_within_a_ten_thousandth():
    z = np.linspace(-12, 12, 5001)
    assert np.abs(special.normal_cdf(z) - scipy.stats.norm.cdf(z)).max() < 1.1e-4


@pytest.mark.parametrize(
    ("a", "b", "within"),
    [
        (1, 1, 5e-3),
        (1, 40, 5e-3),
        (3, 3, 5e-4),
        (14, 200, 5e-4),
        (16, 600, 6e-3),
        (300, 700, 2e-3),
        (9000, 8000, 5e-4),
    ],
)
def test_a_beta_law_is_within_half_a_per_cent(a, b, within):
    x = np.linspace(-0.1, 1.1, 4001)
    law = conjugate.BetaLaw(np.array([[float(a)]]), np.array([[float(b)]]))
    assert np.abs(law.cdf(x[None])[0] - scipy.stats.beta.cdf(x, a, b)).max() < within


@pytest.mark.parametrize("freedom", [3, 6, 30, 60, 1000])
def test_a_student_law_is_within_two_thousandths(freedom):
    x = np.linspace(-20, 20, 4001)
    law = conjugate.StudentLaw(np.array([[1.0]]), np.array([[2.0]]), np.array([[float(freedom)]]))
    assert np.abs(law.cdf(x[None])[0] - scipy.stats.t.cdf(x, freedom, 1, 2)).max() < 2e-3
