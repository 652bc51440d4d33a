"""A trained generator with the schema of the samples that it was trained on."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from phire.downscaling.array_normalization import ArrayNormalization
from phire.downscaling.denoising import DenoisedFields
from phire.downscaling.distributions.registry import distribution as distributions
from phire.downscaling.latent_space import NETWORK as AUTOENCODER
from phire.downscaling.latent_space import LatentSpace
from phire.downscaling.missing_input import Filler, mark_missing
from phire.downscaling.network_graphs import NetworkGraphs
from phire.downscaling.random_inputs import (
    draw_dropout_seed,
    draw_levels,
    draw_noise,
    is_stochastic,
)
from phire.downscaling.residual_base import NETWORK
from phire.downscaling.sampler_choice import choose_sampler
from phire.downscaling.supported_options import SupportedOptions, check_bounds
from phire.downscaling.tiling import apply_in_tiles, with_margin
from phire.downscaling.whole_fields import WholeFields
from phire.errors import InputError
from phire.fields.coarsening import with_block_means
from phire.fields.grid import Grid
from phire.parts import Specification
from phire.records.schema import SampleSchema

if TYPE_CHECKING:
    from phire.training import Run

TILE = 128
"""Largest side of a tile of a generator, coarse points."""


class TrainedGenerator:
    """A generator with the schema of the samples that it was trained on.

    Args:
        run: A run of ``phire-train``.
        network: Name of the network in the run.
        epoch: The end of this epoch, ``"best"``, or None for the end of training.
        sampler: Of a denoiser, how it samples: ``NAME,steps=…,…``, see
            :func:`phire.downscaling.sampler_choice.choose_sampler`; by default the one of the least
            error of spread.

    Attributes:
        schema: The samples' arrays.
        inputs: The files that the records were made of, by the names of phire-data's options.
        arrays: Normalization of the samples' arrays.
        supported: Options of a prediction that the run supports.
        channels, units, normalization: Of the targets.
        periodic: The network pads around the circle of longitude.
        conserves: It keeps block means.
        localized: It has weights for each point of the domain.
        low: The array ``low`` of the schema.
        halo: Coarse points that an output depends on; None for the whole field.
        predicts_first_step: A field is predicted as the first step of the window that begins at it,
            as DL4DS does; else as the last step of the window that ends at it.
        stochastic: Members differ: the network reads random numbers, or gives the parameters of a
            distribution.
        distribution: Distribution whose parameters the network gives; None where it gives fields.
        sampler: The sampler of a denoiser with its options as resolved; None of a generator.

    Raises:
        InputError: ``run`` is no run, or its training has not ended, or the sampler does not fit.
    """

    def __init__(
        self,
        run: str | os.PathLike,
        network: str = "generator",
        epoch: int | str | None = None,
        sampler: Specification | None = None,
    ) -> None:
        from phire.networks.blocks.fine_output import fine_layer_of

        self.path = Path(run)
        opened, config = _open_generator_run(run, epoch)
        self.network = opened.network(network, epoch)
        if "low" not in self.network.input:
            raise InputError(
                f"{run} is an autoencoder of fine fields and refines none: name a run that works "
                f"in its latent space, such as of --objective edm,latent={run}."
            )
        self.periodic, self.conserves, self.localized = _traits(self.network)
        self.schema = SampleSchema.from_dict(config["schema"])
        self.inputs: dict[str, Any] = dict(config.get("inputs") or {})
        self.low = self.schema.arrays["low"]
        self.channels, self.units = self.schema.channels, self.schema.units
        self.normalization = self.schema.normalization
        self.arrays = ArrayNormalization(self.path, self.schema)
        self.scale = int(self.schema.scale)
        self.alignment = self.schema.alignment or "cell"
        fine = fine_layer_of(self.network)
        self.halo, self.predicts_first_step = fine.halo, fine.first_step
        objective = config.get("objective") or {}
        self.distribution = None
        if objective.get("name") == "likelihood" and network == "generator":
            self.distribution = distributions.build(objective["distribution"], self.normalization)
        self._parameters = 1 if self.distribution is None else self.distribution.parameters
        self._set_up_denoiser(opened, sampler)
        self._random = self.sampler is not None or is_stochastic(self.network)
        self.stochastic = self._random or self.distribution is not None
        self.supported = SupportedOptions(
            self.path, self.channels, self.low.channels, self.alignment, self.stochastic,
            has_noise=self.sampler is not None or "noise" in self.network.input,
            has_distribution=self.distribution is not None,
        )  # fmt: skip
        self.graphs = NetworkGraphs(self.network)
        self.observe: Callable[[float, np.ndarray, np.ndarray], None] | None = None
        """Called at each call of a denoiser, unless in a latent space, with the noise level, the
        sampler's states and the denoised fields, (k, H, W, C) in physical units."""

    def _set_up_denoiser(self, opened: Run, sampler: Specification | None) -> None:
        """Chooses the sampler of a denoiser, and opens its latent space or residual base."""
        self.sampler, self._latent, self._mean = None, None, None
        self._denoisers: dict[int | None, DenoisedFields] = {}
        self._sampler_given = sampler or ""
        if sampler is None and "noisy" not in self.network.input:
            return
        self._objective = opened.config["objective"]
        self.sampler = choose_sampler(self._sampler_given, self._objective)
        if self._objective.get("latent"):
            moments = opened.config["latent"]
            self._latent = LatentSpace(
                opened.network(AUTOENCODER), self.schema, moments["mean"], moments["std"]
            )
        if self._objective.get("residual"):
            self._mean = TrainedGenerator(self.path, NETWORK)

    def fingerprint(self) -> str:
        """Returns a short hash of the weights."""
        digest = hashlib.sha256()
        for weight in self.network.get_weights():
            digest.update(np.ascontiguousarray(weight))
        return digest.hexdigest()[:16]

    def __call__(
        self,
        fields: WholeFields,
        tile: int | None = None,
        *,
        fill: str = "nearest",
        minimum: float | None = None,
        trace: float | None = None,
        consistency: str | None = None,
        noise_memory: float | None = None,
        seed: int = 0,
        members: int = 1,
        statistic: str | None = None,
    ) -> np.ndarray:
        """Predicts the fine fields of whole samples, in physical units.

        Missing coarse values are filled for the network before the fields are cut into tiles; the
        blocks of points with a missing channel are missing in the result, and only these. Random
        numbers are those of (seed, time, member), laid out over the whole field.

        Args:
            fields: The samples.
            tile: Largest side of a tile in coarse pixels.
            fill: See :class:`phire.downscaling.missing_input.Filler`.
            minimum: The least physical value: lower ones are set to it. None for no such bound.
            trace: The least amount that is measured: lower values are set to ``minimum``. None for
                none.
            consistency: ``mean`` gives every member the coarse field's block means, for the
                channels that both sides have; None leaves the network's.
            noise_memory: Seconds over which the noise of a member is correlated in time, so that
                its series is coherent; None for independent noise at every time.
            seed: Seed of the random numbers.
            members: Number of members.
            statistic: Of a run trained by the objective likelihood, ``mean`` or ``median`` of its
                distribution instead of members.

        Returns:
            (members, n, h·s, w·s, C) float32. With ``consistency``, and of a generator trained with
            ``conserve``, the area-weighted block means are those of the filled input, or
            ``minimum`` where these are below it.

        Raises:
            InputError: There are no fields, ``fill`` is unknown, several members are asked of a
                deterministic generator, ``trace`` is not above ``minimum``, or ``consistency`` does
                not fit the run.
        """
        if not len(fields.low):
            raise InputError("there are no fields to refine: the first axis has the length 0.")
        self.supported.check_members(members)
        check_bounds(minimum, trace)
        self.supported.check_consistency(consistency)
        self.supported.check_noise_memory(noise_memory)
        filled, missing = self._filled(fields, fill)
        low = self.arrays.normalise("low", filled, fields, fields.outer or fields.coarse)
        low = self._with_context(low, fields)
        fine, constant = self._further_arrays(fields)
        made, outputs, sampled = [], None, None
        if self.sampler is not None:
            sampled = self._sampled(
                fields, low, fine, constant, tile, seed, range(members), noise_memory
            )
        for member in range(members):
            if sampled is not None:
                outputs = sampled[member]
            elif outputs is None or self._random:
                outputs = self.predict_member(
                    fields, low, fine, constant, tile or TILE, seed, member, noise_memory
                )
            if self.distribution is None:
                result = self.arrays.physical_targets(outputs, fields)
            else:
                result = self._of_distribution(outputs, fields, seed, member, statistic)
            if minimum is not None:
                result[result < (minimum if trace is None else trace)] = minimum
            if self.conserves or consistency:
                result = self._conserved(result, fields, filled, minimum)
            made.append(mark_missing(result, missing))
        return np.stack(made)

    def _of_distribution(
        self,
        outputs: np.ndarray,
        fields: WholeFields,
        seed: int,
        member: int,
        statistic: str | None,
    ) -> np.ndarray:
        """Returns a statistic of the distribution, or a member, in physical units (n, H, W, C)."""
        if statistic == "mean":
            return np.float32(self.distribution.mean(outputs))
        if statistic == "median":
            return np.float32(self.distribution.quantile(outputs, 0.5))
        shape = (*fields.fine.shape, len(self.channels))
        levels = np.stack([draw_levels(seed, t, member, shape) for t in fields.times])
        return np.float32(self.distribution.quantile(outputs, levels))

    def check_size(self, fine: Grid, tile: int | None = None) -> None:
        """Refuses fields of another size than a network of one size takes.

        Args:
            fine: The grid to predict, of complete blocks.
            tile: Side of a denoiser's tiles in coarse points; None for that of its patches.

        Raises:
            InputError: The network's weights or levels depend on the size, and this is another; of
                a denoiser, which samples by overlapping tiles of its size, a smaller one.
        """
        if self.sampler is not None:
            self._check_tiles(fine, tile)
            return
        low = self.network.input["low"].shape[-3:-1]
        if None in low:
            return
        wanted = tuple((n - 2 * self.schema.margin) * self.scale for n in low)
        if tuple(fine.shape) != wanted:
            raise InputError(
                f"the network of {self.path} refines to {wanted[0]} × {wanted[1]} points, neither "
                f"more nor fewer, but the input covers the {fine.describe()}: give input of that "
                "size, or train a network that takes any size, such as srgan, resnet or unet."
            )

    def _check_tiles(self, fine: Grid, tile: int | None) -> None:
        denoiser = self._denoiser(tile)
        rows, columns = (points // self.scale for points in fine.shape)
        if not denoiser.fits(rows, columns, fine.wraps):
            sides = [self.scale * side for side in denoiser.sides]
            raise InputError(
                f"the denoiser of {self.path} samples by tiles of {sides[0]} × {sides[1]} points, "
                f"but the input covers the {fine.describe()}: give input of at least that size, or "
                "train one that takes any size, such as unet without attention_sides."
            )

    def _filled(self, fields: WholeFields, fill: str) -> tuple[np.ndarray, np.ndarray]:
        """Returns coarse fields without missing values, and the mask (n, h, w) of those filled."""
        filler = Filler(fill, self.low.normalization.mean)
        flat = fields.low.reshape(-1, *fields.low.shape[-3:])
        filled, missing = filler(flat, fields.coarse)
        filled = filled.reshape(fields.low.shape)
        missing = missing.reshape(*fields.low.shape[:-1], 1)
        return filled, fields.inner(fields.asked(missing))[..., 0]

    def _present(self, fields: WholeFields) -> np.ndarray:
        """Returns the mask of present coarse values, 1 or 0, with the margin on every side."""
        return self._with_context(np.isfinite(fields.low).astype(np.float32), fields)

    def _with_context(self, low: np.ndarray, fields: WholeFields) -> np.ndarray:
        """Returns coarse fields with the margin: values around the input, else the nearest ones."""
        margin = self.schema.margin
        if not margin:
            return fields.inner(low)
        if not any(map(any, fields.context)):
            return with_margin(low, fields.coarse, margin)
        lacking = [(margin - before, margin - after) for before, after in fields.context]
        return np.pad(low, [(0, 0)] * (low.ndim - 3) + [*lacking, (0, 0)], mode="edge")

    def _further_arrays(
        self, fields: WholeFields
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Returns normalised fine maps and the covariates of each field."""
        fine, constant = {}, {}
        names = {*self.network.input}
        for name in names & {"static", "auxiliary"}:
            array = getattr(fields, name)
            values = self.arrays.normalise(name, array, fields, fields.fine)
            values = np.nan_to_num(values, copy=False)  # as records hold what is missing
            if name == "static":
                values = np.broadcast_to(values, (len(fields.low), *values.shape))
            fine[name] = values
        if "time" in names:
            constant["time"] = fields.time
        if fields.step is not None:
            constant["step"] = fields.step
        return fine, constant

    def predict_member(
        self,
        fields: WholeFields,
        low: np.ndarray,
        fine: dict[str, np.ndarray],
        constant: dict[str, np.ndarray],
        tile: int,
        seed: int,
        member: int,
        noise_memory: float | None,
    ) -> np.ndarray:
        """Predicts one normalised member, (n, H, W, C)."""
        inputs = self.network.input
        fine, constant = dict(fine), dict(constant)
        if "noise" in inputs:
            shape = (*fields.fine.shape, inputs["noise"].shape[-1])
            fine["noise"] = np.stack(
                [draw_noise(seed, t, member, shape, noise_memory) for t in fields.times]
            )
        if "seed" in inputs:
            seeds = [draw_dropout_seed(seed, t, member) for t in fields.times]
            constant["seed"] = np.stack(seeds)
        return apply_in_tiles(
            self.run_batch, low, fields.coarse,
            scale=self.scale, halo=self.halo, tile=tile, fine=fine, constant=constant,
            coarse={"low_valid": self._present(fields)} if "low_valid" in inputs else None,
            margin=self.schema.margin, channels=len(self.channels) * self._parameters,
            position=fields.position if "position" in inputs else None,
        )  # fmt: skip

    def _sampled(
        self,
        fields: WholeFields,
        low: np.ndarray,
        fine: dict[str, np.ndarray],
        constant: dict[str, np.ndarray],
        tile: int | None,
        seed: int,
        members: Sequence[int],
        noise_memory: float | None,
    ) -> np.ndarray:
        """Samples normalised members of a denoiser, (members, n, H, W, C)."""
        base = None
        if self._mean is not None:
            arrays = self._mean._further_arrays(fields)
            base = self._mean.predict_member(fields, low, *arrays, tile or TILE, seed, 0, None)
        position = np.tile(np.int32(fields.position), (len(low), 1))
        inputs = {"low": low, **fine, **constant, "position": position}
        closed, latent = fields.coarse.wraps, self._latent
        made = self._denoiser(tile).sample(
            inputs if latent is None else latent.conditions(inputs),
            seed=seed, times=fields.times, members=members, closed=closed,
            noise_memory=noise_memory, base=base, observe=self._physical_observer(),
        )  # fmt: skip
        if latent is None:
            return made
        return np.stack([latent.decode(member, closed) for member in made])

    @property
    def works_in_latent_space(self) -> bool:
        """A denoiser whose states are codes of an autoencoder."""
        return self._latent is not None

    def _physical_observer(self) -> Callable[[float, np.ndarray, np.ndarray], None] | None:
        """Returns ``observe`` as a function of normalised fields; None where it is not set."""
        observe = self.observe
        if observe is None or self._latent is not None:
            return None
        return lambda level, *fields: observe(level, *map(self.normalization.invert, fields))

    def _denoiser(self, tile: int | None) -> DenoisedFields:
        """Returns the denoiser that samples by tiles of this side."""
        if tile not in self._denoisers:
            schema = self.schema if self._latent is None else self._latent.schema
            self._denoisers[tile] = DenoisedFields(
                self.network, schema, self._objective, self._sampler_given, tile=tile
            )
        return self._denoisers[tile]

    def _conserved(
        self, fine: np.ndarray, fields: WholeFields, filled: np.ndarray, minimum: float | None
    ) -> np.ndarray:
        """Returns fields whose block means are the coarse input, for channels on both sides."""
        names = [name for name in self.channels if name in self.low.channels]
        low = [self.low.channels.index(name) for name in names]
        high = [self.channels.index(name) for name in names]
        coarse = fields.inner(fields.asked(filled))[..., low]
        fine[..., high] = with_block_means(
            fine[..., high], coarse, fields.fine, self.scale, minimum
        )
        return fine

    def run_batch(self, batch: dict[str, np.ndarray]) -> np.ndarray:
        """Returns the network's outputs of a batch; of a window, each at the sample's ``step``."""
        step = batch.pop("step", None)
        outputs = self.graphs(batch)
        if step is None:
            return outputs
        return outputs[np.arange(len(outputs)), step]


def _open_generator_run(
    run: str | os.PathLike, epoch: int | str | None
) -> tuple[Run, Mapping[str, Any]]:
    """Opens a run of ``phire-train`` with its configuration.

    Raises:
        InputError: It is another command's, or the epoch is no number.
    """
    from phire.training import open_run

    opened = open_run(run)
    config = opened.config
    if "schema" not in config or "network" not in config:
        raise InputError(
            f"{run} is a run of another command, or of an earlier version of phire, which kept "
            "no schema: name a run of phire-train, or train again."
        )
    if not (epoch is None or epoch == "best" or str(epoch).isdigit()):
        raise InputError(f"--epoch {epoch} must be a number or `best`.")
    return opened, config


def _traits(network: Any) -> tuple[bool, ...]:
    """Returns if a network pads periodically, keeps block means, has weights for each point."""
    from phire.networks.blocks.conservation import Conservation
    from phire.networks.blocks.position_channels import PlaceChannels
    from phire.networks.dl4ds.locally_connected import LocallyConnected
    from phire.networks.periodic_padding import PeriodicPadding

    kinds = (PeriodicPadding, Conservation, (LocallyConnected, PlaceChannels))
    return tuple(any(isinstance(layer, kind) for layer in network.layers) for kind in kinds)
