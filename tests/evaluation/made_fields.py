"""Random fields of known spectra, and settings to take statistics of them."""

from __future__ import annotations

import dataclasses

import numpy as np

from phire.evaluation.accumulator import Batch, Setting
from phire.evaluation.domain import Domain
from phire.evaluation.truth_facts import MeanMap, TruthFacts
from phire.fields.harmonics import SphericalHarmonics
from phire.fields.time import TimeAxis

UNITS = {"vorticity": "s**-1", "divergence": "s**-1", "u": "m s**-1", "v": "m s**-1"}


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
    """A setting with the facts of fields (n, H, W, C)."""
    names = channels or tuple(f"channel_{c}" for c in range(truth.shape[-1]))
    units = tuple(UNITS.get(name, "") for name in names)
    domain = domain or Domain.whole(grid)
    setting = Setting(domain, names, units, TimeAxis.steps(len(truth)), seed=seed, **changes)
    batch = Batch(truth, np.arange(len(truth)))
    facts = TruthFacts(setting)
    whole = MeanMap(dataclasses.replace(setting, domain=Domain.whole(grid)))
    climatology = whole.result(whole.measure(batch))["mean"].values[None]
    return dataclasses.replace(
        setting,
        facts=dataclasses.replace(
            facts.facts(facts.measure(batch)),
            climatology=climatology,
            groups=np.zeros(len(truth), dtype=np.int64),
        ),
    )


def take(statistic, truth, candidate=None):
    """The result of a statistic over whole arrays of fields."""
    times = np.arange(len(truth))
    theirs = Batch(truth, times)
    own = None if candidate is None else Batch(candidate, times)
    return statistic.result(statistic.update(statistic.empty(), theirs, own))
