"""Projected, rotated and reduced grids of GRIB against ecCodes' own latitudes and longitudes."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from phire import progress
from phire.errors import InputError
from phire.fields import convert, open_source, open_store
from phire.fields.description import describe_source
from phire.fields.great_circle import unit_vectors
from phire.fields.grib_grids import ReducedRows
from phire.fields.grid import Grid

eccodes = pytest.importorskip("eccodes", reason="ecCodes is not installed")

DATES = {"dataDate": 20000101, "dataTime": 0, "shortName": "2t", "bitsPerValue": 24}
FIRST = {"latitudeOfFirstGridPointInDegrees": 40.0, "longitudeOfFirstGridPointInDegrees": 355.0}
LAMBERT = {
    "Nx": 23, "Ny": 17, "LoVInDegrees": 2.0, "LaDInDegrees": 46.0, "Latin1InDegrees": 44.0,
    "Latin2InDegrees": 48.0, "DxInMetres": 50000, "DyInMetres": 60000, **FIRST,
}  # fmt: skip
POLAR = {
    "Nx": 20, "Ny": 15, "orientationOfTheGridInDegrees": 10.0, "DxInMetres": 40000,
    "DyInMetres": 50000, **FIRST,
}  # fmt: skip
ROTATED = {
    "Ni": 21, "Nj": 16, "latitudeOfSouthernPoleInDegrees": -40.0,
    "longitudeOfSouthernPoleInDegrees": 10.0, "latitudeOfFirstGridPointInDegrees": -5.0,
    "latitudeOfLastGridPointInDegrees": 10.0, "longitudeOfFirstGridPointInDegrees": 352.0,
    "longitudeOfLastGridPointInDegrees": 12.0, "iDirectionIncrementInDegrees": 1,
    "jDirectionIncrementInDegrees": 1, "jScansPositively": 1,
}  # fmt: skip
MERCATOR = {
    "gridType": "mercator", "Ni": 22, "Nj": 16, "LaDInDegrees": 20.0, "DiInMetres": 50000,
    "DjInMetres": 60000, "jScansPositively": 1, "latitudeOfFirstGridPointInDegrees": 40.0,
    "longitudeOfFirstGridPointInDegrees": 355.0,
}  # fmt: skip
CASES = {
    "lambert": ("GRIB2", {"gridType": "lambert", "jScansPositively": 1, **LAMBERT}),
    "lambert of one parallel": (
        "GRIB2",
        {
            "gridType": "lambert", "jScansPositively": 1, **LAMBERT,
            "Latin1InDegrees": 46.0, "Latin2InDegrees": 46.0,
        },
    ),
    "polar stereographic": (
        "polar_stereographic_sfc_grib2", {"LaDInDegrees": 70.0, "jScansPositively": 1, **POLAR}
    ),
    "polar stereographic, GRIB 1": (
        "polar_stereographic_pl_grib1", {**POLAR, "jScansPositively": 1}
    ),
    "polar stereographic, south": (
        "polar_stereographic_sfc_grib2",
        {
            "LaDInDegrees": -70.0, **POLAR, "projectionCentreFlag": 128,
            "latitudeOfFirstGridPointInDegrees": -40.0, "jScansPositively": 1,
        },
    ),
    "mercator": ("GRIB2", MERCATOR),
    "mercator, GRIB 1": ("GRIB1", MERCATOR),
    "rotated": ("rotated_ll_sfc_grib2", ROTATED),
    "rotated, GRIB 1, southward": (
        "rotated_ll_sfc_grib1",
        {
            **ROTATED, "jScansPositively": 0, "latitudeOfFirstGridPointInDegrees": 10.0,
            "latitudeOfLastGridPointInDegrees": -5.0,
        },
    ),
}  # fmt: skip


def linear(latitude, longitude):
    """A field linear in space, which is known wherever points lie."""
    return 280 + unit_vectors(latitude, longitude) @ np.array([10.0, -20, 5])


def handle_of(sample, keys, **further):
    handle = eccodes.codes_grib_new_from_samples(sample)
    if "gridType" in keys:
        eccodes.codes_set(handle, "gridType", keys["gridType"])
    for key, value in {**keys, **DATES, **further}.items():
        if key != "gridType":
            eccodes.codes_set(handle, key, value)
    count = eccodes.codes_get(handle, "numberOfDataPoints")
    if "Nx" in keys or "Ni" in keys:
        count = keys.get("Nx", keys.get("Ni")) * keys.get("Ny", keys.get("Nj"))
    eccodes.codes_set_values(handle, np.zeros(count))
    return handle


def points_of(handle):
    if eccodes.codes_get(handle, "gridType") == "mercator":
        return mercator_points(handle)
    return tuple(eccodes.codes_get_array(handle, name) for name in ("latitudes", "longitudes"))


def mercator_points(handle):
    """Latitudes and longitudes (n,) by the formulas of the projection on a sphere, northward.

    ecCodes' iterator needs the last point, too, and has errors of its own.
    """
    get = functools.partial(eccodes.codes_get, handle)
    radius = get("radius") * np.cos(np.deg2rad(get("LaDInDegrees")))
    first = np.deg2rad(get("latitudeOfFirstGridPointInDegrees"))
    y = radius * np.arctanh(np.sin(first)) + get("DjInMetres") * np.arange(get("Nj"))
    latitudes = np.rad2deg(np.arcsin(np.tanh(y / radius)))
    east = np.rad2deg(get("DiInMetres") / radius) * np.arange(get("Ni"))
    longitudes = get("longitudeOfFirstGridPointInDegrees") + east
    return tuple(v.ravel() for v in np.meshgrid(latitudes, longitudes, indexing="ij"))


def write(path, sample, keys, **further):
    """A message of the linear field; returns ecCodes' latitudes and longitudes."""
    handle = handle_of(sample, keys, **further)
    points = points_of(handle)
    eccodes.codes_set_values(handle, linear(*points))
    with open(path, "wb") as file:
        eccodes.codes_write(handle, file)
    eccodes.codes_release(handle)
    return points


@pytest.mark.parametrize("name", CASES)
def test_points_are_those_of_eccodes_and_values_lie_on_them(tmp_path, name):
    latitudes, longitudes = write(tmp_path / "a.grib", *CASES[name])
    with open_source(tmp_path / "a.grib") as source:
        grid = source.grid
        own = [np.sort(v.ravel()) for v in unit_vectors(*grid.points()).T]
        wanted = [np.sort(v) for v in unit_vectors(latitudes, longitudes).T]
        np.testing.assert_allclose(own, wanted, atol=1e-6)
        np.testing.assert_allclose(source.read([0])[0, ..., 0], linear(*grid.points()), atol=2e-4)
        assert grid.points()[0][0].mean() > grid.points()[0][-1].mean()  # from north to south
    convert(tmp_path / "a.grib", tmp_path / "a.h5")
    with open_store(tmp_path / "a.h5") as store:
        assert store.grid.equals(grid)
        assert store.grid.projection_name.split()[0] == name.split()[0].rstrip(",")
    convert(tmp_path / "a.grib", tmp_path / "b.h5", grid="degrees:1", method="bilinear")
    with open_store(tmp_path / "b.h5") as store:
        found = store.read([0])[0, ..., 0]
        places = grid.row_column(*store.grid.points())
        # Between points; half a cell around them has the values of the outermost ones.
        inside = np.all([(p > 0) & (p < n - 1) for p, n in zip(places, grid.shape)], axis=0)
        assert inside.sum() > 20
        np.testing.assert_allclose(found[inside], linear(*store.grid.points())[inside], atol=2e-3)


@pytest.mark.parametrize("name", ["lambert", "polar stereographic"])
def test_rows_southward_and_columns_westward_begin_at_the_stated_first_point(tmp_path, name):
    sample, keys = CASES[name]
    write(tmp_path / "a.grib", sample, keys)
    handle = handle_of(sample, keys)
    shape = keys["Ny"], keys["Nx"]
    latitudes, longitudes = (v.reshape(shape)[::-1, ::-1] for v in points_of(handle))
    first = {
        "latitudeOfFirstGridPointInDegrees": latitudes[0, 0],
        "longitudeOfFirstGridPointInDegrees": longitudes[0, 0],
        "jScansPositively": 0, "iScansNegatively": 1,
    }  # fmt: skip
    for key, value in first.items():
        eccodes.codes_set(handle, key, value)
    eccodes.codes_set_values(handle, linear(latitudes, longitudes).ravel())
    (tmp_path / "b.grib").write_bytes(eccodes.codes_get_message(handle))
    with open_source(tmp_path / "a.grib") as one, open_source(tmp_path / "b.grib") as other:
        assert one.grid.equals(other.grid)
        np.testing.assert_allclose(one.read([0]), other.read([0]), atol=2e-4)


def test_an_ellipsoid_is_that_of_the_message(tmp_path):
    sample, keys = CASES["lambert"]
    handle = handle_of(sample, keys, shapeOfTheEarth=5)
    (tmp_path / "a.grib").write_bytes(eccodes.codes_get_message(handle))
    with open_source(tmp_path / "a.grib") as source:
        ellipsoid = source.grid.crs.ellipsoid
        assert ellipsoid.semi_major_metre == 6378137
        assert ellipsoid.inverse_flattening == pytest.approx(298.257, abs=1e-2)
        latitude, longitude = source.grid.points()
    # The first point is where the message says, in the south-west.
    assert latitude[-1, 0] == pytest.approx(40, abs=1e-6)
    assert longitude[-1, 0] % 360 == pytest.approx(355, abs=1e-6)


@pytest.mark.parametrize("rows", [64, 96])
def test_reduced_gaussian_rows_become_full_ones(tmp_path, monkeypatch, rows):
    said = []
    monkeypatch.setattr("phire.progress.say", said.append)
    progress.say_once.cache_clear()
    write(tmp_path / "a.grib", f"reduced_gg_pl_{rows // 2}_grib2", {})
    grid = Grid.gaussian(rows)
    with open_source(tmp_path / "a.grib") as source:
        assert source.grid.equals(grid)
        found = source.read([0])[0, ..., 0]
    # Linear between points up to 20° apart at the first rows, about a pole where all is flat.
    np.testing.assert_allclose(found, linear(*grid.points()), atol=0.05)
    # At a point of a row itself there is nothing to interpolate.
    np.testing.assert_allclose(found[:, 0], linear(*grid.points())[:, 0], atol=2e-4)
    assert any("reduced grid" in line and f"{rows} × {2 * rows}" in line for line in said)


@pytest.mark.parametrize("sample", ["reduced_ll_sfc_grib1", "reduced_ll_sfc_grib2"])
@pytest.mark.parametrize("empty", [0, 3])
def test_reduced_rows_of_even_latitudes_become_full_ones(tmp_path, sample, empty):
    """Also where the first and last rows have no points, as in ECMWF's wave model."""
    rows, columns = 37, 72  # every 5°, both poles
    counts = np.maximum(8, np.rint(columns * np.cos(np.deg2rad(np.linspace(90, -90, rows)))))
    counts = (counts + counts % 2).astype(int)
    counts[:empty] = counts[len(counts) - empty :] = 0
    handle = eccodes.codes_grib_new_from_samples(sample)
    eccodes.codes_set(handle, "Nj", rows)
    eccodes.codes_set_array(handle, "pl", counts)
    ends = {"latitudeOfFirstGridPointInDegrees": 90.0, "latitudeOfLastGridPointInDegrees": -90.0,
            "longitudeOfFirstGridPointInDegrees": 0.0, "longitudeOfLastGridPointInDegrees": 355.0,
            "jDirectionIncrementInDegrees": 5.0}  # fmt: skip
    for key, value in {**DATES, **ends}.items():
        eccodes.codes_set(handle, key, value)
    places = [
        np.stack([np.full(n, latitude), 360 / max(n, 1) * np.arange(n)])
        for latitude, n in zip(np.linspace(90, -90, rows), counts)
    ]
    eccodes.codes_set_values(handle, linear(*np.concatenate(places, axis=1)))
    (tmp_path / "a.grib").write_bytes(eccodes.codes_get_message(handle))
    with open_source(tmp_path / "a.grib") as source:
        assert source.grid.equals(Grid.pole_to_pole(rows, columns))
        found = source.read([0])[0, ..., 0]
    stated = describe_source(tmp_path / "a.grib")["missing values"].value
    assert list(stated.values()) == [2 * empty * columns]
    inner = slice(empty, rows - empty)
    outer = np.ones(rows, bool)
    outer[inner] = False
    assert np.isnan(found[outer]).all() and np.isfinite(found[inner]).all()
    found, counts = found[inner], counts[inner]
    wanted = linear(*source.grid.points())[inner]
    np.testing.assert_allclose(found[:, 0], wanted[:, 0], atol=2e-4)
    # Interpolation along a row errs by an eighth of the squared spacing in radians, times its span.
    bound = 23 * np.cos(np.deg2rad(source.grid.latitudes[inner])) * (2 * np.pi / counts) ** 2 / 8
    assert (np.abs(found - wanted).max(1) <= bound + 2e-4).all()
    assert np.abs(found - wanted).max() > 1e-3  # rows were interpolated


def test_missing_points_of_reduced_rows_stay_missing():
    rows = ReducedRows(np.array([2, 4]), 4)
    values = np.array([1.0, 3, np.nan, 5, 6, 7])
    np.testing.assert_array_equal(rows.full(values), [[1, 2, 3, 2], [np.nan, 5, 6, 7]])


def test_what_is_said_of_wind_components(tmp_path):
    for flag, wanted in ((1, "grid"), (0, "east")):
        sample, keys = CASES["lambert"]
        write(tmp_path / "a.grib", sample, {**keys, "uvRelativeToGrid": flag}, shortName="10u")
        with open_source(tmp_path / "a.grib") as source:
            assert source.wind_directions == (wanted,)


def test_a_turned_rotated_grid_is_refused(tmp_path):
    sample, keys = CASES["rotated"]
    write(tmp_path / "a.grib", sample, {**keys, "angleOfRotationInDegrees": 10.0})
    with pytest.raises(InputError, match="turned about its pole by 10°"):
        open_source(tmp_path / "a.grib")
