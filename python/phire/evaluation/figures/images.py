"""Fields drawn as images: colour ranges, axes, and rows of images with a common colour bar."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, MaxNLocator

from phire.evaluation.figures.coastlines import draw_coastlines, draw_projected_coastlines
from phire.evaluation.figures.style import DIVERGING, SEQUENTIAL, new_figure

ROWS = ("latitude", "coarse_latitude", "y", "row")
COLUMNS = ("longitude", "coarse_longitude", "x", "column")

MISSING = "#bdbdbd"
"""Colour of missing values, which is in none of the palettes."""


@dataclasses.dataclass(frozen=True)
class Range:
    """Range of values and palette of a colour bar.

    Attributes:
        low: Value of the first colour.
        high: Value of the last colour.
        palette: Name of a palette of matplotlib.
        beyond: Ends of the colour bar with arrows, for values beyond the range: matplotlib's
            ``extend``.
    """

    low: float
    high: float
    palette: str
    beyond: str = "both"

    @property
    def normalize(self) -> Normalize:
        """Mapping of values to 0…1."""
        return Normalize(self.low, self.high)


def field_range(truth: np.ndarray) -> Range:
    """Returns the colour range of a quantity, from the values of the truth only.

    It extends from the 0.5 % to the 99.5 % quantile. Quantities of both signs (vorticity, wind)
    have a diverging palette centred on zero, others a sequential one.

    Args:
        truth: Values of any shape; NaN is left out.
    """
    values = truth[np.isfinite(truth)]
    if not values.size:
        return Range(0.0, 1.0, SEQUENTIAL, "neither")
    low, high = (float(value) for value in np.percentile(values, (0.5, 99.5)))
    if low < 0 < high and min(-low, high) > 0.2 * max(-low, high):
        span = max(-low, high)
        return Range(-span, span, DIVERGING)
    if low == high:
        low, high = low - 0.5, high + 0.5
    return Range(low, high, SEQUENTIAL)


def error_range(errors: Sequence[np.ndarray], truth: np.ndarray) -> Range:
    """Returns a diverging colour range about zero for the errors of all candidates.

    It includes 99 % of all errors, but is at most twice the truth's standard deviation, so that a
    candidate with huge errors does not hide the differences between the others.
    """
    values = np.concatenate([np.abs(error[np.isfinite(error)]) for error in errors] or [[]])
    span = float(np.percentile(values, 99)) if values.size else 0.0
    deviation = float(np.nanstd(truth)) if np.isfinite(truth).any() else 0.0
    if deviation > 0:
        span = min(span, 2 * deviation)
    return Range(-(span or 1.0), span or 1.0, DIVERGING)


def rows_of(array: xr.DataArray) -> str:
    """Returns the dimension of the rows: latitude, y or row."""
    return next(dimension for dimension in array.dims if dimension in ROWS)


def columns_of(array: xr.DataArray) -> str:
    """Returns the dimension of the columns: longitude, x or column."""
    return next(dimension for dimension in array.dims if dimension in COLUMNS)


def extent_of(array: xr.DataArray) -> tuple[float, float, float, float]:
    """Returns the edges west, east, south, north of an image, half a spacing beyond its points.

    Without coordinates they are column and row numbers, rows counted downward.
    """
    row, column = rows_of(array), columns_of(array)
    height, width = array.sizes[row], array.sizes[column]
    if row in ("y", "row") and row in array.coords and array.attrs.get("of_pixels"):
        # A coarse image, whose rows and columns are in pixels of the fine image.
        half = array.attrs["of_pixels"] / 2
        down, across = array[row].values, array[column].values
        return across[0] - half, across[-1] + half, down[-1] + half, down[0] - half
    if row not in array.coords or row == "row":
        return -0.5, width - 0.5, height - 0.5, -0.5
    latitudes, longitudes = array[row].values, array[column].values
    half_row = abs(latitudes[-1] - latitudes[0]) / max(height - 1, 1) / 2
    half_column = (longitudes[-1] - longitudes[0]) / max(width - 1, 1) / 2
    south, north = latitudes.min() - half_row, latitudes.max() + half_row
    if row == "y":
        return tuple(
            map(float, (longitudes[0] - half_column, longitudes[-1] + half_column, south, north))
        )
    return (
        float(longitudes[0] - half_column),
        float(longitudes[-1] + half_column),
        float(max(south, -90)),
        float(min(north, 90)),
    )


def has_coordinates(array: xr.DataArray) -> bool:
    """Returns True if an image has latitudes and longitudes, False if y and x or pixels."""
    return rows_of(array) in array.coords and rows_of(array) in ("latitude", "coarse_latitude")


def draw_image(
    axes: Axes,
    array: xr.DataArray,
    colours: Range,
    *,
    title: str = "",
    left: bool = True,
    bottom: bool = True,
    extent: tuple[float, float, float, float] | None = None,
) -> AxesImage:
    """Draws a field on axes of longitude and latitude, or of a projection's x and y.

    Coastlines are drawn if they are installed; on a projection, if the field states it.

    Args:
        axes: Empty axes.
        array: Field of rows and columns, with rows running northward or southward.
        colours: The colour range.
        title: Title of the image.
        left: If True, the labels of the vertical axis are drawn.
        bottom: If True, the labels of the horizontal axis are drawn.
        extent: West, east, south, north of what is shown; None means the whole field.
    """
    array = array.transpose(rows_of(array), columns_of(array))
    earth = has_coordinates(array)
    edges = extent_of(array)
    values = array.values
    projected = rows_of(array) == "y" and "y" in array.coords
    if (earth or projected) and (
        array[rows_of(array)].values[0] < array[rows_of(array)].values[-1]
    ):
        values = values[::-1]
    palette = colormap(colours.palette)
    # matplotlib's default interpolation draws few pixels as squares, and averages many.
    image = axes.imshow(
        values, cmap=palette, norm=colours.normalize, extent=edges, aspect="auto", origin="upper"
    )
    west, east, south, north = extent or edges
    axes.set_xlim(west, east)
    axes.set_ylim(south, north)
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set_visible(True)
        spine.set_linewidth(0.6)
    if earth:
        middle = math.cos(math.radians(min(abs(south + north) / 2, 75)))
        axes.set_aspect(1.0 if east - west > 180 else 1 / middle)
        draw_coastlines(axes, (west, east, south, north))
        axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 1.5, 2, 3, 4.5, 5, 6, 9, 10]))
        axes.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 1.5, 2, 3, 4.5, 5, 6, 9, 10]))
        axes.xaxis.set_major_formatter(FuncFormatter(longitude_text))
        axes.yaxis.set_major_formatter(FuncFormatter(latitude_text))
    else:
        axes.set_aspect("equal")
        if projected:
            draw_projected_coastlines(axes, array["y"].attrs, (west, east, south, north))
            unit = array["y"].attrs.get("units", "")
            for write, name, place in (
                (left, "y", axes.set_ylabel), (bottom, "x", axes.set_xlabel)
            ):  # fmt: skip
                if write and unit:
                    place(f"{name} ({unit})", fontsize=7)
    axes.tick_params(labelsize=7, length=2.5, labelleft=left, labelbottom=bottom)
    if title:
        axes.set_title(title, fontsize=9)
    return image


def colormap(name: str) -> Colormap:
    """Returns a palette of matplotlib in which missing values are grey."""
    palette = colormaps[name].copy()
    palette.set_bad(MISSING)
    return palette


def colour_bar(figure: Figure, axes: Sequence[Axes], colours: Range, label: str) -> None:
    """Draws a colour bar beside the axes that share it."""
    bar = figure.colorbar(
        ScalarMappable(colours.normalize, colormap(colours.palette)),
        ax=list(axes),
        extend=colours.beyond,
        aspect=22,
        pad=0.015,
        fraction=0.05,
        shrink=0.95,
    )
    bar.set_label(label, fontsize=8)
    bar.ax.tick_params(labelsize=7)
    bar.ax.yaxis.get_offset_text().set_fontsize(7)
    bar.outline.set_linewidth(0.6)


def outline(axes: Axes, extent: Sequence[float]) -> None:
    """Draws the rectangle of a region (west, east, south, north) on an image."""
    west, east, south, north = extent
    low, high = axes.get_xlim()
    for turn in (-360, 0, 360):
        if east + turn > low and west + turn < high:
            axes.add_patch(
                Rectangle(
                    (west + turn, south),
                    east - west,
                    north - south,
                    fill=False,
                    edgecolor="black",
                    linewidth=1.4,
                    zorder=4,
                )
            )


def longitude_text(value: float, _: object = None) -> str:
    """Returns the label of a longitude, such as ``47°E`` or ``90°W``."""
    value = (value + 180) % 360 - 180
    text = f"{abs(value):.4g}°"
    return text if value in (0, -180) else text + ("E" if value > 0 else "W")


def latitude_text(value: float, _: object = None) -> str:
    """Returns the label of a latitude, such as ``12°N`` or ``33°S``."""
    return f"{abs(value):.4g}°" + ("" if value == 0 else "N" if value > 0 else "S")


def aspect_of(extent: Sequence[float], earth: bool) -> float:
    """Returns the ratio of width to height of an image as drawn, between 0.4 and 3.5.

    Args:
        extent: West, east, south, north.
        earth: True for axes of longitude and latitude in degrees.
    """
    west, east, south, north = extent
    aspect = abs(east - west) / max(abs(north - south), 1e-9)
    if earth and east - west <= 180:
        aspect *= math.cos(math.radians(min(abs(south + north) / 2, 75)))
    return float(np.clip(aspect, 0.4, 3.5))


@dataclasses.dataclass(frozen=True)
class Panel:
    """An image of a figure.

    Attributes:
        title: Title of the image.
        array: The field.
        mark: Region (west, east, south, north) to outline.
        zoomed: If True, the figure's extent is shown, otherwise the whole field.
        colours: Colour range; None means that of the row.
    """

    title: str
    array: xr.DataArray
    mark: tuple[float, float, float, float] | None = None
    zoomed: bool = True
    colours: Range | None = None


@dataclasses.dataclass(frozen=True)
class Row:
    """Row of images with a common colour bar.

    Attributes:
        panels: The images; None leaves a space.
        colours: Colour range.
        label: Label of the colour bar.
    """

    panels: tuple[Panel | None, ...]
    colours: Range
    label: str


def image_rows(
    rows: Sequence[Row], extent: tuple[float, float, float, float], title: str
) -> Figure:
    """Returns a figure of rows of images.

    Args:
        rows: Rows from top to bottom.
        extent: West, east, south, north of what zoomed panels show.
        title: Title of the figure.
    """
    some = next(panel for row in rows for panel in row.panels if panel is not None)
    earth = has_coordinates(some.array)
    aspect = aspect_of(extent, earth)
    columns = max(len(row.panels) for row in rows)
    width = float(np.clip(11 / columns, 2.3, 4.2 if aspect > 1.3 else 3.2))
    figure = new_figure(columns * width + 1.0, len(rows) * (min(width / aspect, 3.6) + 0.3) + 0.5)
    figure.get_layout_engine().set(w_pad=0.03, h_pad=0.03, wspace=0.02, hspace=0.02)
    grid = figure.add_gridspec(len(rows), columns)
    for i, row in enumerate(rows):
        next_row = rows[i + 1].panels if i + 1 < len(rows) else ()
        places = []
        for j in range(columns):
            axes = figure.add_subplot(grid[i, j])
            places.append(axes)
            panel = row.panels[j] if j < len(row.panels) else None
            if panel is None:
                # Empty axes keep the columns of all rows aligned.
                axes.set_axis_off()
                continue
            below = next_row[j] if j < len(next_row) else None
            first = all(other is None for other in row.panels[:j])
            draw_image(
                axes,
                panel.array,
                panel.colours or row.colours,
                title=panel.title,
                left=first or row.panels[j - 1] is None or not row.panels[j - 1].zoomed,
                bottom=below is None or not below.zoomed or not panel.zoomed,
                extent=extent if panel.zoomed else None,
            )
            if panel.mark is not None:
                outline(axes, panel.mark)
        colour_bar(figure, places, row.colours, row.label)
    figure.suptitle(title, x=0.01, ha="left", fontsize=12)
    return figure


def blocks(names: Sequence[str], most: int = 5) -> list[list[str]]:
    """Splits names into rows of nearly equal length, none longer than ``most``."""
    count = math.ceil(len(names) / most)
    size = math.ceil(len(names) / max(count, 1))
    return [list(names[i : i + size]) for i in range(0, len(names), size)]


def is_global(array: xr.DataArray) -> bool:
    """Returns True if an image shows nearly all longitudes and latitudes of the Earth."""
    longitudes = array[columns_of(array)].values
    latitudes = array[rows_of(array)].values
    return bool(np.ptp(longitudes) > 340 and np.ptp(latitudes) > 160)
