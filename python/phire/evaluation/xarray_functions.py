"""Statistics as plain functions on xarray, for notebooks.

All functions take datasets with one variable a channel over (time,) latitude and longitude, or any
:class:`phire.fields.source.Source`, and return what the result files hold. Most functions come of
the registered statistics (:func:`function_of`); those written out here return one variable of a
result, or take arguments of their own.
"""

from __future__ import annotations

import dataclasses
import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from phire.errors import InputError, naming_arguments
from phire.evaluation.accumulator import LAGS, Facts, Setting
from phire.evaluation.aligned_setting import aligned_setting
from phire.evaluation.catalogue import statistics
from phire.evaluation.chunks import Task, Work, default_threads, measure_chunk
from phire.evaluation.domain import Domain
from phire.evaluation.pairing import AlignedSource, align
from phire.evaluation.truth_climatology import climatology_of
from phire.evaluation.truth_facts import MeanMap, TruthFacts
from phire.fields.ensemble import as_source
from phire.fields.grid import EARTH_RADIUS


@naming_arguments()
def measure(
    name: str,
    truth: Any,
    candidate: Any = None,
    *,
    region: Any = None,
    scale: int | None = None,
    climatology: Any = None,
    radius: float = EARTH_RADIUS,
    lags: Sequence[float] = LAGS,
    pairs: int = 300,
    seed: int = 0,
    threads: int | None = None,
    learned: dict[str, Callable[..., Any]] | None = None,
    thresholds: Mapping[str, Sequence[float]] | None = None,
    grouped: Sequence[str] = (),
    sites: Mapping[str, tuple[float, float]] | None = None,
    stations: str | os.PathLike | None = None,
    station_points: str = "nearest",
    orography: Any = None,
) -> xr.Dataset:
    """Computes a statistic by its name, of the truth alone or of a candidate against it.

    Args:
        name: Name of a statistic, as ``phire parts statistic`` lists them.
        truth: Fields.
        candidate: Fields at the same points and times; with a dimension ``member`` an ensemble.
        region: (north, west, south, east) in degrees or a mask; everywhere if None.
        scale: How much coarser the coarse grid was; sets the cutoff of spectral scores.
        climatology: One field, twelve or 365 to take anomalies from; the truth's mean if None.
        radius: Of the sphere, m.
        lags: Of semivariograms, km.
        pairs: Of points for each lag and field.
        seed: Of random draws.
        threads: For transforms; one a core if None.
        learned: ``distance`` and ``features``, as for :func:`evaluate`.
        thresholds: By channel, values in its units above which events are counted.
        grouped: Statistics whose numbers ``by_season`` and the like take; the default set if empty.
        sites: Latitude and longitude in degrees of places, for ``sites``.
        stations: CSV of observations, for ``stations``; ``station_points`` and ``orography`` as for
            :func:`evaluate`.

    Returns:
        The variables of ``NAME.nc``.

    Raises:
        InputError: The statistic is unknown, needs a candidate, or cannot be taken of such fields.
    """
    if name not in statistics():
        raise InputError(
            f"statistic {name!r} is unknown: it must be one of {', '.join(statistics())}."
        )
    kind = statistics()[name]
    if candidate is None and not kind.of_truth:
        raise InputError(f"{name} compares two fields: pass a candidate too.")
    source = as_source(truth)
    others = {} if candidate is None else {"candidate": as_source(candidate)}
    aligned, placed = align(source, others, np.arange(len(source.time)))
    grid = aligned.grid
    domain = Domain.whole(grid) if region is None else Domain.parse("region", grid, region)
    setting = aligned_setting(
        aligned, domain, lags=lags, thresholds=thresholds, sites=sites, stations=stations,
        station_points=station_points, scale=scale, seed=seed, radius=radius, pairs=pairs,
        orography=None if orography is None else as_source(orography),
        threads=threads or default_threads(None, None), learned=learned or {},
        grouped=tuple(grouped),
    )  # fmt: skip
    reason = kind.refusal(setting)
    if not kind.takes(setting):
        reason = "it is taken in regions: pass one"
    if kind.ensemble == "all" and not getattr(others.get("candidate"), "members", 0):
        reason = "the candidate has no dimension `member`"
    if reason is not None:
        raise InputError(f"{name}: {reason}.")
    facts = _facts_of(setting, aligned, climatology)
    taker = kind(dataclasses.replace(setting, facts=facts))
    task = Task("it", taker, None if candidate is None else "candidate")
    times = np.arange(len(aligned.time))
    return taker.described(measure_chunk(Work(aligned, placed, (task,)), times)["it"])


def _facts_of(setting: Setting, aligned: AlignedSource, climatology: Any) -> Facts:
    """The facts of the truth, and the climatology, which is the truth's mean if None."""
    whole = dataclasses.replace(setting, domain=Domain.whole(aligned.grid))
    looked = TruthFacts(setting), MeanMap(whole)
    times = np.arange(len(aligned.time))
    tasks = tuple(Task(i, taker, None) for i, taker in enumerate(looked))
    states = measure_chunk(Work(aligned, {}, tasks), times)
    mean, groups = looked[1].result(states[1])["mean"].values[None], 0 * times
    if climatology is not None:
        mean, groups = climatology_of(as_source(climatology), aligned)
    return dataclasses.replace(
        looked[0].facts(states[0]), climatology=mean.astype(np.float32), groups=groups
    )


def kinetic_energy_spectrum(fields: Any, *, region: Any = None, **options: Any) -> xr.DataArray:
    """Time-mean kinetic energy by degree (global grids) or wavelength (regional ones), m² s⁻².

    E(l) = a² / (2 l(l+1)) · Σ_m (|ζ_lm|² + |δ_lm|²) (Lambert 1984,
    doi:10.1080/07055900.1984.9649204), its sum the area mean of (u² + v²)/2; of wind components as
    well as of vorticity and divergence. Regional: half the sum of the cosine spectra of u and v.

    Args:
        fields: With vorticity and divergence, or u and v.
        region: A box (north, west, south, east); everywhere if None.
        options: Of :func:`measure`.

    Raises:
        InputError: No two channels are wind.
    """
    spectra = measure("spectrum", fields, region=region, **options)
    if "kinetic_energy" not in spectra:
        raise InputError(
            f"none of {', '.join(map(str, spectra['channel'].values))} make a wind: kinetic energy "
            "needs u and v, or (on the whole sphere) vorticity and divergence."
        )
    return spectra["kinetic_energy"]


def variance_spectrum(fields: Any, **options: Any) -> xr.DataArray:
    """Time-mean variance by channel and degree, or wavelength; see :class:`spectra.Spectra`."""
    return measure("spectrum", fields, **options)["variance"]


def coherence(truth: Any, candidate: Any, **options: Any) -> xr.DataArray:
    """Spectral coherence by channel and degree (global grids) or wavelength (regional ones).

    Σ Re(f g*) / √(Σ|f|² Σ|g|²), the sums over orders, or over a bin of the cosine transform.
    """
    return measure("spectrum", truth, candidate, **options)["coherence"]


def learned_distance(
    truth: Any,
    candidate: Any,
    *,
    distance: Callable[..., Any] | None = None,
    features: Callable[..., Any] | None = None,
    **options: Any,
) -> xr.Dataset:
    """Learned distance by time, Fréchet distance: :class:`feature_distances.LearnedDistances`.

    Args:
        truth, candidate: Fields.
        distance: (truth, candidate), both (n, H, W, C) in physical units → (n,).
        features: (n, H, W, C) → (n, F).
        options: Of :func:`measure`.
    """
    given = {"distance": distance, "features": features}
    learned = {name: function for name, function in given.items() if function is not None}
    return measure("learned", truth, candidate, learned=learned, **options)


def function_of(name: str) -> Callable[..., xr.Dataset]:
    """Returns the function that takes a statistic, documented by the statistic's class.

    Args:
        name: Name of the statistic.

    Returns:
        A function ``(truth, candidate=None, **options)``, the options being those of
        :func:`measure`; it returns the variables of ``NAME.nc``.
    """
    kind = statistics()[name]

    def take(truth: Any, candidate: Any = None, **options: Any) -> xr.Dataset:
        return measure(name, truth, candidate, **options)

    take.__name__ = take.__qualname__ = name
    take.__doc__ = _documentation(name, kind)
    return take


_ARGUMENTS = """

Args:
    truth: Fields (time, latitude, longitude), a variable for each channel, or a source of fields.
    candidate: Fields at the same points and times{needed}.
    options: Those of :func:`measure`: ``region``, ``scale``, ``thresholds`` and others.

Returns:
    The variables of ``{name}.nc``, with units and definitions as attributes.

Raises:
    InputError: The fields do not fit one another, or the statistic cannot be taken of them.
"""


def _documentation(name: str, kind: type) -> str:
    """Returns the docstring of a statistic's function: its class's, arguments, variables."""
    needed = ", with a dimension ``member``" if kind.ensemble == "all" else ""
    needed += "; if None, only what is of the truth alone" if kind.of_truth else ""
    meanings = "".join(f"\n    {item.name}: {item.formula}" for item in kind.definitions)
    text = inspect.getdoc(kind) + _ARGUMENTS.format(name=name, needed=needed)
    return text + (f"\nVariables:{meanings}" if meanings else "")
