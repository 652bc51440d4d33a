"""Spectra against Parseval, pyshtools, pyspharm and closed forms."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest
import scipy.fft
import xarray as xr
from scipy.ndimage import uniform_filter

from evaluation.made_fields import random_fields, setting_of, take
from phire.errors import InputError
from phire.evaluation import kinetic_energy_spectrum, measure
from phire.evaluation.catalogue import statistics
from phire.evaluation.domain import Domain
from phire.evaluation.global_spectra import wavelengths
from phire.evaluation.regional_spectra import wavenumber_bins
from phire.evaluation.spectral_scores import (
    comparison,
    effective_resolution,
    log_spectral_error,
    truncation,
)
from phire.evaluation.wind import find_wind, is_component
from phire.fields import open_fields
from phire.fields.grid import EARTH_RADIUS, Grid
from phire.fields.harmonics import SphericalHarmonics
from phire.fields.source import ArraySource
from spheres import random_coefficients

REALDATA = os.environ.get("PHIRE_REALDATA")


def spectra(truth, grid, candidate=None, **options):
    return take(statistics()["spectrum"](setting_of(truth, grid, **options)), truth, candidate)


@pytest.mark.parametrize("kind", ["gaussian", "driscoll_healy", "cell_centred", "pole_to_pole"])
def test_variance_sums_to_the_area_mean_square(kind):
    grid = getattr(Grid, kind)(33 if kind == "pole_to_pole" else 32)
    fields = random_fields(grid, 3, 2, truncation=14)
    weights = grid.quadrature_weights()[:, None] / 2 / grid.shape[1]
    expected = np.einsum("nhwc,hw->nc", fields**2, np.broadcast_to(weights, grid.shape)).mean(0)
    result = spectra(fields, grid)
    np.testing.assert_allclose(result["variance"].sum("degree"), expected, rtol=1e-10)


def test_variance_equals_pyshtools():
    import pyshtools

    grid = Grid.driscoll_healy(32)
    fields = random_fields(grid, 2, 1)
    expected = [
        pyshtools.SHGrid.from_array(field[..., 0], grid="DH").expand().spectrum()
        for field in fields
    ]
    result = spectra(fields, grid)["variance"].values[0]
    np.testing.assert_allclose(result, np.mean(expected, 0), rtol=1e-8, atol=1e-14)


def test_kinetic_energy_equals_pyspharm():
    spharm = pytest.importorskip("spharm")
    grid = Grid.gaussian(32)
    fields = random_fields(grid, 1, 2, truncation=20)
    transform = spharm.Spharmt(64, 32, rsphere=EARTH_RADIUS, gridtype="gaussian")
    vorticity, divergence = transform.getvrtdivspec(fields[0, ..., 0], fields[0, ..., 1], ntrunc=31)
    order, degree = spharm.getspecindx(31)
    squares = np.where(order == 0, 1, 2) * (np.abs(vorticity) ** 2 + np.abs(divergence) ** 2) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        energy = EARTH_RADIUS**2 / (2 * degree * (degree + 1.0)) * squares
    expected = np.bincount(degree, np.where(degree > 0, energy, 0), minlength=32)
    result = spectra(fields, grid, channels=("u", "v"))["kinetic_energy"]
    np.testing.assert_allclose(result[1:21], expected[1:21], rtol=1e-4)


def test_kinetic_energy_sums_to_that_of_the_wind_from_components_and_derivatives():
    grid = Grid.gaussian(32)
    harmonics = SphericalHarmonics(grid, threads=1)
    fields = 1e-5 * random_fields(grid, 2, 2, truncation=20)
    vorticity, divergence = np.moveaxis(fields, -1, 0)
    vorticity = vorticity - harmonics.synthesise(
        np.where(harmonics.degrees == 0, harmonics.analyse(vorticity), 0)
    )
    divergence = divergence - harmonics.synthesise(
        np.where(harmonics.degrees == 0, harmonics.analyse(divergence), 0)
    )
    u, v = harmonics.vorticity_divergence_to_wind(vorticity, divergence)
    weights = np.broadcast_to(grid.area_weights() / grid.area_weights().sum() / 64, grid.shape)
    expected = ((u**2 + v**2) / 2 * weights).sum((-1, -2)).mean()
    derivatives = np.stack([divergence, vorticity], -1)
    components = np.stack([u, v], -1)
    first = spectra(derivatives, grid, channels=("divergence", "vorticity"))["kinetic_energy"]
    second = spectra(components, grid, channels=("u", "v"))["kinetic_energy"]
    assert float(first.sum()) == pytest.approx(expected, rel=1e-6)
    np.testing.assert_allclose(first[:21], second[:21], rtol=1e-6, atol=1e-9 * expected)


def test_coherence_is_the_correlation_of_coefficients():
    grid = Grid.gaussian(32)
    truth = random_fields(grid, 40, 1, seed=1)
    noise = random_fields(grid, 40, 1, seed=2)
    result = spectra(truth, grid, 0.6 * truth + 0.8 * noise)
    # Of independent noise the expectation is 0.6, its spread 1/√(40 (2l+1)).
    np.testing.assert_allclose(result["coherence"][0, 5:], 0.6, atol=0.12)
    np.testing.assert_allclose(spectra(truth, grid, 3 * truth)["coherence"], 1, atol=1e-9)


def test_ratio_error_and_resolution_of_a_candidate_that_lacks_short_waves():
    grid = Grid.gaussian(32)
    harmonics = SphericalHarmonics(grid, threads=1)
    truth = random_fields(grid, 2, 1)
    coefficients = harmonics.analyse(truth[..., 0])
    coefficients *= np.where(harmonics.degrees > 12, 0.5, 1)
    smooth = harmonics.synthesise(coefficients)[..., None]
    result = spectra(truth, grid, smooth, scale=4)
    np.testing.assert_allclose(result["variance_ratio"][0, 13:], 0.25, rtol=1e-8)
    assert result.attrs["cutoff_degree"] == 4
    # Degrees 4…12 agree, 13…31 are off by ln 4.
    assert result["variance_log_error"].item() == pytest.approx(np.log(4) * 19 / 28)
    wavelength = 2 * np.pi * EARTH_RADIUS / 1e3 / np.sqrt(12 * 13)
    assert result["variance_resolution"].item() == pytest.approx(wavelength)


def test_noise_resolves_nothing():
    grid = Grid.gaussian(32)
    truth = random_fields(grid, 30, 2, seed=1)
    noise = random_fields(grid, 30, 2, seed=2, spectrum=lambda degree: 0.004 * (2 * degree + 1))
    noisy = spectra(truth, grid, truth + noise, channels=("u", "v"))
    # Ratios rise beyond 2 where the noise has the truth's variance; there it is half coherent.
    ratio = noisy["variance_ratio"][0].values
    last = int(np.argmax(ratio[1:] > 2))
    for name in ("variance_resolution", "kinetic_energy_resolution"):
        found = np.atleast_1d(noisy[name])[0]
        assert found == pytest.approx(wavelengths(last, EARTH_RADIUS), rel=0.3)
    assert noisy["kinetic_energy_coherence"].dims == ("degree",)
    apart = spectra(truth, grid, random_fields(grid, 30, 2, seed=3), channels=("u", "v"))
    assert (apart["variance_resolution"] < 2000).all()  # the energy is right everywhere
    for name in ("coherent_resolution", "kinetic_energy_coherent_resolution"):
        assert not (apart[name] < 20000).any()  # the waves lie nowhere where the truth's do


def test_the_coherence_of_energy_is_that_of_both_channels():
    grid = Grid.gaussian(32)
    truth = random_fields(grid, 60, 2, seed=1)
    candidate = 0.6 * truth + 0.8 * random_fields(grid, 60, 2, seed=2)
    for channels in (("u", "v"), ("vorticity", "divergence")):
        found = spectra(truth, grid, candidate, channels=channels)["kinetic_energy_coherence"]
        np.testing.assert_allclose(found[5:30], 0.6, atol=0.12)
        same = spectra(truth, grid, 3 * truth, channels=channels)["kinetic_energy_coherence"]
        np.testing.assert_allclose(same[1:], 1, atol=1e-9)
        assert np.isnan(same[0])


@pytest.mark.parametrize(("rows", "scale", "tolerance"), [(73, 4, 2e-3), (361, 8, 1e-4)])
def test_rows_that_a_scale_drops_take_no_energy_away(rows, scale, tolerance):
    grid = Grid.pole_to_pole(rows)
    harmonics = SphericalHarmonics(grid, threads=1)
    coefficients = random_coefficients(harmonics, 2) / (1 + harmonics.degrees)
    wind = np.stack(harmonics.synthesise_wind(*coefficients), -1)[None]
    smooth = coefficients * np.where(harmonics.degrees > rows // 4, 0.6, 1)
    closed = harmonics.kinetic_energy(*smooth)
    candidate = np.stack(harmonics.synthesise_wind(*smooth), -1)[None]
    part = grid.subgrid(slice(0, rows - 1), slice(None))
    options = {"channels": ("u", "v"), "scale": scale}
    whole = spectra(wind, grid, candidate, **options)
    cut = spectra(wind[:, :-1], part, candidate[:, :-1], **options)
    assert cut.sizes == whole.sizes and cut.attrs == whole.attrs
    for found in (whole, cut):
        errors = np.abs(np.log(found["kinetic_energy"].values[1:] / closed[1:]))
        assert errors.mean() < tolerance
    for name in ("kinetic_energy_log_error", "kinetic_energy_log_error_all"):
        np.testing.assert_allclose(cut[name], whole[name], rtol=tolerance)


def test_the_error_of_all_waves_does_not_depend_on_the_scale(pair):
    grid, truth, candidate = pair
    with_scale = spectra(truth, grid, candidate, scale=4)
    without = spectra(truth, grid, candidate)
    for name in ("variance_log_error_all", "variance_resolution", "coherence"):
        np.testing.assert_array_equal(with_scale[name], without[name])
    np.testing.assert_array_equal(without["variance_log_error"], without["variance_log_error_all"])


def test_the_error_stops_at_the_truths_own_truncation():
    grid = Grid.gaussian(48)
    truth = random_fields(grid, 2, 1, truncation=30).astype("f4")
    rough = random_fields(grid, 2, 1).astype("f4")
    result = spectra(truth, grid, rough, scale=4)
    assert result["truncation"].item() == 30
    assert np.isnan(result["variance_ratio"][0, 31:]).all()
    assert np.isfinite(result["variance_log_error"])


def test_the_truncation_is_the_cliff_of_a_packed_spectral_field():
    """Packing leaves noise far above round-off beyond the truncation of the model."""
    degree = np.arange(360.0)
    steep = 1 / (1 + degree) ** 3
    assert truncation(steep, 361 * 720) == 359
    assert truncation(1 / (1 + degree) ** 9, 10**12) > 100  # however steep a spectrum is
    packed = np.where(degree <= 240, steep, 1e-13 * (2 * degree + 1))
    packed[0] = 1e4  # the mean belongs to no spectrum
    assert truncation(packed, 361 * 720) == 240
    assert truncation(np.stack([steep, packed]), 361 * 720).tolist() == [359, 240]


@pytest.mark.skipif(not REALDATA, reason="PHIRE_REALDATA is not set")
def test_real_wind_without_its_last_row_has_the_same_errors():
    source = open_fields(Path(REALDATA) / "ifs_uv_200hPa_0p5deg.grib")
    wind = source.read([0]).astype(float)
    smooth = uniform_filter(wind, (0, 3, 3, 0), mode=("nearest", "nearest", "wrap", "nearest"))
    part = source.grid.subgrid(slice(0, 360), slice(None))
    options = {"channels": ("u", "v"), "scale": 4}
    whole = spectra(wind, source.grid, smooth, **options)
    cut = spectra(wind[:, :-1], part, smooth[:, :-1], **options)
    assert whole.attrs["truncation"] == cut.attrs["truncation"] < 330
    for name in ("kinetic_energy_log_error", "kinetic_energy_log_error_all", "variance_log_error"):
        np.testing.assert_allclose(cut[name], whole[name], rtol=1e-4)


def test_truncation_of_nothing_and_of_all():
    assert truncation(np.zeros(10), 100) == 0
    assert truncation(np.ones(10), 100) == 9


def test_scores_of_spectra_of_known_ratio():
    ratio = np.array([1, 1, 0.4, 0.9, 0.1])
    lengths = np.array([100.0, 50, 33, 25, 20])
    everywhere = np.ones(5, bool)
    assert effective_resolution(ratio, lengths, everywhere) == 50
    assert np.isnan(effective_resolution(0.1 * ratio, lengths, everywhere))
    assert effective_resolution(1 / ratio, lengths, everywhere) == 50
    assert log_spectral_error(np.array([np.e, 1 / np.e]), np.ones(2, bool)) == pytest.approx(1)
    assert np.isnan(log_spectral_error(np.ones(2), np.zeros(2, bool)))


REGION = Grid.regional(np.linspace(60, 40, 41), np.linspace(0, 30, 61))


def test_the_cosine_spectrum_and_its_corner_sum_to_the_variance():
    fields = np.random.default_rng(0).normal(size=(3, 41, 61, 2)) + 280
    result = spectra(fields, REGION)
    total = result["variance"].sum("wavelength") + result["corner_variance"]
    np.testing.assert_allclose(total, fields.var((1, 2)).mean(0), rtol=1e-10)
    assert (result["corner_variance"] > 0).all()


def test_regional_variances_equal_those_of_scipys_cosine_transform():
    fields = np.random.default_rng(5).normal(size=(3, 24, 32, 1))
    grid = Grid.pixels(24, 32)
    waves = scipy.fft.dctn(fields[..., 0], axes=(1, 2), norm="ortho") ** 2 / (24 * 32)
    bins, _, _ = wavenumber_bins(grid, EARTH_RADIUS)
    expected = np.bincount(bins, waves.mean(0).ravel())
    result = spectra(fields, grid).isel(channel=0)
    np.testing.assert_allclose(result["variance"], expected[1:-1], rtol=1e-9)
    assert result["corner_variance"].item() == pytest.approx(expected[-1], rel=1e-9)


def test_a_cosine_appears_at_its_wavelength():
    grid = Grid.pixels(64, 64)
    # A half wave of 64 / 16 points along each row: wavelength 2 · 64 / 16 = 8 points.
    rows = np.cos(np.pi * 16 * (np.arange(64) + 0.5) / 64)
    field = np.broadcast_to(rows, (64, 64))[None, :, :, None]
    result = spectra(field, grid)
    peak = result["variance"].squeeze().idxmax("wavelength")
    assert float(peak) == pytest.approx(8)
    assert result["wavelength"].attrs["units"] == "pixels"
    assert float(result["variance"].max()) == pytest.approx(field.var(), rel=1e-9)


def test_bins_reach_nyquist_along_an_axis():
    bins, wavenumbers, nyquist = wavenumber_bins(Grid.pixels(32, 48), EARTH_RADIUS)
    assert nyquist == 0.5
    assert wavenumbers[-1] == pytest.approx(0.5)
    assert wavenumbers[0] == pytest.approx(1 / 64)
    assert set(np.unique(bins)) == set(range(len(wavenumbers) + 2))
    assert (bins == 0).sum() == 1


def test_white_noise_has_the_spectrum_of_the_number_of_components():
    grid = Grid.pixels(64, 64)
    fields = np.random.default_rng(1).normal(size=(40, 64, 64, 1))
    result = spectra(fields, grid)
    bins, _, _ = wavenumber_bins(grid, EARTH_RADIUS)
    expected = np.bincount(bins)[1:-1] / 64**2
    np.testing.assert_allclose(result["variance"][0], expected, rtol=0.2)


def test_regional_kinetic_energy_is_half_the_sum_of_both_components():
    fields = np.random.default_rng(2).normal(size=(2, 41, 61, 2))
    result = spectra(fields, REGION, channels=("u", "v"))
    expected = result["variance"].sum("channel") / 2
    np.testing.assert_allclose(result["kinetic_energy"], expected)


def test_the_regional_cutoff_is_the_coarse_grids_nyquist_wavelength():
    fields = np.random.default_rng(3).normal(size=(2, 32, 48, 1))
    result = spectra(fields, Grid.pixels(32, 48), 0.5 * fields, scale=4)
    assert result.attrs["cutoff_wavelength"] == pytest.approx(8)
    np.testing.assert_allclose(result["variance_log_error"], np.log(4))


def test_regional_coherence_is_the_correlation_of_the_waves():
    random = np.random.default_rng(4)
    truth, noise = random.normal(size=(2, 60, 32, 48, 2))
    options = {"channels": ("u", "v")}
    found = spectra(truth, Grid.pixels(32, 48), 0.6 * truth + 0.8 * noise, **options)
    for name in ("coherence", "kinetic_energy_coherence"):
        np.testing.assert_allclose(found[name][..., 2:], 0.6, atol=0.1)
    opposite = spectra(truth, Grid.pixels(32, 48), -truth, **options)
    np.testing.assert_allclose(opposite["coherence"], -1)
    assert np.isnan(opposite["coherent_resolution"]).all()
    assert (opposite["variance_resolution"] == opposite["wavelength"].min()).all()


def test_a_field_with_a_missing_value_leaves_only_its_own_time_out():
    grid = Grid.gaussian(32)
    truth = random_fields(grid, 4, 2, seed=1)
    candidate = random_fields(grid, 4, 2, seed=2)
    candidate[1, 3:6, 4:9, 0] = np.nan
    result = spectra(truth, grid, candidate, channels=("u", "v"))
    kept = [0, 2, 3]
    other = spectra(truth[kept], grid, candidate[kept], channels=("u", "v"))
    np.testing.assert_array_equal(result["used_times"], [3, 4])
    np.testing.assert_allclose(result["variance_ratio"][0], other["variance_ratio"][0])
    np.testing.assert_allclose(result["kinetic_energy"], other["kinetic_energy"])


def test_wind_is_found_by_its_names():
    assert find_wind(("t", "v", "u")) == find_wind(("t", "va", "ua"))
    assert find_wind(("u_850", "v_500")) is None
    assert find_wind(("u_850", "v_500", "v_850")).second == 2
    assert find_wind(("u10", "v")) is None
    assert find_wind(("u", "v", "divergence", "vorticity")).kind == "derivatives"
    assert find_wind(("temperature", "humidity")) is None


@pytest.mark.parametrize(
    "names",
    [
        ("uwnd", "vwnd"), ("u500", "v500"), ("U500", "V500"), ("u10", "v10"), ("10u", "10v"),
        ("u_component_of_wind", "v_component_of_wind"), ("ugrd850mb", "vgrd850mb"),
        ("UGRD_500mb", "VGRD_500mb"), ("wind_u_10m", "wind_v_10m"), ("ua850", "va850"),
    ],
)  # fmt: skip
def test_wind_is_found_by_common_names(names):
    found = find_wind(("t", *names[::-1]))
    assert (found.kind, found.first, found.second) == ("components", 2, 1)
    assert find_wind(names, ("K", "K")) is None
    assert is_component(names[0]) and is_component(names[1]) and not is_component("t")


def test_wind_is_found_by_standard_names_and_units():
    assert find_wind(("a", "b"), standard_names=("northward_wind", "eastward_wind")).first == 1
    standard = ("eastward_wind", "eastward_wind", "northward_wind")
    assert find_wind(("x500", "x850", "y850"), standard_names=standard).first == 1
    derivatives = ("divergence_of_wind", "atmosphere_relative_vorticity")
    assert find_wind(("a", "b"), standard_names=derivatives).kind == "derivatives"
    speeds = ("m/s", "m s**-1")
    assert find_wind(("ubot", "vbot"), speeds).second == 1
    assert find_wind(("ubot", "vbot"), ("kg", "kg")) is None
    assert find_wind(("ubot", "vbot")) is None


def test_wind_is_named_by_the_user():
    found = find_wind(("west", "south", "u", "v"), ("m/s",) * 4, named=("west", "south"))
    assert (found.first, found.second) == (0, 1)
    with pytest.raises(InputError, match=r"--wind a,u.*among the channels u, v"):
        find_wind(("u", "v"), named=("a", "u"))
    with pytest.raises(InputError, match="u is in 'knot'"):
        find_wind(("u", "v"), ("knot", "knot"), named=("u", "v"))


def test_zonal_spectra_sum_to_the_mean_square_of_each_band():
    grid = Grid.gaussian(32)
    fields = random_fields(grid, 2, 1)
    result = measure("zonal_spectrum", ArraySource(fields, grid=grid))
    fields = fields.astype("f4").astype(float)
    for band in result["band"].values:
        rows = np.abs(grid.latitudes - band) < 15
        weights = grid.area_weights()[rows, 0]
        squares = (fields[..., 0][:, rows] ** 2).mean((0, 2))
        variance = float(result["variance"].sel(band=band).sum())
        assert variance == pytest.approx(np.average(squares, weights=weights), rel=1e-5)


def test_zonal_spectrum_of_one_wave():
    grid = Grid.gaussian(32)
    wave = 3 * np.cos(5 * np.deg2rad(grid.longitudes))
    fields = np.broadcast_to(wave, grid.shape)[None, ..., None]
    result = measure("zonal_spectrum", ArraySource(fields, grid=grid))["variance"].squeeze()
    np.testing.assert_allclose(result.sel(wavenumber=5), 4.5, rtol=1e-5)
    np.testing.assert_allclose(result.drop_sel(wavenumber=5), 0, atol=1e-8)


def test_a_localized_spectrum_without_pyshtools_is_refused(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    from phire.evaluation.localized_spectra import LocalizedSpectra

    assert "install phire[localized]" in LocalizedSpectra.refusal(None)


def test_localized_spectra_equal_pyshtools():
    import pyshtools

    grid = Grid.driscoll_healy(64)
    fields = random_fields(grid, 1, 1, truncation=28)
    setting = setting_of(fields, grid, domain=Domain.box("box", grid, (75, -40, 15, 60)))
    taken = statistics()["localized_spectrum"](setting)
    result = take(taken, fields)
    window = pyshtools.SHWindow.from_cap(
        taken.radius, taken.bandwidth, clat=taken.latitude, clon=taken.longitude,
        nwin=len(taken.tapers),
    )  # fmt: skip
    coefficients = pyshtools.SHGrid.from_array(fields[0, ..., 0], grid="DH").expand()
    expected, _ = window.multitaper_spectrum(coefficients, len(taken.tapers))
    count = min(len(expected), result.sizes["degree"])
    assert count > 10
    np.testing.assert_allclose(result["variance"][0, :count], expected[:count], rtol=1e-6)


def test_localized_spectra_are_unbiased_for_a_homogeneous_field():
    grid = Grid.driscoll_healy(64)
    fields = random_fields(grid, 30, 1, spectrum=lambda degree: (2.0 * degree + 1) / 1000)
    setting = setting_of(fields, grid, domain=Domain.box("box", grid, (60, 0, 0, 60)))
    result = take(statistics()["localized_spectrum"](setting), fields)
    degree = np.arange(result.sizes["degree"])[8:18]
    np.testing.assert_allclose(result["variance"][0, 8:18].sum(), ((2 * degree + 1) / 1000).sum(),
                               rtol=0.1)  # fmt: skip


def test_functions_take_xarray():
    grid = Grid.gaussian(32)
    fields = random_fields(grid, 2, 2, truncation=20)
    coordinates = {"latitude": grid.latitudes, "longitude": grid.longitudes}
    dataset = xr.Dataset(
        {name: (("time", "latitude", "longitude"), fields[..., c]) for c, name in enumerate("uv")},
        {"time": [0, 1], **coordinates},
    )
    energy = kinetic_energy_spectrum(dataset)
    assert energy.dims == ("degree",)
    assert energy.attrs["units"] == "m2 s-2"
    expected = spectra(fields.astype("f4"), grid, channels=("u", "v"))["kinetic_energy"]
    np.testing.assert_allclose(energy, expected, rtol=1e-6)
    single = kinetic_energy_spectrum(dataset.isel(time=0, drop=True))
    assert float(single.sum()) > 0


@pytest.mark.skipif(
    not REALDATA or not Path(REALDATA).is_dir(),
    reason="PHIRE_REALDATA does not name the folder of real files",
)
def test_the_wind_at_200_hpa_has_a_slope_near_minus_three():
    from phire.fields import open_fields

    source = open_fields(Path(REALDATA) / "ifs_uv_200hPa_0p5deg.grib")
    energy = kinetic_energy_spectrum(source)
    degree = np.arange(10, 61)
    slope = np.polyfit(np.log(degree), np.log(energy.sel(degree=degree)), 1)[0]
    assert -3.6 < slope < -2.4  # of a single time


def test_nothing_like_wind_misses_no_kinetic_energy():
    rain = setting_of(np.zeros((1, 16, 24, 1)), Grid.pixels(16, 24), channels=("pr",))
    assert statistics()["spectrum"].omission(rain) is None
    gust = dataclasses.replace(rain, channels=("fg",), units=("m s**-1",))
    assert "known as wind" in statistics()["spectrum"].omission(gust)


def test_waves_that_the_truth_hardly_has_limit_no_resolution():
    truth = np.array([0.0, 5, 1e-3, 9, 4, 1, 0.1])
    own = np.array([0.0, 5, 1.0, 9, 4, 0.1, 0.01])
    lengths = np.array([np.inf, 60, 50, 40, 30, 20, 10])
    found = comparison(
        "variance", own, truth, 0.1 * np.sqrt(own * truth) + 0.9 * (truth > 3) * truth, lengths,
        np.ones(7, bool), np.zeros(7, bool),
    )  # fmt: skip
    assert found["variance_ratio"][2] == 1000
    assert (found["variance_resolution"], found["coherent_resolution"]) == (30, 30)
