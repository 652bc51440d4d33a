#!/usr/bin/env python
"""Study of eight downscaling models on reanalysis and radar; see docs/results/seed-slides.md.

Makes the further inputs of ``pipelines/seed-slides.yaml`` (the date in years, the next day's
fields, coarse fields for perfect prognosis, ridge regressions). Runs the pipeline, evaluates the
mean over the seeds, and writes the tables and the figure. The same command resumes an interrupted
study.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import xarray as xr
from scipy.ndimage import distance_transform_edt

FOLDER = Path("study-seed-slides")
"""Working directory, which ``pipelines/seed-slides.yaml`` names, too."""
PIPELINE = Path(__file__).parents[1] / "pipelines" / "seed-slides.yaml"
SPLIT = "1998-06-01"
SCALE = 5


def run(*command: object) -> None:
    """Prints a command and runs it."""
    words = [str(word) for word in command]
    click.echo("\n$ " + " ".join(words))
    subprocess.run(words, check=True)


def nearest_filled(values: np.ndarray) -> np.ndarray:
    """Fills missing points of fields (n, h, w) with the nearest valid point."""
    missing = np.isnan(values).any(axis=0)
    rows, columns = distance_transform_edt(missing, return_distances=False, return_indices=True)
    return values[:, rows, columns]


def block_means(fine: xr.Dataset) -> xr.Dataset:
    """Computes means over 5 × 5 blocks, extended by one block on every side.

    Missing points are left out of the means, and the last rows and columns form smaller blocks.
    Blocks without a valid point and those beyond the domain get the value of the nearest block.

    Args:
        fine: Daily fields on ``lat`` and ``lon``.

    Returns:
        The same variables on the grid of blocks.
    """
    fine = fine.sortby("lat", ascending=False)
    rows, columns = fine.sizes["lat"], fine.sizes["lon"]
    sides = {"lat": (0, -rows % SCALE), "lon": (0, -columns % SCALE)}
    step = 0.5 * SCALE
    first = {"lat": fine.lat.values[0] - 1.0, "lon": fine.lon.values[0] + 1.0}
    blocks = {name: (size + sides[name][1]) // SCALE for name, size in fine.sizes.items()
              if name in sides}  # fmt: skip
    lat = first["lat"] - step * np.arange(-1, blocks["lat"] + 1)
    lon = first["lon"] + step * np.arange(-1, blocks["lon"] + 1)
    coarse = xr.Dataset(coords={"time": fine.time, "lat": lat, "lon": lon})
    for name in ("tas", "pr"):
        padded = fine[name].transpose("time", "lat", "lon").pad(sides)
        means = padded.coarsen(lat=SCALE, lon=SCALE).mean().values
        means = np.pad(nearest_filled(means), ((0, 0), (1, 1), (1, 1)), mode="edge")
        coarse[name] = (("time", "lat", "lon"), means.astype(np.float32), fine[name].attrs)
    for name in ("lat", "lon"):
        coarse[name].attrs = fine[name].attrs
    return coarse


def reanalysis_for_perfect_prognosis(surface: xr.Dataset, coarse: xr.Dataset) -> xr.Dataset:
    """Regrids the reanalysis to ``coarse`` and removes its mean bias of the training days.

    At each point, temperature is shifted and rain is scaled to the mean of ``coarse``.

    Args:
        surface: ``tas`` and ``pr`` on another grid; beyond it the outermost values are repeated.
        coarse: Block means of the truth.
    """
    lat = coarse.lat.clip(surface.lat.min(), surface.lat.max())
    lon = coarse.lon.clip(surface.lon.min(), surface.lon.max())
    found = surface[["tas", "pr"]].interp(lat=lat.values, lon=lon.values)
    found = found.assign_coords(lat=coarse.lat, lon=coarse.lon)
    train = {"time": slice(None, np.datetime64(SPLIT) - np.timedelta64(1, "D"))}
    means, truth = (x.sel(train).mean("time") for x in (found, coarse))
    found["tas"] = found["tas"] - means["tas"] + truth["tas"]
    found["pr"] = found["pr"] * (truth["pr"] / means["pr"])
    for name in ("tas", "pr"):
        found[name] = found[name].transpose("time", "lat", "lon").astype(np.float32)
        found[name].attrs = coarse[name].attrs
    return found


def prepare_iberia(data: Path, ridge: bool = True) -> None:
    """Makes the coarse inputs and, with ``ridge``, ridge regressions of temperature and rain."""
    fine, levels, surface = (
        data / f"iberia_{name}_djf1983-2002.nc"
        for name in ("fine_eobs050", "coarse_ncep25", "coarse_ncep_t62")
    )
    scripts = Path(__file__).parent
    year, *following = (FOLDER / f"{name}.nc" for name in ("year", "levels-next", "surface-next"))
    for script, coarse, output in (
        ("year_predictor", levels, year),
        ("shifted_predictors", levels, following[0]),
        ("shifted_predictors", surface, following[1]),
    ):
        if not output.exists():
            run(sys.executable, scripts / f"{script}.py", coarse, output)
    if not (FOLDER / "reanalysis-blocks.nc").exists():
        with xr.open_dataset(fine) as truth, xr.open_dataset(surface) as reanalysis:
            blocks = block_means(truth.load())
            blocks.to_netcdf(FOLDER / "blocks.nc")
            reanalysis_for_perfect_prognosis(reanalysis.load(), blocks).to_netcdf(
                FOLDER / "reanalysis-blocks.nc"
            )
    if not ridge or (FOLDER / "ridge.nc").exists():
        return
    further = [word for path in following for word in ("--coarse", path)]
    for target, words in (
        ("tas", ["--coarse", year]),
        ("pr", ["--minimum", "pr=0", *further]),
    ):
        output = FOLDER / f"ridge-{target}.nc"
        if not output.exists():
            run(
                sys.executable, scripts / "ridge_regression.py", fine, output, "--targets", target,
                "--coarse", levels, "--coarse", surface, "--split", SPLIT, *words,
            )  # fmt: skip
    xr.merge(
        [xr.load_dataset(FOLDER / f"ridge-{name}.nc") for name in ("tas", "pr")],
        combine_attrs="drop",
    ).to_netcdf(FOLDER / "ridge.nc")


def neighbourhoods(coarse: np.ndarray, side: int = 5) -> np.ndarray:
    """Returns the values of the side × side blocks around each block, (n · h · w, side²).

    Beyond the edges, the outermost values are repeated.

    Args:
        coarse: (n, h, w) block means.
        side: Odd number of blocks.
    """
    reach = side // 2
    padded = np.pad(coarse, ((0, 0), (reach, reach), (reach, reach)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (side, side), axis=(1, 2))
    return windows.reshape(-1, side * side)


def radar_ridge(rain: xr.DataArray, day: str, scale: int = 8) -> xr.DataArray:
    """Predicts the fields from ``day`` on by ridge regression on neighbouring block means.

    The regression is the same for all blocks: it predicts the scale × scale points of a block from
    the means of the 5 × 5 blocks around it, and is fitted to the fields before ``day``.

    Args:
        rain: (time, lat, lon), with rows and columns a multiple of ``scale``.
        day: First time to predict.
        scale: Points per block along each axis.
    """
    from ridge_regression import regress

    fields = rain.transpose("time", "lat", "lon")
    times, rows, columns = fields.shape
    blocks = fields.values.reshape(times, rows // scale, scale, columns // scale, scale)
    blocks = blocks.transpose(0, 1, 3, 2, 4)
    inputs = neighbourhoods(blocks.mean((3, 4)))
    train = np.repeat((fields.time < np.datetime64(day)).values, len(inputs) // times)
    found, *_ = regress(inputs, blocks.reshape(len(inputs), -1), train)
    later = fields.sel(time=slice(day, None))
    found = found.reshape(-1, *blocks.shape[1:]).transpose(0, 1, 3, 2, 4)
    return later.copy(data=np.maximum(found.reshape(later.shape), 0))


def prepare_radar(data: Path) -> None:
    """Makes the ridge regression for the box of the radar mosaic that the pipeline uses."""
    if (FOLDER / "ridge-radar.nc").exists():
        return
    with xr.open_dataset(data / "radar_mrms_qpe1h_2016-09-20_22_hourly.nc") as mosaic:
        box = mosaic["precip"].sel(lat=slice(37.01, 32.53), lon=slice(-79.33, -74.85)).load()
    predicted = radar_ridge(box, "2016-09-22")
    predicted.encoding = {}
    predicted.to_dataset(name="precip").to_netcdf(FOLDER / "ridge-radar.nc")


def evaluate_means(data: Path) -> None:
    """Evaluates two means: of model I over its seeds, and of ridge regression, I and J.

    They are evaluated together, because candidates are compared at the points that all have.
    """
    means = {}
    for model in ("I", "J"):
        seeds = sorted(FOLDER.glob(f"iberia-{model}-predicted_seed-*.nc"))
        with xr.open_mfdataset(seeds, combine="nested", concat_dim="member") as dataset:
            means[model] = dataset.mean("member", keep_attrs=True).load()
    ridge = xr.load_dataset(FOLDER / "ridge.nc").rename(lat="latitude", lon="longitude")
    ridge = ridge.reindex_like(means["I"], method="nearest", tolerance=1e-3)
    means["ridge+I+J"] = (
        sum((one[["tas", "pr"]] for one in (ridge, means["J"])), means["I"][["tas", "pr"]]) / 3.0
    )
    words = []
    for name, mean in means.items():
        path = FOLDER / f"mean-{name.replace(' ', '-')}.nc"
        for variable in ("tas", "pr"):
            mean[variable].attrs = means["I"][variable].attrs
        mean.to_netcdf(path)
        words += ["--candidate", f"mean of {name}={path}"]
    run(
        "phire-eval", data / "iberia_fine_eobs050_djf1983-2002.nc", "--variables", "tas,pr",
        "--time", f"{SPLIT},", "--metrics", "scores,maps,dl4ds", *words, "--no-report",
        "--out", FOLDER / "results-means", "--overwrite", "--quiet",
    )  # fmt: skip


OF_DL4DS = ("dl4ds_mae", "dl4ds_rmse", "dl4ds_pearson", "dl4ds_ssim", "dl4ds_psnr")
COLUMNS = (
    "MAE", "RMSE", "correlation in time", "in space", "SSIM", "PSNR",
    "DL4DS: MAE", "RMSE", "Pearson", "SSIM", "PSNR",
)  # fmt: skip
PREDICTANDS = {"tas": "Temperature (K)", "pr": "Rain (mm/day)", "precip": "Radar rain (mm)"}


def measured(folder: Path) -> dict[str, list[float]]:
    """Reads the scores of :data:`COLUMNS` of one candidate, by channel.

    The RMSE is computed over all times and points, and the correlation in time is averaged over the
    points. The other scores are computed for each field and averaged over time.

    Args:
        folder: Results of a candidate by ``phire-eval --metrics scores,maps,dl4ds``.
    """
    found = {}
    scores, maps, dl4ds = (
        xr.load_dataset(folder / f"{name}.nc") for name in ("scores", "maps", "dl4ds")
    )
    for channel in scores["channel"].values:
        one, points = scores.sel(channel=channel), maps.sel(channel=channel)
        square = (points["rmse"].astype(float) ** 2).weighted(points["count"]).mean()
        numbers = [
            one["mae_mean"], np.sqrt(square), points["correlation"].astype(float).mean(),
            one["correlation_mean"], one["ssim_mean"], one["psnr_mean"],
            *(dl4ds[f"{name}_mean"].sel(channel=channel) for name in OF_DL4DS),
        ]  # fmt: skip
        found[str(channel)] = [float(number) for number in numbers]
    return found


def gathered() -> dict[str, dict[str, np.ndarray]]:
    """Reads all results: channel → candidate → (seeds, columns)."""
    numbers: dict[str, dict[str, list]] = {}
    for results in sorted(FOLDER.glob("results-*")):
        for folder in sorted(results.iterdir()):
            if folder.name == "truth" or not (folder / "dl4ds.nc").exists():
                continue
            for channel, row in measured(folder).items():
                numbers.setdefault(channel, {}).setdefault(folder.name, []).append(row)
    return {
        channel: {name: np.array(rows) for name, rows in candidates.items()}
        for channel, candidates in numbers.items()
    }


def table(numbers: dict[str, dict[str, np.ndarray]]) -> list[str]:
    """Returns Markdown tables, one for each channel, as lines."""
    from seed_spread import mean_and_half_range

    lines = []
    for channel, candidates in numbers.items():
        lines += [f"| {PREDICTANDS[channel]} | seeds | {' | '.join(COLUMNS)} |"]
        lines += ["|---" * (len(COLUMNS) + 2) + "|"]
        for name, rows in candidates.items():
            values = " | ".join(mean_and_half_range(column) for column in rows.T)
            lines.append(f"| {name} | {len(rows)} | {values} |")
        lines.append("")
    return lines


def draw(numbers: dict[str, dict[str, np.ndarray]], path: Path) -> None:
    """Draws RMSE and SSIM of every candidate and seed, with one row per channel."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(
        len(numbers), 2, figsize=(9, 2.6 * len(numbers)), squeeze=False, layout="constrained"
    )
    for row, (channel, candidates) in zip(axes, numbers.items()):
        for axis, column in zip(row, ("RMSE", "SSIM")):
            number = COLUMNS.index(column)
            for place, (name, rows) in enumerate(candidates.items()):
                model = len(name) == 1
                axis.plot(
                    [place] * len(rows), rows[:, number], "o" if model else "D",
                    color="tab:blue" if model else "tab:orange", alpha=0.8,
                )  # fmt: skip
            axis.set_xticks(range(len(candidates)), list(candidates), rotation=45, ha="right")
            unit = PREDICTANDS[channel].partition("(")[2].rstrip(")")
            axis.set_ylabel(f"RMSE ({unit})" if column == "RMSE" else "SSIM")
            axis.grid(axis="y", alpha=0.3)
            axis.set_title(PREDICTANDS[channel].partition(" (")[0], loc="left", fontsize=10)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


@click.command()
@click.option(
    "--data", type=click.Path(exists=True, path_type=Path), envvar="PHIRE_REALDATA", required=True,
    help="Folder with the files iberia_*.nc and radar_mrms_*.nc.",
)  # fmt: skip
@click.option("--set", "overrides", multiple=True, help="Override of the pipeline, KEY=VALUE.")
def main(data: Path, overrides: tuple[str, ...]) -> None:
    """Run the study in the folder study-seed-slides."""
    FOLDER.mkdir(exist_ok=True)
    prepare_iberia(data)
    prepare_radar(data)
    changes = [word for one in overrides for word in ("--set", one)]
    run("phire", "run", PIPELINE, "--set", f"variables.data={data}", *changes)
    evaluate_means(data)
    numbers = gathered()
    lines = table(numbers)
    (FOLDER / "table.md").write_text("\n".join(lines), encoding="utf-8")
    draw(numbers, FOLDER / "scores.png")
    click.echo("\n".join(lines))


if __name__ == "__main__":
    main()
