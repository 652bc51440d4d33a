"""Ridge regression of fine fields on all coarse values: the linear baseline of downscaling.

Every point of the fine grid is regressed on all values of all coarse fields of the same time
(scikit-learn; the penalty is chosen for each target by cross-validation over blocks of time). The
predictions are written to NetCDF, where ``phire-eval`` takes them like any other candidate.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
import xarray as xr
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold
from sklearn.preprocessing import StandardScaler

PENALTIES = (1.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0)


def coarse_values(sources: list[str], times: xr.DataArray) -> np.ndarray:
    """Reads all coarse fields at some times, one column a value.

    Args:
        sources: ``FILE`` or ``FILE:NAME,NAME``.
        times: The n times wanted.

    Returns:
        (n, values) without missing columns.

    Raises:
        click.UsageError: A file lacks one of the times.
    """
    columns = []
    for source in sources:
        path, _, names = source.partition(":")
        with xr.open_dataset(path) as dataset:
            chosen = (
                names.split(",") if names else [n for n in dataset if "time" in dataset[n].dims]
            )
            if not np.isin(times.values, dataset["time"].values).all():
                raise click.UsageError(f"{path} lacks some of the times: choose --time.")
            columns += [
                dataset[name].sel(time=times).values.reshape(len(times), -1) for name in chosen
            ]
    values = np.concatenate(columns, axis=1)
    return values[:, np.isfinite(values).all(axis=0)]


def cross_validated_penalty(inputs: np.ndarray, targets: np.ndarray, folds: int = 5) -> float:
    """Returns the penalty of least squared error over ``folds`` blocks of consecutive times."""
    errors = np.zeros(len(PENALTIES))
    for train, test in KFold(folds).split(inputs):
        for number, penalty in enumerate(PENALTIES):
            model = Ridge(penalty).fit(inputs[train], targets[train])
            errors[number] += np.square(
                model.predict(inputs[test]).reshape(targets[test].shape) - targets[test]
            ).sum()
    return PENALTIES[int(errors.argmin())]


def regress(
    inputs: np.ndarray, targets: np.ndarray, train: np.ndarray, minimum: float | None = None
) -> tuple[np.ndarray, float]:
    """Fits on the training times and predicts the others.

    Args:
        inputs: (n, values).
        targets: (n, points); points that are missing at some training time stay missing.
        train: (n,) boolean.
        minimum: Smallest value that a prediction may have, 0 for rain.

    Returns:
        Predictions (n − training times, points), and the penalty chosen.
    """
    scaled = StandardScaler().fit(inputs[train]).transform(inputs)
    present = np.isfinite(targets[train]).all(axis=0)
    known = targets[:, present]
    penalty = cross_validated_penalty(scaled[train], known[train])
    found = Ridge(penalty).fit(scaled[train], known[train]).predict(scaled[~train])
    found = found.reshape(-1, known.shape[1])  # scikit-learn drops the axis of a single target
    predictions = np.full((int((~train).sum()), targets.shape[1]), np.nan, np.float32)
    predictions[:, present] = found if minimum is None else np.maximum(found, minimum)
    return predictions, penalty


def scores(truth: np.ndarray, predictions: np.ndarray) -> tuple[float, float]:
    """Returns the RMSE over all values and the correlation in time, averaged over the points."""
    both = np.isfinite(truth) & np.isfinite(predictions)
    complete = both.all(axis=0)
    errors = np.where(both, predictions - truth, 0)
    a, b = (x[:, complete] - x[:, complete].mean(axis=0) for x in (truth, predictions))
    norms = np.sqrt((a**2).sum(0) * (b**2).sum(0))
    varying = norms > 0  # a climatology has no correlation in time
    correlations = (a * b).sum(0)[varying] / norms[varying]
    error = np.sqrt(np.square(errors).sum() / both.sum())
    return float(error), float(correlations.mean()) if varying.any() else np.nan


@click.command()
@click.argument("fine", type=click.Path(exists=True, path_type=Path))
@click.argument("output", type=click.Path(path_type=Path))
@click.option("--targets", required=True, help="Variables of FINE to predict, comma-separated.")
@click.option("--coarse", "sources", multiple=True, required=True, help="FILE or FILE:NAME,NAME.")
@click.option("--split", required=True, help="Training before this time, prediction from it on.")
@click.option("--minimum", multiple=True, help="NAME=VALUE: smallest value, such as pr=0.")
def main(
    fine: Path, output: Path, targets: str, sources: tuple[str, ...], split: str,
    minimum: tuple[str, ...],
) -> None:  # fmt: skip
    """Predicts FINE by ridge regression on coarse fields and writes OUTPUT (NetCDF)."""
    least = {name: float(value) for name, _, value in (text.partition("=") for text in minimum)}
    with xr.open_dataset(fine) as dataset:
        train = (dataset["time"] < np.datetime64(split)).values
        inputs = coarse_values(list(sources), dataset["time"])
        predicted = xr.Dataset(attrs={"title": "ridge regression on coarse values"})
        for name in targets.split(","):
            truth = dataset[name].transpose("time", ...)
            flat = truth.values.reshape(len(train), -1)
            found, penalty = regress(inputs, flat, train, least.get(name))
            error, correlation = scores(flat[~train], found)
            climatology = np.broadcast_to(flat[train].mean(axis=0), found.shape)
            click.echo(
                f"{name}: RMSE {error:.3f}, correlation {correlation:.3f} (penalty {penalty:g}); "
                f"climatology {scores(flat[~train], climatology)[0]:.3f} {truth.attrs['units']}"
            )
            held_out = truth.isel(time=~train)
            predicted[name] = held_out.copy(data=found.reshape(held_out.shape))
        predicted.to_netcdf(output)


if __name__ == "__main__":
    main()
