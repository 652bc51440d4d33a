"""A trained generator over coarse fields, as a source of fine ones."""

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
    kept_window,
    refine_grid,
)
from phire.fields.grid import Grid
from phire.fields.padding import padded_grid, padding
from phire.fields.source import Source, Times, indices
from phire.fields.time import TimeAxis
from phire.records.coarse_grid import coarse_grid
from phire.records.grid_points import matching_points

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
        fill, minimum, trace, consistency, noise_memory: See :meth:`TrainedGenerator.__call__`.
        seed: Seed of a stochastic generator's random numbers; 0 by default.
        members: Members of a stochastic generator's ensemble; 1 by default.
        statistic: ``mean`` or ``median``, of a run trained by the objective likelihood; the mean by
            default where no members are given.
        predictors, static, auxiliary, stations: Further inputs; see
            :class:`phire.downscaling.sample_sources.Further`. Channels that nothing gives come
            from the files that the records were made of, maps from the run.
        recorded_first: Where ``low`` was made of files of its own, these go before ``coarse``.
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
        Filler(fill, generator.low.normalization.mean)  # refuses before anything is read
        self.members = 1 if members is None else members
        generator.supported.check_members(self.members)
        self.statistic = generator.supported.choose_statistic(statistic, members)
        if seed is not None and self.statistic is not None:
            raise InputError(
                f"--seed is of members, but the {self.statistic} of a distribution is asked for: "
                "leave it out, or give --members."
            )
        if seed is not None and not generator.stochastic:
            raise InputError(
                f"--seed is of stochastic generators, but {generator.path} is deterministic: "
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
        """Reads fields, of an ensemble their mean; see :class:`phire.fields.source.Source`."""
        fields = self.read_members(times)
        return fields[:, 0] if self.members == 1 else fields.mean(1)

    def read_members(self, times: Times) -> np.ndarray:
        """Reads fields of all members; see :class:`phire.fields.source.MemberSource`."""
        chosen = indices(times, len(self.time))
        fields = self.sources.read(chosen)
        if not self._checked:
            self.generator.arrays.check_coarse_values(fields.low, self.sources.low_name)
            self._checked = True
        made = self.generator(
            fields, self.tile, fill=self.fill, minimum=self.minimum, trace=self.trace,
            consistency=self.consistency, noise_memory=self.noise_memory, seed=self.seed,
            members=self.members, statistic=self.statistic,
        )  # fmt: skip
        made = np.moveaxis(made, 0, 1)
        rows, columns = self.sources.points
        return made if made.shape[2:4] == self.grid.shape else made[:, :, rows[:, None], columns]


def check_seed(seed: int | None) -> int:
    """Returns the seed, 0 by default.

    Raises:
        InputError: It is negative.
    """
    if seed is not None and seed < 0:
        raise InputError(f"--seed {seed} must be a whole number from 0 on.")
    return seed or 0


class _OneInput:
    """A single coarse input that is refined point by point, wherever it lies.

    Args:
        part: The input.
        channels: Channels that the generator reads.
        fine: Grid of the refined points.
        window: Rows and columns of the input that are read.
        time: Times asked for; those of the input by default.
        asked: The part of the refined points that was asked for; by default all.

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
        if self.points is None:  # pixels without coordinates, of which the last are padding
            self.points = tuple(np.arange(size) for size in self.asked.shape)
        self.low_name = part.name
        self._part = dataclasses.replace(part, wanted=tuple(channels))
        self._window = window
        rows, columns = (slice(*s.indices(n)) for s, n in zip(window, part.grid.shape))
        self._grid = part.grid.subgrid(rows, columns)
        self._times = indices_of_times(part, time or part.time)

    def read(self, chosen: np.ndarray) -> WholeFields:
        """Reads whole fields."""
        part, times = self._part, self._times[chosen]
        rows, columns = self._window
        return WholeFields(
            part.read(times)[:, rows, columns], self._grid, self.fine, part.time.values[times],
            calendar=part.time.calendar,
        )  # fmt: skip


def _alone_on(
    generator: TrainedGenerator, part: Part, time: TimeAxis, fine_grid: Grid
) -> _OneInput | None:
    """Returns the one coarse input on a fine grid, with what lies around this.

    A prediction of the file itself sees the points beyond the fine grid, as far as the network's
    halo reaches: without them the outermost rows and columns would differ from it.

    Returns:
        None where the fine grid's points are not those that refining the file gives.
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
    """Returns the one coarse input on the domain of the records, where it covers this.

    Returns:
        None where it does not, and for runs whose coarse input are block means of the targets.
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
    """Sources of all that the generator reads."""
    coarse = first.source
    explicit = recorded_first and generator.schema.pooling == "explicit"
    given = further.predictors, "--predictors", first.time
    if explicit and {*generator.low.channels} <= {*coarse.channels} and not further.predictors:
        try:
            parts = find_parts(generator, "low", None, *given)
        except InputError as error:
            progress.say(f"{first.name} stands for the coarse input of the records: {error}")
            parts = find_parts(generator, "low", first, *given)
    else:
        parts = find_parts(generator, "low", None if explicit else first, *given)
    if generator.periodic and not coarse.grid.wraps:
        raise InputError(
            f"{first.name} lies on {coarse.grid.in_words()}, {generator.path} was trained with "
            "periodic: give fields all around the globe, or train without."
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
                fine_grid = fine_grid.subgrid(*kept_window(fine_grid, generator.scale))
            fine = _refined(generator, coarse, fine_grid)
            return _OneInput(first, generator.low.channels, fine)
        if isinstance(coarse, CoarsenedSource) or generator.schema.pooling != "explicit":
            raise InputError(note)
    fine = fine_grid or _bound_grid(generator, first, parts, any_spacing)
    return SampleSources(generator, first, parts, fine, further)


def _refuse_further(generator: TrainedGenerator, further: Further) -> None:
    """Refuses inputs that the generator does not read."""
    for name in ("static", "auxiliary", "stations"):
        if getattr(further, name):
            raise InputError(
                f"{generator.path} reads {', '.join(sorted(generator.network.input))} alone: leave "
                f"out --{name}."
            )


def _bound_grid(
    generator: TrainedGenerator, first: Part, parts: Sequence[Part], any_spacing: bool
) -> Grid:
    """Returns the fine grid of a prediction from several inputs: the run's domain where they
    cover it."""
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
        # Another place than trained on, where its main input lies on points of the same spacing.
        if not any_spacing and _spacing_note(generator, first.grid, first.name) is not None:
            raise
        return refined
    return domain


def _spacing_note(generator: TrainedGenerator, grid: Grid, what: str) -> str | None:
    """Returns a sentence on the spacing of coarse input where it is another than trained on."""
    spacing = generator.schema.spacing
    if spacing is None or not grid.has_coordinates:
        return None
    trained = [float(value) * generator.scale for value in spacing]
    for name, has, wanted in zip(("rows", "columns"), grid.spacing, trained):
        if abs(has - wanted) > SAME_SPACING * wanted:
            return (
                f"{what} has {name} {has:.4g}° apart, {generator.path} was trained on "
                f"{wanted:.4g}°: give fields of that spacing (`phire predict --coarsen` "
                "makes them of fine ones), or pass --any-spacing."
            )
    return None


def _coarsened_from(
    generator: TrainedGenerator, coarse: Source, fine_grid: Grid | None, name: str
) -> Grid | None:
    """Returns the fine grid, known exactly where the input is coarsened from it."""
    if fine_grid is not None or not isinstance(coarse, CoarsenedSource):
        return fine_grid
    if coarse.scale != generator.scale:
        raise InputError(
            f"{name} is coarsened by {coarse.scale}, {generator.path} refines by "
            f"{generator.scale}: coarsen by that."
        )
    return CroppedSource(coarse.source, coarse.scale).grid


def _refined(generator: TrainedGenerator, coarse: Source, fine_grid: Grid | None) -> Grid:
    """Returns the grid of the result of a single input."""
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
