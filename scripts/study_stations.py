"""Study of downscaling with and without station observations as input.

Random grid points of the truth serve as stations. A share of them is withheld by ``phire-data
--withhold-stations``, so that no network sees their values in training or in prediction. One
network is trained on coarsened fields only, another also on the stations. Both predict later times,
and the error is computed over all points and at the withheld stations.
"""

from __future__ import annotations

import csv
from pathlib import Path

import click
import numpy as np
import pandas as pd
import xarray as xr

NETWORK = "resnet,upsampling=pre,filters=16,blocks=6,add=bilinear"
"""Default network. It works on the fine grid, where convolutions spread the stations' values."""
SCHEDULE = "cosine,warmup=100"


def draw_stations(shape: tuple[int, int], count: int, seed: int) -> np.ndarray:
    """Draws the rows and columns of distinct random points, (count, 2)."""
    places = np.random.default_rng(seed).choice(shape[0] * shape[1], count, replace=False)
    return np.stack(np.unravel_index(places, shape), axis=1)


def write_stations(path: Path, truth: xr.DataArray, points: np.ndarray) -> None:
    """Writes the truth at the given points as a table of observations.

    Args:
        path: The CSV file.
        truth: (time, latitude, longitude) fields.
        points: (n, 2) rows and columns of the stations.
    """
    times = [str(time)[:19] for time in truth["time"].values.astype("datetime64[s]")]
    latitudes, longitudes = (truth[name].values for name in truth.dims[1:])
    with open(path, "w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream)
        table.writerow(["station", "time", "latitude", "longitude", truth.name])
        for number, (row, column) in enumerate(points):
            place = f"s{number:02d}", latitudes[row], longitudes[column]
            values = truth.values[:, row, column]
            table.writerows(
                [place[0], time, *place[1:], value] for time, value in zip(times, values)
            )


def errors(predicted: xr.DataArray, truth: xr.DataArray, withheld: list) -> dict[str, float]:
    """Computes the RMSE over all points, weighted by area, and over the withheld stations.

    Args:
        predicted: (time, latitude, longitude) fields.
        truth: (time, latitude, longitude) fields, with at least the predicted points.
        withheld: (name, latitude, longitude) of each withheld station.
    """
    squares = np.square(predicted - truth).mean("time")
    weights = np.cos(np.deg2rad(predicted["latitude"]))
    at = [
        float(squares.sel(latitude=latitude, longitude=longitude, method="nearest"))
        for _, latitude, longitude in withheld
    ]
    everywhere = float(squares.weighted(weights).mean())
    return {"everywhere": np.sqrt(everywhere), "withheld stations": np.sqrt(np.mean(at))}


def run_variant(
    fine: Path, folder: Path, *, split: str, scale: int, stations: Path | None, network: str,
    epochs: int, seed: int, withhold: float,
) -> tuple[Path, list]:  # fmt: skip
    """Makes records, trains and predicts; skips steps that are done.

    Args:
        fine: File of the fine fields.
        folder: Folder of records, runs and predictions.
        split: End of training and first time to predict.
        scale: Ratio of the resolutions.
        stations: Table of observations; None trains without stations.
        network: Network as ``NAME,key=value,…``.
        epochs: Number of epochs.
        seed: Seed of the training; the withheld stations are the same for all seeds.
        withhold: Share of the stations that is withheld.

    Returns:
        The file of predictions, and name, latitude and longitude of the withheld stations.
    """
    from phire.downscaling import predict, train_generator
    from phire.records import open_records, write_downscaling_records

    given = {} if stations is None else {"stations": stations, "withhold_stations": withhold}
    records = folder / "records"
    write_downscaling_records(
        fine, records, scale=scale, whole_fields=True, normalization="z", shards=1,
        time=(None, split), **given,
    )  # fmt: skip
    run = folder / f"run-{seed}"
    train_generator(
        records, run, network=network, objective="content", schedule=SCHEDULE, epochs=(epochs,),
        learning_rates=(1e-3,), batch_size=32, seed=seed,
    )  # fmt: skip
    output = folder / f"predicted-{seed}.nc"
    predict(run, fine, output, coarsen=scale, time=f"{split},")
    return output, open_records(records).manifest.withheld_stations


@click.command()
@click.argument("fine", type=click.Path(exists=True, path_type=Path))
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--variable", default="slp", show_default=True)
@click.option("--split", default="2009-01-01", show_default=True, help="End of training.")
@click.option("--scale", default=4, show_default=True)
@click.option("--stations", "count", default=30, show_default=True, help="Number of stations.")
@click.option("--withhold", default=0.2, show_default=True, help="Share of withheld stations.")
@click.option("--network", default=NETWORK, show_default=True)
@click.option("--epochs", default=12, show_default=True)
@click.option("--seeds", default="0,1", show_default=True, help="Seeds of the trainings.")
@click.option("--draw", default=0, show_default=True, help="Seed of the stations' positions.")
def main(
    fine: Path, folder: Path, variable: str, split: str, scale: int, count: int, withhold: float,
    network: str, epochs: int, seeds: str, draw: int,
) -> None:  # fmt: skip
    """Train in FOLDER with and without stations drawn from FINE; write FOLDER/scores.csv."""
    from phire.downscaling import predict
    from phire.fields import open_source, to_dataset
    from phire.fields.coarsening import CroppedSource

    folder.mkdir(parents=True, exist_ok=True)
    source = CroppedSource(open_source(fine, [variable]), scale)
    truth = to_dataset(source)[variable]
    table = folder / "stations.csv"
    write_stations(table, truth, draw_stations(truth.shape[1:], count, draw))
    options = {"split": split, "scale": scale, "network": network, "epochs": epochs,
               "withhold": withhold}  # fmt: skip
    rows, outputs = [], []
    for seed in map(int, seeds.split(",")):
        for name, stations in (("without stations", None), ("with stations", table)):
            output, found = run_variant(
                fine, folder / name.replace(" ", "-"), stations=stations, seed=seed, **options
            )
            outputs.append((name, seed, output))
            withheld = found or ()
    predict("bicubic", fine, folder / "bicubic.nc", coarsen=scale, time=f"{split},")
    for name, seed, output in [("bicubic", "", folder / "bicubic.nc"), *outputs]:
        with xr.open_dataset(output) as dataset:
            rows.append({"candidate": name, "seed": seed, **errors(dataset[variable], truth,
                                                                    withheld)})  # fmt: skip
    scores = pd.DataFrame(rows)
    scores.to_csv(folder / "scores.csv", index=False)
    click.echo(scores.to_string(index=False))
    click.echo(scores.groupby("candidate").mean(numeric_only=True).to_string())


if __name__ == "__main__":
    main()
