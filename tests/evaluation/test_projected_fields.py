"""Evaluation of fields on a projected grid: distances in km, other grids refused."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from phire.errors import InputError
from phire.evaluation import evaluate
from phire.evaluation.domain import Domain
from phire.fields.curvilinear import CurvilinearGrid
from phire.fields.grid import EARTH_RADIUS, Grid
from phire.fields.source import ArraySource

CONIC = f"+proj=lcc +lat_1=46 +lat_2=50 +lat_0=48 +lon_0=8 +R={EARTH_RADIUS}"
WAVES = 8


def grid(shift=0.0):
    axis = 10e3 * (np.arange(48) - 23.5)
    return CurvilinearGrid.projected(axis[::-1], axis + shift, CONIC)


def window(rows=slice(None), columns=slice(None), noise=0.0):
    """The same fields on a window of the grid."""
    whole = source(grid(), noise)
    fields = whole.read(slice(None))[:, rows, columns]
    on = grid().subgrid(rows, columns)
    return ArraySource(fields, channels=["t"], units=["K"], grid=on)


def source(on, noise=0.0):
    """A wave of 8 half periods across 48 points: 2 · 480 km / 8 = 120 km long."""
    wave = np.cos(np.pi * WAVES * (np.arange(48) + 0.5) / 48)
    fields = np.broadcast_to(wave, (3, 48, 48))[..., None].copy()
    fields += noise * np.random.default_rng(0).normal(size=fields.shape)
    return ArraySource(fields.astype("f4"), channels=["t"], units=["K"], grid=on)


def test_wavelengths_are_in_km_and_masks_make_windows(tmp_path):
    mask = np.zeros((48, 48))
    mask[4:28, 12:36] = 1
    folder = evaluate(
        source(grid()), {"same": source(grid(), 0.1)}, tmp_path / "out",
        metrics=["spectrum", "scores"], regions={"box": mask}, report=False,
    )  # fmt: skip
    for name, longest in (("spectrum", 960), ("spectrum.box", 480)):
        with xr.open_dataset(folder / "truth" / f"{name}.nc") as data:
            assert data.wavelength.attrs["units"] == "km"
            wavelength = data.wavelength.values
            peak = wavelength[int(data.variance[0].values.argmax())]
        assert peak == pytest.approx(120, rel=0.01)
        assert wavelength.max() == pytest.approx(longest, rel=0.01)
        # The two spacings differ a little: the last bin ends before the longer one's Nyquist.
        assert 19.9 < wavelength.min() < 21


def test_another_projected_grid_of_the_same_shape_is_refused(tmp_path):
    for other in (grid(shift=5e3), Grid.regional(np.arange(48), np.arange(48))):
        with pytest.raises(InputError, match="lies on a"):
            evaluate(source(grid()), {"other": source(other)}, tmp_path / "out",
                     metrics=["scores"], report=False)  # fmt: skip


@pytest.mark.parametrize("stated", [False, True])
def test_windows_of_projected_grids_are_found(stated):
    whole = CurvilinearGrid.of_points(*grid().points()) if stated else grid()
    window = slice(3, 9), slice(5, 45)
    assert whole.find(whole.subgrid(*window)) == window
    assert whole.find(whole) == (slice(0, 48), slice(0, 48))
    assert whole.subgrid(*window).find(whole) is None
    assert grid(shift=5e3).find(grid().subgrid(*window)) is None


def test_candidates_on_windows_are_judged_where_all_have_points(tmp_path):
    """A prediction without the rows and columns left over, and a truth within the candidate."""
    cut, parts = np.s_[2:46], {"early": window(np.s_[2:46], np.s_[:40], 0.1), "all": source(grid())}
    folder = evaluate(
        window(cut), parts, tmp_path / "out", metrics=["maps"], regions={}, report=False
    )  # fmt: skip
    expected = np.random.default_rng(0).normal(size=(3, 48, 48))[:, cut, :40]
    with xr.open_dataset(folder / "early" / "maps.nc") as maps:
        np.testing.assert_allclose(maps["bias"][0], 0.1 * expected.mean(0), atol=1e-6)
    with xr.open_dataset(folder / "all" / "maps.nc") as maps:
        assert maps["bias"].shape[1:] == (44, 40) and float(abs(maps["bias"]).max()) == 0


def rotated():
    """Thirty degrees about a rotated equator: the area of cells falls by a seventh outward."""
    import pyproj

    pole = {"grid_mapping_name": "rotated_latitude_longitude", "grid_north_pole_latitude": 40.0,
            "grid_north_pole_longitude": -170.0}  # fmt: skip
    degrees = np.linspace(30, -30, 41), np.linspace(-30, 30, 41)
    return CurvilinearGrid.projected(*degrees, pyproj.CRS.from_cf(pole))


def rotated_source(noise):
    on = rotated()
    fields = np.random.default_rng(1).normal(size=(2, *on.shape, 1)).astype("f4")
    error = noise * np.cumsum(np.ones(on.shape), axis=0)[None, ..., None]
    return ArraySource((fields + error).astype("f4"), channels=["t"], units=["K"], grid=on)


def test_boxes_in_degrees_need_places_and_masks_do_not(tmp_path):
    """The advice for a grid of y and x in metres without a projection: a mask on its points."""
    axis = 10e3 * np.arange(48.0)
    plain = source(CurvilinearGrid.projected(axis[::-1], axis, ""))
    with pytest.raises(InputError, match=r"box=60,0,50,10 is in degrees.*\(box=FILE.nc\)") as error:
        evaluate(plain, {"same": plain}, tmp_path / "out", regions={"box": "60,0,50,10"})
    assert "phire regrid" not in str(error.value)
    mask = np.zeros((48, 48))
    mask[4:28, 12:36] = 1
    xr.DataArray(mask, dims=("y", "x"), name="mask").to_netcdf(tmp_path / "mask.nc")
    folder = evaluate(
        plain, {"same": plain}, tmp_path / "out", metrics=["scores"], report=False,
        regions={"box": str(tmp_path / "mask.nc")},
    )  # fmt: skip
    with xr.open_dataset(folder / "same" / "scores.box.nc") as scores:
        assert float(scores.rmse.max()) == 0


def test_scores_weigh_points_by_their_areas_and_regions_are_boxes_in_degrees(tmp_path):
    truth, candidate = rotated_source(0), rotated_source(0.01)
    folder = evaluate(
        truth, {"c": candidate}, tmp_path / "out", metrics=["scores"],
        regions={"north": (70, -10, 50, 30)}, report=False,
    )  # fmt: skip
    error = (candidate.fields - truth.fields)[..., 0].astype("f8")
    # Between parallels of the rotated pole: the sine's differences.
    edges = np.linspace(30.75, -30.75, 42)
    areas = np.abs(np.diff(np.sin(np.deg2rad(edges))))[:, None] * np.ones(41)
    latitude, longitude = rotated().points()
    box = (latitude <= 70) & (latitude >= 50) & (longitude >= -10) & (longitude <= 30)
    for name, mask in (("scores", np.ones_like(box)), ("scores.north", box)):
        with xr.open_dataset(folder / "c" / f"{name}.nc") as data:
            wanted = np.sqrt(np.average(error**2, axis=(1, 2), weights=areas * mask).mean())
            assert float(data["rmse_mean"].squeeze()) == pytest.approx(wanted, rel=1e-4)
            plain = np.sqrt((error**2)[:, mask.astype(bool)].mean())
            assert abs(plain / wanted - 1) > 1e-4 or name != "scores"


def test_a_box_without_a_point_is_refused(tmp_path):
    with pytest.raises(InputError, match="lies outside the data"):
        evaluate(source(grid()), {"same": source(grid())}, tmp_path / "out", metrics=["scores"],
                 regions={"far": (-10, 0, -20, 10)}, report=False)  # fmt: skip


@pytest.mark.parametrize("stated", [False, True])
def test_semivariogram_of_a_plane_wave_on_a_projected_grid(tmp_path, stated):
    """γ(h) of cos(kx) over all azimuths is ½ (1 − J₀(kh)); the region draws its own places."""
    from scipy.special import j0

    on = grid() if not stated else CurvilinearGrid.of_points(*grid().points())
    wave = 2 * np.pi / 160e3
    x = np.broadcast_to(grid().x, on.shape)
    phases = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    fields = np.cos(wave * x + phases[:, None, None])[..., None].astype("f4")
    truth = ArraySource(fields, channels=["t"], units=["K"], grid=on)
    lags = [20, 40, 60, 100]
    folder = evaluate(
        truth, {"same": truth}, tmp_path / "out", metrics=["semivariogram"], lags=lags,
        pairs=400, regions={"middle": (49.0, 6, 47, 10)}, report=False,
    )  # fmt: skip
    wanted = 0.5 * (1 - j0(wave * np.array(lags) * 1e3))
    for name in ("semivariogram", "semivariogram.middle"):
        with xr.open_dataset(folder / "truth" / f"{name}.nc") as data:
            np.testing.assert_allclose(data["semivariogram"][0], wanted, rtol=0.08)
            assert data.lag.attrs["units"] == "km"


def test_maps_have_the_projection_s_coordinates_and_are_drawn_on_them(tmp_path, monkeypatch):
    """A coastline along the meridian of the projection is the line x = 0."""
    from phire.evaluation.figures import coastlines
    from phire.evaluation.figures.images import extent_of
    from phire.evaluation.figures.map_plots import map_figure
    from phire.evaluation.figures.panel_plots import coarse_input

    monkeypatch.setattr(
        coastlines, "coastlines", lambda _: (np.array([[8.0, 40.0], [8, 48], [8, 60]]),)
    )
    folder = evaluate(
        source(grid()), {"same": source(grid(), 0.1)}, tmp_path / "out", scale=4,
        metrics=["maps", "samples"], report=False,
    )  # fmt: skip
    with xr.open_dataset(folder / "same" / "maps.nc") as data:
        assert data["bias"].dims == ("channel", "y", "x")
        np.testing.assert_allclose(data.y, grid().y / 1e3)
        np.testing.assert_allclose(data.latitude, grid().points()[0])
        assert extent_of(data["bias"][0]) == (-240, 240, -240, 240)
    figure = map_figure({"same": folder / "same" / "maps.nc"}, variable="bias", channel="t")
    axes = figure.axes[0]
    assert axes.get_xlabel() == "x (km)"
    (lines,) = axes.collections
    np.testing.assert_allclose(lines.get_segments()[0][:, 0], 0, atol=1e-6)
    assert axes.images[0].get_extent() == [-240, 240, -240, 240]
    with xr.open_dataset(folder / "truth" / "samples.nc") as data:
        coarse = coarse_input(data, "t", 0)
        assert extent_of(coarse) == (-240, 240, -240, 240)
        assert coarse.shape == (12, 12)


@pytest.mark.parametrize("projection", [CONIC, ""])
def test_maps_without_coastlines_say_so_once(projection, tmp_path, monkeypatch, capsys):
    from phire import progress
    from phire.evaluation.figures.map_plots import map_figure

    for variable in ("CARTOPY_DATA_DIR", "XDG_DATA_HOME"):
        monkeypatch.setenv(variable, str(tmp_path))
    axis = 10e3 * np.arange(48.0)
    fields = source(CurvilinearGrid.projected(axis[::-1], axis, projection))
    folder = evaluate(fields, {"same": fields}, tmp_path / "out", metrics=["maps"], report=False)
    progress.say_once.cache_clear()
    capsys.readouterr()
    for _ in range(2):
        figure = map_figure({"same": folder / "same" / "maps.nc"}, variable="bias", channel="t")
        assert not figure.axes[0].collections and figure.axes[0].images
    said = capsys.readouterr().err
    assert said.count("without coastlines") == said.count("\n") == 1
    assert ("no projection" in said) == (not projection)


def northern_rows(tmp_path, on, **coordinates):
    """A file with a mask of the 20 northern rows; y runs northward, as most files have it."""
    mask = np.zeros((48, 48))
    mask[28:] = 1
    path = tmp_path / "mask.nc"
    xr.DataArray(mask, coordinates, dims=on, name="mask").to_netcdf(path)
    return str(path)


def axis_of(values, name):
    return (name, values, {"units": "m", "standard_name": f"projection_{name}_coordinate"})


def test_masks_are_placed_by_their_coordinates(tmp_path):
    y, x = axis_of(grid().y[::-1], "y"), axis_of(grid().x, "x")
    domain = Domain.parse("north", grid(), northern_rows(tmp_path, ("y", "x"), y=y, x=x))
    assert domain.rows == slice(0, 20)
    domain = Domain.parse("plain", grid(), northern_rows(tmp_path, ("y", "x")))
    assert domain.rows == slice(28, 48)


def test_masks_on_other_points_are_refused(tmp_path):
    degrees = 40 + 0.25 * np.arange(48)
    path = northern_rows(tmp_path, ("latitude", "longitude"), latitude=degrees, longitude=degrees)
    with pytest.raises(InputError, match=r"mask\.nc lies on a regional grid .* but the truth on a"):
        Domain.parse("north", grid(), path)
    y, x = axis_of(grid().y[::-1], "y"), axis_of(grid().x + 5e3, "x")
    with pytest.raises(InputError, match="but the truth on a lambert"):
        Domain.parse("north", grid(), northern_rows(tmp_path, ("y", "x"), y=y, x=x))
    with pytest.raises(InputError, match="but the truth on a regional grid"):
        Domain.parse("north", Grid.regional(degrees[::-1], degrees),
                     northern_rows(tmp_path, ("y", "x"), y=y, x=x))  # fmt: skip


def test_boxes_and_masks_without_spectrum_are_told_apart(tmp_path, capsys):
    mask = np.zeros((48, 48))
    mask[:20, :20] = mask[10:, 10:] = 1
    evaluate(
        source(grid()), {"same": source(grid())}, tmp_path / "out", metrics=["spectrum"],
        regions={"box": "49.5,6,47,10", "mask": mask}, report=False,
    )  # fmt: skip
    said = capsys.readouterr().err
    assert "no spectrum, a spectrum needs a rectangle of the grid, which the box is not" in said
    assert "a spectrum needs a rectangle, not a mask" in said


def test_grids_have_their_article():
    axis = 10e3 * np.arange(4.0)
    oblique = "+proj=omerc +lat_0=48 +lonc=8 +alpha=30 +gamma=0 +R=6371200"
    assert CurvilinearGrid.projected(axis, axis, oblique).in_words().startswith("an oblique")
    assert grid().in_words().startswith("a lambert conformal conic grid of 48 × 48 points")
