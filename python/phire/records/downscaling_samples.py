"""Downscaling samples: their arrays, channels, patch positions and schema."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from phire import progress
from phire.errors import InputError
from phire.fields.area_mean import AreaMean
from phire.fields.coarsening import block_weights, whole_blocks
from phire.fields.covariates import covariate_channels
from phire.fields.padding import padded_grid, padding
from phire.fields.source import ArraySource
from phire.fields.units import difference
from phire.records import tfrecord_encoding as encoding
from phire.records import tfrecord_writing
from phire.records.coarse_grid import CoarseGrid, coarse_grid, coarse_part
from phire.records.fine_static_maps import read_static
from phire.records.grid_points import fine_points
from phire.records.input_files import InputFile, common_times
from phire.records.patch_cutting import Cuts
from phire.records.patch_sampling import PatchPlan, Window, window
from phire.records.pixel_arrays import FinePart, Layer, PaddedInput, SampleFields, Timed
from phire.records.sampled_records import (
    WrittenRecords,
)
from phire.records.schema import DOWNSCALING, SampleArray, SampleSchema
from phire.records.station_gridding import MASK, PREFIX, Stations, read_stations


@dataclasses.dataclass(frozen=True)
class Inputs:
    """Files from which downscaling records are made.

    Attributes:
        high: The fine fields, with the target channels only.
        low: The coarse inputs, in the order of their channels.
        coarsened: True if coarsened targets are the first channels of ``low``.
        auxiliary: Time-dependent predictors on the fine grid.
        static: Maps, each ``FILE[:NAMES]``.
        stations: Table of station observations; None if there is none.
    """

    high: InputFile
    low: tuple[InputFile, ...] = ()
    coarsened: bool = True
    auxiliary: tuple[InputFile, ...] = ()
    static: tuple[str, ...] = ()
    stations: str | None = None


@dataclasses.dataclass(frozen=True)
class Shape:
    """Options of the samples' shape; see :func:`phire.records.write_downscaling_records`.

    ``pad`` completes the last blocks of a fine grid that is not a multiple of ``scale`` with points
    without a target, provided that all coarse channels are read from files.
    """

    patch: tuple[int, int] | None
    scale: int
    alignment: str | None = None
    margin: int = 0
    window: int | None = None
    regrid: str = "bilinear"
    latitudes: tuple[float, float] | None = None
    covariates: tuple[str, ...] = ()
    withhold_stations: float = 0.2
    seed: int = 0
    pad: bool = False
    context: tuple[int, int] | None = None


class Samples:
    """Domain, arrays and patch positions of samples, as the inputs and options determine them.

    Args:
        inputs: The input files.
        shape: Shape of the samples; whole fields if its patch is None.
        chosen: Indices of the fine fields in range.

    Attributes:
        chosen: Indices of the fine fields whose time every input has.
        domain: Grid of the fine points that patches are cut from.
        place: Allowed positions of patches, in blocks.
        maps: The static maps on ``domain``; None if there are none.
        stations: Station observations; None if there are none.

    Raises:
        InputError: Inputs do not match one another, or no patch fits into them.
    """

    def __init__(self, inputs: Inputs, shape: Shape, chosen: np.ndarray) -> None:
        self.inputs, self.shape = inputs, shape
        high, scale = inputs.high, shape.scale
        self.fine = PaddedInput(high, padded_grid(high.grid, _padding(inputs, shape)))
        self.coarse = coarse_grid(
            inputs.low, self.fine, scale, shape.alignment, shape.margin, inputs.coarsened
        )
        rows, columns = whole_blocks(self.fine.grid, scale)
        size = [n * scale for n in self.coarse.blocks]
        self.window = (
            slice(rows.start, rows.start + size[0]), slice(columns.start, columns.start + size[1])
        )  # fmt: skip
        self.domain = self.fine.grid.subgrid(*self.window)
        closes = high.grid.wraps and size[1] == high.grid.shape[1]
        _check_context(shape, self.coarse.blocks)
        self.patch, self.place = _patch_and_place(shape, self.coarse, closes)
        self.low = tuple(
            Timed(coarse_part(f, self.coarse, shape.regrid, scale), common_times(f, high))
            for f in inputs.low
        )
        self.auxiliary = tuple(self._fine_part(file) for file in inputs.auxiliary)
        self.chosen = _fields_of_every_input(chosen, (*self.low, *self.auxiliary), high)
        self.maps = self._read_maps()
        self.stations: Stations | None = None
        if inputs.stations is not None:
            self.stations = read_stations(
                inputs.stations, self.domain, high.time, withhold=shape.withhold_stations,
                seed=shape.seed,
            )  # fmt: skip
        self._check_names()

    def _fine_part(self, file: InputFile) -> Timed:
        high = self.inputs.high
        points = fine_points(file.grid, high.grid, self.window)
        if points is None:
            raise InputError(
                f"{file} lies on {file.grid.in_words()}, not on the points of {high.path} "
                f"({self.domain.describe()}): regrid it to these, or give it as --predictors."
            )
        return Timed(FinePart(file, self.domain, points), common_times(file, high))

    def _read_maps(self) -> ArraySource | None:
        high = self.inputs.high
        found = [
            read_static(
                text, lambda grid: fine_points(grid, high.grid, self.window), self.domain,
                fine=high.path,
            )
            for text in self.inputs.static
        ]  # fmt: skip
        if not found:
            return None
        return ArraySource(
            np.concatenate([maps.read([0]) for maps in found], axis=-1),
            channels=[name for maps in found for name in maps.channels],
            units=[unit for maps in found for unit in maps.units],
            grid=self.domain,
        )

    def _check_names(self) -> None:
        """Raises an InputError for a channel given twice, or a coarse target in other units."""
        high = self.inputs.high
        low = list(high.channels) if self.inputs.coarsened else []
        fine_names = [] if self.maps is None else list(self.maps.channels)
        for timed in self.low:
            low += timed.part.channels
            both = [c for c in timed.part.channels if c in high.channels]
            units = dict(zip(timed.part.channels, timed.part.units))
            wanted = dict(zip(high.channels, high.units))
            found = difference(both, [units[c] for c in both], [wanted[c] for c in both])
            if found is not None:
                raise InputError(
                    f"{timed.part.file} holds {found} as in {high.path}: convert it to these units "
                    "with `phire convert`, or leave it out."
                )
        fine_names += [name for timed in self.auxiliary for name in timed.part.channels]
        fine_names += [] if self.stations is None else list(self.stations.channels)
        for names in (low, [*fine_names, *(set(low) | set(high.channels))]):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise InputError(
                    f"the channel {twice[0]} is given twice: name the channels of each file as "
                    "FILE:NAMES and leave it out of one file."
                )

    @property
    def padding(self) -> tuple[int, int]:
        """Number of rows and columns that pad the fine fields at the end of the domain."""
        rows, columns = (
            max(0, part.stop - size) for part, size in zip(self.window, self.inputs.high.grid.shape)
        )
        return rows, columns

    def fields(self, presence: Sequence[str]) -> SampleFields:
        """Returns the pixel arrays of a sample and the inputs that they are read from.

        Args:
            presence: Masks of present values to store: names among
                :data:`phire.records.schema.PRESENCE`. Missing values are masked if there are any
                names.
        """
        scale, margin, before = self.shape.scale, self.shape.margin, self.coarse.before
        low_patch = tuple(n // scale + 2 * margin for n in self.patch)
        origin = before[0] - margin, before[1] - margin
        layers = [Layer("low", low_patch, 1, origin)]
        if self.auxiliary or self.stations is not None:
            strict = sum(len(timed.part.channels) for timed in self.auxiliary)
            layers.append(
                Layer("auxiliary", self.patch, scale, strict=strict if self.stations else None)
            )
        layers.append(Layer("high", self.patch, scale))
        if "valid" in presence:
            layers.append(Layer("valid", self.patch, scale, strict=0, bits=True))
        if "low_valid" in presence:
            layers.append(Layer("low_valid", low_patch, 1, origin, strict=0, bits=True))
        if self.shape.context is not None:
            mean = AreaMean.of(self.coarse.inner, self.shape.context)
            layers.append(Layer("context", self.shape.context, 1, before, strict=0, mean=mean))
        weights = block_weights(self.fine.grid, scale)[: self.coarse.blocks[0]]
        return SampleFields(
            tuple(layers), self.fine, self.window, weights, self.inputs.coarsened, self.low,
            self.auxiliary, self.stations, bool(presence),
        )  # fmt: skip

    def arrange(
        self, plan: PatchPlan, layers: Sequence[Layer], dtype: str
    ) -> tuple[tfrecord_writing.Contents, Cuts]:
        """Returns the metadata of the records of a plan, and the patches to cut for them.

        Args:
            plan: The patches drawn.
            layers: The pixel arrays.
            dtype: Type of the stored pixels.
        """
        count, steps = plan.steps.shape
        channels = {name: len(found) for name, (found, _) in self.channels().items()}
        sizes = {layer.name: layer.patch for layer in layers}
        constants = (*sizes["low"], *sizes["high"], channels["high"])
        integers = {
            "index": plan.time,
            **{
                name: np.full(count, value)
                for name, value in zip(encoding.DOWNSCALING_INTEGERS[1:], constants, strict=True)
            },
            "c_LR": np.full(count, channels["low"]),
            "row": plan.row * self.shape.scale,
            "column": plan.column * self.shape.scale,
            "time": self.inputs.high.time.values[plan.time],
        }
        pixels = {}
        for layer in layers:
            values = layer.patch[0] * layer.patch[1]
            values *= channels[layer.array]
            size = -(-values // 8) if layer.bits else values * np.dtype(dtype).itemsize
            pixels[encoding.PIXELS[layer.name]] = steps * size
        contents = tfrecord_writing.Contents(integers, {}, pixels, steps)
        return contents, Cuts(
            time=plan.steps.T.ravel(),
            row=np.tile(plan.row, steps),
            column=np.tile(plan.column, steps),
            record=np.tile(np.arange(count), steps),
            segment=np.repeat(np.arange(steps), count),
        )

    def channels(self) -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
        """Returns the channels and units of each pixel array, by name."""
        high = self.inputs.high
        targets = dict(zip(high.channels, high.units))
        low = dict(targets) if self.inputs.coarsened else {}
        for timed in self.low:
            low |= zip(timed.part.channels, timed.part.units)
        auxiliary: dict[str, str] = {}
        for timed in self.auxiliary:
            auxiliary |= zip(timed.part.channels, timed.part.units)
        for name in () if self.stations is None else self.stations.variables:
            auxiliary |= {f"{PREFIX}{name}": targets.get(name, ""), f"{PREFIX}{name}{MASK}": "1"}
        found = {"low": low, "auxiliary": auxiliary, "high": targets}
        return {name: (tuple(part), tuple(part.values())) for name, part in found.items() if part}

    def schema(self, written: WrittenRecords) -> SampleSchema:
        """Returns the schema of the records that were written."""
        steps = self.shape.window
        offsets = tuple(range(1 - (steps or 1), 1))
        lead = () if steps is None else (steps,)
        spacing = self.domain.spacing if self.domain.has_coordinates else None
        coarse = spacing and tuple(s * self.shape.scale for s in spacing)
        channels = self.channels()
        arrays = {}
        for layer in written.layers:
            names, units = channels[layer.array]
            points = coarse if layer.array == "low" else spacing
            arrays[layer.name] = SampleArray(
                names, ("1",) * len(names) if layer.bits else units,
                (*lead, *layer.patch, len(names)), None if layer.mean else points,
                offsets, written.normalizations.get(layer.normalized_as),
                written.anomalies[layer.name].summary() if layer.name in written.anomalies else (),
            )  # fmt: skip
        if self.maps is not None:
            names, units = self.maps.channels, self.maps.units
            arrays["static"] = SampleArray(
                names, units, (*self.patch, len(names)), spacing,
                normalization=written.normalizations["static"],
            )  # fmt: skip
        if self.shape.covariates:
            names = covariate_channels(self.shape.covariates)
            arrays["time"] = SampleArray(names, ("1",) * len(names), (len(names),))
        arrays["position"] = SampleArray(("row", "column"), ("1", "1"), (2,))
        time = self.inputs.high.time
        return SampleSchema(
            DOWNSCALING, arrays, scale=self.shape.scale, alignment=self.coarse.alignment,
            pooling="area-mean" if self.inputs.coarsened else "explicit",
            margin=self.shape.margin, window=steps, domain=self.domain, padding=self.padding,
            step=time.step, calendar=time.calendar,
        )  # fmt: skip


def _padding(inputs: Inputs, shape: Shape) -> tuple[int, int]:
    """Counts the rows and columns that complete the last blocks of the fine grid.

    Without coordinates they are added only if every coarse input has points for the last blocks.
    """
    grid, scale = inputs.high.grid, shape.scale
    if not shape.pad or inputs.coarsened or min(grid.shape) < scale:
        return 0, 0
    rows, columns = padding(grid, scale)
    if not grid.has_coordinates:
        wanted = [-(-size // scale) for size in grid.shape]
        reached = [all(f.grid.shape[axis] >= wanted[axis] for f in inputs.low) for axis in (0, 1)]
        rows, columns = rows * reached[0], columns * reached[1]
    return rows, columns


def _check_context(shape: Shape, blocks: tuple[int, int]) -> None:
    """Raises an InputError if the context has no cells, or more than the whole coarse field."""
    if shape.context is None:
        return
    if min(shape.context) < 1 or any(n > size for n, size in zip(shape.context, blocks)):
        raise InputError(
            f"--context {shape.context[0]},{shape.context[1]} must be two positive numbers H,W, at "
            f"most the {blocks[0]} × {blocks[1]} coarse points of the whole fields."
        )


def _patch_and_place(
    shape: Shape, coarse: CoarseGrid, closes: bool
) -> tuple[tuple[int, int], Window]:
    """Returns the size (H, W) of the patches and their allowed positions in blocks.

    Raises:
        InputError: No patch fits into the fields.
    """
    scale, margin, blocks = shape.scale, shape.margin, coarse.blocks
    lack = [(max(0, margin - b), max(0, margin - a)) for b, a in zip(coarse.before, coarse.after)]
    if closes:
        lack[1] = (0, 0)
    first = lack[0][0], lack[1][0]
    room = blocks[0] - sum(lack[0]), blocks[1] - sum(lack[1])
    if shape.patch is None:
        if closes and margin:
            raise InputError(
                f"--margin {margin} needs patches, because these fields span all longitudes: leave "
                "out --whole-fields."
            )
        if min(room) < 1:
            raise InputError(
                f"--margin {margin} leaves nothing of {blocks[0]} × {blocks[1]} blocks: choose a "
                "smaller one."
            )
        if room != tuple(blocks):
            progress.say(
                f"Note: only {room[0]} × {room[1]} of {blocks[0]} × {blocks[1]} blocks are used, "
                "because the coarse inputs do not cover the margin of the others."
            )
        place = Window((first[0], first[0]), 1, False, first[1])
        return (room[0] * scale, room[1] * scale), place
    size = shape.patch[0] // scale, shape.patch[1] // scale
    if size[0] > room[0] or size[1] + (2 * margin if closes else 0) > room[1]:
        context = f" beside a margin of {margin} coarse points" if margin else ""
        raise InputError(
            f"--patch {shape.patch[0]},{shape.patch[1]} is larger than the fields of "
            f"{blocks[0] * scale} × {blocks[1] * scale} points{context}: choose a smaller one."
        )
    found = window(coarse.inner, size, shape.latitudes, wraps=closes)
    bounds = max(found.rows[0], first[0]), min(found.rows[1], first[0] + room[0] - size[0])
    if bounds[0] > bounds[1]:
        raise InputError(
            f"--margin {margin} leaves no room for a patch between --latitudes: choose a smaller "
            "margin or wider latitudes."
        )
    width = found.columns if closes else room[1] - size[1] + 1
    return shape.patch, Window(bounds, width, closes, first[1])


def _fields_of_every_input(
    chosen: np.ndarray, parts: Sequence[Timed], high: InputFile
) -> np.ndarray:
    """Returns the chosen fields whose time every input has, and notes how many are left out.

    Raises:
        InputError: No field is left.
    """
    for timed in parts:
        common = chosen[timed.times[chosen] >= 0]
        if not len(common):
            raise InputError(f"{timed.part.file} has none of the times in range.")
        if len(common) < len(chosen):
            lacking = chosen[timed.times[chosen] < 0]
            progress.say(
                f"{len(lacking)} of {len(chosen)} fields are left out, because {timed.part.file} "
                f"lacks their times (the first is {high.time.format(int(lacking[0]))})."
            )
        chosen = common
    return chosen
