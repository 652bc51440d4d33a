"""Applying a trained generator to whole fields."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from phire import files
from phire.downscaling.interpolation import InterpolatedSource
from phire.downscaling.resuming import kept
from phire.downscaling.tiling import apply_in_tiles, spread
from phire.errors import InputError
from phire.fields import open_source, units, write_source
from phire.fields.coarsening import CoarsenedSource, CroppedSource, refine_grid
from phire.fields.grid import Grid
from phire.fields.interpolation import METHODS
from phire.fields.normalization import Normalization
from phire.fields.opening import expand
from phire.fields.source import Source, Times, TimeSelection, to_dataset

TILE = 128
SAME_SPACING = 0.05
"""Share by which the spacing of the input may differ from that of the training data."""


class TrainedGenerator:
    """A generator with the facts of the fields that it was trained on.

    Args:
        run: A run of ``phire-train``.
        network: ``generator`` or, where it was kept, ``generator_average``.
        epoch: The end of this epoch, ``"best"``, or None for the end of training.

    Raises:
        InputError: ``run`` is none, or is not trained to its end.
    """

    def __init__(
        self,
        run: str | os.PathLike,
        network: str = "generator",
        epoch: int | str | None = None,
    ) -> None:
        from phire.networks.generators import receptive_radius
        from phire.training import open_run

        self.path = Path(run)
        opened = open_run(run)
        facts = opened.config.get("fields", {})
        if "scale" not in facts or "architecture" not in opened.config:
            raise InputError(f"{run} is a run of another command: name a run of phire-train.")
        if not (epoch is None or epoch == "best" or str(epoch).isdigit()):
            raise InputError(f"--epoch {epoch} must be a number or `best`.")
        self.network = opened.network(network, epoch)
        self.periodic = bool(opened.config["architecture"].get("periodic"))
        self.channels = tuple(facts["channels"])
        self.units = tuple(facts["units"])
        self.scale = int(facts["scale"])
        self.alignment = facts["alignment"]
        self.spacing = facts["spacing"]
        self.normalization = Normalization.from_dict(facts["normalization"])
        self.halo = receptive_radius(self.network)
        self._graphs: dict[tuple[int, ...], Callable[[np.ndarray], Any]] = {}

    def fingerprint(self) -> str:
        """A short hash of the weights."""
        digest = hashlib.sha256()
        for weight in self.network.get_weights():
            digest.update(np.ascontiguousarray(weight))
        return digest.hexdigest()[:16]

    def check(self, source: Source, what: str, any_spacing: bool = False) -> None:
        """Refuses a coarse source of other channels, units or spacing.

        Raises:
            InputError: What differs.
        """
        if tuple(source.channels) != self.channels:
            raise InputError(
                f"{what} holds the channels {', '.join(source.channels)}; {self.path} was trained "
                f"on {', '.join(self.channels)}: give these, in this order."
            )
        difference = units.difference(self.channels, source.units, self.units)
        if difference:
            raise InputError(
                f"{what} holds {difference} as {self.path} was trained on: convert the units first."
            )
        if self.periodic and not source.grid.wraps:
            raise InputError(
                f"{what} lies on a {source.grid.describe()}, {self.path} was trained with "
                "--periodic: give fields all around the globe, or train without."
            )
        if any_spacing or self.spacing is None or not source.grid.has_coordinates:
            return
        trained = [float(value) * self.scale for value in self.spacing]
        for name, has, wanted in zip(("rows", "columns"), source.grid.spacing, trained):
            if abs(has - wanted) > SAME_SPACING * wanted:
                raise InputError(
                    f"{what} has {name} {has:.4g}° apart, {self.path} was trained on "
                    f"{wanted:.4g}°: give fields of that spacing (--coarsen makes them of "
                    "fine ones), or pass --any-spacing."
                )

    def check_values(self, fields: np.ndarray, what: str) -> None:
        """Refuses fields that cannot be in the units of the training data.

        Args:
            fields: (n, h, w, C); missing values are left out of the judgement.
            what: What they are, for the message.

        Raises:
            InputError: Their mean or spread is far off the training data's.
        """
        from phire.rplearn.input_checks import check_values

        present = np.isfinite(fields).all(-1)
        if np.isinf(fields).any():
            raise InputError(f"{what} holds infinite values: mark them as missing (NaN) first.")
        if present.any():
            check_values(fields[present][None, None], self.normalization, self.units, what)

    def __call__(self, fields: np.ndarray, grid: Grid, tile: int | None = None) -> np.ndarray:
        """Refines physical fields (n, h, w, C) to (n, h·s, w·s, C).

        Missing values are masked out; whatever could depend on them is missing in the result.
        """
        missing = np.isnan(fields).any(-1)
        normalised = self.normalization.apply(fields)
        if missing.any():
            normalised = np.where(missing[..., None], np.float32(0), normalised)
        fine = apply_in_tiles(
            self._run, normalised.astype(np.float32), grid,
            scale=self.scale, halo=self.halo, tile=tile or TILE,
        )  # fmt: skip
        fine = self.normalization.invert(fine)
        if missing.any():
            wide = spread(missing, grid, self.halo)
            fine[wide.repeat(self.scale, 1).repeat(self.scale, 2)] = np.nan
        return fine

    def _run(self, batch: np.ndarray) -> np.ndarray:
        import tensorflow as tf

        # A graph a shape: it frees features as soon as they are used, which Keras does not do when
        # a network is called, and the last convolution is arranged by the size of the image.
        if batch.shape not in self._graphs:
            signature = [tf.TensorSpec(batch.shape)]
            self._graphs[batch.shape] = tf.function(
                functools.partial(self.network, training=False), input_signature=signature
            )
        return self._graphs[batch.shape](batch).numpy()


class PredictedSource:
    """A trained generator over a coarse source, as a source.

    Args:
        run: A run of ``phire-train``, or a generator opened from one.
        coarse: The coarse source.
        fine_grid: The grid of the result, where it is known better than by refining the coarse one.
        tile: Largest side of a tile in coarse pixels; memory grows with it.
        any_spacing: Take input of another spacing than trained on.
        name: What the coarse source is called in messages.

    Raises:
        InputError: The generator does not fit the source.
    """

    def __init__(
        self,
        run: str | os.PathLike | TrainedGenerator,
        coarse: Source,
        fine_grid: Grid | None = None,
        *,
        tile: int | None = None,
        any_spacing: bool = False,
        name: str = "the input",
    ) -> None:
        generator = run if isinstance(run, TrainedGenerator) else TrainedGenerator(run)
        generator.check(coarse, name, any_spacing)
        self.generator = generator
        self.coarse = coarse
        self.tile = tile
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
        return self.generator(fields, self.coarse.grid, self.tile)


class Downscaler:
    """A trained generator for notebooks: xarray in, xarray out.

    >>> fine = Downscaler.load("run")(xr.open_dataset("coarse.nc"))
    """

    def __init__(self, generator: TrainedGenerator) -> None:
        self.generator = generator

    @classmethod
    def load(
        cls, run: str | os.PathLike, network: str = "generator", epoch: int | str | None = None
    ) -> Downscaler:
        """Opens a run of ``phire-train``; see :class:`TrainedGenerator`."""
        return cls(TrainedGenerator(run, network, epoch))

    def __call__(
        self, dataset: xr.Dataset, *, tile: int | None = None, any_spacing: bool = False
    ) -> xr.Dataset:
        """Refines the fields of a dataset.

        Args:
            dataset: One variable a channel, with time, latitude and longitude.
            tile: Largest side of a tile in coarse pixels.
            any_spacing: Take input of another spacing than trained on.

        Returns:
            The same variables in physical units on the finer grid.

        Raises:
            InputError: The dataset does not fit the generator.
        """
        from phire.fields import DatasetSource

        source = DatasetSource(dataset, variables=self.generator.channels)
        predicted = PredictedSource(
            self.generator, source, tile=tile, any_spacing=any_spacing, name="the dataset"
        )
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
        network: ``generator`` or ``generator_average``.
        epoch: The end of this epoch, ``"best"``, or None for the end of training.
        tile: Largest side of a tile in coarse pixels; memory grows with it.
        any_spacing: Take input of another spacing than trained on.
        scale: For interpolations of coarse input: how much finer the output is.
        alignment: For these: whether coarse points are centres of blocks of fine ones (``cell``,
            the default) or their first points (``corner``).
        overwrite: Make the output anew.

    Raises:
        InputError: The run or the input does not fit, or the output is something else's.
    """
    inputs = expand(input)
    options: dict[str, Any] = {
        "input": [os.path.abspath(path) for path in inputs],
        "input_fingerprints": [files.fingerprint(path) for path in inputs],
        "coarsen": coarsen,
        "time": time,
    }
    if str(run) in METHODS:
        chosen = {"network": network != "generator", "epoch": epoch, "tile": tile,
                  "any-spacing": any_spacing}  # fmt: skip
        _refuse(chosen, f"is of generators, not of {run} interpolation")
        source = _opened(input, None, time, coarsen)
        predicted, facts = _interpolated(source, str(run), scale, alignment)
        options |= facts
    else:
        _refuse({"scale": scale, "alignment": alignment}, "is kept in the run of a generator")
        generator = TrainedGenerator(run, network, epoch)
        source = _opened(input, generator.channels, time, coarsen)
        predicted = PredictedSource(
            generator, source, tile=tile, any_spacing=any_spacing, name=str(input)
        )
        options |= {
            "run": os.path.abspath(run),
            "network": network,
            "epoch": epoch if epoch is None else str(epoch),
            "weights_fingerprint": generator.fingerprint(),
            "tile": tile,
            "any_spacing": any_spacing,
        }
    with kept(predicted, output, options) as source:
        write_source(source, output, options=options, overwrite=overwrite, description="predicting")


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
    return source if scale is None else CoarsenedSource(source, scale)


def _interpolated(
    source: Source, method: str, scale: int | None, alignment: str | None
) -> tuple[InterpolatedSource, dict[str, Any]]:
    """An interpolation of a source, and the options that it depends on."""
    alignment = alignment or "cell"
    if isinstance(source, CoarsenedSource):
        _refuse({"scale": scale}, "is that of --coarsen")
        fine_grid = CroppedSource(source.source, source.scale).grid
    elif scale is None:
        raise InputError(f"{method} interpolation needs --scale: how much finer the output is.")
    else:
        fine_grid = refine_grid(source.grid, scale, alignment)
    facts = {"interpolation": method, "scale": scale, "alignment": alignment}
    return InterpolatedSource(source, fine_grid, method, alignment), facts
