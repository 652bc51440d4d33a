"""Predictions of a trained generator as a source of fine fields."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence

import numpy as np

from phire import progress
from phire.downscaling.missing_input import Filler
from phire.downscaling.sample_parts import (
    Asked,
    Further,
    Given,
    Part,
    find_parts,
    indices_of_times,
    is_bound,
)
from phire.downscaling.sample_sources import SampleSources
from phire.downscaling.supported_options import check_bounds
from phire.downscaling.trained_generator import TrainedGenerator
from phire.downscaling.whole_fields import WholeFields
from phire.errors import InputError
from phire.fields.coarsening import (
    CoarsenedSource,
    CroppedSource,
    coarsen_grid,
    refine_grid,
    whole_blocks,
)
from phire.fields.grid import Grid
from phire.fields.padding import padded_grid, padding
from phire.fields.source import ALL, Source, Times, indices
from phire.fields.time_axis import TimeAxis
from phire.records.coarse_grid import coarse_grid
from phire.records.grid_points import matching_points

SAME_SPACING = 0.05
"""Largest relative difference between the grid spacings of the input and the training data."""


class PredictedSource:
    """Source of the fine fields that a trained generator predicts from a coarse source.

    Args:
        run: Run of ``phire-train``, or a generator opened from one.
        coarse: Source of coarse fields.
        fine_grid: Grid of the predictions; None to refine the grid of the coarse fields.
        tile: Largest side of a tile in coarse points, which bounds the memory needed; None for the
            default of the run.
        any_spacing: Accept input whose grid spacing differs from the training data's.
        fill, minimum, trace, consistency, noise_memory: See :meth:`TrainedGenerator.__call__`.
        seed: Seed of a stochastic generator; None for 0.
        members: Ensemble members of a stochastic generator; None for 1.
        statistic: ``mean`` or ``median`` of the predicted distribution, for runs of the objective
            ``likelihood``; None for the mean, or for samples if ``members`` is given.
        predictors, static, auxiliary, stations: Further inputs; see
            :class:`phire.downscaling.sample_parts.Further`. Channels that no input gives are read
            from the files from which the records were made, static maps from the run.
        recorded_first: Read ``low`` from the files that the records took it from, if there are any,
            rather than from ``coarse``.
        name: Name of the coarse source in messages.

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
        trace: float | None = None,
        consistency: str | None = None,
        noise_memory: float | None = None,
        seed: int | None = None,
        members: int | None = None,
        statistic: str | None = None,
        predictors: Sequence[Given] = (),
        static: Sequence[Given] = (),
        auxiliary: Sequence[Given] = (),
        stations: str | os.PathLike | None = None,
        recorded_first: bool = False,
        name: str = "the input",
    ) -> None:
        generator = run if isinstance(run, TrainedGenerator) else TrainedGenerator(run)
        if not len(coarse.time):
            raise InputError(f"{name} holds no fields: choose at least one time.")
        Filler(fill, generator.low.normalization.mean)  # raises for an unknown ``fill``
        self.members = 1 if members is None else members
        generator.supported.check_members(self.members)
        self.statistic = generator.supported.choose_statistic(statistic, members)
        if seed is not None and self.statistic is not None:
            raise InputError(
                f"--seed has no effect on the {self.statistic} of a distribution: leave it out, or "
                "give --members to draw samples."
            )
        if seed is not None and not generator.stochastic:
            raise InputError(
                f"--seed applies to stochastic generators, but {generator.path} is deterministic: "
                "leave it out."
            )
        self.seed = check_seed(seed)
        generator.supported.check_consistency(consistency)
        generator.supported.check_noise_memory(noise_memory)
        self.generator = generator
        self.tile = tile
        check_bounds(minimum, trace)
        self.fill, self.consistency = fill, consistency
        self.minimum, self.trace = minimum, trace
        self.noise_memory = noise_memory
        self.name = name
        self.channels, self.units = generator.channels, generator.units
        self.time = coarse.time
        further = Further(predictors, static, auxiliary, stations)
        first = Part(coarse, name, tuple(coarse.channels))
        self.sources = _sources(generator, first, fine_grid, further, any_spacing, recorded_first)
        self.grid = self.sources.asked
        generator.arrays.check(self.time, self.sources.fine, name)
        generator.check_size(self.sources.fine, tile)
        self._checked = False

    def read(self, times: Times) -> np.ndarray:
        """Predicts fields, (n, H, W, C); those of an ensemble are averaged over the members."""
        fields = self.read_members(times)
        return fields[:, 0] if self.members == 1 else fields.mean(1)

    def read_members(self, times: Times, members: slice = ALL) -> np.ndarray:
        """Predicts fields of members; see :class:`phire.fields.source.MemberSource`."""
        chosen = indices(times, len(self.time))
        fields = self.sources.read(chosen)
        if not self._checked:
            self.generator.arrays.check_coarse_values(fields.low, self.sources.low_name)
            self._checked = True
        predicted = self.generator(
            fields, self.tile, fill=self.fill, minimum=self.minimum, trace=self.trace,
            consistency=self.consistency, noise_memory=self.noise_memory, seed=self.seed,
            members=range(self.members)[members], statistic=self.statistic,
        )  # fmt: skip
        predicted = np.moveaxis(predicted, 0, 1)
        if predicted.shape[2:4] == self.grid.shape:
            return predicted
        rows, columns = self.sources.points
        return predicted[:, :, rows[:, None], columns]


def check_seed(seed: int | None) -> int:
    """Returns the seed, or 0 for None.

    Raises:
        InputError: ``seed`` is negative.
    """
    if seed is not None and seed < 0:
        raise InputError(f"--seed {seed} must not be negative.")
    return seed or 0


class _OneInput:
    """Single coarse input that is refined on its own grid, at any place on Earth.

    Args:
        part: Coarse input.
        channels: Channels that the generator reads.
        fine: Grid of the refined points.
        window: Rows and columns of the input to read.
        time: Times to predict; None for those of the input.
        asked: Part of ``fine`` to return; None for all of it.

    Attributes:
        points: Rows and columns of ``asked`` in ``fine``.
    """

    def __init__(
        self,
        part: Part,
        channels: Sequence[str],
        fine: Grid,
        window: tuple[slice, slice] = (slice(None), slice(None)),
        time: TimeAxis | None = None,
        asked: Grid | None = None,
    ) -> None:
        self.fine, self.asked = fine, asked or fine
        self.points = matching_points(fine, self.asked)
        if self.points is None:  # grids without coordinates are padded at their ends
            self.points = tuple(np.arange(size) for size in self.asked.shape)
        self.low_name = part.name
        self._part = dataclasses.replace(part, wanted=tuple(channels))
        self._window = window
        rows, columns = (slice(*s.indices(n)) for s, n in zip(window, part.grid.shape))
        self._grid = part.grid.subgrid(rows, columns)
        self._times = indices_of_times(part, time or part.time)

    def read(self, chosen: np.ndarray) -> WholeFields:
        """Reads the coarse fields at the chosen indices of time."""
        part, times = self._part, self._times[chosen]
        rows, columns = self._window
        return WholeFields(
            part.read(times)[:, rows, columns], self._grid, self.fine, part.time.values[times],
            calendar=part.time.calendar,
        )  # fmt: skip


def _alone_on(
    generator: TrainedGenerator, part: Part, time: TimeAxis, fine_grid: Grid
) -> _OneInput | None:
    """Returns the one coarse input for a fine grid that is a part of its refined grid.

    The input is read with the halo around the fine grid, so that the outermost rows and columns
    equal those of a prediction of the whole file.

    Returns:
        The input; None if the points of the fine grid are not points of the refined input.
    """
    if _spacing_note(generator, part.grid, part.name) is not None:
        return None
    refined = refine_grid(part.grid, generator.scale, generator.alignment)
    points = matching_points(refined, fine_grid)
    if points is None:
        padded = generator.schema.domain
        if fine_grid.has_coordinates or padded is None or refined.shape != padded.shape:
            return None
        return _OneInput(part, generator.low.channels, refined, time=time, asked=fine_grid)
    reach = None if generator.halo is None else generator.halo + generator.schema.margin
    window = []
    for places, size, wraps in zip(points, part.grid.shape, (False, part.grid.wraps)):
        whole = reach is None or wraps or (np.diff(places) != 1).any()
        low = 0 if whole else max(int(places[0]) // generator.scale - reach, 0)
        high = size if whole else min(int(places[-1]) // generator.scale + reach + 1, size)
        window.append(slice(low, high))
    fine = (slice(s.start * generator.scale, s.stop * generator.scale) for s in window)
    grid = refined.subgrid(*fine)
    return _OneInput(part, generator.low.channels, grid, tuple(window), time, fine_grid)


def _on_domain(
    generator: TrainedGenerator, first: Part, further: Further
) -> SampleSources | _OneInput | None:
    """Returns the one coarse input on the domain of the records, if it covers the domain.

    Returns:
        The input; None if it does not cover the domain, or if the run's coarse fields are block
        means of the targets, which can be refined at any place.
    """
    domain = generator.schema.unpadded_domain
    averaged = generator.schema.pooling != "explicit" or isinstance(first.source, CoarsenedSource)
    if domain is None or averaged:
        return None
    alone = _alone_on(generator, first, first.time, domain)
    if alone is not None and (generator.halo is not None or alone.fine.shape == domain.shape):
        return alone
    covered = _bound_grid(generator, first, [first], False)
    if not covered.equals(domain):
        return alone
    return SampleSources(generator, first, [first], domain, further)


def _sources(
    generator: TrainedGenerator, first: Part, fine_grid: Grid | None, further: Further,
    any_spacing: bool, recorded_first: bool,
) -> SampleSources | _OneInput:  # fmt: skip
    """Returns the sources of all arrays that the generator reads.

    Args:
        generator: Generator of the run.
        first: The coarse source, with its name.
        fine_grid: Grid of the predictions; None to refine the coarse grid.
        further: Further inputs.
        any_spacing, recorded_first: See :class:`PredictedSource`.

    Raises:
        InputError: Inputs are missing, lie on other points, or are not read by the generator.
    """
    coarse = first.source
    explicit = recorded_first and generator.schema.pooling == "explicit"
    given = further.predictors, "--predictors", first.time
    if explicit and {*generator.low.channels} <= {*coarse.channels} and not further.predictors:
        try:
            parts = find_parts(generator, "low", None, *given)
        except InputError as error:
            progress.say(f"{first.name} replaces the coarse input of the records: {error}")
            parts = find_parts(generator, "low", first, *given)
    else:
        parts = find_parts(generator, "low", None if explicit else first, *given)
    if generator.periodic and not coarse.grid.wraps:
        raise InputError(
            f"{first.name} lies on {coarse.grid.in_words()}, but {generator.path} was trained with "
            "periodic: give fields that span all longitudes, or train without periodic."
        )
    if any(part.source is coarse for part in parts):
        _check_alignment(generator, coarse, fine_grid, first.name)
        fine_grid = _coarsened_from(generator, coarse, fine_grid, first.name)
    elif explicit and fine_grid is not None and not is_bound(generator, parts, parts[0]):
        alone = _alone_on(generator, parts[0], first.time, fine_grid)
        if alone is not None:
            return alone
    if not is_bound(generator, parts, first):
        _refuse_further(generator, further)
        note = None if any_spacing else _spacing_note(generator, coarse.grid, first.name)
        if note is None:
            found = None if fine_grid is not None else _on_domain(generator, parts[0], further)
            if found is not None:
                return found
            if fine_grid is not None:
                fine_grid = fine_grid.subgrid(*whole_blocks(fine_grid, generator.scale))
            fine = _refined(generator, coarse, fine_grid)
            return _OneInput(first, generator.low.channels, fine)
        if isinstance(coarse, CoarsenedSource) or generator.schema.pooling != "explicit":
            raise InputError(note)
    fine = fine_grid or _bound_grid(generator, first, parts, any_spacing)
    return SampleSources(generator, first, parts, fine, further)


def _refuse_further(generator: TrainedGenerator, further: Further) -> None:
    """Raises an InputError if further inputs are given that the generator does not read."""
    for name in ("static", "auxiliary", "stations"):
        if getattr(further, name):
            raise InputError(
                f"{generator.path} reads only {', '.join(sorted(generator.network.input))}: leave "
                f"out --{name}."
            )


def _bound_grid(
    generator: TrainedGenerator, first: Part, parts: Sequence[Part], any_spacing: bool
) -> Grid:
    """Returns the fine grid of a prediction from several inputs.

    It is the domain of the run if the inputs cover that, else the refined grid of the main input.
    """
    domain = generator.schema.unpadded_domain
    refined = refine_grid(first.grid, generator.scale, generator.alignment)
    if domain is None or not domain.has_coordinates:
        padded = any(generator.schema.padding) and refined.shape == generator.schema.domain.shape
        return domain if padded else refined
    complete = padded_grid(domain, padding(domain, generator.scale))
    asked = Asked(complete, first.time, str(generator.path))
    try:
        with progress.quiet(True):
            coarse_grid(parts, asked, generator.scale, generator.alignment, 0, False)
    except InputError:
        # Away from the training domain, the main input's grid is refined if its spacing fits.
        if not any_spacing and _spacing_note(generator, first.grid, first.name) is not None:
            raise
        return refined
    return domain


def _spacing_note(generator: TrainedGenerator, grid: Grid, what: str) -> str | None:
    """Returns a message if the grid spacing differs from the training data's, else None."""
    spacing = generator.schema.spacing
    if spacing is None or not grid.has_coordinates:
        return None
    trained = [float(value) * generator.scale for value in spacing]
    for name, has, wanted in zip(("rows", "columns"), grid.spacing, trained):
        if abs(has - wanted) > SAME_SPACING * wanted:
            return (
                f"{what} has {name} {has:.4g}° apart, but {generator.path} was trained on "
                f"{wanted:.4g}°: give fields of that spacing (`phire predict --coarsen` "
                "coarsens finer ones), or pass --any-spacing."
            )
    return None


def _coarsened_from(
    generator: TrainedGenerator, coarse: Source, fine_grid: Grid | None, name: str
) -> Grid | None:
    """Returns the fine grid: the given one, or the grid from which the input is coarsened, or None.

    Raises:
        InputError: The input is coarsened by another factor than the generator refines.
    """
    if fine_grid is not None or not isinstance(coarse, CoarsenedSource):
        return fine_grid
    if coarse.scale != generator.scale:
        raise InputError(
            f"{name} is coarsened by {coarse.scale}, but {generator.path} refines by "
            f"{generator.scale}: coarsen by {generator.scale}."
        )
    return CroppedSource(coarse.source, coarse.scale).grid


def _refined(generator: TrainedGenerator, coarse: Source, fine_grid: Grid | None) -> Grid:
    """Returns the fine grid of a prediction from a single input.

    Raises:
        InputError: ``fine_grid`` is not ``scale`` times the size of the coarse grid.
    """
    grid = fine_grid or refine_grid(coarse.grid, generator.scale, generator.alignment)
    shape = tuple(size * generator.scale for size in coarse.grid.shape)
    if grid.shape != shape:
        raise InputError(
            f"{generator.path} refines {coarse.grid.describe()} to {shape[0]} × {shape[1]} "
            f"points, not to the {grid.describe()}: choose another fine grid."
        )
    return grid


def _check_alignment(
    generator: TrainedGenerator, coarse: Source, fine_grid: Grid | None, name: str
) -> None:
    """Raises an InputError if coarse points lie elsewhere in their blocks than in training."""
    if isinstance(coarse, CoarsenedSource) and generator.alignment == "corner":
        raise InputError(
            f"{name} holds block means, which lie at the centres of blocks, but {generator.path} "
            "was trained with --alignment corner, on the first points of blocks: give coarse "
            "fields at these points to `phire predict`, without --coarsen."
        )
    if fine_grid is None or not fine_grid.has_coordinates:
        return
    expected = coarsen_grid(fine_grid, generator.scale, generator.alignment)
    if expected.shape == coarse.grid.shape and not expected.equals(coarse.grid):
        raise InputError(
            f"{name} ({coarse.grid.describe()}) does not lie on the {generator.alignment}s of "
            f"blocks of the {fine_grid.describe()}, as the training data of {generator.path} do: "
            "give coarse fields on these points."
        )
