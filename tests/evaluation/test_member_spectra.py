"""Spectra of members, of their mean, and spread–skill by scale."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import fft

from evaluation.made_fields import setting_of, take, white_ensemble
from phire.evaluation.batches import Batch, Ensemble
from phire.evaluation.catalogue import statistics
from phire.evaluation.figures.spectrum_plots import spectrum_figure
from phire.fields.grid import Grid

PIXELS = Grid.pixels(24, 32)


@pytest.mark.parametrize("grid", [PIXELS, Grid.gaussian(24)], ids=["region", "sphere"])
def test_exchangeable_members_have_a_ratio_of_one_at_every_scale(grid):
    truth, members = white_ensemble(grid, times=30, members=8)
    result = take(statistics()["ensemble_spectrum"](setting_of(truth, grid)), truth, members)
    result = result.isel(channel=0, wavelength=slice(3, 10))
    np.testing.assert_allclose(result["spectral_spread_skill_ratio"], 1, atol=0.2)
    # The mean of M independent members has an M-th of their variance.
    np.testing.assert_allclose(result["mean_variance"] / result["member_variance"], 1 / 8, rtol=0.3)
    assert (result["member_variance_low"] <= result["member_variance"]).all()
    assert (result["member_variance"] <= result["member_variance_high"]).all()


def test_members_spectra_are_those_of_the_spectrum_statistic():
    truth, members = white_ensemble(PIXELS, times=3, members=4)
    setting = setting_of(truth, PIXELS)
    found = take(statistics()["ensemble_spectrum"](setting), truth, members)
    each = [
        take(statistics()["spectrum"](setting), truth, members[:, m])["variance"] for m in range(4)
    ]
    np.testing.assert_allclose(found["member_variance"], sum(each) / 4, rtol=1e-10)
    np.testing.assert_allclose(
        found["truth_variance"], take(statistics()["spectrum"](setting), truth)["variance"]
    )
    # Parseval: spread and error of the whole transform are those of the fields without means.
    mean = members.mean(1)[..., 0]
    waves = fft.dctn(mean - truth[..., 0], axes=(-2, -1), norm="ortho") ** 2
    assert waves.sum() == pytest.approx(((mean - truth[..., 0]) ** 2).sum())


def test_a_single_wave_of_error_shows_at_its_scale():
    truth, members = white_ensemble(PIXELS, times=20, members=8)
    columns = np.arange(32)
    wave = 3 * np.cos(np.pi * (columns + 0.5) * 8 / 32)[None, None, :, None]
    setting = setting_of(truth, PIXELS)
    ratio = take(statistics()["ensemble_spectrum"](setting), truth + wave, members)
    ratio = ratio["spectral_spread_skill_ratio"].isel(channel=0)
    # Eight half waves in 32 points: a wavelength of 8 points.
    assert abs(ratio["wavelength"][int(ratio.values.argmin())].item() - 8) < 1
    assert ratio.min() < 0.7


@pytest.mark.parametrize("grid", [PIXELS, Grid.gaussian(24)], ids=["region", "sphere"])
def test_the_spectrum_of_a_candidate_lies_within_the_band_of_its_members(grid):
    """Above and relative to the truth; the pooled members of ``spectrum`` are their mean."""
    truth, members = white_ensemble(grid, times=3, members=4)
    one, times = statistics()["spectrum"](setting_of(truth, grid)), np.arange(3)
    ensemble = one.described(one.measure(Batch(truth, times), Ensemble(members, times)))
    pooled = sum(take(one, truth, members[:, m])["variance"] for m in range(4)) / 4
    np.testing.assert_allclose(ensemble["variance"], pooled, rtol=1e-9)
    spectra = {"truth": take(one, truth), "e": ensemble}
    channel = str(pooled["channel"].values[0])
    figure = spectrum_figure(spectra, variable="variance", channel=channel)
    shaded = [c for axes in figure.axes for c in axes.collections if len(c.get_paths()) == 1]
    ranges = [ensemble[f"member_variance_{end}"].isel(channel=0)[1:] for end in ("low", "high")]
    heights = np.concatenate([np.ravel(c.get_paths()[0].vertices[:, 1]) for c in shaded])
    for end, least_or_greatest in zip(ranges, (np.min, np.max)):
        assert np.isclose(heights, float(least_or_greatest(end))).any()
    reference = spectra["truth"]["variance"].isel(channel=0).values[1:]
    assert np.isclose(heights, float((ranges[1].values / reference)[5])).any()
