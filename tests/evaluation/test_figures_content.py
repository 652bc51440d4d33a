"""What the figures show: values, ranges, colours, labels, against the results and closed forms."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_hex

from evaluation.synthetic import like_results, write_results
from phire import progress
from phire.errors import InputError
from phire.evaluation.catalogue import definition, statistics
from phire.evaluation.figures import coastlines
from phire.evaluation.figures.all_figures import plans
from phire.evaluation.figures.city_plots import (
    best_candidates,
    city_distance_figure,
    city_quantile_figure,
)
from phire.evaluation.figures.coherence_plots import coherence_figure
from phire.evaluation.figures.curve_plots import Panel, curve_figure
from phire.evaluation.figures.distribution_plots import quantile_figure, smooth_density
from phire.evaluation.figures.images import (
    error_range,
    extent_of,
    field_range,
    latitude_text,
    longitude_text,
)
from phire.evaluation.figures.label_text import heading, number_digits, number_text, pretty_units
from phire.evaluation.figures.map_plots import map_figure, member_map_figure
from phire.evaluation.figures.panel_plots import coarse_input, panel_figure
from phire.evaluation.figures.results_reading import ResultsFolder
from phire.evaluation.figures.score_plots import score_figure, smoothed
from phire.evaluation.figures.semivariogram_plots import direction_figure, semivariogram_figure
from phire.evaluation.figures.skill_plots import projection_figure
from phire.evaluation.figures.spectrum_plots import spectrum_figure
from phire.evaluation.figures.style import COLOURS, candidate_styles
from phire.evaluation.figures.time_axes import time_axis
from phire.evaluation.figures.zonal_spectrum_plots import zonal_figure
from phire.fields.units import power


def spectrum(exponent, size=1.0, **attributes):
    degree = np.arange(128)
    energy = size * np.where(degree > 0, np.maximum(degree, 1.0) ** exponent, 0)
    data = like_results("spectrum", kinetic_energy=energy, degree=degree)
    return data.assign_attrs(attributes)


def lines_of(axes, colour):
    return [line for line in axes.lines if line.get_color() == colour]


def test_spectra_and_ratios_are_those_of_the_results():
    truth, candidate = spectrum(-3), spectrum(-3, 0.4, cutoff_degree=32)
    figure = spectrum_figure({"candidate": candidate, "truth": truth})
    whole, ratio, short, short_ratio = figure.axes
    colour = candidate_styles(["candidate"])["candidate"].colour
    for axes in (whole, short):
        (line,) = lines_of(axes, colour)
        np.testing.assert_allclose(line.get_ydata()[1:], candidate["kinetic_energy"][1:])
        np.testing.assert_array_equal(line.get_xdata(), np.arange(128))
        assert axes.get_yscale() == axes.get_xscale() == "log"
    for axes in (ratio, short_ratio):
        (line,) = lines_of(axes, colour)
        np.testing.assert_allclose(line.get_ydata()[1:], 0.4)
        assert [line.get_xdata()[0] for line in axes.lines if line.get_xdata()[0] == 32]
    assert whole.get_xlim() == (1, 127)
    assert short.get_xlim() == (16, 127)
    assert whole.get_ylabel() == "Kinetic energy per degree (m² s⁻²)"
    assert {text.get_text() for text in figure.legends[0].get_texts()} == {
        "truth", "candidate", "coarse grid's limit"
    }  # fmt: skip


def test_reference_slopes_have_their_slopes_and_cross_no_truth():
    figure = spectrum_figure({"truth": spectrum(-2.2), "candidate": spectrum(-2.5)})
    grey = lines_of(figure.axes[0], "#8a8a8a")
    slopes = []
    for line in grey:
        x, y = np.log(line.get_xdata()), np.log(line.get_ydata())
        slopes.append(np.polyfit(x, y, 1)[0])
        assert (line.get_ydata() > line.get_xdata() ** -2.2).all()
    assert slopes == pytest.approx([-3, -5 / 3])
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts == ["−3", "−5/3"]


def test_vorticity_has_the_slopes_of_a_derivative():
    data = spectrum(-1)
    data = like_results(
        "spectrum", variance=data["kinetic_energy"].values[None], channel=["vorticity"],
        degree=data["degree"],
    )  # fmt: skip
    figure = spectrum_figure(
        {"truth": data, "candidate": data}, variable="variance", channel="vorticity"
    )
    slopes = [
        np.polyfit(np.log(line.get_xdata()), np.log(line.get_ydata()), 1)[0]
        for line in lines_of(figure.axes[0], "#8a8a8a")
    ]
    assert slopes == pytest.approx([-1, 1 / 3])


def test_upper_axis_tells_the_wavelength():
    figure = spectrum_figure({"truth": spectrum(-3)})
    figure.canvas.draw()
    (upper,) = figure.axes[0].child_axes
    right, left = sorted(upper.get_xlim())
    circumference = 2 * np.pi * 6371.2
    # Jeans' relation 2πa/√(l(l+1)), at degree 127; at degree 1 the axis is within 6 %.
    assert right == pytest.approx(circumference / np.sqrt(127 * 128), rel=1e-4)
    assert left == pytest.approx(circumference / np.sqrt(2), rel=0.06)
    assert upper.get_xlabel() == "Wavelength (km)"


def test_nothing_is_shown_beyond_the_truths_truncation():
    data = spectrum(-3, truncation=85)
    assert spectrum_figure({"truth": data}).axes[0].get_xlim() == (1, 85)


def test_round_off_is_not_shown():
    """A truth without a truncation attribute that ends in what single precision leaves."""
    data = spectrum(-3)
    data["kinetic_energy"][100:] = 1e-16
    assert spectrum_figure({"truth": data}).axes[0].get_xlim() == (1, 99)


def test_zonal_spectra_have_a_panel_a_band_from_north_to_south():
    wavenumber = np.arange(1, 20)
    variance = wavenumber**-2.0 * np.array([[[1.0], [2.0], [3.0]]])
    data = like_results(
        "zonal_spectrum", variance=variance, channel=["t"], band=[-60.0, 0, 60],
        wavenumber=wavenumber,
    )  # fmt: skip
    figure = zonal_figure({"truth": data, "a": data * 0.5}, channel="t")
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["around 60°N", "around 0°", "around 60°S"]
    for axes, size in zip(figure.axes, (3, 2, 1)):
        (line,) = lines_of(axes, COLOURS[0])
        np.testing.assert_allclose(line.get_ydata(), 0.5 * size * wavenumber**-2.0)
    assert figure.axes[0].get_ylabel() == "Variance (s⁻²)"


def test_regional_spectra_run_from_long_to_short_waves():
    wavelength = np.array([800.0, 400, 200, 100, 50])
    data = like_results(
        "spectrum", "region", variance=wavelength[None] ** 2, channel=["t2m"],
        wavelength=wavelength,
    ).assign_attrs(cutoff_wavelength=200.0)  # fmt: skip
    figure = spectrum_figure({"truth": data, "a": data}, variable="variance", channel="t2m")
    assert figure.axes[0].get_xlim() == (800, 50)
    assert figure.axes[2].get_xlim() == (400, 50)
    assert figure.axes[1].get_xlabel() == "Wavelength (km)"
    assert not figure.axes[0].child_axes
    assert any(line.get_xdata()[0] == 200 for line in figure.axes[0].lines)


def test_coherence_is_drawn_of_candidates_alone():
    degree = np.arange(20)
    data = like_results(
        "spectrum", coherence=np.exp(-degree / 5.0)[None], channel=["t"], degree=degree
    )
    figure = coherence_figure({"truth": spectrum(-3), "a": data}, channel="t")
    (line,) = lines_of(figure.axes[0], COLOURS[0])
    np.testing.assert_allclose(line.get_ydata(), np.exp(-degree / 5.0))
    with pytest.raises(InputError, match="coherence"):
        coherence_figure({"truth": spectrum(-3)}, channel="t")


def test_lags_below_the_spacing_are_left_out():
    lag = np.array([25.0, 50, 100, 200])
    gamma = np.array([[np.nan, 1.0, 2, 3]])
    data = like_results(
        "semivariogram", semivariogram=gamma, semivariogram_normalised=gamma / 4, channel=["t"],
        lag=lag,
    )  # fmt: skip
    figure = semivariogram_figure({"truth": data, "a": data * 0.5}, channel="t")
    absolute, normalised, ratio = figure.axes
    (line,) = lines_of(absolute, "#000000")
    assert line.get_xdata().tolist() == [50, 100, 200]
    assert line.get_ydata().tolist() == [1, 2, 3]
    (line,) = lines_of(ratio, COLOURS[0])
    np.testing.assert_allclose(line.get_ydata(), 0.5)
    assert absolute.get_ylabel() == "Semivariance $\\gamma$ (s⁻²)"
    assert normalised.get_ylabel() == "$\\gamma$ / variance of truth"


@pytest.fixture
def fields():
    """Truth and candidate on a global grid whose rows run northward."""
    latitude, longitude = np.arange(-85.0, 90, 10), np.arange(0.0, 360, 10)
    truth = np.sin(np.deg2rad(latitude))[:, None] + 0.3 * np.cos(np.deg2rad(longitude))
    space = {"channel": ["t"], "time": [0], "latitude": latitude, "longitude": longitude}

    def dataset(values):
        return like_results("samples", field=values[None, None], **space)

    return {"truth": dataset(truth), "warm": dataset(truth + 0.25), "wild": dataset(5 * truth)}


def panel(figure, title):
    (axes,) = [axes for axes in figure.axes if axes.get_title(loc="left") == title]
    return axes


def test_panels_have_north_above_ranges_of_the_truth_and_errors_below(fields):
    figure = panel_figure(fields, channel="t")
    truth = fields["truth"]["field"].values[0, 0]
    for name, values in (("Truth", truth), ("warm", truth + 0.25), ("wild", 5 * truth)):
        axes = panel(figure, name)
        np.testing.assert_allclose(axes.images[0].get_array(), values[::-1])
        low, high = axes.images[0].get_clim()
        assert -low == high == pytest.approx(np.abs(np.percentile(truth, (0.5, 99.5))).max())
    errors = panel(figure, "error, rms 0.250").images[0]
    np.testing.assert_allclose(errors.get_array(), 0.25)
    # The failing candidate does not hide the good one: errors span two deviations of the truth.
    assert errors.get_clim()[1] == pytest.approx(2 * truth.std())
    labels = {axes.get_ylabel() for axes in figure.axes}
    assert {"t (s⁻¹)", "candidate − truth (s⁻¹)"} <= labels


def test_a_region_across_the_seam_is_cut_and_outlined(fields):
    figure = panel_figure(fields, channel="t", region=(40, -25, -40, 25))
    truth = fields["truth"]["field"].sel(channel="t").isel(time=0)
    rows = truth.sel(latitude=slice(-40, 40)).values[::-1]
    expected = np.concatenate([rows[:, 34:], rows[:, :3]], axis=1)  # 340°, 350°, 0°, 10°, 20°
    axes = panel(figure, "Truth")
    np.testing.assert_allclose(axes.images[0].get_array(), expected)
    assert axes.get_xlim() == (335, 385)
    overview = panel(figure, "overview")
    assert overview.images[0].get_array().shape == truth.shape
    boxes = [patch.get_bbox().bounds for patch in overview.patches]
    assert (335, -40, 50, 80) in boxes and (-25, -40, 50, 80) in boxes


def test_coarse_input_is_the_block_mean_of_the_truth(tmp_path):
    results = write_results(tmp_path / "results", rows=16, times=5)
    with xr.open_dataset(results / "truth" / "samples.nc") as truth:
        coarse = coarse_input(truth, "vorticity", 1)
        values = truth["field"].sel(channel="vorticity").isel(time=1).values
        edges = np.deg2rad(np.clip(90 - 11.25 * (np.arange(17) - 0.5), -90, 90))
        areas = np.abs(np.diff(np.sin(edges)))
        weighted = (values * areas[:, None]).reshape(4, 4, 8, 4).sum((1, 3))
        expected = weighted / (4 * areas.reshape(4, 4).sum(1))[:, None]
        np.testing.assert_allclose(coarse.values, expected, rtol=1e-4, atol=1e-12)
        assert coarse_input(truth.assign_attrs(scale=0), "vorticity", 0) is None
        # No more is said of it than what it is: candidates may have had another input.
        assert coarse.attrs["title"] == "Truth, 4 × 4 means"


def test_the_coarse_image_of_pixels_covers_the_fine_one():
    values = np.arange(48.0).reshape(1, 1, 6, 8)
    fields = like_results("samples", "pixels", field=values, channel=["rain"], time=[0])
    fields.attrs["scale"] = 2
    coarse = coarse_input(fields, "rain", 0)
    assert coarse.shape == (3, 4) and coarse.values[0, 0] == values[0, 0, :2, :2].mean()
    assert extent_of(coarse) == extent_of(fields["field"][0, 0]) == (-0.5, 7.5, 5.5, -0.5)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("relative_vorticity", "Relative vorticity"), ("u500", "u500"), ("U500", "U500"),
        ("slp", "slp"), ("10m_wind", "10m wind"), ("uwnd", "uwnd"), ("tempK", "tempK"),
    ],
)  # fmt: skip
def test_symbols_of_channels_are_written_as_in_the_files(name, expected):
    assert heading(name) == expected


def test_directions_share_limits_that_hold_all_curves():
    lag = np.array([50.0, 100, 200])
    across, along = np.array([[1.0, 2, 3]]), np.array([[100.0, 200, 900]])
    data = like_results(
        "semivariogram", semivariogram=across, semivariogram_zonal=along,
        semivariogram_meridional=across, channel=["t"], lag=lag,
    )  # fmt: skip
    figure = direction_figure({"truth": data, "a": data * 0.5}, channel="t")
    for axes in figure.axes:
        low, high = axes.get_ylim()
        assert low < 0.5 and high > 900


def test_flat_spectra_have_no_reference_slopes():
    """Lines as steep as −3 beside a flat spectrum would take the panel for themselves."""
    degree = np.arange(200)
    flat = like_results("spectrum", variance=np.ones((1, 200)), channel=["rain"], degree=degree)
    flat["variance"].attrs["units"] = "mm2"  # not vorticity's, whose spectra are steep
    figure = spectrum_figure({"truth": flat}, variable="variance", channel="rain")
    assert not [text for text in figure.axes[0].texts if "−3" in text.get_text()]
    assert figure.axes[0].get_ylim()[1] < 100


def test_ranges_come_from_the_truth():
    both = np.linspace(-3, 2, 2001)
    assert (field_range(both).low, field_range(both).palette) == (-field_range(both).high, "RdBu_r")
    warm = field_range(np.linspace(270, 290, 2001))
    assert (warm.low, warm.high) == pytest.approx((270.1, 289.9))
    assert warm.palette == "viridis"
    with_gap = np.append(np.linspace(270, 290, 2001), np.nan)
    assert field_range(with_gap) == warm
    assert field_range(np.full(4, 5.0)).high > field_range(np.full(4, 5.0)).low
    small = error_range([np.full(100, 0.1), np.full(100, -0.2)], both)
    assert (small.low, small.high) == (-0.2, 0.2)


def test_maps_show_candidate_minus_truth():
    space = {"channel": ["t"], "latitude": [50.0, 51, 52], "longitude": [-2.0, -1, 0, 1]}
    truth = like_results("maps", mean=np.arange(12.0).reshape(1, 3, 4), **space)
    figure = map_figure({"truth": truth, "a": truth + 1.5}, variable="mean", channel="t")
    np.testing.assert_allclose(panel(figure, "minus truth").images[0].get_array(), 1.5)
    skill = like_results("maps", correlation=np.linspace(0.2, 1, 12).reshape(1, 3, 4), **space)
    figure = map_figure({"a": skill}, variable="correlation", channel="t")
    assert figure.axes[0].images[0].get_clim()[1] == 1
    with pytest.raises(InputError, match="rmse"):
        map_figure({"truth": truth}, variable="rmse")


def test_scores_are_drawn_raw_and_smoothed():
    time = pd.date_range("2020-01-01", periods=30, freq="6h")
    values = np.random.default_rng(0).normal(size=(1, 30))
    data = like_results(
        "scores", rmse=values, rmse_mean=[1.0], channel=["t"], time=time, channel_units=["K"]
    )
    figure = score_figure({"a": data}, channel="t")
    (axes,) = figure.axes
    raw, smooth = axes.lines
    np.testing.assert_allclose(raw.get_ydata(), values[0])
    np.testing.assert_allclose(smooth.get_ydata(), smoothed(values[0], 3))
    assert axes.get_title(loc="left") == "Root mean square error  (↓)"
    assert axes.get_ylabel() == "s⁻¹"
    own = data.assign(rmse_smoothed=data["rmse"] * 0)
    assert not score_figure({"a": own}, channel="t").axes[0].lines[1].get_ydata().any()


def test_times_of_any_calendar():
    days = xr.date_range("2000-02-28", periods=4, freq="D", calendar="360_day", use_cftime=True)
    values, label = time_axis(xr.DataArray(days, dims="time"))
    assert values.tolist() == [0, 1, 2, 3] and "360_day" in label
    days = xr.date_range("2000-02-27", periods=4, freq="D", calendar="noleap", use_cftime=True)
    values, label = time_axis(xr.DataArray(days, dims="time"))
    assert label == "" and values[-1] == np.datetime64("2000-03-02")
    values, label = time_axis(xr.DataArray([4, 5], dims="time"))
    assert values.tolist() == [4, 5] and label == "Time step"


def test_quantiles_are_drawn_against_the_truths():
    quantile = [0.02, 0.5, 0.98]
    truth = like_results(
        "distribution", quantile_value=[[-1.0, 0, 2]], channel=["t"], quantile=quantile
    )
    figure = quantile_figure({"truth": truth, "a": truth * 2}, channel="t")
    left, right = figure.axes
    (line,) = lines_of(left, COLOURS[0])
    assert line.get_xdata().tolist() == [-1, 0, 2] and line.get_ydata().tolist() == [-2, 0, 4]
    (line,) = lines_of(right, COLOURS[0])
    assert line.get_ydata().tolist() == [-1, 0, 2]


def test_smoothing_a_density_keeps_its_sum_mean_and_adds_little_variance():
    values = np.linspace(-5, 5, 201)
    density = np.exp(-0.5 * values**2) / np.sqrt(2 * np.pi)
    smooth = smooth_density(values, density)
    step = values[1] - values[0]
    assert smooth.sum() * step == pytest.approx(1, abs=1e-5)
    assert (smooth * values).sum() == pytest.approx(0, abs=1e-9)
    assert (smooth * values**2).sum() * step == pytest.approx(1 + (1.5 * step) ** 2, rel=1e-3)


def test_smoothing_carries_no_density_beyond_the_values():
    values = np.linspace(-1, 9, 201)
    density = np.where(values >= 0, np.exp(-values), 0)
    smooth = smooth_density(values, density, (0.0, 9.0))
    assert (smooth[values < -1e-9] == 0).all() and (smooth[values >= 0] > 0).all()
    assert smooth.sum() == pytest.approx(density.sum(), rel=1e-5)
    assert (smooth_density(values, density)[values < -1e-9] > 0).any()
    # All values in a few bins: nothing is smoothed.
    spike = np.where(values == values[20], 1.0, 0)
    np.testing.assert_array_equal(smooth_density(values, spike, (0.0, 0.0)), spike)


def test_best_candidate_must_be_ahead_by_the_margin_of_all_others():
    random = np.random.default_rng(2)
    distances = random.uniform(0.5, 1, size=(3, 200))
    distances[0, :5] = np.nan
    found = best_candidates(distances)
    for column, place in zip(distances.T, found):
        ahead = [
            i
            for i in range(3)
            if all(not column[j] <= column[i] / 0.9 for j in range(3) if j != i)
            and np.isfinite(column[i])
        ]
        assert ahead == ([] if place < 0 else [place])
    assert {-1, 0, 1, 2} == set(found.tolist())


def test_candidates_are_told_apart_by_colour_deficient_eyes_and_in_grey():
    styles = candidate_styles([f"c{i}" for i in range(8)])
    drawn = [style for name, style in styles.items() if name != "truth"]
    assert len({str(style.dashes) for style in drawn}) == 8
    assert len({style.marker for style in drawn}) == 8
    colours = np.array([[int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)] for c in COLOURS])
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    # Viénot, Brettel & Mollon (1999): protanopes and deuteranopes, in linear RGB.
    for matrix in (
        [[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]],
        [[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]],
    ):
        seen = np.clip(linear @ np.array(matrix).T, 0, 1) ** (1 / 2.2)
        apart = np.linalg.norm(seen[:, None] - seen[None], axis=-1) + 9 * np.eye(8)
        assert apart.min() > 0.14
    twelve = candidate_styles([f"c{i}" for i in range(12)])
    looks = {(s.colour, str(s.dashes)) for s in twelve.values()}
    assert len(looks) == 13


@pytest.mark.parametrize(
    "units, pretty, square, inverse",
    [
        ("s-1", "s⁻¹", "s-2", "s"),
        ("m s-1", "m s⁻¹", "m2 s-2", "s m-1"),
        ("m s**-1", "m s⁻¹", "m2 s-2", "s m-1"),
        ("K", "K", "K2", "K-1"),
        ("m2 s-2", "m² s⁻²", "m4 s-4", "s2 m-2"),
        ("1", "", "1", "1"),
        ("", "", "", ""),
        ("kg kg-1", "kg kg⁻¹", "1", "1"),
    ],
)
def test_units(units, pretty, square, inverse):
    assert pretty_units(units) == pretty
    assert power(units, 2) == square
    assert power(units, -1) == inverse


def test_numbers_that_are_none_as_text():
    assert number_digits(float("nan")) == "–"
    assert number_digits(-np.inf) == "−∞"


def test_numbers_and_places_as_text():
    assert number_text(1000) == "1,000" and number_text(0.05) == "0.05"
    assert number_text(3e-10) == "3·10⁻¹⁰" and number_text(1e-8) == "10⁻⁸"
    assert number_digits(12.3456) == "12.35" and number_digits(-0.5) == "−0.5000"
    assert number_digits(1.234e-5) == "1.23·10⁻⁵" and number_digits(0.0) == "0.000"
    assert longitude_text(286) == "74°W" and longitude_text(-180) == "180°"
    assert longitude_text(0) == "0°" and longitude_text(450) == "90°E"
    assert latitude_text(-33.5) == "33.5°S" and latitude_text(0) == "0°"


def test_definitions_say_which_way_is_better():
    assert definition("rmse").direction == "↓" and definition("ssim").direction == "↑"
    assert definition("bias").direction == "→ 0" and definition("crps_mean").name == "crps"
    unknown = definition("my_own_score")
    assert (unknown.title, unknown.direction) == ("My own score", "")
    known = [item for one in statistics().values() for item in one.definitions]
    assert len({item.name for item in known}) == len(known) > 30
    assert all(item.title and item.formula for item in known)


@pytest.fixture
def shapefile_folder(tmp_path, monkeypatch):
    pytest.importorskip("cartopy", reason="coastlines need cartopy")
    shapefile = pytest.importorskip("shapefile", reason="coastlines need pyshp")
    folder = tmp_path / "shapefiles" / "natural_earth" / "physical"
    folder.mkdir(parents=True)
    with shapefile.Writer(str(folder / "ne_110m_coastline"), shapeType=3) as writer:
        writer.field("name", "C")
        writer.line([[(-20, 0), (-10, 10)], [(100, -5), (110, -15), (120, -5)]])
        writer.record("two pieces of coast")
    monkeypatch.setenv("CARTOPY_DATA_DIR", str(tmp_path))
    coastlines.read_lines.cache_clear()
    return tmp_path


def test_coastlines_are_drawn_where_they_are_installed(shapefile_folder, fields):
    lines = coastlines.coastlines("110m")
    assert [line.tolist() for line in lines] == [
        [[-20, 0], [-10, 10]], [[100, -5], [110, -15], [120, -5]]
    ]  # fmt: skip
    axes = panel(panel_figure(fields, channel="t"), "Truth")
    (collection,) = axes.collections
    places = [segment[:, 0].tolist() for segment in collection.get_segments()]
    assert [340, 350] in places and [100, 110, 120] in places
    assert axes.get_xlim() == (-5, 355)


def test_without_coastlines_maps_are_drawn_and_the_user_is_told(
    fields, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("CARTOPY_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    progress.say_once.cache_clear()
    axes = panel(panel_figure(fields, channel="t"), "Truth")
    assert not axes.collections and axes.images
    said = capsys.readouterr().err
    assert said.count("without coastlines") == 1


@pytest.mark.parametrize("values", [[3.0], [3.0, np.nan, 1.0], [np.nan]])
def test_distances_of_few_cities_are_drawn_from_zero(values):
    data = like_results("cities", wasserstein=[[values]], channel=["t"], size=[1])
    (axes,) = city_distance_figure({"a": data}, channel="t").axes
    x, y = axes.lines[0].get_data()
    present = sorted(value for value in values if np.isfinite(value))
    assert list(x) == present[:1] + present
    shares = np.linspace(0, 1, len(present) + 1) if present else []
    np.testing.assert_allclose(y, shares)


def test_quantiles_of_the_largest_cities_are_drawn_minus_the_truths(tmp_path):
    folder = ResultsFolder(write_results(tmp_path / "results", rows=16, times=5))
    data = folder.metric("cities")
    figure = city_quantile_figure(data, channel="vorticity")
    names = [axes.get_title(loc="left") for axes in figure.axes]
    population = data["bicubic"]["city_population"].to_series().set_axis(data["bicubic"]["city"])
    assert names == list(population.sort_values(ascending=False, kind="stable").index[:8])
    values = {
        name: data[name]["quantile_value"].sel(channel="vorticity", size=1, city=names[2])
        for name in ("bicubic", "truth")
    }
    drawn = figure.axes[2].lines[list(data).index("bicubic") - list(data).index("truth") - 1]
    np.testing.assert_allclose(drawn.get_ydata(), values["bicubic"] - values["truth"])
    with pytest.raises(InputError, match="truth"):
        city_quantile_figure({"bicubic": data["bicubic"]}, channel="vorticity")


def legend_texts(figure):
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def test_an_ensembles_members_are_a_band_in_each_figure(tmp_path):
    """One band a candidate that is an ensemble, where its members' range is known."""
    folder = ResultsFolder(write_results(tmp_path / "results", rows=16, times=5))
    style = folder.styles["learned + adversarial"]
    drawn = {plan.name: plan for plan in plans(folder)}
    for name in (
        "distribution-vorticity", "quantiles-vorticity", "errors-vorticity", "cities-vorticity",
        "cities-quantiles-vorticity", "semivariogram-vorticity",
        "fractions-skill-score-vorticity", "events-vorticity",
        "high-pass-vorticity", "spectrum-vorticity", "zonal-spectrum-vorticity",
    ):  # fmt: skip
        figure = drawn[name].draw()
        axes = figure.axes[0]
        assert legend_texts(figure).count("range of the members") == 1, name
        bands = [c for c in axes.collections if isinstance(c, PolyCollection)]
        colours = {to_hex(band.get_facecolor()[0]) for band in bands}
        assert style.colour.lower() in colours, name
        others = {folder.styles[n].colour.lower() for n in ("bicubic", "mse + adversarial")}
        # Of single fields, semivariograms have intervals.
        assert name.startswith("semivariogram") or not others & colours, name


def test_a_legend_of_many_candidates_leaves_the_panels_their_height():
    values = like_results(
        "high_pass", exceedance=[[[0.1, 0.01]]], channel=["t"], degree=[32], multiple=[1, 2]
    )  # fmt: skip
    panels = [Panel("errors", "exceedance", "multiple", "multiple", "share", {"degree": 32})]
    heights = {}
    for count in (2, 16):
        results = {f"candidate with a long name, seed {i}": values for i in range(count)}
        figure = curve_figure(results, panels, channel="t")
        figure.canvas.draw()
        (axes,), (legend,) = figure.axes, figure.legends
        box = legend.get_window_extent()
        assert not box.overlaps(axes.get_window_extent())
        assert box.y0 >= 0
        heights[count] = axes.get_window_extent().height
    assert heights[16] == pytest.approx(heights[2], rel=0.1)


def test_projections_of_an_ensemble_have_bars_of_its_members():
    frechet = np.array([2.0, 3.0])
    values = like_results(
        "projections", projection=["random", "principal"], frechet=frechet,
        wasserstein_mean=frechet / 4, rv_coefficient=frechet / 4,
    )  # fmt: skip
    ends = {"member_frechet_low": values["frechet"] - 1, "member_frechet_high": 2 * values.frechet}
    figure = projection_figure({"one": values, "ensemble": values.assign(ends)})
    bars = [axes.collections for axes in figure.axes]
    assert [len(found) for found in bars] == [0, 1, 0]
    reach = [tuple(path[:, 0]) for path in bars[1][0].get_segments()]
    assert reach == [(1, 4), (2, 6)]
    assert figure.axes[1].get_xlim()[1] > 6
    assert legend_texts(figure) == ["one", "ensemble", "range of the members"]
    assert legend_texts(projection_figure({"one": values})) == ["one"]


def test_maps_of_members_stand_beside_those_of_all():
    space = {"latitude": [2.0, 1.0, 0.0], "longitude": [0.0, 1.0, 2.0, 3.0], "channel": ["t"]}
    rmse = np.arange(12.0).reshape(1, 3, 4)
    one = like_results("maps", rmse=rmse, **space)
    ensemble = like_results(
        "member_maps", "region", "ensemble", member_rmse_low=rmse / 2,
        member_rmse_high=2 * rmse, **space,
    )  # fmt: skip
    both = {"one": one, "e": one.merge(ensemble)}
    figure = member_map_figure(both, variable="rmse", channel="t")
    images = [axes.get_images()[0] for axes in figure.axes if axes.get_images()]
    titles = [axes.get_title("left") for axes in figure.axes if axes.get_images()]
    assert titles == ["e", "e: minimum of members", "e: maximum of members"]
    assert [float(image.get_array().max()) for image in images] == [11, 5.5, 22]
    assert len({image.get_clim() for image in images}) == 1
    with pytest.raises(InputError, match="of members"):
        member_map_figure({"one": one}, variable="rmse", channel="t")
