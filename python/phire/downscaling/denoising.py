"""Diffusion sampling of whole fields, with the denoiser applied tile by tile at every step.

The sampler's state is the whole field of every time and member. At each noise level the network
denoises overlapping tiles of the state. Weights that taper towards the tiles' edges blend the
results, also across the seam of longitude on a global grid.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from phire.downscaling import samplers
from phire.downscaling.blended_tiles import OverlappingTiles, tiles_along
from phire.downscaling.diffusion_target import DiffusionTarget
from phire.downscaling.discrete_process import process_of
from phire.downscaling.network_graphs import NetworkGraphs
from phire.downscaling.preconditioning import CONDITIONS, Scalings, unit_scalings
from phire.downscaling.random_inputs import draw_sampler_noise
from phire.downscaling.sampler_choice import choose_sampler
from phire.errors import InputError
from phire.networks.blocks.fine_output import fine_layer_of
from phire.networks.blocks.multiples import PadToMultiple
from phire.part_registry import Specification
from phire.records.schema import SampleSchema

LARGEST_TILE = 288
"""Default of the largest side of a tile, in fine points, for networks that declare a halo."""

PATCHES_PER_TILE = 2
"""Default side of a tile, in training patches, for networks with group normalization. The network
normalizes by the statistics of the tile. A tile of many patches mixes regions of weak and strong
variability; the network was not trained on such mixtures, and its output lacks small scales."""

POINTS_AT_ONCE = 8 * 64 * 64
"""Fine points in each call of the network, in 1 to 8 tiles. The last call is padded to this number,
because rounding depends on the batch size and a tile must not depend on the number of others."""


class DenoisedFields:
    """Sampler of whole fields with a trained denoiser.

    Args:
        network: Trained network F, with the inputs ``noisy`` and ``noise_level``.
        schema: Schema of the training records.
        objective: Name and options of the training objective, from the run's configuration.
        sampler: Sampler with options; see
            :func:`phire.downscaling.sampler_choice.choose_sampler`.
        tile: Largest side of a tile in coarse points, overlaps included. The default is
            :data:`LARGEST_TILE` for a network that declares a halo, :data:`PATCHES_PER_TILE`
            patches for another, the size of the training patches for one that declares itself
            ``patch_sized``, or the network's fixed input size.
        overlap: Coarse points that neighbouring tiles share. The default is 2·halo + 2 if the
            network declares a halo, else half a training patch, at most a quarter of the tile.
            Without a halo, a quarter of the overlap at a tile's edges gets no weight, because the
            network lacks the surroundings there.

    Raises:
        InputError: The sampler does not fit the objective; ``tile`` does not exceed ``overlap``, is
            smaller than one point of the network's coarsest level, or differs from the network's
            fixed input size.
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
        self._patch = tuple(side - 2 * schema.margin for side in schema.low_patch)
        self._set_sides(tile)
        self._set_overlap(overlap)
        self._graphs = NetworkGraphs(self.network)

    def _set_sides(self, tile: int | None) -> None:
        """Sets the sides of the tiles in coarse points, and whether smaller tiles are possible."""
        network, schema, patch = self.network, self.schema, self._patch
        fine = fine_layer_of(network)
        size = network.input["noisy"].shape[-3:-1]
        self.one_size = None not in size
        if self.one_size:
            self.sides = tuple(int(points // schema.scale) for points in size)
        elif tile is not None:
            self.sides = tile, tile
        elif fine.patch_sized:
            self.sides = patch
        elif fine.halo is None:
            self.sides = tuple(PATCHES_PER_TILE * points for points in patch)
        else:
            self.sides = (max(*patch, LARGEST_TILE // schema.scale),) * 2
        # Tiles of other networks may be smaller, so that no more points are computed than needed.
        self.fixed_size = self.one_size or fine.patch_sized
        if tile is not None and self.sides != (tile, tile):
            raise InputError(
                f"--tile {tile} does not fit the network, which takes tiles of {self.sides[0]} × "
                f"{self.sides[1]} coarse points only: leave it out."
            )
        coarsest = max(
            (layer.multiple for layer in network.layers if isinstance(layer, PadToMultiple)),
            default=1,
        )
        if tile is not None and tile * schema.scale < coarsest:
            raise InputError(
                f"--tile {tile} is {tile * schema.scale} fine points, but one point of the "
                f"network's coarsest level is {coarsest}: give {-(-coarsest // schema.scale)} or "
                "more."
            )

    def _set_overlap(self, overlap: int | None) -> None:
        """Sets the overlap of neighbouring tiles, and the rim of a tile that gets no weight."""
        halo, smallest = fine_layer_of(self.network).halo, min(self.sides)
        if overlap is None and halo is None:
            overlap = min(min(self._patch) // 2, smallest // 4)
        elif overlap is None:
            overlap = min(2 * halo + 2, smallest // 2)
        self.overlap = overlap
        self.rim = overlap // 4 if halo is None else min(halo, max(overlap - 1, 0) // 2)
        if not 0 <= self.overlap < smallest:
            raise InputError(
                f"--tile {smallest} must be larger than the overlap of {self.overlap} coarse "
                "points between tiles."
            )

    def fits(self, rows: int, columns: int, closed: bool) -> bool:
        """Returns True if a field is large enough for the tiles of a network of fixed size.

        Args:
            rows, columns: Size of the field in coarse points.
            closed: True if the field spans all longitudes; a tile may then overlap itself.
        """
        columns += self.overlap if closed else 0
        return not self.one_size or (rows >= self.sides[0] and columns >= self.sides[1])

    def tiles(self, rows: int, columns: int, closed: bool) -> OverlappingTiles:
        """Returns the tiles of a field.

        Args:
            rows, columns: Size of the field in coarse points.
            closed: True if the field spans all longitudes.
        """
        scale, fixed = self.schema.scale, self.fixed_size
        axes = [
            tiles_along(size, side, self.overlap, self.rim, scale, around, fixed)
            for size, side, around in zip((rows, columns), self.sides, (False, closed))
        ]
        return OverlappingTiles(*axes, scale)

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
        observe: Callable[[float, np.ndarray, np.ndarray], None] | None = None,
    ) -> np.ndarray:
        """Samples ensemble members of fine fields.

        Args:
            inputs: Normalised conditions of n whole fields by name: ``low`` (n, h + 2·margin,
                w + 2·margin, Cl) and, if the network reads them, ``static`` (H, W, Cs) or
                (n, H, W, Cs), ``auxiliary`` (n, H, W, Ca), ``time`` (n, K), ``position`` (n, 2),
                ``context`` (n, h', w', Cl).
            seed: Seed of the prediction.
            times: Times of the fields, (n,). The noise of a field is a function of its time, the
                seed and the member's number.
            members: Numbers of the members to sample.
            closed: True if the fields span all longitudes.
            noise_memory: Seconds over which a member's noise is correlated in time; None for
                independent noise at every time.
            base: Normalised fields to which the sampled residuals are added, (n, H, W, C). The
                default is the objective's own base: the interpolated coarse fields, or zero.
            together: Number of fields (times × members) whose states are held in memory at once.
            observe: Function called after each call of the denoiser with the noise level, the
                states and the denoised fields, both normalised, (k, H, W, C).

        Returns:
            Normalised fields, (members, n, H, W, C) float32.
        """
        margin, scale = self.schema.margin, self.schema.scale
        height, width = (size - 2 * margin for size in inputs["low"].shape[1:3])
        tiles = self.tiles(height, width, closed)
        shape = height * scale, width * scale, len(self.schema.channels)
        fine = np.empty((len(members), len(times), *shape), np.float32)
        if base is None:
            base = self._base(inputs["low"], closed)
        pairs = list(itertools.product(range(len(times)), range(len(members))))
        levels = self.choice.levels
        # A sampler on signal levels starts from unit noise, one on σ from noise of size σ_max.
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

            def denoise(x: np.ndarray, level: float, which: list[int] = which) -> np.ndarray:
                denoised = self._denoise(x, level, inputs, which, tiles)
                if observe is not None:
                    observe(level, *(self._fields(y, base, which) for y in (x, denoised)))
                return denoised

            scaled = samplers.integrate(
                denoise, start * draw(-1), levels, self.choice.name, draw,
                **self.choice.options,
            )  # fmt: skip
            for (n, m), field in zip(some, self._fields(scaled, base, which)):
                fine[m, n] = field
        return fine

    def _fields(self, scaled: np.ndarray, base: np.ndarray, which: Sequence[int]) -> np.ndarray:
        """Returns normalised fields, (k, H, W, C), from the sampler's scaled residuals."""
        size = np.float32(self.target.sigma_data)
        return np.stack([field * size + base[n] for field, n in zip(scaled, which)])

    def _base(self, low: np.ndarray, closed: bool) -> np.ndarray:
        """Returns the fields (n, H, W, C) to which residuals are added.

        Zeros (n,) if the denoiser generates the target itself, without a residual.
        """
        if not closed or self.schema.margin:
            base = np.asarray(self.target.base({"low": low}))
        else:
            # Add columns from across the seam of longitude, as many as cubic convolution reads.
            reach = 3
            around = np.concatenate([low[:, :, -reach:], low, low[:, :, :reach]], axis=2)
            base = np.asarray(self.target.base({"low": around}))
            if base.ndim:
                base = base[:, :, reach * self.schema.scale : -reach * self.schema.scale]
        return base if base.ndim else np.zeros(len(low), np.float32)

    def _scalings(self, level: float) -> Scalings:
        """Returns the factors with which the denoiser D wraps the network F at a noise level."""
        if self.process is None:
            return unit_scalings(self.kind, np.float64(level))
        if self.choice.on_signal_levels:
            return self.process.signal_scalings(level)
        return self.process.sigma_scalings(level)

    def _denoise(
        self, x: np.ndarray, level: float, inputs: Mapping[str, np.ndarray], which: Sequence[int],
        tiles: OverlappingTiles,
    ) -> np.ndarray:  # fmt: skip
        """Denoises states tile by tile at one noise level, and blends the tiles.

        Args:
            x: States of k fields, (k, H, W, C).
            level: Noise level of all states.
            inputs: See :meth:`sample`.
            which: Index of each state's field in ``inputs``.
            tiles: Tiles that cover the field.

        Returns:
            Denoised fields, (k, H, W, C).
        """
        factors = self._scalings(level)
        into = np.float32(factors.into) * x
        output = np.zeros_like(x)
        jobs = list(itertools.product(range(len(x)), range(len(tiles))))
        at_once = min(max(1, POINTS_AT_ONCE // (math.prod(tiles.shape) * tiles.scale**2)), 8)
        for first in range(0, len(jobs), at_once):
            some = jobs[first : first + at_once]
            filled = some + some[-1:] * (at_once - len(some))
            arrays = self._cut(into, inputs, which, tiles, filled)
            arrays["noise_level"] = np.full(len(filled), factors.noise, np.float32)
            results = self._graphs(arrays)
            if self.choice.guidance:
                blank = {name: np.zeros_like(arrays[name]) for name in {*CONDITIONS} & {*arrays}}
                # D is linear in F, with the same factors for conditional and unconditional
                # outputs, so guidance can be applied to F.
                results = results + self.choice.guidance * (
                    results - self._graphs({**arrays, **blank})
                )
            for (k, tile), values in zip(some, results):
                tiles.add(output[k], tile, values)
        output *= np.float32(factors.out)
        return output + np.float32(factors.skip) * x

    def _cut(
        self, noisy: np.ndarray, inputs: Mapping[str, np.ndarray], which: Sequence[int],
        tiles: OverlappingTiles, jobs: Sequence[tuple[int, int]],
    ) -> dict[str, np.ndarray]:  # fmt: skip
        """Cuts a batch of tiles; returns the network's inputs by name.

        Args:
            noisy: States scaled for the network, (k, H, W, C).
            inputs: See :meth:`sample`.
            which: Index of each state's field in ``inputs``.
            tiles: Tiles that cover the field.
            jobs: Indices of the state and the tile of each sample in the batch.
        """
        scale, margin, size = self.schema.scale, self.schema.margin, len(jobs)
        fine = size, *(scale * points for points in tiles.shape)
        coarse = size, *(points + 2 * margin for points in tiles.shape)
        found = {}
        for name in self.network.input:
            array = noisy if name == "noisy" else inputs.get(name)
            if name in ("noisy", "static", "auxiliary"):
                found[name] = np.empty((*fine, array.shape[-1]), np.float32)
                for (k, tile), out in zip(jobs, found[name]):
                    n = k if name == "noisy" else which[k]
                    tiles.cut(array if array.ndim == 3 else array[n], tile, out)
            elif name == "low":
                found[name] = np.empty((*coarse, array.shape[-1]), np.float32)
                for (k, tile), out in zip(jobs, found[name]):
                    tiles.cut_coarse(array[which[k]], tile, margin, out)
            elif name in ("time", "context"):
                found[name] = np.stack([array[which[k]] for k, _ in jobs])
            elif name == "position":
                first = np.int32([tiles.places[tile] for _, tile in jobs]) * scale
                origin = 0 if array is None else np.int32([array[which[k]] for k, _ in jobs])
                found[name] = np.int32(origin + first)
        return found
