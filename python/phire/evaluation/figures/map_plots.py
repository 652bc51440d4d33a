"""Maps of time means, standard deviations and scores."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from phire.errors import InputError
from phire.evaluation.catalogue import definition
from phire.evaluation.definitions import HIGHER, Definition
from phire.evaluation.figures.figure_plan import Plan, figure_name, in_region
from phire.evaluation.figures.images import (
    Panel,
    Range,
    Row,
    blocks,
    columns_of,
    error_range,
    extent_of,
    field_range,
    image_rows,
    rows_of,
)
from phire.evaluation.figures.label_text import labelled, readable
from phire.evaluation.figures.results_reading import (
    Datasets,
    ResultsFolder,
    has_values,
    opened,
    over_all_but,
    units_of,
    values_of,
)
from phire.evaluation.figures.style import SEQUENTIAL, styled
from phire.evaluation.member_ranges import member_ends
from phire.evaluation.results import TRUTH

MEMBER_TITLES = (": minimum of members", ": maximum of members")


@styled
def map_figure(
    maps: Datasets, *, variable: str, channel: str | None = None, title: str | None = None
) -> Figure:
    """Draws a map of each candidate and, if the truth has the variable, of candidate minus truth.

    All maps have one colour range, and all differences another. The colour range is that of the
    truth if it has the variable, and otherwise includes the values of all candidates.

    Args:
        maps: Data sets or paths by candidate, with ``variable`` over rows, columns and perhaps
            ``channel``.
        variable: Name of the variable, such as ``mean``, ``std``, ``bias`` or ``rmse``.
        channel: The channel, for variables with this dimension.
        title: Title of the figure; None means title of variable and channel.

    Raises:
        InputError: No data set has the variable.
    """
    datasets = opened(maps)
    images = {
        name: _map(dataset[variable], channel)
        for name, dataset in datasets.items()
        if variable in dataset
    }
    if not images:
        raise InputError(f"none of the data sets holds maps of {variable}: nothing to draw.")
    some = next(iter(images.values()))
    holder = next(dataset for dataset in datasets.values() if variable in dataset)
    units = units_of(holder, variable, channel)
    extent = extent_of(some)
    truth = images.get(TRUTH)
    if truth is not None:
        colours = field_range(truth.values)
        errors = {
            name: image.copy(data=image.values - truth.values)
            for name, image in images.items()
            if name != TRUTH
        }
        error_colours = error_range([error.values for error in errors.values()], truth.values)
    else:
        colours = _score_range([image.values for image in images.values()], definition(variable))
        errors = {}
    known = definition(variable)
    label = labelled(known.title, units)
    rows = []
    for block in blocks(list(images)):
        upper = [Panel("Truth" if name == TRUTH else name, images[name]) for name in block]
        rows.append(Row(tuple(upper), colours, label))
        if errors and any(name in errors for name in block):
            lower = [
                Panel("minus truth", errors[name]) if name in errors else None for name in block
            ]
            rows.append(Row(tuple(lower), error_colours, labelled("difference", units)))
    of = f" of {readable(channel)}" if channel else ""
    return image_rows(rows, extent, title or f"{known.title}{of}, over time")


@styled
def member_map_figure(
    maps: Datasets, *, variable: str, channel: str | None = None, title: str | None = None
) -> Figure:
    """Draws a row of maps for each ensemble: all members, their minimum and their maximum.

    All maps have the same colour range.

    Args:
        maps: Data sets or paths by candidate, with ``variable`` and its range over the members.
        variable: Name of the variable, such as ``rmse``.
        channel: The channel, for variables with this dimension.
        title: Title of the figure; None means title of variable and channel.

    Raises:
        InputError: No data set has the range over the members.
    """
    names = {variable: "", **dict(zip(member_ends(variable), MEMBER_TITLES))}
    found = {
        candidate: {name: _map(dataset[name], channel) for name in names}
        for candidate, dataset in opened(maps).items()
        if all(name in dataset for name in names)
    }
    if not found:
        raise InputError(f"none of the data sets holds {variable} of members: nothing to draw.")
    holder = next(one for one in opened(maps).values() if variable in one)
    known = definition(variable)
    values = [image.values for images in found.values() for image in images.values()]
    colours = _score_range(values, known) if known.better else field_range(np.concatenate(values))
    label = labelled(known.title, units_of(holder, variable, channel))
    rows = [
        Row(tuple(Panel(f"{candidate}{names[name]}", image) for name, image in images.items()),
            colours, label)
        for candidate, images in found.items()
    ]  # fmt: skip
    some = next(iter(next(iter(found.values())).values()))
    of = f" of {readable(channel)}" if channel else ""
    return image_rows(rows, extent_of(some), title or f"{known.title}{of}, range of the members")


def _map(array: xr.DataArray, channel: str | None) -> xr.DataArray:
    """Returns the map of a channel over rows and columns, averaged over other dimensions."""
    if channel is not None and "channel" in array.dims:
        array = array.sel(channel=channel)
    return over_all_but(array, rows_of(array), columns_of(array)).astype(np.float64)


def _score_range(values: list[np.ndarray], known: Definition) -> Range:
    """Returns the colour range of a score that the truth does not have."""
    pooled = np.concatenate([value[np.isfinite(value)] for value in values])
    if known.better == HIGHER and pooled.size and pooled.max() <= 1.001:
        # A score whose best value is 1, such as a correlation.
        return Range(min(float(np.percentile(pooled, 1)), 0.999), 1.0, SEQUENTIAL, "min")
    if pooled.size and pooled.min() < 0:
        return error_range(values, np.full(1, np.nan))
    high = float(np.percentile(pooled, 99)) if pooled.size else 1.0
    return Range(0.0, high or 1.0, SEQUENTIAL, "max")


def map_plans(
    folder: ResultsFolder, metric: str, captions: Mapping[str, str], title: str
) -> Iterator[Plan]:
    """Yields the maps of several variables of a metric, by region and channel.

    Args:
        folder: Results folder.
        metric: Name of the statistic.
        captions: Captions of the figures by variable.
        title: Title of the figures, in which ``{variable}`` and ``{channel}`` are replaced.
    """
    for region in folder.regions_of(metric):
        data = folder.metric(metric, region)
        for variable, channel in itertools.product(captions, values_of(data, "channel")):
            if not has_values(data, variable, channel):
                continue
            words = {"variable": definition(variable).title, "channel": readable(channel)}
            whole = title.format(**words) + in_region(region)
            yield Plan(
                figure_name("map", variable, channel, region), "maps", whole, captions[variable],
                functools.partial(
                    map_figure, data, variable=variable, channel=channel, title=whole
                ),
                channel, region,
            )  # fmt: skip


def member_map_plans(
    folder: ResultsFolder, metric: str, variables: Sequence[str]
) -> Iterator[Plan]:
    """Yields maps of the range of an ensemble's members, by region, channel and variable.

    Args:
        folder: Results folder.
        metric: Name of the statistic.
        variables: Variables of the result.
    """
    caption = (
        "Left: map of all members of an ensemble. Beside it: the minimum and the maximum of "
        "the members at each point."
    )
    for region in folder.regions_of(metric):
        data = folder.metric(metric, region)
        for variable, channel in itertools.product(variables, values_of(data, "channel")):
            if not has_values(data, member_ends(variable)[0], channel):
                continue
            words = f"{definition(variable).title} of {readable(channel)}"
            title = f"{words} over time, range of the members{in_region(region)}"
            yield Plan(
                figure_name("map-members", variable, channel, region), "maps", title, caption,
                functools.partial(
                    member_map_figure, data, variable=variable, channel=channel, title=title
                ),
                channel, region,
            )  # fmt: skip
