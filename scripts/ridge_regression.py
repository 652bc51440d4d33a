"""Downscales by ridge regression, as a linear baseline.

Every point of the fine grid is regressed on all values of all coarse fields at the same time
(scikit-learn). The penalty of each target is chosen by cross-validation over blocks of time. The
predictions are written to NetCDF, as a candidate for ``phire-eval``. With ``--members`` they are an
ensemble with Gaussian residuals, whose variance at each point is that of the cross-validated
residuals.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
import scoringrules
import xarray as xr
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold
from sklearn.preprocessing import StandardScaler

PENALTIES = (1.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0)


def coarse_values(sources: list[str], times: xr.DataArray) -> np.ndarray:
    """Reads all coarse fields at the given times.

    Args:
        sources: ``FILE`` or ``FILE:NAME,NAME``.
        times: The n times wanted.

    Returns:
        (n, values), without columns that have missing values.

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
    """Chooses the penalty by cross-validation over ``folds`` blocks of consecutive times."""
    errors = np.zeros(len(PENALTIES))
    for train, test in KFold(folds).split(inputs):
        for number, penalty in enumerate(PENALTIES):
            model = Ridge(penalty).fit(inputs[train], targets[train])
            errors[number] += np.square(
                model.predict(inputs[test]).reshape(targets[test].shape) - targets[test]
            ).sum()
    return PENALTIES[int(errors.argmin())]


def residual_deviation(
    inputs: np.ndarray, targets: np.ndarray, penalty: float, folds: int = 5
) -> np.ndarray:
    """Computes the root mean square of each target's cross-validated residuals."""
    squared = np.zeros(targets.shape[1])
    for train, test in KFold(folds).split(inputs):
        fitted = Ridge(penalty).fit(inputs[train], targets[train])
        found = fitted.predict(inputs[test]).reshape(-1, targets.shape[1])
        squared += np.square(found - targets[test]).sum(axis=0)
    return np.sqrt(squared / len(targets))


def regress(
    inputs: np.ndarray, targets: np.ndarray, train: np.ndarray
) -> tuple[np.ndarray, np.ndarray, float]:
    """Fits on the training times and predicts the others.

    Args:
        inputs: (n, values) predictors.
        targets: (n, points) targets; points with missing training values are NaN in the result.
        train: (n,) bool, True for training times.

    Returns:
        Predictions (n − training times, points), the standard deviation of the residuals (points,),
        and the penalty.
    """
    scaled = StandardScaler().fit(inputs[train]).transform(inputs)
    present = np.isfinite(targets[train]).all(axis=0)
    known = targets[:, present]
    penalty = cross_validated_penalty(scaled[train], known[train])
    found = Ridge(penalty).fit(scaled[train], known[train]).predict(scaled[~train])
    found = found.reshape(-1, known.shape[1])  # scikit-learn drops the axis of a single target
    predictions = np.full((int((~train).sum()), targets.shape[1]), np.nan, np.float32)
    predictions[:, present] = found
    deviation = np.full(targets.shape[1], np.nan, np.float32)
    deviation[present] = residual_deviation(scaled[train], known[train], penalty)
    return predictions, deviation, penalty


def scores(truth: np.ndarray, predictions: np.ndarray) -> tuple[float, float]:
    """Computes the RMSE over all values, and the mean over points of the correlation in time."""
    both = np.isfinite(truth) & np.isfinite(predictions)
    complete = both.all(axis=0)
    errors = np.where(both, predictions - truth, 0)
    a, b = (x[:, complete] - x[:, complete].mean(axis=0) for x in (truth, predictions))
    norms = np.sqrt((a**2).sum(0) * (b**2).sum(0))
    varying = norms > 0  # a constant prediction has no correlation in time
    correlations = (a * b).sum(0)[varying] / norms[varying]
    error = np.sqrt(np.square(errors).sum() / both.sum())
    return float(error), float(correlations.mean()) if varying.any() else np.nan


def gaussian_crps(
    truth: np.ndarray, mean: np.ndarray, deviation: np.ndarray, minimum: float | None
) -> float:
    """Computes the mean CRPS of Gaussians; with ``minimum``, of Gaussians censored at it."""
    both = np.isfinite(truth) & np.isfinite(mean)
    values = truth[both], mean[both], np.broadcast_to(deviation, mean.shape)[both]
    if minimum is None:
        return float(scoringrules.crps_normal(*values).mean())
    return float(scoringrules.crps_cnormal(*values, lower=minimum, upper=np.inf).mean())


def members_around(
    mean: np.ndarray, deviation: np.ndarray, members: int, random: np.random.Generator
) -> np.ndarray:
    """Draws members (members, times, points), independent at every time and point."""
    noise = random.standard_normal((members, *mean.shape), np.float32)
    return mean + deviation * noise


@click.command()
@click.argument("fine", type=click.Path(exists=True, path_type=Path))
@click.argument("output", type=click.Path(path_type=Path))
@click.option("--targets", required=True, help="Variables of FINE to predict, comma-separated.")
@click.option("--coarse", "sources", multiple=True, required=True, help="FILE or FILE:NAME,NAME.")
@click.option("--split", required=True, help="End of training and first time to predict.")
@click.option("--minimum", multiple=True, help="Lower bound as NAME=VALUE, such as pr=0.")
@click.option("--members", default=1, show_default=True, help="Number of ensemble members.")
def main(
    fine: Path, output: Path, targets: str, sources: tuple[str, ...], split: str,
    minimum: tuple[str, ...], members: int,
) -> None:  # fmt: skip
    """Predict FINE by ridge regression on coarse fields; write OUTPUT (NetCDF)."""
    least = {name: float(value) for name, _, value in (text.partition("=") for text in minimum)}
    random = np.random.default_rng(0)
    with xr.open_dataset(fine) as dataset:
        train = (dataset["time"] < np.datetime64(split)).values
        inputs = coarse_values(list(sources), dataset["time"])
        predicted = xr.Dataset(attrs={"title": "ridge regression on coarse values"})
        for name in targets.split(","):
            truth = dataset[name].transpose("time", ...)
            flat = truth.values.reshape(len(train), -1)
            mean, deviation, penalty = regress(inputs, flat, train)
            found = np.maximum(mean, least.get(name, -np.inf))
            error, correlation = scores(flat[~train], found)
            climatology = np.broadcast_to(flat[train].mean(axis=0), found.shape)
            crps = gaussian_crps(flat[~train], mean, deviation, least.get(name))
            click.echo(
                f"{name}: RMSE {error:.3f}, correlation {correlation:.3f} (penalty {penalty:g}), "
                f"CRPS with Gaussian residuals {crps:.4f}; "
                f"climatology {scores(flat[~train], climatology)[0]:.3f} {truth.attrs['units']}"
            )
            held_out = truth.isel(time=~train)
            if members == 1:
                predicted[name] = held_out.copy(data=found.reshape(held_out.shape))
            else:
                drawn = members_around(mean, deviation, members, random)
                drawn = np.maximum(drawn, least.get(name, -np.inf))
                ensemble = held_out.expand_dims(member=members)
                predicted[name] = ensemble.copy(data=drawn.reshape(ensemble.shape))
        predicted.to_netcdf(output)


if __name__ == "__main__":
    main()
