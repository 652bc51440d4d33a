"""Trained generator or denoiser of a run, applied to whole fields."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from phire.downscaling.array_normalization import ArrayNormalization
from phire.downscaling.denoising import DenoisedFields
from phire.downscaling.halo_tiles import apply_in_tiles
from phire.downscaling.latent_space import NETWORK as AUTOENCODER
from phire.downscaling.latent_space import LatentSpace
from phire.downscaling.missing_input import mark_missing
from phire.downscaling.network_graphs import NetworkGraphs
from phire.downscaling.predicted_distributions.registry import distribution as distributions
from phire.downscaling.random_inputs import (
    draw_dropout_seed,
    draw_levels,
    draw_noise,
    is_stochastic,
)
from phire.downscaling.residual_base import NETWORK
from phire.downscaling.sampler_choice import choose_sampler
from phire.downscaling.supported_options import SupportedOptions, check_bounds
from phire.downscaling.whole_field_inputs import WholeFieldInputs
from phire.downscaling.whole_fields import WholeFields
from phire.errors import InputError, WorkError
from phire.fields.block_mean_correction import with_block_means
from phire.fields.grid import Grid
from phire.part_registry import Specification
from phire.records.schema import SampleSchema

if TYPE_CHECKING:
    from phire.training import Run

TILE = 128
"""Default side of a generator's tiles, in coarse points."""


class TrainedGenerator:
    """Trained generator or denoiser with the schema of its training samples.

    Args:
        run: Run of ``phire-train``.
        network: Name of the network in the run.
        epoch: Number of the epoch whose weights to use, ``"best"``, or None for the end of
            training.
        sampler: Sampler of a denoiser, as ``NAME,steps=…,…``; None for the default. See
            :func:`phire.downscaling.sampler_choice.choose_sampler`.

    Attributes:
        schema: Schema of the training samples.
        inputs: Files from which the records were made, by the names of phire-data's options.
        arrays: Normalization of the samples' arrays.
        field_inputs: Preparation of whole fields as inputs of the network.
        supported: Checks of options that depend on the run.
        channels, units, normalization: Names, units and normalization of the targets.
        periodic: True if the network pads periodically in longitude.
        conserves: True if the network keeps block means.
        localized: True if the network has weights for each point of the domain.
        low: Schema of the array ``low``.
        halo: Coarse points beyond its own on which an output depends; None for the whole field.
        predicts_first_step: True if a field is the first step of its window, as in DL4DS; False if
            it is the last step.
        stochastic: True if members differ: the network reads random numbers, or predicts the
            parameters of a distribution.
        distribution: Distribution whose parameters the network predicts; None if it predicts
            fields.
        sampler: Sampler of a denoiser with all its options; None for a generator.

    Raises:
        InputError: ``run`` is not a finished run of ``phire-train``, or the sampler does not fit.
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
                f"{run} is an autoencoder, which does not refine coarse fields: name a run that "
                f"works in its latent space, such as one of --objective edm,latent={run}."
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
        self.field_inputs = WholeFieldInputs(
            self.schema, self.arrays, frozenset(self.network.input)
        )
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
        """Function called after each call of a denoiser with the noise level, the sampler's states
        and the denoised fields, (k, H, W, C) in physical units; None for no call. It is not called
        in a latent space."""

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
        """Returns a short hash of the network's weights."""
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
        members: Sequence[int] = (0,),
        statistic: str | None = None,
    ) -> np.ndarray:
        """Predicts fine fields in physical units.

        Missing coarse values are filled before the fields are cut into tiles. In the result, the
        blocks of coarse points with a missing channel are missing. Random numbers are drawn for the
        whole field from seed, time and member, so they do not depend on the tiles.

        Args:
            fields: Samples of whole fields.
            tile: Largest side of a tile in coarse points; None for :data:`TILE`, or for a
                denoiser's patches.
            fill: Way to fill missing input; see :class:`phire.downscaling.missing_input.Filler`.
            minimum: Lower bound of the result; lower values are set to it. None for no bound.
            trace: Smallest measurable amount; lower values are set to ``minimum``. None to keep
                them.
            consistency: ``mean`` shifts the result to the coarse field's block means, for channels
                that input and output share; None for no correction.
            noise_memory: Seconds over which a member's noise is correlated, which makes its time
                series coherent; None for independent noise at every time.
            seed: Seed of the random numbers.
            members: Numbers of the members to predict.
            statistic: ``mean`` or ``median`` of the predicted distribution, for runs of the
                objective ``likelihood``; None to draw members.

        Returns:
            Fine fields, (members, n, h·s, w·s, C) float32. With ``consistency``, or a generator
            trained with ``conserve``, the area-weighted block means equal the filled input, or
            ``minimum`` where the input is below it.

        Raises:
            InputError: There are no fields, ``fill`` is unknown, several ``members`` are asked of a
                deterministic generator, ``trace`` is not above ``minimum``, or an option does not
                fit the run.
            WorkError: A predicted value is not finite.
        """
        if not len(fields.low):
            raise InputError("there are no fields to refine: the first axis has the length 0.")
        self.supported.check_members(len(members))
        check_bounds(minimum, trace)
        self.supported.check_consistency(consistency)
        self.supported.check_noise_memory(noise_memory)
        filled, missing = self.field_inputs.filled(fields, fill)
        low = self.arrays.normalise("low", filled, fields, fields.outer or fields.coarse)
        low = self.field_inputs.with_margin(low, fields)
        fine, constant = self.field_inputs.further_arrays(fields)
        ensemble, outputs, sampled = [], None, None
        if self.sampler is not None:
            sampled = self._sampled(fields, low, fine, constant, tile, seed, members, noise_memory)
        for i, member in enumerate(members):
            if sampled is not None:
                outputs = sampled[i]
            elif outputs is None or self._random:
                outputs = self.predict_member(
                    fields, low, fine, constant, tile or TILE, seed, member, noise_memory
                )
            if self.distribution is None:
                result = self.arrays.physical_targets(outputs, fields)
            else:
                result = self._of_distribution(outputs, fields, seed, member, statistic)
            if not np.isfinite(result).all():
                # In the output, values that are not finite could not be distinguished from missing
                # ones.
                raise WorkError(
                    f"{self.path} predicts values that are not finite: train it longer, or with a "
                    "lower learning rate, and predict again."
                )
            if minimum is not None:
                result[result < (minimum if trace is None else trace)] = minimum
            if self.conserves or consistency:
                result = self._conserved(result, fields, filled, minimum)
            ensemble.append(mark_missing(result, missing))
        return np.stack(ensemble)

    def _of_distribution(
        self,
        outputs: np.ndarray,
        fields: WholeFields,
        seed: int,
        member: int,
        statistic: str | None,
    ) -> np.ndarray:
        """Returns physical fields of a predicted distribution, (n, H, W, C).

        Args:
            outputs: Parameters of the distribution, as the network predicts them.
            fields: Samples, for their times.
            seed, member: Seed and number of the member to draw.
            statistic: ``mean`` or ``median``; None to draw a member.
        """
        if statistic == "mean":
            return np.float32(self.distribution.mean(outputs))
        if statistic == "median":
            return np.float32(self.distribution.quantile(outputs, 0.5))
        shape = (*fields.fine.shape, len(self.channels))
        levels = np.stack([draw_levels(seed, t, member, shape) for t in fields.times])
        return np.float32(self.distribution.quantile(outputs, levels))

    def check_size(self, fine: Grid, tile: int | None = None) -> None:
        """Checks the size of fields against a network whose input size is fixed.

        Args:
            fine: Grid of the prediction, with complete blocks.
            tile: Side of a denoiser's tiles in coarse points; None for the side of its patches.

        Raises:
            InputError: The network's input size is fixed, and differs from the grid; or, for a
                denoiser, the grid is smaller than a tile.
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
                f"the network of {self.path} refines to exactly {wanted[0]} × {wanted[1]} points, "
                f"but the input covers the {fine.describe()}: give input of that size, or train a "
                "network that takes any size, such as srgan, resnet or unet."
            )

    def _check_tiles(self, fine: Grid, tile: int | None) -> None:
        """Raises an InputError if the grid is smaller than a denoiser's tiles of fixed size."""
        denoiser = self._denoiser(tile)
        rows, columns = (points // self.scale for points in fine.shape)
        if not denoiser.fits(rows, columns, fine.wraps):
            sides = [self.scale * side for side in denoiser.sides]
            raise InputError(
                f"the denoiser of {self.path} works on tiles of {sides[0]} × {sides[1]} points, "
                f"but the input covers the {fine.describe()}: give input of at least that size, or "
                "train a network that takes any size, such as unet without attention_sides."
            )

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
        """Predicts one member of a generator, normalised, (n, H, W, C).

        Args:
            fields: Samples of whole fields, for their grids and times.
            low: Normalised coarse fields with their margin.
            fine: Normalised maps on the fine grid by name.
            constant: Covariates and window steps by name.
            tile: Largest side of a tile in coarse points.
            seed, member: Seed and number of the member.
            noise_memory: See :meth:`__call__`.
        """
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
        coarse = {"low_valid": self.field_inputs.present(fields)} if "low_valid" in inputs else None
        return apply_in_tiles(
            self.run_batch, low, fields.coarse,
            scale=self.scale, halo=self.halo, tile=tile, fine=fine, constant=constant,
            coarse=coarse, margin=self.schema.margin,
            channels=len(self.channels) * self._parameters,
            position=fields.position if "position" in inputs else None,
            fixed=None not in inputs["low"].shape[-3:-1],
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
        """Samples members of a denoiser, normalised, (members, n, H, W, C).

        Args:
            fields, low, fine, constant, seed, noise_memory: See :meth:`predict_member`.
            tile: Side of a denoiser's tiles in coarse points; None for the side of its patches.
            members: Numbers of the members.
        """
        base = None
        if self._mean is not None:
            arrays = self._mean.field_inputs.further_arrays(fields)
            base = self._mean.predict_member(fields, low, *arrays, tile or TILE, seed, 0, None)
        position = np.tile(np.int32(fields.position), (len(low), 1))
        inputs = {"low": low, **fine, **constant, "position": position}
        closed, latent = fields.coarse.wraps, self._latent
        sampled = self._denoiser(tile).sample(
            inputs if latent is None else latent.conditions(inputs),
            seed=seed, times=fields.times, members=members, closed=closed,
            noise_memory=noise_memory, base=base, observe=self._physical_observer(),
        )  # fmt: skip
        if latent is None:
            return sampled
        return np.stack([latent.decode(member, closed) for member in sampled])

    @property
    def works_in_latent_space(self) -> bool:
        """True if the states of the denoiser are latent fields of an autoencoder."""
        return self._latent is not None

    def _physical_observer(self) -> Callable[[float, np.ndarray, np.ndarray], None] | None:
        """Returns ``observe`` wrapped to take normalised fields; None if it is not to be called."""
        observe = self.observe
        if observe is None or self._latent is not None:
            return None
        return lambda level, *fields: observe(level, *map(self.normalization.invert, fields))

    def _denoiser(self, tile: int | None) -> DenoisedFields:
        """Returns the denoiser for tiles of this side in coarse points, cached by the side."""
        if tile not in self._denoisers:
            schema = self.schema if self._latent is None else self._latent.schema
            self._denoisers[tile] = DenoisedFields(
                self.network, schema, self._objective, self._sampler_given, tile=tile
            )
        return self._denoisers[tile]

    def _conserved(
        self, fine: np.ndarray, fields: WholeFields, filled: np.ndarray, minimum: float | None
    ) -> np.ndarray:
        """Imposes the coarse input's block means on channels that input and output share.

        Args:
            fine: Physical fine fields, changed in place.
            fields: Samples, for their grids.
            filled: Coarse fields without missing values.
            minimum: Lower bound of the result; None for no bound.
        """
        names = [name for name in self.channels if name in self.low.channels]
        low = [self.low.channels.index(name) for name in names]
        high = [self.channels.index(name) for name in names]
        coarse = fields.inner(fields.asked(filled))[..., low]
        fine[..., high] = with_block_means(
            fine[..., high], coarse, fields.fine, self.scale, minimum
        )
        return fine

    def run_batch(self, batch: dict[str, np.ndarray]) -> np.ndarray:
        """Applies the network to a batch of tiles; selects each sample's ``step`` of a window."""
        step = batch.pop("step", None)
        outputs = self.graphs(batch)
        if step is None:
            return outputs
        return outputs[np.arange(len(outputs)), step]


def _open_generator_run(
    run: str | os.PathLike, epoch: int | str | None
) -> tuple[Run, Mapping[str, Any]]:
    """Opens a run of ``phire-train``; returns it and its configuration.

    Raises:
        InputError: The run is from another command, or ``epoch`` is neither a number nor ``best``.
    """
    from phire.training import open_run

    opened = open_run(run, "phire-train")
    config = opened.config
    if "schema" not in config or "network" not in config:
        raise InputError(
            f"{run} has no schema of its records, as it comes from another command or an earlier "
            "version of phire: name a run of phire-train, or train again."
        )
    if not (epoch is None or epoch == "best" or str(epoch).isdigit()):
        raise InputError(f"--epoch {epoch} must be a number or `best`.")
    return opened, config


def _traits(network: Any) -> tuple[bool, ...]:
    """Returns three flags of a network: periodic padding, conservation, weights for each point."""
    from phire.networks.blocks.conservation import Conservation
    from phire.networks.blocks.position_channels import PlaceChannels
    from phire.networks.dl4ds.locally_connected import LocallyConnected
    from phire.networks.periodic_padding import PeriodicPadding

    kinds = (PeriodicPadding, Conservation, (LocallyConnected, PlaceChannels))
    return tuple(any(isinstance(layer, kind) for layer in network.layers) for kind in kinds)
