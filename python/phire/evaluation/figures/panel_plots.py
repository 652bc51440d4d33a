"""Image panels of truth, coarse input and candidates side by side, and of their errors."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from phire.errors import InputError
from phire.evaluation.figures.images import (
    Panel,
    Row,
    blocks,
    columns_of,
    error_range,
    extent_of,
    field_range,
    has_coordinates,
    image_rows,
    rows_of,
)
from phire.evaluation.figures.label_text import heading, labelled, number_digits, readable
from phire.evaluation.figures.results_reading import Datasets, opened, units_of
from phire.evaluation.figures.style import styled
from phire.evaluation.results import TRUTH
from phire.fields.coarsening import block_mean, coarsen_grid
from phire.fields.grid import Grid

TRUTH_TITLE = "Truth"
COARSE = "Coarse input"


@styled
def panel_figure(
    fields: Datasets,
    *,
    variable: str = "field",
    channel: str,
    time: int = 0,
    region: tuple[float, float, float, float] | None = None,
    coarse: xr.DataArray | None = None,
    title: str | None = None,
) -> Figure:
    """Draws one channel at one time: fields above, candidate minus truth below.

    The colour range of the fields is that of the truth; all errors have one range about zero.

    Args:
        fields: Data sets or paths by candidate, the truth under ``truth``, with ``variable`` over
            ``channel``, ``time``, ``latitude`` and ``longitude``. If there is a dimension
            ``member``, the first member is drawn: the mean would be smoother than any member.
        variable: Name of the variable.
        channel: The channel.
        time: Index of the time in the data sets.
        region: North, west, south, east in degrees: only this part is drawn, and outlined on an
            overview of the whole field. None draws the whole field.
        coarse: Coarse input of the candidates (latitude, longitude), drawn beside the truth.
        title: Title of the figure; None means the channel.

    Raises:
        InputError: The truth has no ``variable``.
    """
    datasets = opened(fields)
    if TRUTH not in datasets or variable not in datasets[TRUTH]:
        raise InputError(f"the truth has no variable {variable}: image panels need it.")
    truth = _image(datasets[TRUTH][variable], channel, time)
    units = units_of(datasets[TRUTH], variable, channel)
    images = {
        name: _image(dataset[variable], channel, time)
        for name, dataset in datasets.items()
        if name != TRUTH and variable in dataset
    }
    whole = truth
    extent = extent_of(truth)
    if region is not None and has_coordinates(truth):
        extent = _extent(region, extent)
        truth = _window(truth, extent)
        images = {name: _window(image, extent) for name, image in images.items()}
        coarse = None if coarse is None else _window(coarse, extent, margin=1)
    colours = field_range(truth.values)
    errors = {name: image.copy(data=image.values - truth.values) for name, image in images.items()}
    error_colours = error_range([error.values for error in errors.values()], truth.values)

    label = labelled(readable(channel), units)
    error_label = labelled("candidate − truth", units)
    names = [TRUTH, *([COARSE] if coarse is not None else []), *images]
    rows = []
    for block in blocks(names):
        upper: list[Panel | None] = []
        lower: list[Panel | None] = []
        for name in block:
            if name == TRUTH:
                upper.append(Panel(TRUTH_TITLE, truth))
                lower.append(None)
            elif name == COARSE and coarse is not None:
                upper.append(Panel(str(coarse.attrs.get("title", COARSE)), coarse))
                lower.append(None)
            else:
                upper.append(Panel(name, images[name]))
                lower.append(Panel(_error_title(errors[name].values), errors[name]))
        rows.append(Row(tuple(upper), colours, label))
        if any(panel is not None for panel in lower):
            rows.append(Row(tuple(lower), error_colours, error_label))
    if region is not None and len(rows) > 1 and rows[1].panels[0] is None:
        rows[1] = _with_overview(rows[1], whole, extent)
    return image_rows(rows, extent, title or heading(channel))


def _error_title(error: np.ndarray) -> str:
    """Returns the title of a panel of errors, with their root mean square over the points."""
    known = error[np.isfinite(error)]
    if not len(known):
        return "error, no values"
    return f"error, rms {number_digits(float(np.sqrt(np.mean(known**2))), 3)}"


def _with_overview(row: Row, whole: xr.DataArray, extent: tuple[float, ...]) -> Row:
    """Returns a row with an overview, in which the region is outlined, as its first panel."""
    first = Panel("overview", whole, mark=extent, zoomed=False, colours=field_range(whole.values))
    return Row((first, *row.panels[1:]), row.colours, row.label)


def _image(array: xr.DataArray, channel: str, time: int) -> xr.DataArray:
    """Returns the field of a channel and time, of its first member, over rows and columns."""
    if "channel" in array.dims:
        array = array.sel(channel=channel)
    keep = (rows_of(array), columns_of(array))
    for dimension in array.dims:
        if dimension not in keep:
            array = array.isel({dimension: time if dimension == "time" else 0})
    return array.transpose(*keep).astype(np.float64)


def _extent(
    region: tuple[float, float, float, float], whole: tuple[float, float, float, float]
) -> tuple[float, float, float, float]:
    """Returns the edges west, east, south, north of a region in the field's longitudes.

    Args:
        region: North, west, south, east in degrees; west may be counted −180…180 or 0…360.
        whole: West, east, south, north of the field.
    """
    north, west, south, east = region
    width = (east - west) % 360 or 360.0
    start = whole[0] + (west - whole[0]) % 360
    if start >= whole[1]:
        start = whole[0]
    return start, start + width, south, north


def _window(
    image: xr.DataArray, extent: tuple[float, float, float, float], margin: int = 0
) -> xr.DataArray:
    """Returns the part of an image within an extent, which may cross the field's seam.

    Args:
        image: The image.
        extent: West, east, south, north in degrees.
        margin: Further rows and columns on each side.
    """
    west, east, south, north = extent
    row, column = rows_of(image), columns_of(image)
    latitudes, longitudes = image[row].values, image[column].values
    step = np.abs(np.diff(longitudes)).mean() if len(longitudes) > 1 else 0.0
    if east > longitudes[-1] + step and longitudes[-1] - longitudes[0] + 2 * step > 360:
        second = image.assign_coords({column: longitudes + 360})
        image = xr.concat([image, second], column)
        longitudes = image[column].values
    height = np.abs(np.diff(latitudes)).mean() if len(latitudes) > 1 else 0.0
    rows = (latitudes >= south - margin * height - 1e-6) & (
        latitudes <= north + margin * height + 1e-6
    )
    columns = (longitudes >= west - margin * step - 1e-6) & (
        longitudes <= east + margin * step + 1e-6
    )
    return image.isel({row: np.flatnonzero(rows), column: np.flatnonzero(columns)})


def coarse_input(truth: xr.Dataset, channel: str, time: int) -> xr.DataArray | None:
    """Returns the truth's block means, the coarse input of runs and interpolations.

    Args:
        truth: The truth's ``samples.nc``, with the attribute ``scale`` (0 if none was given).
        channel: The channel.
        time: Index of the time.

    Returns:
        The coarse field with its coordinates; None without a scale.
    """
    scale = int(truth.attrs.get("scale", 0))
    if scale < 2:
        return None
    field = truth["field"].sel(channel=channel)
    field = field.isel(
        {d: time if d == "time" else 0 for d in field.dims if d in ("time", "member")}
    )
    row, column = rows_of(field), columns_of(field)
    field = field.transpose(row, column)
    if has_coordinates(field):
        grid = Grid.from_coordinates(field[row].values, field[column].values)
    else:
        grid = Grid.pixels(*field.shape)
    if min(grid.shape) < scale:
        return None
    coarse = block_mean(field.values[None, :, :, None], grid, scale)[0, :, :, 0]
    attributes: dict[str, object] = {"title": f"Truth, {scale} × {scale} means"}
    if has_coordinates(field):
        points = coarsen_grid(grid, scale)
        down, across = points.latitudes, points.longitudes
    elif row == "y" and row in field.coords:
        down, across = (
            field[name].values[: size * scale].reshape(size, scale).mean(1)
            for name, size in zip((row, column), coarse.shape)
        )
    else:
        down, across = (scale * np.arange(size) + (scale - 1) / 2 for size in coarse.shape)
        attributes["of_pixels"] = scale
    image = xr.DataArray(
        coarse, dims=(row, column), coords={row: down, column: across}, attrs=attributes
    )
    for name in (row, column) if row in field.coords else ():
        image[name].attrs.update(field[name].attrs)
    return image


def time_text(array: xr.DataArray, time: int) -> str:
    """Returns a time as the end of a title, ``, 2000-05-25 12:00``; empty without times."""
    if "time" not in array.dims or "time" not in array.coords:
        return ""
    value = array["time"].values[time]
    if np.issubdtype(array["time"].dtype, np.datetime64):
        return f", {np.datetime_as_string(value, unit='m').replace('T', ' ')}"
    if hasattr(value, "isoformat"):
        return f", {value.isoformat()[:16].replace('T', ' ')}"
    return f", step {value}"
