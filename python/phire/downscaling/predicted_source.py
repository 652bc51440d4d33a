"""A trained generator over coarse fields, as a source of fine ones."""

from __future__ import annotations

import os

import numpy as np

from phire.downscaling.filling import Filler
from phire.downscaling.trained_generator import TrainedGenerator
from phire.downscaling.whole_fields import WholeFields
from phire.errors import InputError
from phire.fields import units
from phire.fields.coarsening import CoarsenedSource, CroppedSource, coarsen_grid, refine_grid
from phire.fields.grid import Grid
from phire.fields.source import Source, Times, indices

SAME_SPACING = 0.05
"""Share by which the spacing of the input may differ from that of the training data."""


class PredictedSource:
    """A trained generator over a coarse source, as a source.

    Args:
        run: A run of ``phire-train``, or a generator opened from one.
        coarse: The coarse source.
        fine_grid: The grid of the result, where it is known better than by refining the coarse one.
        tile: Largest side of a tile in coarse pixels; memory grows with it.
        any_spacing: Take input of another spacing than trained on.
        fill, minimum: See :meth:`TrainedGenerator.__call__`.
        seed: Seed of a stochastic generator's random numbers; 0 by default.
        members: Members of a stochastic generator's ensemble; 1 by default.
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
        seed: int | None = None,
        members: int | None = None,
        name: str = "the input",
    ) -> None:
        generator = run if isinstance(run, TrainedGenerator) else TrainedGenerator(run)
        _check_source(generator, coarse, name, any_spacing)
        if not len(coarse.time):
            raise InputError(f"{name} holds no fields: choose at least one time.")
        Filler(fill, generator.low.normalization.mean)  # refuses before anything is read
        self.members = 1 if members is None else members
        generator.check_members(self.members)
        if seed is not None and not generator.stochastic:
            raise InputError(
                f"--seed is of stochastic generators, but {generator.path} is deterministic: "
                "leave it out."
            )
        self.seed = check_seed(seed)
        self.generator = generator
        self.coarse = coarse
        self.tile = tile
        self.fill, self.minimum = fill, minimum
        self.name = name
        self.channels, self.units = generator.channels, generator.units
        self.time = coarse.time
        self.grid = _fine_grid(generator, coarse, fine_grid, name)
        self._checked = False

    def read(self, times: Times) -> np.ndarray:
        """Reads fields, of an ensemble their mean; see :class:`phire.fields.source.Source`."""
        fields = self.read_members(times)
        return fields[:, 0] if self.members == 1 else fields.mean(1)

    def read_members(self, times: Times) -> np.ndarray:
        """Reads fields of all members; see :class:`phire.fields.source.MemberSource`."""
        chosen = indices(times, len(self.time))
        low = self.coarse.read(chosen)
        if not self._checked:
            self.generator.check_values(low, self.name)
            self._checked = True
        fields = WholeFields(low, self.coarse.grid, self.grid, self.time.values[chosen])
        made = self.generator(
            fields, self.tile, fill=self.fill, minimum=self.minimum, seed=self.seed,
            members=self.members,
        )  # fmt: skip
        return np.moveaxis(made, 0, 1)


def check_seed(seed: int | None) -> int:
    """Returns the seed, 0 by default.

    Raises:
        InputError: It is negative.
    """
    if seed is not None and seed < 0:
        raise InputError(f"--seed {seed} must be a whole number from 0 on.")
    return seed or 0


def _check_source(
    generator: TrainedGenerator, source: Source, what: str, any_spacing: bool = False
) -> None:
    """Refuses a coarse source of other channels, units or spacing.

    Raises:
        InputError: What differs.
    """
    low = generator.low
    if tuple(source.channels) != low.channels:
        raise InputError(
            f"{what} holds the channels {', '.join(source.channels)}; {generator.path} was trained "
            f"on {', '.join(low.channels)}: give these, in this order."
        )
    difference = units.difference(low.channels, source.units, low.units)
    if difference:
        raise InputError(
            f"{what} holds {difference} as {generator.path} was trained on: convert the units "
            "first."
        )
    if generator.periodic and not source.grid.wraps:
        raise InputError(
            f"{what} lies on a {source.grid.describe()}, {generator.path} was trained with "
            "periodic: give fields all around the globe, or train without."
        )
    spacing = generator.schema.spacing
    if any_spacing or spacing is None or not source.grid.has_coordinates:
        return
    trained = [float(value) * generator.scale for value in spacing]
    for name, has, wanted in zip(("rows", "columns"), source.grid.spacing, trained):
        if abs(has - wanted) > SAME_SPACING * wanted:
            raise InputError(
                f"{what} has {name} {has:.4g}° apart, {generator.path} was trained on "
                f"{wanted:.4g}°: give fields of that spacing (--coarsen makes them of "
                "fine ones), or pass --any-spacing."
            )


def _fine_grid(
    generator: TrainedGenerator, coarse: Source, fine_grid: Grid | None, name: str
) -> Grid:
    """The grid of the result, with what does not fit it refused."""
    if fine_grid is None and isinstance(coarse, CoarsenedSource):
        # The grid that it came from is known exactly.
        fine_grid = CroppedSource(coarse.source, coarse.scale).grid
        if coarse.scale != generator.scale:
            raise InputError(
                f"{name} is coarsened by {coarse.scale}, {generator.path} refines by "
                f"{generator.scale}: coarsen by that."
            )
    _check_alignment(generator, coarse, fine_grid, name)
    grid = fine_grid or refine_grid(coarse.grid, generator.scale, generator.alignment)
    shape = tuple(size * generator.scale for size in coarse.grid.shape)
    if grid.shape != shape:
        raise InputError(
            f"{generator.path} refines {coarse.grid.describe()} to {shape[0]} × {shape[1]} "
            f"points, not to the {grid.describe()}."
        )
    return grid


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
