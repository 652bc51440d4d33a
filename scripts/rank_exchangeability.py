#!/usr/bin/env python
"""Tests whether the truth could be one of an ensemble's members.

    python scripts/rank_exchangeability.py TRUTH ENSEMBLE.nc ...

prints, for each channel of each ensemble, the deviation of its rank histogram from uniformity and
the p-values of two tests:

- Pearson's chi-square test of the ranks at decorrelated points. The distance between these points
  is the decorrelation length of the error of the ensemble mean.
- A permutation test on all points (Good 2005, doi:10.1007/b138696, 3.2). Neighbouring points are
  correlated, so the statistic does not follow the chi-square distribution. Its distribution is
  computed by exchanging fields: if truth and members come from one distribution, any of them can
  take the place of the truth. This test detects much smaller deviations.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np


def histograms(fields: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Computes the rank histogram of each field among the others: (fields, ranks).

    Equal values share their ranks evenly.

    Args:
        fields: Truth and members of one time, (fields, H, W).
        weights: Weights of the points, (H, W), of sum 1.
    """
    count = len(fields)
    shares = np.zeros((count, count))
    for index, field in enumerate(fields):
        others = np.delete(fields, index, axis=0)
        below, upto = (others < field).sum(axis=0), (others <= field).sum(axis=0)
        for rank in range(count):
            share = ((below <= rank) & (rank <= upto)) / (1 + upto - below)
            shares[index, rank] = (share * weights).sum()
    return shares


def chi_square(shares: np.ndarray) -> np.ndarray:
    """Computes the chi-square statistic of rank histograms per sample: (..., ranks) → (...)."""
    ranks = shares.shape[-1]
    return ranks * ((shares - 1 / ranks) ** 2).sum(axis=-1)


def exchange_test(shares: np.ndarray, exchanges: int, seed: int) -> tuple[float, float]:
    """Tests the ranks of the truth against the ranks of members that take its place.

    Args:
        shares: Rank histograms of every field of every time, (times, fields, ranks); the first
            field of a time is the truth.
        exchanges: Number of random choices of fields.
        seed: Seed of the choices.

    Returns:
        The sum of the histogram's deviations from uniformity over all ranks, and the p-value: the
        share of choices, the actual one among them, whose chi-square is at least the truth's.
    """
    times, fields, ranks = shares.shape
    choices = np.random.default_rng(seed).integers(fields, size=(exchanges, times))
    drawn = chi_square(shares[np.arange(times), choices].mean(axis=1))
    truth = shares[:, 0].mean(axis=0)
    reached = 1 + (drawn >= chi_square(truth) * (1 - 1e-12)).sum()
    return float(np.abs(truth - 1 / ranks).sum()), float(reached / (exchanges + 1))


def decorrelation_lag(error: np.ndarray, below: float = 0.1) -> int:
    """Returns the decorrelation length of an error along longitude, in points.

    Args:
        error: Error of the members' mean on whole circles of latitude, (times, H, W).
        below: Errors with a smaller correlation count as uncorrelated.
    """
    spectrum = np.abs(np.fft.rfft(error, axis=-1)) ** 2
    correlation = np.fft.irfft(spectrum.sum(axis=(0, 1)))
    correlated = np.flatnonzero(
        np.abs(correlation[: error.shape[-1] // 2]) >= below * correlation[0]
    )
    return int(correlated[-1]) + 1


def decorrelated_p(truth: np.ndarray, members: np.ndarray, lag: int, seed: int) -> float:
    """Computes the p-value of a chi-square test of the ranks at points ``lag`` apart.

    Args:
        truth: True fields, (times, H, W).
        members: Members, (times, members, H, W).
        lag: Distance of the points along both axes.
        seed: Seed of the ranks of equal values.
    """
    from scipy.stats import chisquare

    rows = slice(lag // 2, None, lag)
    true, drawn = truth[:, rows, rows], members[:, :, rows, rows]
    below, upto = ((drawn < true[:, None]).sum(axis=1), (drawn <= true[:, None]).sum(axis=1))
    ranks = np.random.default_rng(seed).integers(below, upto + 1)
    return float(chisquare(np.bincount(ranks.ravel(), minlength=members.shape[1] + 1)).pvalue)


@click.command()
@click.argument("truth", type=click.Path(exists=True, path_type=Path))
@click.argument("ensembles", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--every", default=1, show_default=True, help="Use every n-th time only.")
@click.option("--exchanges", default=9999, show_default=True, help="Number of random exchanges.")
@click.option("--seed", default=0, show_default=True)
def main(truth: Path, ensembles: tuple[Path, ...], every: int, exchanges: int, seed: int) -> None:
    """Test by ranks whether TRUTH could be a member of each of the ENSEMBLES."""
    import xarray as xr

    from phire.fields import open_source, to_dataset

    fine = to_dataset(open_source(truth))
    click.echo("| ensemble | channel | deviation | p, decorrelated points | p, exchanged fields |")
    click.echo("|---" * 5 + "|")
    for path in ensembles:
        ensemble = xr.open_dataset(path).isel(time=slice(None, None, every))
        weights = np.cos(np.deg2rad(ensemble.latitude.values))[:, None]
        weights = weights / (weights.sum() * ensemble.longitude.size)
        low = (
            np.abs(ensemble.latitude.values) < 60
        )  # points of one longitude lie closer further north
        for channel in ensemble.data_vars:
            members = ensemble[channel].transpose("time", "member", "latitude", "longitude").values
            true = fine[channel].sel(time=ensemble.time).values
            fields = np.concatenate([true[:, None], members], axis=1)
            shares = np.array([histograms(field, weights) for field in fields])
            deviation, p = exchange_test(shares, exchanges, seed)
            lag = decorrelation_lag((true - members.mean(axis=1))[:, low])
            thinned = decorrelated_p(true[:, low], members[:, :, low], lag, seed)
            click.echo(f"| {path.stem} | {channel} | {deviation:.3f} | {thinned:.3f} | {p:.4f} |")


if __name__ == "__main__":
    main()
