"""Statistics as functions on xarray datasets, for notebooks.

Fields are datasets with one variable for each channel over (time,) latitude and longitude, or any
:class:`phire.fields.source.Source`. The functions return the variables of the files of results.
Each registered statistic has one, made by :func:`function_of`; the functions written in this module
return a single variable, or have further arguments.
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
from phire.evaluation.aligned_setting import aligned_setting
from phire.evaluation.catalogue import statistics
from phire.evaluation.chunks import Task, Work, default_threads, measure_chunk
from phire.evaluation.domain import Domain
from phire.evaluation.given_units import check_given_units
from phire.evaluation.pairing import AlignedSource, align
from phire.evaluation.setting import LAGS, Setting, TruthMoments
from phire.evaluation.truth_climatology import climatology_of
from phire.evaluation.truth_moments import MeanMap, TruthMomentsStatistic
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
    """Computes a statistic, of the truth alone or of a candidate against the truth.

    Args:
        name: Name of the statistic, as listed by ``phire parts statistic``.
        truth: Fields of the truth.
        candidate: Fields at the same points and times; an ensemble if there is a dimension
            ``member``. None computes the statistic of the truth.
        region: (north, west, south, east) in degrees, or a mask; None means everywhere.
        scale: Factor by which the coarse grid was coarser; sets the cutoff of spectral scores.
        climatology: Climatology for anomalies, of 1, 12, 365 or 366 fields; None means the mean of
            the truth.
        radius: Radius of the sphere, m.
        lags: Lags of semivariograms, km.
        pairs: Pairs of points of semivariograms, for each lag and field.
        seed: Seed of all random draws.
        threads: Threads of transforms; None means one for each core.
        learned: Callables ``distance`` and ``features``, as for :func:`evaluate`.
        thresholds: Thresholds of events by channel, in the channel's units.
        grouped: Statistics that ``by_season``, ``by_month`` and ``by_hour`` compute; the default
            set if empty.
        sites: Latitude and longitude in degrees by name, for the statistic ``sites``.
        stations: CSV file of observations, for the statistic ``stations``.
        station_points, orography: As for :func:`evaluate`.

    Returns:
        The variables of ``NAME.nc``.

    Raises:
        InputError: The statistic is unknown, needs a candidate, or does not apply to the fields.
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
    if not kind.applies_to(setting):
        reason = "it is computed in regions only: pass a region"
    if kind.ensemble == "all" and not getattr(others.get("candidate"), "members", 0):
        reason = "the candidate has no dimension `member`"
    if reason is not None:
        raise InputError(f"{name}: {reason}.")
    truth_moments = _truth_moments_of(setting, aligned, climatology)
    check_given_units(setting, truth_moments)
    accumulator = kind(dataclasses.replace(setting, truth_moments=truth_moments))
    task = Task("it", accumulator, None if candidate is None else "candidate")
    times = np.arange(len(aligned.time))
    return accumulator.described(measure_chunk(Work(aligned, placed, (task,)), times)["it"])


def _truth_moments_of(setting: Setting, aligned: AlignedSource, climatology: Any) -> TruthMoments:
    """Returns the moments of the truth with a climatology, its time mean if None is given."""
    whole = dataclasses.replace(setting, domain=Domain.whole(aligned.grid))
    accumulators = TruthMomentsStatistic(setting), MeanMap(whole)
    times = np.arange(len(aligned.time))
    tasks = tuple(Task(i, accumulator, None) for i, accumulator in enumerate(accumulators))
    states = measure_chunk(Work(aligned, {}, tasks), times)
    mean, groups = accumulators[1].result(states[1])["mean"].values[None], 0 * times
    if climatology is not None:
        mean, groups = climatology_of(as_source(climatology), aligned)
    return dataclasses.replace(
        accumulators[0].truth_moments(states[0]), climatology=mean.astype(np.float32), groups=groups
    )


def kinetic_energy_spectrum(fields: Any, *, region: Any = None, **options: Any) -> xr.DataArray:
    """Returns the time-mean kinetic energy by degree or, on regional grids, wavelength, m² s⁻².

    On global grids E(l) = a² / (2 l(l+1)) · Σ_m (|ζ_lm|² + |δ_lm|²), with the coefficients of
    vorticity ζ and divergence δ, which are computed from u and v if needed. Its sum is the area
    mean of (u² + v²)/2. On regional grids it is half the sum of the cosine spectra of u and v.

    Args:
        fields: Fields with the channels vorticity and divergence, or u and v.
        region: A box (north, west, south, east) in degrees; None means everywhere.
        options: Further arguments of :func:`measure`.

    Raises:
        InputError: No two channels are wind.

    Source:
        Lambert (1984), doi:10.1080/07055900.1984.9649204.
    """
    spectra = measure("spectrum", fields, region=region, **options)
    if "kinetic_energy" not in spectra:
        raise InputError(
            f"no two of the channels {', '.join(map(str, spectra['channel'].values))} are wind: "
            "kinetic energy needs u and v, or (on the whole sphere) vorticity and divergence."
        )
    return spectra["kinetic_energy"]


def variance_spectrum(fields: Any, **options: Any) -> xr.DataArray:
    """Returns the time-mean variance by channel and degree or, on regional grids, wavelength.

    Args:
        fields: Fields.
        options: Further arguments of :func:`measure`.
    """
    return measure("spectrum", fields, **options)["variance"]


def coherence(truth: Any, candidate: Any, **options: Any) -> xr.DataArray:
    """Returns the spectral coherence by channel and degree or, on regional grids, wavelength.

    It is Σ Re(f g*) / √(Σ|f|² Σ|g|²) of the coefficients f and g, with sums over orders, or over a
    bin of the cosine transform, and over times.

    Args:
        truth, candidate: Fields at the same points and times.
        options: Further arguments of :func:`measure`.
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
    """Returns the learned distance by time, and the Fréchet distance of learned features.

    Args:
        truth, candidate: Fields at the same points and times.
        distance: Function of truth and candidate, both (n, H, W, C) in physical units, that returns
            distances (n,); without it there is no learned distance.
        features: Function of fields (n, H, W, C) that returns features (n, F); without it there is
            no Fréchet distance.
        options: Further arguments of :func:`measure`.
    """
    given = {"distance": distance, "features": features}
    learned = {name: function for name, function in given.items() if function is not None}
    return measure("learned", truth, candidate, learned=learned, **options)


def function_of(name: str) -> Callable[..., xr.Dataset]:
    """Returns the function that computes a statistic, documented by the statistic's class.

    Args:
        name: Name of the statistic.

    Returns:
        A function ``(truth, candidate=None, **options)``, the options being those of
        :func:`measure`; it returns the variables of ``NAME.nc``.
    """
    kind = statistics()[name]

    def compute(truth: Any, candidate: Any = None, **options: Any) -> xr.Dataset:
        return measure(name, truth, candidate, **options)

    compute.__name__ = compute.__qualname__ = name
    compute.__doc__ = _documentation(name, kind)
    return compute


_ARGUMENTS = """

Args:
    truth: Fields (time, latitude, longitude), a variable for each channel, or a source of fields.
    candidate: Fields at the same points and times{needed}.
    options: Further arguments of :func:`measure`, such as ``region``, ``scale``, ``thresholds``.

Returns:
    The variables of ``{name}.nc``, with units and definitions as attributes.

Raises:
    InputError: The fields do not fit one another, or the statistic does not apply to them.
"""


def _documentation(name: str, kind: type) -> str:
    """Returns the docstring of a statistic's function.

    It consists of the docstring of the class, the arguments, and the variables of the result.
    """
    needed = ", with a dimension ``member``" if kind.ensemble == "all" else ""
    needed += "; None computes the statistic of the truth" if kind.of_truth else ""
    meanings = "".join(f"\n    {item.name}: {item.formula}" for item in kind.definitions)
    text = inspect.getdoc(kind) + _ARGUMENTS.format(name=name, needed=needed)
    return text + (f"\nVariables:{meanings}" if meanings else "")
