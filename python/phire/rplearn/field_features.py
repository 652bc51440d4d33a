"""Learned distances and features of whole fields."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from phire import progress, provenance
from phire.errors import InputError, naming_arguments
from phire.evaluation.pairing import align, north_up
from phire.fields.result_files import read_result, result_already_made, write_result
from phire.fields.source import Source, TimeSelection
from phire.rplearn.frechet_with_bias import frechet_with_bias
from phire.rplearn.input_checks import check_units
from phire.rplearn.metric import LearnedMetric
from phire.rplearn.xarray_fields import feature_grid

# Size of the fields read at once, bytes.
READ_AT_ONCE = 64 << 20


def channel_places(metric: LearnedMetric, source: Any, what: str) -> list[int]:
    """Returns the indices of the metric's channels among the channels of a source.

    A source with unnamed channels (``channel_0`` …) must have as many as the metric, in its order.

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
    """Splits a list of time indices into chunks that are read at once."""
    height, width = source.grid.shape
    size = max(1, READ_AT_ONCE // (height * width * len(source.channels) * 4))
    for start in range(0, len(times), size):
        yield np.asarray(times[start : start + size])


@naming_arguments()
def source_distance(
    metric: LearnedMetric,
    truth: Any,
    candidate: Any,
    *,
    layer: str | None = None,
    spatial: bool = False,
    frechet: bool = False,
    time: str | None = None,
    names: tuple[str, str] = ("the truth", "the candidate"),
) -> xr.Dataset:
    """Computes the learned distance between two sources of fields at their common times.

    The sources are aligned as in an evaluation (:func:`phire.evaluation.pairing.align`) and read
    from north to south. The distance is NaN at times when either has missing values; a printed
    note states their number.

    Args:
        metric: The learned metric.
        truth, candidate: Sources of fields; the candidate's grid may be a part of the truth's.
        layer: Encoder layer; by default the metric's.
        spatial: Also return a map on the layer's feature grid.
        frechet: Also return the Fréchet distance of their features.
        time: Half-open range ``START,STOP`` of the truth's times.
        names: Names of truth and candidate, for messages.

    Returns:
        ``learned_distance(time)``; with ``spatial`` also ``learned_distance_map(time, latitude,
        longitude)``; with ``frechet`` also the scalars ``frechet`` and ``frechet_bias``, the part
        of it that is due to the small samples.

    Raises:
        InputError: Channels, units, grids or times do not match, or no field is complete.
    """
    layer = layer or metric.layer
    pair = _aligned(metric, truth, candidate, time, names)
    values, vectors = [], ([], [])
    count = len(pair[0].time)
    with progress.progress_bar(f"distance of {names[1]}", count, "fields") as advance:
        for part in chunks(pair[0], np.arange(count)):
            both = [source.read(part) for source in pair]
            usable = complete(both[0]) & complete(both[1])
            both = [fields[usable] for fields in both]
            if usable.any():
                found = metric.distance(*both, layer=layer, spatial=spatial, names=names)
                values.append((usable, found))
            else:
                values.append((usable, None))
            if frechet and usable.any():
                for collected, fields, name in zip(vectors, both, names):
                    features = metric.features(fields, layer=layer, name=name)
                    collected.append(features.mean(axis=(1, 2)))
            advance(len(part))
    found = _with_gaps(values, f"{names[1]} and {names[0]}")
    result = xr.Dataset(coords={"time": pair[0].time.to_coordinate()})
    if spatial:
        grid = feature_grid(pair[0].grid, found.shape[1:])
        result["learned_distance_map"] = (("time", "latitude", "longitude"), found)
        result = result.assign_coords(latitude=grid.latitudes, longitude=grid.longitudes)
        found = found.mean(axis=(1, 2))
    result["learned_distance"] = ("time", found)
    if frechet:
        distance = frechet_with_bias(*map(np.concatenate, vectors))
        result["frechet"], result["frechet_bias"] = distance.value, distance.bias
    result.attrs["layer"] = layer
    return result


def complete(fields: np.ndarray) -> np.ndarray:
    """Returns the mask (n,) of fields (n, H, W, C) without missing values."""
    return ~np.isnan(fields).any(axis=(1, 2, 3))


def _aligned(
    metric: LearnedMetric, truth: Any, candidate: Any, time: str | None, names: tuple[str, str]
) -> tuple[Source, Source]:
    """Returns the metric's channels of both sources at common times and points, north first."""
    first, second = (
        north_up(source, channel_places(metric, source, name))
        for source, name in zip((truth, candidate), names)
    )
    wanted = first.time.select_range(time)
    first, placed = align(first, {names[1]: second}, wanted)
    if len(first.time) < len(wanted):
        progress.say(
            f"{len(first.time)} of the {len(wanted)} times of {names[0]} are in {names[1]}; only "
            "these are compared."
        )
    if first.grid.shape != truth.grid.shape:
        progress.say(
            f"{names[0]} and {names[1]} share {first.grid.in_words()}; only this part is compared."
        )
    return first, placed[names[1]]


def _with_gaps(parts: Sequence[tuple[np.ndarray, np.ndarray | None]], names: str) -> np.ndarray:
    """Joins values of all parts, with NaN for incomplete fields, and notes their number.

    Raises:
        InputError: No field is complete.
    """
    shape = next((values.shape[1:] for _, values in parts if values is not None), None)
    count = sum(len(usable) for usable, _ in parts)
    if shape is None:
        raise InputError(
            f"none of {count} field{'s' * (count != 1)} of {names} is complete: the network needs "
            "fields without missing values, so fill them or choose a region without gaps."
        )
    joined = np.full((count, *shape), np.nan)
    start = 0
    for usable, values in parts:
        if values is not None:
            joined[start : start + len(usable)][usable] = values
        start += len(usable)
    skipped = count - sum(int(usable.sum()) for usable, _ in parts)
    if skipped:
        progress.say(
            f"{skipped} of {count} fields of {names} have missing values and are left out."
        )
    return joined


class FeatureSource:
    """Source whose channels are the features of another source's fields at one encoder layer.

    Fields are read from north to south. Features are NaN for fields with missing values.

    Args:
        metric: The learned metric.
        source: Physical fields.
        layer: Encoder layer; by default the metric's.
        name: Name of the source in messages.

    Attributes:
        channels, units, grid, time: See :class:`phire.fields.source.Source`.
        skipped: Number of fields read so far that had missing values.

    Raises:
        InputError: The source lacks a channel of the metric, or has it in other units.
    """

    def __init__(
        self,
        metric: LearnedMetric,
        source: Any,
        *,
        layer: str | None = None,
        name: str = "the source",
    ) -> None:
        self.metric, self.name = metric, name
        self.source = north_up(source, channel_places(metric, source, name))
        self.layer = layer or metric.layer
        self.skipped = 0
        # The shape is that of the features of a field of zeros, as the first field may have gaps.
        empty = np.zeros((1, *self.source.grid.shape, len(metric.channels)), np.float32)
        features = metric.extractor((self.layer,)).predict_on_batch(empty)[self.layer]
        self._shape = features.shape[1:]
        count = self._shape[-1]
        self.channels = tuple(f"{self.layer}_{i:0{len(str(count - 1))}d}" for i in range(count))
        self.units = ("1",) * count
        self.grid = feature_grid(self.source.grid, self._shape[:2])
        self.time = source.time

    def read(self, times: Any) -> np.ndarray:
        """Computes the features at the given times, (n, h, w, F) float32."""
        fields = self.source.read(times)
        usable = complete(fields)
        self.skipped += int((~usable).sum())
        features = np.full((len(fields), *self._shape), np.nan, np.float32)
        if usable.any():
            features[usable] = self.metric.features(
                fields[usable], layer=self.layer, name=self.name
            )
        return features


@naming_arguments()
def export_features(
    metric: str | os.PathLike,
    source: str | os.PathLike,
    output: str | os.PathLike,
    *,
    layer: str | None = None,
    time: str | None = None,
    overwrite: bool = False,
) -> None:
    """Writes the features of whole fields to a file, one channel per feature.

    Features are NaN for fields with missing values; a note at the end states their number.

    Args:
        metric: Directory of a metric.
        source: Store, NetCDF, Zarr or GRIB file of physical fields.
        output: Store (``.h5``), NetCDF (``.nc``) or Zarr (``.zarr``) to write.
        layer: Encoder layer; by default the metric's.
        time: Half-open range ``START,STOP``; None for all times.
        overwrite: Replace an existing output.

    Raises:
        InputError: The metric does not exist, the fields do not match it, or other options made
            the output.
    """
    from phire.fields import open_source, write_source

    options = {
        "metric": str(Path(metric).resolve()),
        "metric_fingerprint": provenance.input_fingerprint(metric),
        "source": str(Path(source).resolve()),
        "source_fingerprint": provenance.input_fingerprint(source),
        "layer": layer,
        "time": time,
    }
    loaded = LearnedMetric.load(metric)
    with open_source(source) as opened:
        chosen = TimeSelection(opened, opened.time.select_range(time))
        features = FeatureSource(loaded, chosen, layer=layer, name=str(source))
        write_source(features, output, options=options, overwrite=overwrite)
    if features.skipped:
        progress.say(
            f"{features.skipped} of {len(features.time)} fields of {source} have missing values; "
            "their features are missing, too."
        )


@naming_arguments()
def measure_distances(
    metric: str | os.PathLike,
    truth: str | os.PathLike,
    candidates: Mapping[str, str | os.PathLike],
    *,
    output: str | os.PathLike | None = None,
    map_output: str | os.PathLike | None = None,
    layer: str | None = None,
    frechet: bool = False,
    time: str | None = None,
    overwrite: bool = False,
) -> xr.Dataset:
    """Computes the learned distance of every candidate from the truth at each time.

    Args:
        metric: Directory of a metric.
        truth: Store, NetCDF, Zarr or GRIB file.
        candidates: Files by name.
        output: NetCDF file for the result; None writes no file.
        map_output: NetCDF file for the result with ``learned_distance_map(candidate, time,
            latitude, longitude)``; None writes no file.
        layer: Encoder layer; by default the metric's.
        frechet: Also compute the Fréchet distance between the features of candidate and truth.
        time: Half-open range ``START,STOP``; None for all times.
        overwrite: Replace existing outputs.

    Returns:
        ``learned_distance(candidate, time)``, NaN where a candidate lacks a time or a field has
        missing values; with ``frechet`` also ``frechet(candidate)`` and
        ``frechet_bias(candidate)``.

    Raises:
        InputError: The metric does not exist, the fields do not match it or one another, or other
            options made an output.
    """
    from phire.fields import open_source

    options = {
        "metric": str(Path(metric).resolve()),
        "truth": str(Path(truth).resolve()),
        "candidates": {name: str(Path(path).resolve()) for name, path in candidates.items()},
        "fingerprints": [
            provenance.input_fingerprint(path) for path in (metric, truth, *candidates.values())
        ],
        "layer": layer,
        "frechet": frechet,
        "time": time,
    }
    outputs = [path for path in (output, map_output) if path is not None]
    wanted = [path for path in outputs if not result_already_made(path, options, overwrite)]
    if outputs and not wanted:
        return read_result(outputs[0]).drop_vars("learned_distance_map", errors="ignore")
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
                        time=time,
                        names=(str(truth), str(path)),
                    )
                )
    together = xr.concat(found, dim="candidate", join="outer", combine_attrs="drop_conflicts")
    together = together.assign_coords(candidate=list(candidates))
    distances = together.drop_vars("learned_distance_map", errors="ignore")
    for path in wanted:
        write_result(together if path == map_output else distances, path, options)
    return distances
