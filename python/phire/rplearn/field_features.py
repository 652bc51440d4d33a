"""Whole fields through the metric: distances between sources, and raw representations."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from phire import files, progress
from phire.errors import InputError
from phire.fields.grid import Grid
from phire.fields.time import STANDARD
from phire.rplearn.frechet import frechet_distance
from phire.rplearn.input_checks import check_units
from phire.rplearn.metric import LearnedMetric
from phire.rplearn.results import already_made, read_results, write_results

# Bytes of fields read at once.
READ_AT_ONCE = 64 << 20


def channel_places(metric: LearnedMetric, source: Any, what: str) -> list[int]:
    """Places of the metric's channels among a source's.

    A source whose channels have no names (``channel_0`` …) and are as many is taken in order.

    Raises:
        InputError: A channel is missing, or has other units.
    """
    names = list(source.channels)
    if all(name == f"channel_{i}" for i, name in enumerate(names)):
        if len(names) != len(metric.channels):
            noun = "channel" if len(names) == 1 else "channels"
            raise InputError(
                f"{what} holds {len(names)} {noun}, the metric was trained on "
                f"{len(metric.channels)} ({', '.join(metric.channels)})."
            )
        return list(range(len(names)))
    missing = [name for name in metric.channels if name not in names]
    if missing:
        raise InputError(
            f"{what} has no channel {missing[0]!r}, which the metric needs; it holds "
            f"{', '.join(names)}."
        )
    places = [names.index(name) for name in metric.channels]
    units = [source.units[i] for i in places]
    check_units(units, metric.units, metric.channels, what)
    return places


def chunks(source: Any, times: Sequence[int]) -> Iterator[np.ndarray]:
    """Cuts a list of time indices into parts that are read at once."""
    height, width = source.grid.shape
    size = max(1, READ_AT_ONCE // (height * width * len(source.channels) * 4))
    for start in range(0, len(times), size):
        yield np.asarray(times[start : start + size])


def common_times(truth: Any, candidate: Any, what: str) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the times that two sources have in common.

    Sources without dates are paired in order, and must be equally long.

    Raises:
        InputError: No common times, different calendars or lengths.
    """
    a, b = truth.time, candidate.time
    if a.calendar is None or b.calendar is None:
        if len(a) != len(b):
            raise InputError(
                f"{what} holds {len(b)} fields and the truth {len(a)}, without dates to pair them "
                "by: pass files of equal length."
            )
        return np.arange(len(a)), np.arange(len(b))
    if a.calendar != b.calendar and not {a.calendar, b.calendar} <= set(STANDARD):
        raise InputError(
            f"{what} has the calendar {b.calendar}, the truth {a.calendar}: convert one of them."
        )
    shared, first, second = np.intersect1d(a.values, b.values, return_indices=True)
    if not len(shared):
        raise InputError(
            f"{what} and the truth have no time in common ({b.format(0)} … and {a.format(0)} …)."
        )
    return first, second


def source_distance(
    metric: LearnedMetric,
    truth: Any,
    candidate: Any,
    *,
    layer: str | None = None,
    spatial: bool = False,
    frechet: bool = False,
    names: tuple[str, str] = ("the truth", "the candidate"),
) -> xr.Dataset:
    """The learned distance between two sources of fields at their common times.

    Args:
        metric: The learned metric.
        truth, candidate: Sources of fields on equal grids.
        layer: A layer other than the metric's.
        spatial: Also a map on the layer's feature grid.
        frechet: Also the Fréchet distance of their features.
        names: Of the two, for messages.

    Returns:
        ``learned_distance(time)``; with ``spatial`` ``learned_distance_map(time, latitude,
        longitude)``; with ``frechet`` scalars ``frechet`` and ``frechet_bias``, what of it is owed
        to the samples' size.

    Raises:
        InputError: Channels, units, grids or times that do not fit.
    """
    places = [
        channel_places(metric, source, name) for source, name in zip((truth, candidate), names)
    ]
    if truth.grid.shape != candidate.grid.shape:
        raise InputError(
            f"{names[0]} has fields of {truth.grid.shape}, {names[1]} of "
            f"{candidate.grid.shape}: bring them to one grid."
        )
    if (
        truth.grid.has_coordinates
        and candidate.grid.has_coordinates
        and not truth.grid.equals(candidate.grid, 1e-3)
    ):
        raise InputError(
            f"{names[0]} and {names[1]} lie on different grids ({truth.grid.describe()}; "
            f"{candidate.grid.describe()}): bring them to one grid."
        )
    layer = layer or metric.layer
    first, second = common_times(truth, candidate, names[1])
    values, vectors = [], ([], [])
    total = progress.progress_bar(f"distance of {names[1]}", len(first), "fields")
    with total as advance:
        start = 0
        for part in chunks(truth, first):
            other = second[start : start + len(part)]
            start += len(part)
            a = truth.read(part)[..., places[0]]
            b = candidate.read(other)[..., places[1]]
            values.append(metric.distance(a, b, layer=layer, spatial=spatial))
            if frechet:
                for held, fields in zip(vectors, (a, b)):
                    held.append(metric.features(fields, layer=layer).mean(axis=(1, 2)))
            advance(len(part))
    found = np.concatenate(values)
    result = xr.Dataset(coords={"time": truth.time.to_coordinate()[first]})
    if spatial:
        grid = feature_grid(truth.grid, found.shape[1:])
        result["learned_distance_map"] = (("time", "latitude", "longitude"), found)
        result = result.assign_coords(latitude=grid.latitudes, longitude=grid.longitudes)
        found = found.mean(axis=(1, 2))
    result["learned_distance"] = ("time", found)
    if frechet:
        distance = frechet_distance(*map(np.concatenate, vectors))
        result["frechet"], result["frechet_bias"] = distance.value, distance.bias
    result.attrs["layer"] = layer
    return result


def feature_grid(grid: Grid, shape: tuple[int, int]) -> Grid:
    """The grid of a layer's features: each at the middle of the stretch of rows and columns that
    it stands for.

    Args:
        grid: Of the fields.
        shape: Rows and columns of the feature map.
    """
    axes = []
    for values, count in zip((grid.latitudes, grid.longitudes), shape):
        middle = (np.arange(count) + 0.5) * len(values) / count - 0.5
        axes.append(np.interp(middle, np.arange(len(values)), values))
    return Grid.regional(*axes) if grid.has_coordinates else Grid.pixels(*shape)


class FeatureSource:
    """A source whose channels are the features of another source's fields at one layer."""

    def __init__(self, metric: LearnedMetric, source: Any, *, layer: str | None = None) -> None:
        """Args: the metric; physical fields; a layer other than the metric's.

        Raises:
            InputError: Channels or units of the source are not the metric's.
        """
        self.metric, self.source = metric, source
        self.layer = layer or metric.layer
        self._places = channel_places(metric, source, "the source")
        one = self._features([0])
        count = one.shape[-1]
        self.channels = tuple(f"{self.layer}_{i:0{len(str(count - 1))}d}" for i in range(count))
        self.units = ("1",) * count
        self.grid = feature_grid(source.grid, one.shape[1:3])
        self.time = source.time

    def _features(self, times: Any) -> np.ndarray:
        return self.metric.features(self.source.read(times)[..., self._places], layer=self.layer)

    def read(self, times: Any) -> np.ndarray:
        """Features at the times asked for, float32 (n, h, w, F)."""
        return self._features(times)


def export_features(
    metric: str | os.PathLike,
    source: str | os.PathLike,
    output: str | os.PathLike,
    *,
    layer: str | None = None,
    overwrite: bool = False,
) -> None:
    """Writes the raw representations of whole fields to a store, a channel a feature.

    Args:
        metric: A metric's directory.
        source: A store, NetCDF, Zarr or GRIB file of physical fields.
        output: The store (``.h5``) or NetCDF (``.nc``) file to write, coordinates kept.
        layer: A layer other than the metric's.
        overwrite: Make it anew if it is there.

    Raises:
        InputError: No metric; fields that do not fit it; an output that something else made.
    """
    from phire.fields import open_source, write_source

    options = {
        "metric": str(Path(metric).absolute()),
        "metric_fingerprint": files.fingerprint(metric) if Path(metric).exists() else None,
        "source": str(Path(source).absolute()),
        "source_fingerprint": files.fingerprint(source) if Path(source).exists() else None,
        "layer": layer,
    }
    loaded = LearnedMetric.load(metric)
    with open_source(source) as opened:
        features = FeatureSource(loaded, opened, layer=layer)
        write_source(features, output, options=options, overwrite=overwrite)


def measure_distances(
    metric: str | os.PathLike,
    truth: str | os.PathLike,
    candidates: Mapping[str, str | os.PathLike],
    *,
    output: str | os.PathLike | None = None,
    map_output: str | os.PathLike | None = None,
    layer: str | None = None,
    frechet: bool = False,
    overwrite: bool = False,
) -> xr.Dataset:
    """The learned distance of every candidate from the truth, a value per time.

    Args:
        metric: A metric's directory.
        truth: A store, NetCDF, Zarr or GRIB file.
        candidates: Files by name.
        output: NetCDF file for what is returned.
        map_output: The same, with ``learned_distance_map(candidate, time, latitude, longitude)``.
        layer: A layer other than the metric's.
        frechet: Also the Fréchet distance of features between each candidate and the truth.
        overwrite: Replace the outputs.

    Returns:
        ``learned_distance(candidate, time)``, NaN where a candidate lacks a time; where asked for,
        ``frechet(candidate)`` and ``frechet_bias(candidate)``.

    Raises:
        InputError: No metric, fields that do not fit it or one another, outputs made otherwise.
    """
    from phire.fields import open_source

    options = {
        "metric": str(Path(metric).absolute()),
        "truth": str(Path(truth).absolute()),
        "candidates": {name: str(Path(path).absolute()) for name, path in candidates.items()},
        "fingerprints": [
            files.fingerprint(path) if Path(path).exists() else None
            for path in (metric, truth, *candidates.values())
        ],
        "layer": layer,
        "frechet": frechet,
    }
    outputs = [path for path in (output, map_output) if path is not None]
    wanted = [path for path in outputs if not already_made(path, options, overwrite)]
    for path in outputs:
        if path not in wanted:
            progress.say(f"{path} is already made by this command.")
    if outputs and not wanted:
        return read_results(outputs[0]).drop_vars("learned_distance_map", errors="ignore")
    loaded = LearnedMetric.load(metric)
    found = []
    with open_source(truth) as reference:
        for path in candidates.values():
            with open_source(path) as candidate:
                found.append(
                    source_distance(
                        loaded,
                        reference,
                        candidate,
                        layer=layer,
                        spatial=map_output in wanted,
                        frechet=frechet,
                        names=(str(truth), str(path)),
                    )
                )
    together = xr.concat(found, dim="candidate", join="outer", combine_attrs="drop_conflicts")
    together = together.assign_coords(candidate=list(candidates))
    distances = together.drop_vars("learned_distance_map", errors="ignore")
    for path in wanted:
        write_results(together if path == map_output else distances, path, options)
    return distances
