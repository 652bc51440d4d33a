"""SAL against pysteps, and its meaning for moved, doubled and smoothed rain."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.made_fields import setting_of, take
from phire.evaluation.catalogue import statistics
from phire.evaluation.sal import sal
from phire.fields.grid import Grid

SHAPE = (60, 80)


def showers(places, sizes, heights):
    """(h, w) round showers that do not touch, cut off where they are weak."""
    y, x = np.indices(SHAPE)
    total = np.zeros(SHAPE)
    for (row, column), size, height in zip(places, sizes, heights):
        shower = height * np.exp(-((y - row) ** 2 + (x - column) ** 2) / (2 * size**2))
        total += np.where(shower > 0.05 * height, shower, 0)
    return total


TRUTH = showers([(15, 20), (42, 60), (20, 60)], [3, 4, 2.5], [20, 18, 25])
OTHER = showers([(18, 24), (45, 50)], [5, 3.5], [12, 15])
EVEN = np.ones(SHAPE)


def test_sal_equals_that_of_pysteps():
    scores = pytest.importorskip("pysteps.verification.salscores")
    expected = scores.sal(OTHER, TRUTH, thr_factor=1 / 15, thr_quantile=0.95)
    found = sal(TRUTH, OTHER, EVEN, EVEN > 0)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_a_moved_a_doubled_and_a_smoothed_field():
    inside = EVEN > 0
    moved = np.roll(TRUTH, (4, 3), (0, 1))
    np.testing.assert_allclose(
        sal(TRUTH, moved, EVEN, inside), [0, 0, 5 / np.hypot(*SHAPE)], atol=1e-12
    )
    structure, amplitude, location = sal(TRUTH, 2 * TRUTH, EVEN, inside)
    assert (structure, location) == pytest.approx((0, 0), abs=1e-12)
    assert amplitude == pytest.approx(2 / 3)
    flat = showers([(15, 20), (42, 60), (20, 60)], [6, 8, 5], [5, 4.5, 6])
    assert sal(TRUTH, flat, EVEN, inside)[0] > 0.5
    assert np.isnan(sal(TRUTH, 0 * TRUTH, EVEN, inside)).all()


def test_by_time_and_without_missing_points():
    truth, candidate = (np.stack([field] * 2)[..., None] for field in (TRUTH, OTHER))
    grid = Grid.pixels(*SHAPE)
    candidate[1] = 0
    truth[:, :2, :3] = np.nan  # no rain there
    taker = statistics()["sal"](setting_of(truth, grid, channels=("pr",)))
    result = take(taker, truth, candidate).sel(channel="pr")
    expected = sal(TRUTH, OTHER, EVEN, EVEN > 0)
    found = [result[name].isel(time=0).item() for name in ("structure", "amplitude", "location")]
    np.testing.assert_allclose(found, expected, rtol=1e-2)
    assert np.isnan(result["structure"][1])
    assert result["amplitude_mean"].item() == pytest.approx(abs(found[1]))
