"""The Fréchet distance against closed forms, and its bias against Monte Carlo."""

import numpy as np
import pytest
from scipy.linalg import sqrtm

from phire.errors import InputError
from phire.rplearn.frechet_with_bias import frechet_with_bias


def test_value_by_the_matrix_root_of_scipy():
    rng = np.random.default_rng(0)
    a = rng.standard_normal((200, 5)) @ rng.standard_normal((5, 5))
    b = rng.standard_normal((300, 5)) @ rng.standard_normal((5, 5)) + 1
    covariances = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = sqrtm(covariances[0] @ covariances[1]).real
    expected = np.sum((a.mean(0) - b.mean(0)) ** 2) + np.trace(sum(covariances) - 2 * root)
    assert frechet_with_bias(a, b).value == pytest.approx(expected)


def test_equal_sets_and_shifted_sets():
    a = np.random.default_rng(1).standard_normal((50, 4))
    assert frechet_with_bias(a, a).value == pytest.approx(0, abs=1e-9)
    shifted = frechet_with_bias(a, a + np.array([3, 0, 0, 4]))
    assert shifted.value == pytest.approx(25)


@pytest.mark.parametrize(("n", "m"), [(200, 200), (100, 400)])
def test_bias_of_two_samples_from_one_distribution(n, m):
    rng = np.random.default_rng(2)
    spread = np.array([3.0, 1.0, 0.5, 0.2])
    found = [
        frechet_with_bias(
            spread * rng.standard_normal((n, 4)), spread * rng.standard_normal((m, 4))
        )
        for _ in range(300)
    ]
    mean = np.mean([d.value for d in found])
    error = np.std([d.value for d in found]) / np.sqrt(300)
    # The plain value is far from zero, what the bias leaves of it is not.
    assert mean > 20 * error
    assert np.mean([d.bias for d in found]) == pytest.approx(mean, abs=3.5 * error)
    assert abs(np.mean([d.corrected for d in found])) < 4 * error
    assert found[0].samples == (n, m)


def test_bias_falls_as_one_over_the_sample():
    rng = np.random.default_rng(3)
    small = frechet_with_bias(rng.standard_normal((100, 3)), rng.standard_normal((100, 3)))
    large = frechet_with_bias(rng.standard_normal((10_000, 3)), rng.standard_normal((10_000, 3)))
    assert small.bias / large.bias == pytest.approx(100, rel=0.3)


def test_distance_of_fields_grows_with_their_difference(metric, fields):
    x = fields(40, seed=1)
    first, other, smooth = (
        metric.features(one).mean((-3, -2))
        for one in (x, fields(40, seed=2), (x + np.roll(x, 1, axis=2)) / 2)
    )
    same, blurred = (
        frechet_with_bias(first, other),
        frechet_with_bias(first, smooth),
    )
    assert blurred.corrected > 4 * abs(same.corrected)
    assert blurred.corrected == pytest.approx(blurred.value - blurred.bias)


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(InputError, match="at least two"):
        frechet_with_bias(np.zeros((1, 3)), np.zeros((3, 3)))
    with pytest.raises(InputError, match="equal F"):
        frechet_with_bias(np.zeros((3, 2)), np.zeros((3, 4)))
