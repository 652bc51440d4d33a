"""Animations of fields side by side, one frame for each time, as GIF or MP4."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.animation import FFMpegWriter, PillowWriter

from phire import files, progress
from phire.errors import InputError
from phire.evaluation.accumulator import projected_coordinates
from phire.evaluation.figures.figure_saving import lay_out
from phire.evaluation.figures.images import (
    Panel,
    Range,
    Row,
    blocks,
    extent_of,
    field_range,
    image_rows,
)
from phire.evaluation.figures.label_text import labelled, readable
from phire.evaluation.figures.style import styled
from phire.evaluation.pairing import align
from phire.evaluation.results import TRUTH
from phire.fields.curvilinear import CurvilinearGrid
from phire.fields.grid import Grid
from phire.fields.source import Source

LARGEST = 400
"""Largest number of frames; longer animations exhaust the memory of viewers."""


@dataclasses.dataclass(frozen=True)
class Frames:
    """Fields of an animation.

    Attributes:
        panels: (frames, H, W) fields by the title of the panel.
        titles: Title of each frame.
        grid: Grid of the fields.
        colours: Colour range of all panels.
        label: Label of the colour bar.
    """

    panels: Mapping[str, np.ndarray]
    titles: Sequence[str]
    grid: Grid
    colours: Range
    label: str


def evaluation_frames(
    truth: Source,
    candidates: Mapping[str, Source],
    *,
    channel: str | None = None,
    times: str | None = None,
    members: int = 2,
) -> Frames:
    """Returns frames of truth, candidates and some of their members, one for each time.

    Args:
        truth: The truth.
        candidates: Candidates by name; for an ensemble, the mean and some members are shown.
        channel: The channel; None means the truth's first.
        times: ``START,STOP`` (half-open); None means all common times.
        members: Largest number of members shown of each ensemble.

    Raises:
        InputError: The channel is unknown, there are more than :data:`LARGEST` times, or a
            candidate does not fit the truth.
    """
    channel = channel or truth.channels[0]
    if channel not in truth.channels:
        raise InputError(
            f"channel {channel} is not in the truth: its channels are {', '.join(truth.channels)}."
        )
    place = list(truth.channels).index(channel)
    aligned, placed = align(truth, candidates, truth.time.select_range(times))
    count = len(aligned.time)
    if not 0 < count <= LARGEST:
        raise InputError(
            f"an animation has 1 … {LARGEST} frames, not {count}: choose fewer times by --times."
        )
    panels = {TRUTH.capitalize(): aligned.read(slice(None))[..., place]}
    for name, candidate in placed.items():
        if not candidate.members:
            panels[name] = candidate.read(slice(None))[..., place]
            continue
        fields = candidate.read_members(slice(None))[..., place]
        panels[f"{name}, mean"] = fields.mean(1)
        for m in range(min(members, candidate.members)):
            panels[f"{name}, member {m + 1}"] = fields[:, m]
    return Frames(
        panels,
        [f"{readable(channel)}, {aligned.time.format(i)}" for i in range(count)],
        aligned.grid,
        field_range(panels[TRUTH.capitalize()]),
        labelled(readable(channel), truth.units[place]),
    )


@styled
def write_animation(
    frames: Frames, path: str | os.PathLike, *, rate: float = 4, dpi: int = 100
) -> Path:
    """Writes an animation; an interrupted call leaves no file.

    Args:
        frames: Fields and titles of the frames.
        path: File to write: ``.gif``, or ``.mp4`` if ffmpeg is installed.
        rate: Frames per second.
        dpi: Dots per inch.

    Returns:
        The path.

    Raises:
        InputError: ``path`` has another ending, or ends in ``.mp4`` and ffmpeg is missing.
    """
    path = Path(path)
    options = {"animation.ffmpeg_path": require_writer(path)}
    writer = {".gif": PillowWriter, ".mp4": FFMpegWriter}[path.suffix.lower()](fps=rate)
    flip, first = _upright(frames)
    panels = [Panel(name, array) for name, array in first.items()]
    rows = [
        Row(tuple(panels[i] for i in block), frames.colours, frames.label)
        for block in blocks(range(len(panels)))
    ]
    figure = image_rows(rows, extent_of(panels[0].array), frames.titles[0])
    lay_out(figure)
    images = [axes.images[0] for axes in figure.axes if axes.images]
    with matplotlib.rc_context(options), files.replacing(path) as partial:
        # The writer takes the format from the ending, which the temporary name lacks.
        temporary = partial.with_name(f"{partial.name}{path.suffix.lower()}")
        with writer.saving(figure, temporary, dpi):
            steps = progress.tracked(
                range(len(frames.titles)), "Drawing frames", len(frames.titles), "frames"
            )
            for i in steps:
                for image, fields in zip(images, frames.panels.values()):
                    image.set_data(np.ma.masked_invalid(fields[i][::-1] if flip else fields[i]))
                figure.suptitle(frames.titles[i], x=0.01, ha="left", fontsize=12)
                writer.grab_frame()
        os.replace(temporary, partial)
    return path


def require_writer(path: str | os.PathLike) -> str:
    """Checks that an animation can be written; returns the path of ffmpeg.

    ffmpeg is searched on the ``PATH``, then in the package imageio-ffmpeg. A GIF does not need it.

    Raises:
        InputError: The file ends in neither ``.gif`` nor ``.mp4``, or it ends in ``.mp4`` and
            ffmpeg is missing.
    """
    ending = Path(path).suffix.lower()
    if ending not in (".gif", ".mp4"):
        raise InputError(f"{path} must end in .gif or .mp4: the ending names the format.")
    found = shutil.which("ffmpeg") or _packaged_ffmpeg()
    if found is None and ending == ".mp4":
        raise InputError(
            f"{path} needs ffmpeg, which is not installed: install it or phire[video], or write a "
            ".gif."
        )
    return found or "ffmpeg"


def _packaged_ffmpeg() -> str | None:
    """Returns the path of the ffmpeg of the package imageio-ffmpeg; None if not installed."""
    try:
        import imageio_ffmpeg

        return imageio_ffmpeg.get_ffmpeg_exe()
    except (ImportError, RuntimeError):
        return None


def _upright(frames: Frames) -> tuple[bool, dict[str, xr.DataArray]]:
    """Returns True if rows must be flipped, and the fields of the first frame with coordinates.

    Rows that run from south to north are flipped, because images begin at the top.
    """
    grid = frames.grid
    if grid.has_coordinates:
        dimensions = ("latitude", "longitude")
        coordinates = {"latitude": grid.latitudes, "longitude": grid.longitudes}
    elif isinstance(grid, CurvilinearGrid) and grid.stated_points is None:
        dimensions, coordinates = ("y", "x"), projected_coordinates(grid)
    else:
        dimensions, coordinates = ("row", "column"), {}
    first = {
        name: xr.DataArray(fields[0], dims=dimensions, coords=coordinates)
        for name, fields in frames.panels.items()
    }
    down = coordinates.get(dimensions[0])
    if down is None:
        return False, first
    values = np.asarray(down[1] if isinstance(down, tuple) else down)
    return bool(values[0] < values[-1]), first
