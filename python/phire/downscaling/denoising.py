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
from phire.downscaling.discrete_process import process_of
from phire.downscaling.preconditioning import CONDITIONS, Scalings, unit_scalings
from phire.downscaling.random_inputs import draw_sampler_noise
from phire.downscaling.sampler_choice import choose_sampler
from phire.errors import InputError
from phire.networks.blocks.output import halo_of
from phire.parts import Specification
from phire.records.schema import SampleSchema

TILES_AT_ONCE = 8
"""Tiles of each call of the network. Always the same number, the last call being filled up, so that
a tile's result does not depend on what else is sampled with it."""


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
        sampler: Sampler with options; see
            :func:`phire.downscaling.sampler_choice.choose_sampler`.
        tile: Side of a tile in coarse points, overlaps included; by default that of the patches
            trained on. A network that takes one size only has tiles of that size.
        overlap: Coarse points that neighbouring tiles share; by default the halo's double and two
            more where the network declares a halo, else a quarter of the tile.

    Raises:
        InputError: The sampler does not fit; the tile does not exceed the overlap, or is not
            the one size that the network takes.
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
        self.process = process_of(objective) if self.kind == "ddpm" else None
        margin = 2 * schema.margin
        size = network.input["noisy"].shape[-3:-1]
        self.one_size = None not in size
        if self.one_size:
            self.sides = tuple(int(points // schema.scale) for points in size)
        else:
            self.sides = (tile or min(schema.low_patch) - margin,) * 2
        smallest = min(self.sides)
        if tile is not None and self.sides != (tile, tile):
            raise InputError(
                f"--tile {tile} must be left out: the network takes tiles of {self.sides[0]} × "
                f"{self.sides[1]} coarse points only."
            )
        halo = halo_of(network)
        if overlap is None:
            overlap = smallest // 4 if halo is None else min(2 * halo + 2, smallest // 2)
        self.overlap = overlap
        self.halo = min(halo or 0, max(overlap - 1, 0) // 2)
        if not 0 <= self.overlap < smallest:
            raise InputError(
                f"--tile {smallest} must be more coarse points than the tiles' overlap of "
                f"{self.overlap}."
            )
        self._graphs: dict[tuple, Callable] = {}

    def fits(self, rows: int, columns: int, closed: bool) -> bool:
        """Tells whether tiles of the network's size lie in a field of these coarse points.

        Args:
            rows, columns: Coarse points of the field.
            closed: The field goes around the circle of longitude: a tile may overlap itself.
        """
        columns += self.overlap if closed else 0
        return not self.one_size or (rows >= self.sides[0] and columns >= self.sides[1])

    def sample(
        self,
        inputs: Mapping[str, np.ndarray],
        *,
        seed: int,
        times: Sequence[int],
        members: Sequence[int],
        closed: bool = False,
        noise_memory: float | None = None,
        base: np.ndarray | None = None,
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
            noise_memory: Seconds over which a member's noise is correlated in time; None for
                independent noise at every time.
            base: (n, H, W, C) normalised fields of the run that the residual is to; by default
                the interpolated coarse field or zero, as the objective's target is.
            together: Fields of all members whose states are held at once.

        Returns:
            (members, n, H, W, C) float32, normalised.
        """
        margin, scale = self.schema.margin, self.schema.scale
        height, width = (size - 2 * margin for size in inputs["low"].shape[1:3])
        axes = [
            tiles_along(size, side, self.overlap, self.halo, scale, around)
            for size, side, around in zip((height, width), self.sides, (False, closed))
        ]
        shape = height * scale, width * scale, len(self.schema.channels)
        fine = np.empty((len(members), len(times), *shape), np.float32)
        if base is None:
            base = self._base(inputs["low"], closed)
        pairs = list(itertools.product(range(len(times)), range(len(members))))
        levels = self.choice.levels
        # The start of signal levels is noise alone, of unit size.
        start = np.float32(1 if self.choice.on_signal_levels else levels[0])
        for first in range(0, len(pairs), together):
            some = pairs[first : first + together]
            draw = functools.partial(
                draw_sampler_noise,
                seed,
                [(times[n], members[m]) for n, m in some],
                shape,
                noise_memory,
            )
            which = [n for n, _ in some]
            scaled = samplers.integrate(
                lambda x, level, which=which: self._denoise(x, level, inputs, which, axes),
                start * draw(-1), levels, self.choice.name, draw,
                **self.choice.options,
            )  # fmt: skip
            for (n, m), field in zip(some, scaled):
                fine[m, n] = field * np.float32(self.target.sigma_data) + base[n]
        return fine

    def _base(self, low: np.ndarray, closed: bool) -> np.ndarray:
        """The field that residuals are of, (n, H, W, C), or zeros."""
        if not closed or self.schema.margin:
            found = np.asarray(self.target.base({"low": low}))
        else:
            reach = 3
            around = np.concatenate([low[:, :, -reach:], low, low[:, :, :reach]], axis=2)
            found = np.asarray(self.target.base({"low": around}))
            if found.ndim:
                found = found[:, :, reach * self.schema.scale : -reach * self.schema.scale]
        return found if found.ndim else np.zeros(len(low), np.float32)

    def _scalings(self, level: float) -> Scalings:
        """Factors between the state at a level, its denoised field and the network."""
        if self.process is None:
            return unit_scalings(self.kind, np.float64(level))
        if self.choice.on_signal_levels:
            return self.process.signal_scalings(level)
        return self.process.sigma_scalings(level)

    def _denoise(
        self, x: np.ndarray, level: float, inputs: Mapping[str, np.ndarray], which: Sequence[int],
        axes: Sequence[Tiling],
    ) -> np.ndarray:  # fmt: skip
        """Denoised fields (k, H, W, C) of states at one level, blended of their tiles."""
        factors = self._scalings(level)
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
            tiles = self._call(arrays)
            if self.choice.guidance:
                blank = {name: np.zeros_like(arrays[name]) for name in {*CONDITIONS} & {*arrays}}
                # Outside the network D is linear in F, with the same factors for both.
                tiles += self.choice.guidance * (tiles - self._call({**arrays, **blank}))
            for (k, i, j), tile in zip(some, tiles):
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
