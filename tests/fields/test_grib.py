"""GRIB against cfgrib, closed forms, and files with known answers."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from phire.errors import InputError
from phire.fields import Grid, convert, describe_source, open_source, open_store
from phire.fields.grib_messages import scan

eccodes = pytest.importorskip("eccodes", reason="ecCodes is not installed")

REALDATA = os.environ.get("PHIRE_REALDATA")
real = pytest.mark.skipif(
    not REALDATA or not Path(REALDATA).is_dir(),
    reason="PHIRE_REALDATA does not name the folder of real files",
)
RANDOM = np.random.default_rng(0)
GRID = Grid.regional([60.0, 50, 40, 30], [350.0, 0, 10, 20, 30])


def message(values, sample="regular_ll_sfc_grib2", **keys):
    """One GRIB message; values lie southward and eastward from 60° N, 10° W unless keys differ."""
    handle = eccodes.codes_grib_new_from_samples(sample)
    geometry = {
        "Ni": 5, "Nj": 4,
        "latitudeOfFirstGridPointInDegrees": 60, "latitudeOfLastGridPointInDegrees": 30,
        "longitudeOfFirstGridPointInDegrees": 350, "longitudeOfLastGridPointInDegrees": 30,
        "iDirectionIncrementInDegrees": 10, "jDirectionIncrementInDegrees": 10,
        "dataDate": 20000101, "dataTime": 0, "shortName": "2t",
    }  # fmt: skip
    if "sh" in sample:
        geometry = {"dataDate": 20000101, "dataTime": 0, "shortName": "t"}
    for key, value in {**geometry, **keys}.items():
        eccodes.codes_set(handle, key, value)
    values = np.array(values, np.float64).ravel()
    if np.isnan(values).any():
        eccodes.codes_set(handle, "bitmapPresent", 1)
        values[np.isnan(values)] = eccodes.codes_get(handle, "missingValue")
    if "sh" not in sample:
        eccodes.codes_set(handle, "bitsPerValue", 24)
    eccodes.codes_set_values(handle, values)
    written = eccodes.codes_get_message(handle)
    eccodes.codes_release(handle)
    return written


def write(path, *messages):
    path.write_bytes(b"".join(messages))
    return path


def fields(*shape):
    return RANDOM.uniform(250, 300, size=(*shape, 4, 5))


@pytest.mark.parametrize("sample", ["regular_ll_sfc_grib2", "regular_ll_sfc_grib1"])
def test_messages_in_any_order_of_time(tmp_path, sample):
    values = fields(3)
    hours = [6, 0, 12]
    path = write(
        tmp_path / "a.grib",
        *(message(v, sample, dataTime=100 * hour) for v, hour in zip(values, hours)),
    )
    with open_source(path) as source:
        assert source.channels == ("t2m",)
        assert source.units == ("K",)
        assert source.time.format(0) == "2000-01-01T00:00"
        assert source.time.step_text == "6 h"
        np.testing.assert_allclose(source.grid.latitudes, GRID.latitudes)
        np.testing.assert_allclose(source.grid.longitudes % 360, GRID.longitudes)
        assert (np.diff(source.grid.longitudes) == 10).all()
        np.testing.assert_allclose(source.read(slice(None))[..., 0], values[[1, 0, 2]], atol=1e-4)
        again = pickle.loads(pickle.dumps(source))
        np.testing.assert_allclose(again.read([2])[..., 0], values[[2]], atol=1e-4)


def test_forecast_steps_lie_at_the_time_they_are_valid(tmp_path):
    path = write(tmp_path / "a.grib", *(message(v, step=s) for v, s in zip(fields(2), (3, 27))))
    with open_source(path) as source:
        assert [source.time.format(i) for i in (0, 1)] == ["2000-01-01T03:00", "2000-01-02T03:00"]


def test_missing_values_are_nan(tmp_path):
    values = fields()
    values[1, 2] = np.nan
    with open_source(write(tmp_path / "a.grib", message(values))) as source:
        np.testing.assert_allclose(source.read([0])[0, ..., 0], values, atol=1e-4)


@pytest.mark.parametrize(
    ("keys", "place"),
    [
        (
            {
                "jScansPositively": 1,
                "latitudeOfFirstGridPointInDegrees": 30,
                "latitudeOfLastGridPointInDegrees": 60,
            },
            lambda v: v[::-1],
        ),
        (
            {
                "iScansNegatively": 1,
                "longitudeOfFirstGridPointInDegrees": 30,
                "longitudeOfLastGridPointInDegrees": 350,
            },
            lambda v: v[:, ::-1],
        ),
        ({"jPointsAreConsecutive": 1}, lambda v: v.T),
    ],
)
def test_every_way_of_scanning(tmp_path, keys, place):
    values = fields()
    with open_source(write(tmp_path / "a.grib", message(place(values), **keys))) as source:
        np.testing.assert_allclose(source.grid.latitudes, GRID.latitudes)
        np.testing.assert_allclose(source.grid.longitudes % 360, GRID.longitudes)
        np.testing.assert_allclose(source.read([0])[0, ..., 0], values, atol=1e-4)


def test_rows_to_and_fro(tmp_path):
    values = fields()
    path = write(tmp_path / "a.grib", message(values, alternativeRowScanning=1))
    values[1::2] = values[1::2, ::-1]
    with open_source(path) as source:
        np.testing.assert_allclose(source.read([0])[0, ..., 0], values, atol=1e-4)


def on_levels(short_name, level, values, **keys):
    return message(values, shortName=short_name, typeOfLevel="isobaricInhPa", level=level, **keys)


def test_levels_and_variables(tmp_path):
    values = fields(2, 2)
    path = write(
        tmp_path / "a.grib",
        *(
            on_levels(name, level, values[i, k])
            for i, name in enumerate("uv")
            for k, level in enumerate((500, 850))
        ),
        message(values[0, 0], shortName="2t"),
    )
    with open_source(path, ["v", "2t", "u"], level=850) as source:
        assert source.channels == ("v", "2t", "u")
        found = np.moveaxis(source.read([0])[0], -1, 0)
        np.testing.assert_allclose(found, [values[1, 1], values[0, 0], values[0, 1]], atol=1e-4)
    for options, said in (
        ({}, r"level among 500 \(isobaricInhPa\), 850"),
        ({"level": 300}, "no level 300"),
        ({"variables": ["w"]}, "u, v, t2m"),
        ({"variables": ["2t"], "level": 500}, "no levels"),
    ):
        with pytest.raises(InputError, match=said):
            open_source(path, **options)
    assert "500" in describe_source(path)["variable u"]


def test_u_and_v_in_one_message(tmp_path):
    values = fields(2)
    first, second = (on_levels(n, 500, v) for n, v in zip("uv", values))
    support = eccodes.codes_grib_multi_new()
    for one in (first, second):
        handle = eccodes.codes_new_from_message(one)
        eccodes.codes_grib_multi_append(handle, 4, support)
        eccodes.codes_release(handle)
    with open(tmp_path / "a.grib", "wb") as file:
        eccodes.codes_grib_multi_write(support, file)
    assert [(m.offset, m.part) for m in scan(tmp_path / "a.grib")] == [(0, 0), (0, 1)]
    with open_source(tmp_path / "a.grib") as source:
        found = np.moveaxis(source.read([0])[0], -1, 0)
        np.testing.assert_allclose(found, values, atol=1e-4)


def test_a_gaussian_grid_is_recognised(tmp_path):
    grid = Grid.gaussian(16)
    values = RANDOM.normal(size=grid.shape)
    extent = {
        "Ni": 32, "Nj": 16, "N": 8,
        "latitudeOfFirstGridPointInDegrees": grid.latitudes[0],
        "latitudeOfLastGridPointInDegrees": grid.latitudes[-1],
        "longitudeOfFirstGridPointInDegrees": 0, "longitudeOfLastGridPointInDegrees": 348.75,
        "iDirectionIncrementInDegrees": 11.25,
    }  # fmt: skip
    handle = eccodes.codes_grib_new_from_samples("regular_gg_sfc_grib2")
    for key, value in {**extent, "shortName": "2t", "bitsPerValue": 24}.items():
        eccodes.codes_set(handle, key, value)
    eccodes.codes_set_values(handle, values.ravel())
    path = write(tmp_path / "a.grib", eccodes.codes_get_message(handle))
    with open_source(path) as source:
        assert source.grid.kind == "gaussian"
        np.testing.assert_allclose(source.read([0])[0, ..., 0], values, atol=1e-5)


def harmonics_message(truncation, variable="t", level=1, **coefficients):
    """A message of spherical-harmonic coefficients {"l_m": value}, others zero."""
    values = np.zeros((truncation + 1) * (truncation + 2) // 2, complex)
    for name, value in coefficients.items():
        degree, order = map(int, name[1:].split("_"))
        place = sum(truncation + 1 - m for m in range(order)) + degree - order
        values[place] = value
    handle = eccodes.codes_grib_new_from_samples("sh_ml_grib2")
    keys = {
        "J": truncation,
        "K": truncation,
        "M": truncation,
        "shortName": variable,
        "level": level,
    }
    keys |= {"packingType": "spectral_simple", "bitsPerValue": 24}
    for key, value in keys.items():
        eccodes.codes_set(handle, key, value)
    eccodes.codes_set_values(handle, values.view(np.float64))
    return eccodes.codes_get_message(handle)


@pytest.mark.parametrize(
    "grid",
    [Grid.gaussian(16), Grid.pole_to_pole(19), Grid.driscoll_healy(24)],
    ids=lambda g: g.kind,
)
def test_coefficients_against_legendre_functions_in_closed_form(tmp_path, grid):
    # √3 μ, √(3/2) cos φ · (2 cos λ) and √(15/2) μ cos φ · 2·(−sin λ): 4π-normalised, no (−1)^m.
    path = write(tmp_path / "a.grib", harmonics_message(10, _0_0=280, _1_0=4, _1_1=3, _2_1=2j))
    latitude = np.deg2rad(grid.latitudes)[:, None]
    longitude = np.deg2rad(grid.longitudes)
    mu, cosine = np.sin(latitude), np.cos(latitude)
    expected = (
        280
        + 4 * np.sqrt(3) * mu
        + 3 * 2 * np.sqrt(3 / 2) * cosine * np.cos(longitude)
        - 2 * 2 * np.sqrt(15 / 2) * mu * cosine * np.sin(longitude)
    )
    with open_source(path, grid=grid) as source:
        np.testing.assert_allclose(source.read([0])[0, ..., 0], expected, rtol=2e-6)


def test_vorticity_and_divergence_as_era5_keeps_them(tmp_path):
    """Coefficients on model levels, channels named as AtmoDist names them."""
    path = write(
        tmp_path / "a.grib",
        *(
            harmonics_message(10, variable, level, **{"_1_0": value})
            for variable, level, value in (("vo", 119, 9), ("vo", 120, 3), ("d", 120, 1))
        ),
    )
    convert(
        path,
        tmp_path / "a.h5",
        variables=["divergence=d", "vorticity=vo"],
        level=120,
        grid="driscoll-healy:24",
    )
    with open_store(tmp_path / "a.h5") as store:
        assert store.channels == ("divergence", "vorticity")
        assert store.units == ("s**-1", "s**-1")
        assert store.grid.equals(Grid.driscoll_healy(24))
        np.testing.assert_allclose(
            store.read([0])[0, 6, 5], np.sqrt(3) * np.array([1, 3]) / np.sqrt(2), rtol=1e-6
        )


def test_a_coarse_grid_leaves_out_what_it_does_not_resolve(tmp_path):
    path = write(tmp_path / "a.grib", harmonics_message(40, _0_0=280, _1_0=4, _30_5=100))
    grid = Grid.gaussian(16)
    expected = 280 + 4 * np.sqrt(3) * np.sin(np.deg2rad(grid.latitudes))[:, None]
    with open_source(path, grid=grid) as source:
        found = source.read([0])[0, ..., 0]
    np.testing.assert_allclose(found, expected + np.zeros(grid.shape), rtol=2e-6)


def test_coefficients_need_a_global_grid_and_grids_none(tmp_path):
    spectral = write(tmp_path / "a.grib", harmonics_message(10, _0_0=280))
    with pytest.raises(InputError, match="grid gaussian:320"):
        open_source(spectral)
    with pytest.raises(InputError, match="need a global grid"):
        open_source(spectral, grid=GRID)
    gridded = write(tmp_path / "b.grib", message(fields()))
    with pytest.raises(InputError, match="gridded fields keep"):
        open_source(gridded, grid=Grid.gaussian(8))


def test_what_cannot_be_read_is_refused(tmp_path):
    whole = message(fields())
    cases = {
        "cut": (whole + whole[:100], "damaged after 1 fields"),
        "members": (
            b"".join(
                message(fields(), productDefinitionTemplateNumber=1, number=n) for n in (1, 2)
            ),
            "2 ensemble members",
        ),
        "times": (
            message(fields(), shortName="2t") + message(fields(), shortName="2d", dataTime=600),
            "different times",
        ),
        "reduced": (
            eccodes.codes_get_message(
                eccodes.codes_grib_new_from_samples("reduced_rotated_gg_sfc_grib2")
            ),
            "type reduced_rotated_gg",
        ),
    }
    for name, (content, said) in cases.items():
        path = write(tmp_path / f"{name}.grib", content)
        with pytest.raises(InputError, match=said):
            open_source(path)


@real
@pytest.mark.parametrize(
    "name",
    ["era5_t2m_uk_2019-03_hourly", "arome_msl_NW_2018-05-01", "arpege_msl_NW_2018-05-01",
     "ifs_uv_200hPa_0p5deg"],
)  # fmt: skip
def test_real_files_as_cfgrib_reads_them(name):
    import xarray as xr

    path = Path(REALDATA) / f"{name}.grib"
    with (
        xr.open_dataset(path, engine="cfgrib", backend_kwargs={"indexpath": ""}) as expected,
        open_source(path) as source,
    ):
        assert set(source.channels) == set(expected.data_vars)
        np.testing.assert_allclose(source.grid.latitudes, expected.latitude, atol=1e-6)
        np.testing.assert_allclose(source.grid.longitudes, expected.longitude, atol=1e-6)
        valid = np.atleast_1d(expected.valid_time.values)
        np.testing.assert_array_equal(source.time.to_coordinate(), valid)
        chosen = np.array([len(source.time) - 1, 0])
        found = source.read(chosen)
        for c, channel in enumerate(source.channels):
            values = expected[channel].values.reshape(-1, *source.grid.shape)
            np.testing.assert_array_equal(found[..., c], values[chosen])


@real
def test_the_highest_mountain_of_the_spectral_orography_is_where_it_is():
    path = Path(REALDATA) / "ifs_z_spectral_T799.grib"
    with open_source(path, grid=Grid.pole_to_pole(1601)) as source:
        height = source.read([0])[0, ..., 0] / 9.80665
        row, column = np.unravel_index(height.argmax(), height.shape)
        assert height.max() == pytest.approx(6111, abs=1)
        assert source.grid.latitudes[row] == pytest.approx(35.3, abs=0.06)
        assert source.grid.longitudes[column] == pytest.approx(80.9, abs=0.06)
