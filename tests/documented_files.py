"""Small files by the names that pages of the docs use, so that their command lines run."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import xarray as xr

from documented import ROOT, command_of

UNITS = {
    "u": "m s-1", "v": "m s-1", "t2m": "K", "2t": "K", "tas": "K", "ta850": "K", "tp": "mm",
    "pr": "mm/day", "psl": "Pa", "msl": "Pa", "hus850": "kg kg-1", "orog": "m", "lsm": "1",
}  # fmt: skip
LEVELS = {"t2m": 280.0, "tas": 280.0, "ta850": 270.0, "psl": 1e5, "msl": 1e5}
UNITED_KINGDOM = (np.arange(60, 47.9, -1.0), np.arange(-12, 4.1, 1.0))
DAYS = np.arange("2000-01-01", "2000-12-20", 30, dtype="datetime64[D]")
GLOBE = (np.linspace(90, -90, 19), np.arange(0, 360, 10.0))


def dataset(names, grid, times=None, *, seed=0, **dimensions):
    """Positive random fields with CF coordinates, (time, …, latitude, longitude)."""
    random = np.random.default_rng(seed)
    coordinates = {
        **({} if times is None else {"time": np.asarray(times, "datetime64[ns]")}),
        **dimensions,
        "latitude": ("latitude", grid[0], {"units": "degrees_north"}),
        "longitude": ("longitude", grid[1], {"units": "degrees_east"}),
    }
    order = [name for name in coordinates]
    shape = [len(x[1]) if isinstance(x, tuple) else len(x) for x in coordinates.values()]
    variables = {
        name: (order, (LEVELS.get(name, 0) + random.gamma(2.0, size=shape)).astype("f4"),
               {"units": UNITS[name]})
        for name in names
    }  # fmt: skip
    if "lsm" in variables:
        order, values, attributes = variables["lsm"]
        variables["lsm"] = (order, (values > 1.5).astype("f4"), attributes)
    return xr.Dataset(variables, coordinates)


def hours(start, count, step=1):
    """Times of ``count`` fields, ``step`` hours apart."""
    return np.datetime64(start, "h") + step * np.arange(count)


def write_grib(path, name, grid, dates, *, steps=(0,)):
    """Writes GRIB 2 messages of one variable on a regular grid, one per start and step (hours)."""
    import eccodes

    latitudes, longitudes = grid
    random = np.random.default_rng(1)
    with open(path, "wb") as file:
        for date in dates:
            total = np.zeros(len(latitudes) * len(longitudes))
            for step in steps:
                total = total + random.gamma(2.0, size=total.size) + LEVELS.get(name, 0)
                handle = eccodes.codes_grib_new_from_samples("regular_ll_sfc_grib2")
                day = date.astype("datetime64[D]")
                for key, value in {
                    "Ni": len(longitudes), "Nj": len(latitudes),
                    "latitudeOfFirstGridPointInDegrees": float(latitudes[0]),
                    "latitudeOfLastGridPointInDegrees": float(latitudes[-1]),
                    "longitudeOfFirstGridPointInDegrees": float(longitudes[0] % 360),
                    "longitudeOfLastGridPointInDegrees": float(longitudes[-1] % 360),
                    "iDirectionIncrementInDegrees": float(longitudes[1] - longitudes[0]),
                    "jDirectionIncrementInDegrees": float(latitudes[0] - latitudes[1]),
                    "dataDate": int(str(day).replace("-", "")),
                    "dataTime": 100 * int((date - day) / np.timedelta64(1, "h")),
                    "shortName": name, "bitsPerValue": 24,
                }.items():  # fmt: skip
                    eccodes.codes_set(handle, key, value)
                if steps != (0,):
                    eccodes.codes_set(handle, "stepRange", f"0-{step}")
                eccodes.codes_set_values(handle, total)
                eccodes.codes_write(handle, file)
                eccodes.codes_release(handle)


def write_harmonics(path, names, truncation=21, level=120):
    """Writes GRIB 2 messages of spherical-harmonic coefficients of one time."""
    import eccodes

    with open(path, "wb") as file:
        for name in names:
            handle = eccodes.codes_grib_new_from_samples("sh_ml_grib2")
            for key, value in {
                "J": truncation, "K": truncation, "M": truncation, "shortName": name,
                "level": level, "dataDate": 20000101, "dataTime": 0,
                "packingType": "spectral_simple", "bitsPerValue": 24,
            }.items():  # fmt: skip
                eccodes.codes_set(handle, key, value)
            values = np.zeros((truncation + 1) * (truncation + 2) // 2, complex)
            values[5] = 1e-5
            eccodes.codes_set_values(handle, values.view(np.float64))
            eccodes.codes_write(handle, file)
            eccodes.codes_release(handle)


def run(line, folder):
    """Runs a command line of phire in a folder, the current one."""
    command, name, words = command_of(line.split())
    command.main([*words, "--quiet"], prog_name=name, standalone_mode=False)


def files_of_data(folder: Path) -> None:
    """Files of docs/data.md."""
    levels = {"level": ("level", [500.0, 850.0], {"units": "hPa"})}
    for name, seed in (("u", 0), ("v", 1)):
        for year in (2019, 2020):
            wind = dataset([name], GLOBE, hours(f"{year}-01-01", 3), seed=seed, **levels)
            wind.to_netcdf(folder / f"era5_{name}_{year}.nc")
    shutil.copy(folder / "era5_u_2019.nc", folder / "era5_u.nc")
    write_harmonics(folder / "era5_ml_2000.grib", ["d", "vo"])
    days = np.arange("2019-03-01", "2019-03-24", dtype="datetime64[D]").astype("datetime64[h]")
    write_grib(folder / "t2m.grib", "2t", UNITED_KINGDOM, days)
    for start in ("2019-03-01", "2019-03-02"):
        surface = dataset(["t2m", "tp"], UNITED_KINGDOM, hours(start, 24))
        surface.to_netcdf(folder / f"surface_{start}.nc")
    write_grib(folder / "forecast.grib", "tp", UNITED_KINGDOM, days[:1], steps=(1, 2, 3))
    six = hours("2019-03-01", 13)
    dataset(["u", "v"], UNITED_KINGDOM, six).to_netcdf(folder / "winds.nc")
    write_grib(folder / "surface.grib", "2t", UNITED_KINGDOM, six)
    dataset(["msl"], UNITED_KINGDOM, six).to_zarr(folder / "analysis.zarr")
    for year in (1979, 1980, 1981):
        dataset(["tas"], GLOBE, hours(f"{year}-01-01", 4)).to_netcdf(folder / f"{year}.nc")
        run(f"phire convert {year}.nc {year}.h5", folder)
    _files_of_two_models(folder)
    dataset(["t2m"], GLOBE, hours("2019-03-01", 2)).to_netcdf(folder / "era5_025.nc")
    days = np.arange("1981-01-01", "2011-01-01", 5, dtype="datetime64[D]")
    corner = (UNITED_KINGDOM[0][:4], UNITED_KINGDOM[1][:4])
    dataset(["tas"], corner, days).to_netcdf(folder / "fine_daily.nc")
    run("phire convert fine_daily.nc fine.h5", folder)
    prediction = dataset(["tas"], corner, days[:5])
    prediction["tas"].attrs["units"] = "1"
    prediction.to_netcdf(folder / "prediction.nc")


def _files_of_two_models(folder: Path) -> None:
    times = hours("2018-05-01T01", 24)
    fine = (np.arange(50, 46.9, -0.1), np.arange(-6, -1.9, 0.1))
    coarse = (np.arange(50, 46.9, -0.5), np.arange(-6, -1.9, 0.5))
    rain = dataset(["tp"], fine, times).merge(dataset(["orog", "lsm"], fine))
    rain.to_netcdf(folder / "arome_precip.nc")
    dataset(["tp"], coarse, times).to_netcdf(folder / "arpege_precip.nc")
    write_grib(folder / "arpege_msl.grib", "msl", coarse, hours("2018-05-01", 25))
    write_grib(folder / "arpege.grib", "msl", coarse, times[:2])
    write_grib(folder / "arome.grib", "msl", fine, times[:2])


def files_of_records(folder: Path, name: str = "fine.nc") -> None:
    """Files of docs/records.md: a fine one, two coarse ones and maps, at the scale 5."""
    fine = (49.75 - 0.5 * np.arange(20), 0.25 + 0.5 * np.arange(30))
    coarse = (48.75 - 2.5 * np.arange(4), 1.25 + 2.5 * np.arange(6))
    dataset(["tas", "pr"], fine, DAYS).to_netcdf(folder / name)
    dataset(["tas", "pr"], coarse, DAYS).to_netcdf(folder / "coarse.nc")
    dataset(["psl", "ta850", "hus850"], coarse, DAYS).to_netcdf(folder / "levels.nc")
    dataset(["orog", "lsm"], fine).to_netcdf(folder / "maps.nc")


def files_of_evaluation(folder: Path) -> None:
    """Files of docs/evaluation.md: a truth, predictions, members, a climatology."""
    example = ROOT / "data" / "example.h5"
    from phire.fields import open_store, to_dataset, write_source

    with open_store(example) as store:
        write_source(store, folder / "truth.h5", times=slice(0, 6))
        truth = to_dataset(store, slice(0, 6))
    random = np.random.default_rng(0)
    noisy = truth + 1e-6 * random.normal(size=truth["vorticity"].shape).astype("f4")
    for name in noisy:
        noisy[name].attrs = truth[name].attrs
    noisy.to_netcdf(folder / "predictions.nc")
    members = xr.concat([noisy, truth, noisy], "member")
    for name in members:
        members[name].attrs = truth[name].attrs
    members.to_netcdf(folder / "members.nc")
    truth.groupby("time.month").mean().reindex(month=range(1, 13), method="nearest").to_netcdf(
        folder / "monthly.nc"
    )
    europe = (np.arange(60, 39.9, -1.0), np.arange(0, 20.1, 1.0))
    dataset(["t2m"], europe, hours("2020-01-01", 6)).to_netcdf(folder / "era5.nc")
    dataset(["t2m"], europe, hours("2020-01-01", 6), seed=1).to_zarr(folder / "forecast.zarr")
    shutil.copy(folder / "predictions.nc", folder / "fine.nc")  # of docs/guide/cluster.md


def files_of_prediction(folder: Path) -> None:
    """Files of docs/prediction.md: three runs with random weights, and their inputs."""
    from downscaling.trained_runs import make_run
    from phire.downscaling.schema_shapes import shapes_of
    from phire.records import open_records

    files_of_records(folder, "observations.nc")
    dataset(["psl"], (52.5 - 2.5 * np.arange(7), -2.5 + 2.5 * np.arange(9)),
            DAYS).to_netcdf(folder / "pressure.nc")  # fmt: skip
    dataset(["tas", "pr"], (52.0 - 2.0 * np.arange(8), -2.0 + 2.0 * np.arange(10)),
            DAYS).to_netcdf(folder / "surface.nc")  # fmt: skip
    days = np.arange("2019-03-20", "2019-04-03", dtype="datetime64[D]")
    fine = (49.75 - 0.5 * np.arange(16), 0.25 + 0.5 * np.arange(24))
    dataset(["tas"], fine, days).to_netcdf(folder / "fine_march.nc")
    run("phire convert fine_march.nc fine.h5", folder)
    run("phire-data fine.h5 records --scale 4 --whole-fields --normalization z", folder)
    run("phire regrid fine.h5 coarse.nc --grid degrees:2:49,1,43,11 --overwrite", folder)
    common = "--scale 5 --whole-fields --normalization z"
    run(f"phire-data observations.nc rain-records --targets pr {common}", folder)
    dataset(["pr"], (48.75 - 2.5 * np.arange(4), 1.25 + 2.5 * np.arange(6)),
            days).to_netcdf(folder / "coarse_rain.nc")  # fmt: skip
    run(
        "phire-data observations.nc run-records --targets tas --predictors pressure.nc:psl "
        f"--predictors surface.nc:tas,pr --static maps.nc:orog {common}",
        folder,
    )
    for name, records, options in (
        ("generator", "records", ""), ("rain-generator", "rain-records", ""),
        ("run", "run-records", ",noise=1"),
    ):  # fmt: skip
        opened = open_records(folder / records)
        specification = f"srgan-small,filters=4,blocks=1,kernel=3{options}"
        made = make_run(
            folder / name, opened.schema, shapes_of(opened.schema), specification,
            **dict(opened.manifest.options),
        )  # fmt: skip
        if (folder / records / "static.h5").exists():
            shutil.copy(folder / records / "static.h5", made)


def files_of_ensembles(folder: Path) -> None:
    """Files of docs/generative.md: records of a few samples and a coarse field."""
    grid = (64.5 - np.arange(32), 0.5 + np.arange(32))
    times = hours("2000-01-01", 24, step=6)  # 16 to train on, so that half of them fill a batch
    dataset(["tas", "psl"], grid, times).to_netcdf(folder / "weather.nc")
    common = "--scale 4 --whole-fields --shards 1"
    run(f"phire-data weather.nc train --normalization z --time ,2000-01-05 {common}", folder)
    run(f"phire-data weather.nc held-out --statistics train --time 2000-01-05, {common}", folder)
    coarse = xr.open_dataset(folder / "weather.nc").isel(time=[9])
    coarse = coarse.coarsen(latitude=4, longitude=4).mean(keep_attrs=True)
    coarse.to_netcdf(folder / "coarse.nc")


def files_of_pipelines(folder: Path) -> None:
    """Files of docs/pipelines.md: its first pipeline, and the checkout's."""
    from documented import yaml_blocks

    (folder / "study.yaml").write_text(yaml_blocks(ROOT / "docs" / "pipelines.md")[0])
    shutil.copytree(ROOT / "pipelines", folder / "pipelines")


FILES = {
    "docs/data.md": files_of_data,
    "docs/records.md": files_of_records,
    "docs/evaluation.md": files_of_evaluation,
    "docs/guide/cluster.md": files_of_evaluation,
    "docs/prediction.md": files_of_prediction,
    "docs/generative.md": files_of_ensembles,
    "docs/pipelines.md": files_of_pipelines,
}
