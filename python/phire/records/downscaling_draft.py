"""Plan of downscaling records: how patches are drawn, arranged in shards, and normalised."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from phire.errors import InputError
from phire.fields.grid import Grid
from phire.fields.normalization import Normalization, joined
from phire.fields.selection import ChannelSelection
from phire.fields.source import ArraySource
from phire.records import tfrecord_writing
from phire.records.anomalies import Anomalies, fit_anomalies, parse_choices
from phire.records.downscaling_samples import Samples
from phire.records.patch_cutting import Cuts
from phire.records.patch_sampling import Blocked, PatchPlan, plan_patches
from phire.records.sampled_records import (
    Draft,
    Sampled,
    check_dtype,
    get_normalization,
    load_anomalies,
)
from phire.records.station_gridding import MASK, PREFIX


def draft_records(
    samples: Samples,
    options: Mapping[str, Any],
    *,
    presence: Sequence[str] = (),
    least_valid: float = 0.5,
) -> Draft:
    """Returns the functions that draw, arrange and normalise downscaling records.

    Args:
        samples: Inputs, domain and shape of the samples.
        options: Options in the form of the manifest.
        presence: Masks of present values to store: names among
            :data:`phire.records.schema.PRESENCE`.
        least_valid: Smallest allowed fraction of present target values in a patch, 0…1; used only
            if missing values are masked.
    """
    fields = samples.fields(presence)
    shape = samples.shape
    steps = shape.window or 1
    per_field = options["patches_per_field"] or 1

    def draw(blocked: Blocked | None, absent: np.ndarray | None) -> PatchPlan:
        return plan_patches(
            samples.inputs.high.time, samples.chosen, samples.place, patches_per_field=per_field,
            seed=shape.seed, window=steps, blocked=blocked, absent=absent,
        )  # fmt: skip

    def arrange(plan: PatchPlan) -> tuple[tfrecord_writing.Contents, Cuts]:
        return samples.arrange(plan, fields.layers, options["dtype"])

    def fit() -> dict[str, Normalization]:
        return fit_normalizations(
            samples, options["normalization"], options["statistics"], options["dtype"]
        )

    def masked(names: Sequence[str]) -> Draft:
        return draft_records(samples, options, presence=names, least_valid=least_valid)

    return Draft(
        fields, samples.place, draw, arrange, fit, masked=masked,
        least_valid=least_valid if presence else None,
        fit_anomalies=lambda fitted: fit_sample_anomalies(samples, fitted, options),
    )  # fmt: skip


def fit_normalizations(
    samples: Samples, kinds: str | None, statistics: str | None, dtype: str
) -> dict[str, Normalization]:
    """Fits the normalization of every array, or reads it from ``statistics``.

    Channels of ``low`` that have a target's name, and station values of a target, are normalised
    like that target.

    Args:
        samples: Inputs, domain and shape of the samples.
        kinds: Kinds of normalization, see :func:`phire.records.sampled_records.get_normalization`.
        statistics: File of statistics, or other records, whose statistics are used; None fits
            them.
        dtype: Type of the stored pixels.
    """
    high = samples.inputs.high
    parts = [Sampled(high, samples.chosen, str(high.path))]
    for timed in (*samples.low, *samples.auxiliary):
        names = [name for name in timed.part.channels if name not in high.channels]
        if names:
            source = ChannelSelection(timed.part, names)
            parts.append(Sampled(source, timed.times[samples.chosen], str(timed.part.file)))
    parts += _station_values(samples)
    if samples.maps is not None:
        parts.append(Sampled(samples.maps, np.zeros(1, int), "--static", default="z"))
    pool = get_normalization(parts, kinds, statistics)
    fitted = {}
    for name, (channels, _) in samples.channels().items():
        fitted[name] = joined([_of_channel(pool, channel) for channel in channels])
        if name != "auxiliary" or samples.stations is None:
            check_dtype(dtype, fitted[name])
    if samples.maps is not None:
        fitted["static"] = pool.select(samples.maps.channels)
    return fitted


def fit_sample_anomalies(
    samples: Samples, fitted: Mapping[str, Normalization], options: Mapping[str, Any]
) -> dict[str, Anomalies]:
    """Returns the climatologies, by name, of the arrays that have any.

    Static maps and station observations never have one.

    Args:
        samples: Inputs, domain and shape of the samples.
        fitted: Normalization of every array, by name.
        options: Options in the form of the manifest.

    Raises:
        InputError: An option names an unknown channel, or the statistics of other records do not
            cover these fields.
    """
    fields = samples.fields(("valid",) if options["missing"] == "mask" else ())
    layers = {layer.name: layer for layer in fields.layers if layer.array == layer.name}
    grids = {name: samples.coarse.grid if name == "low" else samples.domain for name in layers}
    time = samples.inputs.high.time
    if options["statistics"] is not None:
        return _recorded_anomalies(samples, options["statistics"], fitted, grids)
    names = dict.fromkeys(
        channel for name in layers for channel in fitted[name].channels
        if not channel.startswith(PREFIX)
    )  # fmt: skip
    choices = parse_choices(options.get("statistics_of"), options.get("seasonal"), [*names])
    found = {
        name: fit_anomalies(
            fields, layer, fitted[name], choices, grid=grids[name], time=time,
            chosen=samples.chosen,
        )
        for name, layer in layers.items()
    }  # fmt: skip
    return {name: one for name, one in found.items() if one is not None}


def _recorded_anomalies(
    samples: Samples,
    statistics: str,
    fitted: Mapping[str, Normalization],
    grids: Mapping[str, Grid],
) -> dict[str, Anomalies]:
    """Reads the climatologies of other records at the points of this domain."""
    found = {}
    try:
        for name, one in load_anomalies(statistics).items():
            chosen = one.select(fitted[name].channels) if name in grids else None
            if chosen is not None:
                found[name] = chosen.on(grids[name], name)
                found[name].require(samples.inputs.high.time[samples.chosen])
    except InputError as error:
        raise InputError(f"--statistics {statistics}: {error}") from None
    return found


def _station_values(samples: Samples) -> list[Sampled]:
    """Returns station variables that are not targets, as channels to fit a normalization to."""
    if samples.stations is None:
        return []
    names = [n for n in samples.stations.variables if n not in samples.inputs.high.channels]
    if not names:
        return []
    rows = np.isin(samples.stations.time, samples.chosen)
    places = [samples.stations.variables.index(name) for name in names]
    values = samples.stations.values[rows][:, None, None, places]
    source = ArraySource(values, channels=[f"{PREFIX}{n}" for n in names], grid=Grid.pixels(1, 1))
    return [Sampled(source, np.arange(len(values)), f"--stations {samples.inputs.stations}")]


def _of_channel(pool: Normalization, channel: str) -> Normalization:
    """Returns the normalization of a channel, or of the target whose station values it holds."""
    if channel in pool.channels:
        return pool.select([channel])
    if channel.endswith(MASK):
        return Normalization.identity([channel])
    target = pool.select([channel.removeprefix(PREFIX)])
    return dataclasses.replace(target, channels=(channel,))
