"""Applying a trained generator to whole fields."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import xarray as xr

from phire import files, progress
from phire.downscaling.filling import Filler
from phire.downscaling.interpolation import InterpolatedSource
from phire.downscaling.resuming import kept
from phire.downscaling.trained_generator import TrainedGenerator
from phire.downscaling.written import CountedSource, notes
from phire.errors import InputError
from phire.fields import open_source, write_source
from phire.fields.coarsening import (
    CoarsenedSource,
    CroppedSource,
    coarsen_grid,
    refine_grid,
    remainder_note,
)
from phire.fields.grid import Grid
from phire.fields.interpolation import METHODS
from phire.fields.opening import expand
from phire.fields.source import Source, Times, TimeSelection, to_dataset


class PredictedSource:
    """A trained generator over a coarse source, as a source.

    Args:
        run: A run of ``phire-train``, or a generator opened from one.
        coarse: The coarse source.
        fine_grid: The grid of the result, where it is known better than by refining the coarse one.
        tile: Largest side of a tile in coarse pixels; memory grows with it.
        any_spacing: Take input of another spacing than trained on.
        fill, minimum: See :meth:`TrainedGenerator.__call__`.
        name: What the coarse source is called in messages.

    Raises:
        InputError: The generator does not fit the source, or the source holds no fields.
    """

    def __init__(
        self,
        run: str | os.PathLike | TrainedGenerator,
        coarse: Source,
        fine_grid: Grid | None = None,
        *,
        tile: int | None = None,
        any_spacing: bool = False,
        fill: str = "nearest",
        minimum: float | None = None,
        name: str = "the input",
    ) -> None:
        generator = run if isinstance(run, TrainedGenerator) else TrainedGenerator(run)
        generator.check(coarse, name, any_spacing)
        if not len(coarse.time):
            raise InputError(f"{name} holds no fields: choose at least one time.")
        Filler(fill, generator.normalization.mean)  # refuses before anything is read
        self.generator = generator
        self.coarse = coarse
        self.tile = tile
        self.fill, self.minimum = fill, minimum
        self.name = name
        self.channels, self.units = generator.channels, coarse.units
        self.time = coarse.time
        if fine_grid is None and isinstance(coarse, CoarsenedSource):
            # The grid that it came from is known exactly.
            fine_grid = CroppedSource(coarse.source, coarse.scale).grid
            if coarse.scale != generator.scale:
                raise InputError(
                    f"{name} is coarsened by {coarse.scale}, {generator.path} refines by "
                    f"{generator.scale}: coarsen by that."
                )
        _check_alignment(generator, coarse, fine_grid, name)
        self.grid = fine_grid or refine_grid(coarse.grid, generator.scale, generator.alignment)
        shape = tuple(size * generator.scale for size in coarse.grid.shape)
        if self.grid.shape != shape:
            raise InputError(
                f"{generator.path} refines {coarse.grid.describe()} to {shape[0]} × {shape[1]} "
                f"points, not to the {self.grid.describe()}."
            )
        self._checked = False

    def read(self, times: Times) -> np.ndarray:
        """Reads fields; see :class:`phire.fields.source.Source`."""
        fields = self.coarse.read(times)
        if not self._checked:
            self.generator.check_values(fields, self.name)
            self._checked = True
        return self.generator(
            fields, self.coarse.grid, self.tile,
            fine_grid=self.grid, fill=self.fill, minimum=self.minimum,
        )  # fmt: skip


def _check_alignment(
    generator: TrainedGenerator, coarse: Source, fine_grid: Grid | None, name: str
) -> None:
    """Refuses coarse points that lie otherwise in their blocks than those trained on."""
    if isinstance(coarse, CoarsenedSource) and generator.alignment == "corner":
        raise InputError(
            f"{name} holds block means, which stand for the centres of their blocks; "
            f"{generator.path} was trained with --alignment corner, on the first points of blocks: "
            "give coarse fields that lie there to `phire predict`, without --coarsen."
        )
    if fine_grid is None or not fine_grid.has_coordinates:
        return
    expected = coarsen_grid(fine_grid, generator.scale, generator.alignment)
    if expected.shape == coarse.grid.shape and not expected.equals(coarse.grid):
        raise InputError(
            f"{name} ({coarse.grid.describe()}) does not lie on the {generator.alignment}s of "
            f"blocks of the {fine_grid.describe()}, as {generator.path} was trained on."
        )


class Downscaler:
    """A trained generator for notebooks: xarray in, xarray out.

    >>> fine = Downscaler.load("run")(xr.open_dataset("coarse.nc"))
    """

    def __init__(self, generator: TrainedGenerator) -> None:
        if not isinstance(generator, TrainedGenerator):
            raise InputError(
                f"Downscaler takes a trained generator, not a {type(generator).__name__}: open one "
                "by Downscaler.load(RUN), then call it with a dataset."
            )
        self.generator = generator

    @classmethod
    def load(
        cls, run: str | os.PathLike, network: str = "generator", epoch: int | str | None = None
    ) -> Downscaler:
        """Opens a run of ``phire-train``; see :class:`TrainedGenerator`."""
        return cls(TrainedGenerator(run, network, epoch))

    def __call__(
        self,
        dataset: xr.Dataset,
        *,
        tile: int | None = None,
        any_spacing: bool = False,
        fill: str = "nearest",
        minimum: float | None = None,
    ) -> xr.Dataset:
        """Refines the fields of a dataset.

        Args:
            dataset: One variable a channel, with time, latitude and longitude.
            tile: Largest side of a tile in coarse pixels.
            any_spacing: Take input of another spacing than trained on.
            fill, minimum: See :meth:`TrainedGenerator.__call__`.

        Returns:
            The same variables in physical units on the finer grid.

        Raises:
            InputError: The dataset does not fit the generator.
        """
        from phire.fields import DatasetSource

        if not isinstance(dataset, xr.Dataset):
            raise InputError(
                f"the fields to refine are a {type(dataset).__name__}: pass an xarray Dataset with "
                f"the variables {', '.join(self.generator.channels)} (of a DataArray, "
                "array.to_dataset(name=...) makes one)."
            )
        source = DatasetSource(dataset, variables=self.generator.channels)
        predicted = PredictedSource(
            self.generator, source, tile=tile, any_spacing=any_spacing, fill=fill, minimum=minimum,
            name="the dataset",
        )  # fmt: skip
        return to_dataset(predicted)


def predict(
    run: str | os.PathLike,
    input: str | os.PathLike,
    output: str | os.PathLike,
    *,
    coarsen: int | None = None,
    time: str | None = None,
    network: str = "generator",
    epoch: int | str | None = None,
    tile: int | None = None,
    any_spacing: bool = False,
    scale: int | None = None,
    alignment: str | None = None,
    fill: str = "nearest",
    minimum: float | None = None,
    overwrite: bool = False,
) -> None:
    """Applies a trained generator, or an interpolation, to whole fields of any size.

    Interrupted, the same call goes on after the fields that were done.

    Args:
        run: A run of ``phire-train``; or ``nearest``, ``bilinear``, ``bicubic``.
        input: Coarse fields: a store, NetCDF, Zarr or GRIB file, or a pattern of several.
        output: ``.h5`` (a store), ``.nc`` or ``.zarr``.
        coarsen: Take fine fields and coarsen them by this first.
        time: ``START,STOP``, half-open.
        network: Name of the network in the run.
        epoch: The end of this epoch, ``"best"``, or None for the end of training.
        tile: Largest side of a tile in coarse pixels; memory grows with it.
        any_spacing: Take input of another spacing than trained on.
        scale: For interpolations of coarse input: how much finer the output is.
        alignment: For these: whether coarse points are centres of blocks of fine ones (``cell``,
            the default) or their first points (``corner``).
        fill: Stand-in for missing input: ``nearest`` (the nearest valid value) or ``mean`` (the
            channel's mean in the training data). The blocks of points that had none are missing in
            the output.
        minimum: The least physical value in the output, such as 0 for rain: lower ones are set to
            it. None for no such bound.
        overwrite: Make the output anew.

    Raises:
        InputError: The run or the input does not fit, or the output is something else's.
    """
    inputs = expand(input)
    options: dict[str, Any] = {
        "input": [os.path.realpath(path) for path in inputs],
        "input_fingerprints": [files.fingerprint(path) for path in inputs],
        "coarsen": coarsen,
        "time": time,
        "minimum": minimum,
    }
    if str(run) in METHODS:
        chosen = {"network": network != "generator", "epoch": epoch, "tile": tile,
                  "any-spacing": any_spacing, "fill": fill != "nearest",
                  "minimum": minimum is not None}  # fmt: skip
        _refuse(chosen, f"is of generators, not of {run} interpolation")
        source = _opened(input, None, time, coarsen)
        predicted, facts = _interpolated(source, str(run), scale, alignment)
        options |= facts
        written = {}
    else:
        _refuse({"scale": scale, "alignment": alignment}, "is kept in the run of a generator")
        generator = TrainedGenerator(run, network, epoch)
        source = _opened(input, generator.channels, time, coarsen)
        predicted = PredictedSource(
            generator, source, tile=tile, any_spacing=any_spacing, fill=fill, minimum=minimum,
            name=str(input),
        )  # fmt: skip
        options |= {
            "run": os.path.realpath(run),
            "network": network,
            "epoch": epoch if epoch is None else str(epoch),
            "weights_fingerprint": generator.fingerprint(),
            "tile": tile,
            "any_spacing": any_spacing,
            "fill": fill,
        }
        written = notes(fill, minimum, generator.conserves)
    with kept(predicted, output, options) as source:
        counted = CountedSource(source)
        write_source(
            counted, output, options=options, overwrite=overwrite, description="predicting",
            attributes=written,
        )  # fmt: skip
    counted.say(output)


def _refuse(options: dict[str, Any], reason: str) -> None:
    for name, value in options.items():
        if value:
            raise InputError(f"--{name} {reason}: leave it out.")


def _opened(
    input: str | os.PathLike, channels: tuple[str, ...] | None, time: str | None, scale: int | None
) -> Source:
    source = open_source(input, channels)
    if time is not None:
        source = TimeSelection(source, source.time.select_range(time))
    if scale is None:
        return source
    coarsened, dropped = CoarsenedSource(source, scale), remainder_note(source.grid, scale)
    if dropped is not None:
        progress.say(dropped)
    return coarsened


def _interpolated(
    source: Source, method: str, scale: int | None, alignment: str | None
) -> tuple[InterpolatedSource, dict[str, Any]]:
    """An interpolation of a source, and the options that it depends on."""
    alignment = alignment or "cell"
    if isinstance(source, CoarsenedSource):
        _refuse({"scale": scale}, "is that of --coarsen")
        if alignment == "corner":
            raise InputError(
                "--alignment corner does not go with --coarsen: a block mean stands for its "
                "block's centre."
            )
        fine_grid = CroppedSource(source.source, source.scale).grid
    elif scale is None:
        raise InputError(f"{method} interpolation needs --scale: how much finer the output is.")
    else:
        fine_grid = refine_grid(source.grid, scale, alignment)
    facts = {"interpolation": method, "scale": scale, "alignment": alignment}
    return InterpolatedSource(source, fine_grid, method, alignment), facts
