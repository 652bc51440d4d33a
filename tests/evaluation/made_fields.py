"""Random fields of known spectra, and settings to take statistics of them."""

from __future__ import annotations

import dataclasses

import numpy as np

from phire.evaluation.batches import Batch, Ensemble
from phire.evaluation.domain import Domain
from phire.evaluation.setting import Setting
from phire.evaluation.truth_moments import MeanMap, TruthMomentsStatistic
from phire.fields.harmonics import SphericalHarmonics
from phire.fields.time_axis import TimeAxis

UNITS = {"vorticity": "s**-1", "divergence": "s**-1", "u": "m s**-1", "v": "m s**-1", "pr": "mm"}


def random_fields(grid, count, channels, *, seed=0, spectrum=None, truncation=None):
    """Gaussian fields (count, H, W, channels) with the given variance by degree."""
    harmonics = SphericalHarmonics(grid, truncation=truncation, threads=1)
    random = np.random.default_rng(seed)
    shape = (count, channels, len(harmonics.degrees))
    coefficients = random.normal(size=shape) + 1j * random.normal(size=shape)
    coefficients[..., harmonics.orders == 0] = (
        np.sqrt(2) * coefficients[..., harmonics.orders == 0].real
    )
    degree = np.arange(harmonics.truncation + 1)
    variance = 1 / (1 + degree) ** 3 if spectrum is None else spectrum(degree)
    # The squares of 2l+1 real numbers make up the variance of a degree.
    amplitude = np.sqrt(variance / (2 * degree + 1) / 2)
    fields = harmonics.synthesise(coefficients * amplitude[harmonics.degrees])
    return np.moveaxis(fields, 1, -1)


def setting_of(truth, grid, *, domain=None, channels=None, seed=0, **changes):
    """A setting with the truth_moments of fields (n, H, W, C)."""
    names = channels or tuple(f"channel_{c}" for c in range(truth.shape[-1]))
    units = tuple(UNITS.get(name, "") for name in names)
    domain = domain or Domain.whole(grid)
    setting = Setting(domain, names, units, TimeAxis.steps(len(truth)), seed=seed, **changes)
    batch = Batch(truth, np.arange(len(truth)))
    truth_moments = TruthMomentsStatistic(setting)
    whole = MeanMap(dataclasses.replace(setting, domain=Domain.whole(grid)))
    climatology = whole.result(whole.measure(batch))["mean"].values[None]
    return dataclasses.replace(
        setting,
        truth_moments=dataclasses.replace(
            truth_moments.truth_moments(truth_moments.measure(batch)),
            climatology=climatology,
            groups=np.zeros(len(truth), dtype=np.int64),
        ),
    )


def take(statistic, truth, candidate=None):
    """The result of a statistic over whole arrays of fields; of five axes an ensemble."""
    times = np.arange(len(truth))
    theirs = Batch(truth, times)
    kind = Ensemble if np.ndim(candidate) == 5 else Batch
    own = None if candidate is None else kind(candidate, times)
    return statistic.result(statistic.update(statistic.empty(), theirs, own))


def rainy_ensemble():
    """Rain-like truth (4, 16, 16, 1) and members (4, 5, 16, 16, 1) in closed form.

    The fields of which shared/diffusion lists the scores of independent implementations:
    f(t, m)[i, j] = 4 max(.3 + sin(.7i + .31j + 1.3t + .9m) + .6 cos(.23i (1 + .05m) − .9j + .7t)
    + .35 sin(1.9i + 2.3j (1 + .02m) + 2.1m), 0)²; m = 0 is the truth.
    """
    t, m, i, j = np.ogrid[:4, :6, :16, :16]
    wave = (
        0.3
        + np.sin(0.7 * i + 0.31 * j + 1.3 * t + 0.9 * m)
        + 0.6 * np.cos(0.23 * i * (1 + 0.05 * m) - 0.9 * j + 0.7 * t)
        + 0.35 * np.sin(1.9 * i + 2.3 * j * (1 + 0.02 * m) + 2.1 * m)
    )
    fields = (4 * np.maximum(wave, 0) ** 2)[..., None]
    return fields[:, 0], fields[:, 1:]


def white_ensemble(grid, *, seed=0, times=5, members=6, channels=1):
    """Truth (n, H, W, C) and members (n, M, H, W, C) of independent normal numbers, alike."""
    random = np.random.default_rng(seed)
    fields = random.normal(size=(times, members + 1, *grid.shape, channels))
    return fields[:, 0], fields[:, 1:]
