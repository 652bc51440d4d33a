"""Coastlines on maps, if cartopy and its shapefiles are installed.

cartopy downloads the shapefiles of Natural Earth when they are first used. Figures must also be
drawn on machines without access to the internet, so only files that are already installed are read.
"""

from __future__ import annotations

import functools
import importlib.util
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

from phire import progress
from phire.fields.curvilinear import CurvilinearGrid

RESOLUTIONS = ("110m", "50m", "10m")
"""Scales of Natural Earth from coarse to fine: 1:110, 1:50 and 1:10 million."""


def coastline_file(resolution: str) -> Path | None:
    """Returns the shapefile of coastlines that cartopy would use; None if it is not installed."""
    cartopy = importlib.util.find_spec("cartopy")
    if cartopy is None or cartopy.origin is None:
        return None
    # The folders of cartopy.config, which is not imported since it loads all projections.
    user_data = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    folders = [Path(cartopy.origin).parent / "data", user_data / "cartopy"]
    if os.environ.get("CARTOPY_DATA_DIR"):
        folders.insert(0, Path(os.environ["CARTOPY_DATA_DIR"]))
    for folder in folders:
        path = folder / "shapefiles/natural_earth/physical" / f"ne_{resolution}_coastline.shp"
        if path.is_file():
            return path
    return None


def coastlines(resolution: str) -> tuple[np.ndarray, ...] | None:
    """Returns coastlines as arrays (n, 2) of longitude −180…180 and latitude, degrees.

    Args:
        resolution: One of :data:`RESOLUTIONS`; if it is not installed, the coarsest one that is.

    Returns:
        The lines; None if no coastlines are installed.
    """
    for choice in (resolution, *RESOLUTIONS):
        path = coastline_file(choice)
        if path is not None:
            return read_lines(path)
    return None


@functools.cache
def read_lines(path: Path) -> tuple[np.ndarray, ...]:
    """Reads the lines of a shapefile, each (n, 2)."""
    import shapefile  # pyshp, a dependency of cartopy

    lines = []
    with shapefile.Reader(os.fspath(path)) as reader:
        for shape in reader.iterShapes():
            ends = [*shape.parts[1:], len(shape.points)]
            for first, last in zip(shape.parts, ends):
                lines.append(np.asarray(shape.points[first:last], dtype=float)[:, :2])
    return tuple(lines)


def draw_coastlines(axes: Axes, extent: Sequence[float]) -> bool:
    """Draws coastlines on axes of longitude and latitude.

    Args:
        axes: Axes whose coordinates are degrees east (0…360 or −180…180) and degrees north.
        extent: West, east, south, north of what is shown, in degrees.

    Returns:
        True if coastlines were drawn; otherwise the reason is printed once.
    """
    width = extent[1] - extent[0]
    lines = coastlines("110m" if width > 90 else "50m" if width > 20 else "10m")
    if lines is None:
        _say_missing()
        return False
    turns = (line + np.array([turn, 0.0]) for turn in (-360, 0, 360) for line in lines)
    _add(axes, turns, extent)
    return True


def draw_projected_coastlines(
    axes: Axes, attributes: Mapping[str, Any], extent: Sequence[float]
) -> bool:
    """Draws coastlines on axes of a projection's x and y.

    Args:
        axes: The axes.
        attributes: Attributes of the coordinate y: ``units`` (km, m or degrees of a rotated pole)
            and the projection, ``crs_wkt``.
        extent: Smallest and largest x, smallest and largest y of what is shown.

    Returns:
        True if coastlines were drawn; otherwise the reason is printed once.
    """
    if not attributes.get("crs_wkt"):
        progress.say_once(
            "Maps are drawn without coastlines: the fields state no projection of y and x."
        )
        return False
    lines = coastlines("50m")
    if lines is None:
        _say_missing()
        return False
    grid = CurvilinearGrid.projected([0.0], [0.0], attributes["crs_wkt"])
    length = 1e3 if attributes.get("units") == "km" else 1.0
    projected = []
    for line in lines:
        x, y = grid.coordinates(*line.T)
        points = np.stack([x, y], axis=1) / length
        # Lines are cut where the projection is not defined, and where they jump across its edge.
        far = ~np.isfinite(points).all(1)
        points[far] = np.nan
        width = extent[1] - extent[0]
        jump = np.abs(np.diff(points[:, 0], prepend=points[:1, 0])) > width
        projected += [
            part for part in np.split(points, np.flatnonzero(far | jump)) if len(part) > 1
        ]
    _add(axes, projected, extent)
    return True


def _say_missing() -> None:
    """Prints once why maps have no coastlines."""
    progress.say_once(
        "Maps are drawn without coastlines: cartopy or its Natural Earth shapefiles are not "
        "installed (pip install 'phire[maps]', then cartopy_feature_download.py physical)."
    )


def _add(axes: Axes, lines: Iterable[np.ndarray], extent: Sequence[float]) -> None:
    """Adds the lines (n, 2) whose bounding boxes overlap the extent."""
    west, east, south, north = extent
    shown = [
        line
        for line in lines
        if np.nanmax(line[:, 0]) >= west
        and np.nanmin(line[:, 0]) <= east
        and np.nanmax(line[:, 1]) >= south
        and np.nanmin(line[:, 1]) <= north
    ]
    axes.add_collection(
        LineCollection(shown, colors="#333333", linewidths=0.5, zorder=3), autolim=False
    )
