"""Return levels against the distribution drawn from and scipy's fit."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from phire.evaluation.return_levels import return_levels


@pytest.mark.parametrize("shape", [-0.15, 0.1])
def test_return_levels_are_those_of_the_distribution_drawn_from(shape):
    maxima = stats.genextreme.rvs(shape, 20, 5, size=(1, 20000), random_state=0)
    found = return_levels(maxima, (2.0, 10.0, 50.0))[0]
    expected = stats.genextreme.ppf([0.5, 0.9, 0.98], shape, 20, 5)
    np.testing.assert_allclose(found, expected, rtol=0.02)
    fitted = stats.genextreme.fit(maxima[0][:2000])
    likelihood = stats.genextreme.ppf([0.5, 0.9, 0.98], *fitted)
    np.testing.assert_allclose(return_levels(maxima[:, :2000], (2.0, 10.0, 50.0))[0], likelihood,
                               rtol=0.05)  # fmt: skip
