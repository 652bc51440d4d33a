"""Sampling whole fields by a denoiser that is applied tile by tile at every step.

The sampler's state is the whole field of every time and member. At each noise level the network
denoises overlapping tiles of it, and their results are blended by weights that taper towards the
tiles' edges, around the circle of longitude where the field closes it.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from phire.downscaling import samplers
from phire.downscaling.diffusion_target import DiffusionTarget
from phire.downscaling.preconditioning import DENOISERS, check_sigma_range, unit_scalings
from phire.downscaling.samplers.integration import ON_SIGNAL_LEVELS
from phire.downscaling.samplers.registry import schedule as schedules
from phire.errors import InputError
from phire.networks.blocks.output import halo_of
from phire.parts import Specification, parse
from phire.records.schema import SampleSchema

TILES_AT_ONCE = 8
"""Tiles of each call of the network. Always the same number, the last call being filled up, so that
a tile's result does not depend on what else is sampled with it."""

NOISE_PURPOSE = 2
"""Apart from the random inputs of generators, which are drawn for the purposes 0 and 1."""


@dataclasses.dataclass(frozen=True)
class SamplerChoice:
    """Sampler, noise levels and options as resolved, for the record.

    Attributes:
        name: Name of the sampler.
        options: Its options.
        schedule: Name of the schedule.
        schedule_options: Its options.
        steps: Number of steps.
    """

    name: str
    options: Mapping[str, Any]
    schedule: str
    schedule_options: Mapping[str, Any]
    steps: int

    @property
    def sigmas(self) -> np.ndarray:
        """Noise levels (steps + 1,), the last 0."""
        return samplers.schedule(self.schedule, self.steps, **self.schedule_options)


def choose_sampler(specification: Specification, objective: Mapping[str, Any]) -> SamplerChoice:
    """Resolves ``NAME,steps=…,schedule=…,sigma_min=…,sigma_max=…`` with further options.

    Options that the sampler does not have are the schedule's. Levels that are not given are those
    that the training measured.

    Args:
        specification: The choice; empty for the default of
            :mod:`phire.downscaling.samplers`.
        objective: Name and options of the objective of the run.

    Raises:
        InputError: The objective trains no denoiser, the sampler is of other levels, an option is
            unknown, or ``sigma_min`` is not below ``sigma_max``.
    """
    if objective["name"] not in DENOISERS:
        raise InputError(
            f"a sampler is for runs of the objectives {', '.join(DENOISERS)}, and this one was "
            f"trained by {objective['name']}: leave --sampler out."
        )
    name, given = parse(specification or samplers.DEFAULT_METHOD)
    part = samplers.sampler.part(name)
    if name in ON_SIGNAL_LEVELS:
        raise InputError(
            f"sampler {name} is for the objective ddpm, and this run was trained by "
            f"{objective['name']}: choose {samplers.DEFAULT_METHOD}, or ancestral, which takes the "
            "same steps."
        )
    steps = given.pop("steps", samplers.DEFAULT_STEPS)
    chosen = given.pop("schedule", samplers.DEFAULT_SCHEDULE)
    if not isinstance(steps, int) or steps < 1:
        raise InputError(f"--sampler {name},steps={steps}: steps must be a number from 1 on.")
    own = {key: value for key, value in given.items() if key in part.options}
    if "sigma_data" in part.options:
        own.setdefault("sigma_data", 1.0)  # the targets are of unit size
    known = schedules.part(chosen).options
    rest = {key: value for key, value in given.items() if key not in own}
    for key in ("sigma_min", "sigma_max"):
        if key in known:
            rest.setdefault(key, objective[key])
    if "sigma_data" in known:
        rest.setdefault("sigma_data", 1.0)
    if {"sigma_min", "sigma_max"} <= set(rest):
        check_sigma_range(rest["sigma_min"], rest["sigma_max"])
    unknown = [key for key in rest if key not in known]
    if unknown:
        raise InputError(
            f"--sampler {name} has no option {unknown[0]!r}: it has steps, schedule, "
            f"{', '.join([*part.options, *known])}."
        )
    own = samplers.sampler.resolve(name, own)[1]
    return SamplerChoice(name, own, chosen, schedules.resolve(chosen, rest)[1], steps)


@dataclasses.dataclass(frozen=True)
class Tiling:
    """Overlapping tiles along one axis and how they are blended.

    Attributes:
        starts: First coarse point of each tile.
        size: Coarse points of a tile.
        weights: (tiles, size · scale) of fine points; they add up to 1 at every point.
        closed: The axis is a circle.
    """

    starts: tuple[int, ...]
    size: int
    weights: np.ndarray
    closed: bool


def tiles_along(count: int, tile: int, overlap: int, halo: int, scale: int, closed: bool) -> Tiling:
    """Places tiles of one size along an axis, evenly.

    Args:
        count: Coarse points of the axis.
        tile: Coarse points of a tile, at most.
        overlap: Points that neighbours share, at least.
        halo: Points at a tile's inner edges that get no weight.
        scale: Fine points to a coarse one.
        closed: The axis is a circle.
    """
    if closed:
        # A single tile overlaps itself where the circle closes.
        size = min(tile, count + overlap)
        number = max(1, -(-count // (size - overlap)))
        starts = tuple(count * i // number for i in range(number))
    else:
        size = min(tile, count)
        number = 1 if size == count else -(-(count - overlap) // (size - overlap))
        starts = tuple((count - size) * i // max(number - 1, 1) for i in range(number))
    place = (np.arange(size * scale) + 0.5) / scale
    width = max(overlap - 2 * halo, 0.5)
    rise = np.clip((place - halo) / width, 0, 1)
    weights = np.ones((number, size * scale))
    sums = np.zeros(count * scale)
    for i, start in enumerate(starts):
        # Nothing lies beyond the edges of the field: there is no need to taper.
        if closed or start > 0:
            weights[i] *= rise
        if closed or start + size < count:
            weights[i] *= rise[::-1]
        np.add.at(sums, _fine(start, size, scale, count), weights[i])
    for i, start in enumerate(starts):
        weights[i] /= sums[_fine(start, size, scale, count)]
    return Tiling(starts, size, weights, closed)


def _fine(start: int, size: int, scale: int, count: int) -> np.ndarray:
    return np.arange(start * scale, (start + size) * scale) % (count * scale)


class DenoisedFields:
    """A trained denoiser that samples whole fields.

    Args:
        network: F, with the inputs ``noisy`` and ``noise_level``.
        schema: Schema of the records that it was trained on.
        objective: Name and options of its objective, as the run's configuration keeps them.
        sampler: Sampler with options; see :func:`choose_sampler`.
        tile: Side of a tile in coarse points, overlaps included; by default that of the patches
            trained on.
        overlap: Coarse points that neighbouring tiles share; by default the halo's double and two
            more where the network declares a halo, else a quarter of the tile.

    Raises:
        InputError: See :func:`choose_sampler`; the tile does not exceed the overlap.
    """

    def __init__(
        self,
        network: keras.Model,
        schema: SampleSchema,
        objective: Mapping[str, Any],
        sampler: Specification = "",
        *,
        tile: int | None = None,
        overlap: int | None = None,
    ) -> None:
        self.choice = choose_sampler(sampler, objective)
        self.network = network
        self.schema = schema
        self.target = DiffusionTarget(schema, objective["target"], tuple(objective["sigma_data"]))
        self.kind = objective["name"]
        margin = 2 * schema.margin
        self.tile = tile or min(schema.low_patch) - margin
        halo = halo_of(network)
        if overlap is None:
            overlap = self.tile // 4 if halo is None else min(2 * halo + 2, self.tile // 2)
        self.overlap = overlap
        self.halo = min(halo or 0, max(overlap - 1, 0) // 2)
        if not 0 <= self.overlap < self.tile:
            raise InputError(
                f"--tile {self.tile} must be more coarse points than the tiles' overlap of "
                f"{self.overlap}."
            )
        self._graphs: dict[tuple, Callable] = {}

    def sample(
        self,
        inputs: Mapping[str, np.ndarray],
        *,
        seed: int,
        times: Sequence[int],
        members: Sequence[int],
        closed: bool = False,
        together: int = 8,
    ) -> np.ndarray:
        """Samples members of fine fields.

        Args:
            inputs: Normalised conditions of n whole fields by name: ``low`` (n, h + 2·margin,
                w + 2·margin, Cl) and, where the network reads them, ``static`` (H, W, Cs) or
                (n, H, W, Cs), ``auxiliary`` (n, H, W, Ca), ``time`` (n, K), ``position`` (n, 2).
            seed: Seed of the prediction.
            times: (n,) times of the fields, of which the noise is a function, with the seed and the
                member's number.
            members: Numbers of the members.
            closed: The fields go around the circle of longitude.
            together: Fields of all members whose states are held at once.

        Returns:
            (members, n, H, W, C) float32, normalised.
        """
        margin, scale = self.schema.margin, self.schema.scale
        height, width = (size - 2 * margin for size in inputs["low"].shape[1:3])
        axes = [
            tiles_along(size, self.tile, self.overlap, self.halo, scale, around)
            for size, around in ((height, False), (width, closed))
        ]
        shape = height * scale, width * scale, len(self.schema.channels)
        fine = np.empty((len(members), len(times), *shape), np.float32)
        base = self._base(inputs["low"], closed)
        pairs = list(itertools.product(range(len(times)), range(len(members))))
        sigmas = self.choice.sigmas
        for first in range(0, len(pairs), together):
            some = pairs[first : first + together]
            draw = functools.partial(_noise, seed, [(times[n], members[m]) for n, m in some], shape)
            which = [n for n, _ in some]
            scaled = samplers.integrate(
                lambda x, sigma, which=which: self._denoise(x, sigma, inputs, which, axes),
                np.float32(sigmas[0]) * draw(-1), sigmas, self.choice.name, draw,
                **self.choice.options,
            )  # fmt: skip
            for (n, m), field in zip(some, scaled):
                fine[m, n] = field * np.float32(self.target.sigma_data) + base[n]
        return fine

    def _base(self, low: np.ndarray, closed: bool) -> np.ndarray:
        """The field that residuals are of, (n, H, W, C), or zeros."""
        if not closed or self.schema.margin:
            found = np.asarray(self.target.base(low))
        else:
            reach = 3
            around = np.concatenate([low[:, :, -reach:], low, low[:, :, :reach]], axis=2)
            found = np.asarray(self.target.base(around))
            if found.ndim:
                found = found[:, :, reach * self.schema.scale : -reach * self.schema.scale]
        return found if found.ndim else np.zeros(len(low), np.float32)

    def _denoise(
        self, x: np.ndarray, sigma: float, inputs: Mapping[str, np.ndarray], which: Sequence[int],
        axes: Sequence[Tiling],
    ) -> np.ndarray:  # fmt: skip
        """Denoised fields (k, H, W, C) of states at one level, blended of their tiles."""
        factors = unit_scalings(self.kind, np.float64(sigma))
        into = np.float32(factors.into) * x
        output = np.zeros_like(x)
        rows, columns = axes
        jobs = list(
            itertools.product(range(len(x)), range(len(rows.starts)), range(len(columns.starts)))
        )
        for first in range(0, len(jobs), TILES_AT_ONCE):
            some = jobs[first : first + TILES_AT_ONCE]
            filled = some + some[-1:] * (TILES_AT_ONCE - len(some))
            batch = [
                self._cut(into[k], inputs, which[k], rows, i, columns, j) for k, i, j in filled
            ]
            arrays = {name: np.stack([one[name] for one in batch]) for name in batch[0]}
            arrays["noise_level"] = np.full(len(filled), factors.noise, np.float32)
            for (k, i, j), tile in zip(some, self._call(arrays)):
                weights = rows.weights[i][:, None, None] * columns.weights[j][:, None]
                place = self._place(x.shape[1:3], rows, i, columns, j)
                tile = tile * weights.astype(np.float32)
                # A tile that closes the circle holds some columns twice; each part, once.
                for start in range(0, tile.shape[1], x.shape[2]):
                    part = np.s_[start : start + x.shape[2]]
                    output[k][place[0], place[1][:, part]] += tile[:, part]
        return np.float32(factors.skip) * x + np.float32(factors.out) * output

    def _place(
        self, size: tuple[int, int], rows: Tiling, i: int, columns: Tiling, j: int
    ) -> tuple[np.ndarray, np.ndarray]:
        scale = self.schema.scale
        return np.ix_(
            _fine(rows.starts[i], rows.size, scale, size[0] // scale),
            _fine(columns.starts[j], columns.size, scale, size[1] // scale),
        )

    def _cut(
        self, noisy: np.ndarray, inputs: Mapping[str, np.ndarray], n: int, rows: Tiling, i: int,
        columns: Tiling, j: int,
    ) -> dict[str, np.ndarray]:  # fmt: skip
        """Arrays of one tile of field n by the names of the network's inputs."""
        place = self._place(noisy.shape[:2], rows, i, columns, j)
        scale, margin = self.schema.scale, self.schema.margin
        width = noisy.shape[1] // scale
        found = {"noisy": noisy[place]}
        top, left = rows.starts[i], columns.starts[j]
        for name in self.network.input:
            if name == "low":
                low_columns = np.arange(left, left + columns.size + 2 * margin)
                if columns.closed:
                    low_columns = (low_columns - margin) % width + margin
                found[name] = inputs["low"][n][top : top + rows.size + 2 * margin][:, low_columns]
            elif name in ("static", "auxiliary"):
                array = inputs[name]
                found[name] = (array if array.ndim == 3 else array[n])[place]
            elif name == "time":
                found[name] = inputs[name][n]
            elif name == "position":
                origin = inputs[name][n] if name in inputs else (0, 0)
                found[name] = np.add(origin, (top * scale, left * scale)).astype(np.int32)
        return found

    def _call(self, arrays: dict[str, np.ndarray]) -> np.ndarray:
        import tensorflow as tf

        shapes = tuple(sorted((name, array.shape) for name, array in arrays.items()))
        if shapes not in self._graphs:
            # A graph frees features as soon as they are used.
            self._graphs[shapes] = tf.function(lambda x: self.network(x, training=False))
        tensors = {name: tf.convert_to_tensor(array) for name, array in arrays.items()}
        return self._graphs[shapes](tensors).numpy()


def _noise(
    seed: int, fields: Sequence[tuple[int, int]], shape: tuple[int, ...], step: int
) -> np.ndarray:
    """Standard normal noise of whole fields (k, *shape) for one step; −1 is the start."""
    return np.stack(
        [
            # A seed sequence takes no negative numbers: times before 1970 are wrapped to 64 bits.
            np.random.default_rng(
                [seed, int(time) % 2**64, member, NOISE_PURPOSE, step + 1]
            ).standard_normal(shape, np.float32)
            for time, member in fields
        ]
    )
