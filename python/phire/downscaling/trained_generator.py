"""A trained generator with the schema of the samples that it was trained on."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from phire.downscaling.denoising import DenoisedFields
from phire.downscaling.distributions.registry import distribution as distributions
from phire.downscaling.latent_space import NETWORK as AUTOENCODER
from phire.downscaling.latent_space import LatentSpace
from phire.downscaling.missing_input import Filler, mark_missing
from phire.downscaling.random_inputs import (
    draw_dropout_seed,
    draw_levels,
    draw_noise,
    is_stochastic,
)
from phire.downscaling.residual_base import NETWORK
from phire.downscaling.sampler_choice import choose_sampler
from phire.downscaling.tiling import apply_in_tiles, with_margin
from phire.downscaling.whole_fields import WholeFields
from phire.errors import InputError
from phire.fields.coarsening import with_block_means
from phire.fields.grid import Grid
from phire.fields.time import TimeAxis
from phire.parts import Specification
from phire.records.anomalies import Anomalies, read_anomalies
from phire.records.schema import SampleSchema

TILE = 128
STATISTICS = ("mean", "median")
"""Fields that a run trained by the objective likelihood gives where no members are asked for."""

CONSISTENCIES = ("mean",)
"""Properties of the coarse field that members can be given exactly."""


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
        channels, units, normalization: Of the targets.
        periodic: The network pads around the circle of longitude.
        conserves: It keeps block means.
        localized: It has weights for each point of the domain.
        low: The array ``low`` of the schema.
        halo: Coarse points that an output depends on; None for the whole field.
        stochastic: Members differ: the network reads random numbers, or gives the parameters of a
            distribution.
        distribution: Distribution whose parameters the network gives; None where it gives fields.
        sampler: The sampler of a denoiser with its options as resolved; None of a generator.

    Raises:
        InputError: ``run`` is none, or is not trained to its end; the sampler does not fit it.
    """

    def __init__(
        self,
        run: str | os.PathLike,
        network: str = "generator",
        epoch: int | str | None = None,
        sampler: Specification | None = None,
    ) -> None:
        from phire.networks.blocks.fine_output import halo_of
        from phire.training import open_run

        self.path = Path(run)
        opened = open_run(run)
        config = opened.config
        if "schema" not in config or "network" not in config:
            raise InputError(
                f"{run} is a run of another command, or of an earlier version of phire, which kept "
                "no schema: name a run of phire-train, or train again."
            )
        if not (epoch is None or epoch == "best" or str(epoch).isdigit()):
            raise InputError(f"--epoch {epoch} must be a number or `best`.")
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
        self._anomalies = read_anomalies(self.path, self.schema.arrays)
        self._placed: dict[str, tuple[Grid, Anomalies]] = {}
        self.scale = int(self.schema.scale)
        self.alignment = self.schema.alignment or "cell"
        self.halo = halo_of(self.network)
        self.sampler = None
        if sampler is not None or "noisy" in self.network.input:
            self.sampler = choose_sampler(sampler or "", config["objective"])
            self._objective = config["objective"]
        self.distribution = None
        objective = config.get("objective") or {}
        if objective.get("name") == "likelihood" and network == "generator":
            self.distribution = distributions.build(objective["distribution"], self.normalization)
        self._parameters = 1 if self.distribution is None else self.distribution.parameters
        self._random = self.sampler is not None or is_stochastic(self.network)
        self.stochastic = self._random or self.distribution is not None
        self._sampler_given = sampler or ""
        self._latent = None
        if self.sampler is not None and self._objective.get("latent"):
            of_run = config["latent"]
            self._latent = LatentSpace(
                opened.network(AUTOENCODER), self.schema, of_run["mean"], of_run["std"]
            )
        self._mean = None
        if self.sampler is not None and self._objective.get("residual"):
            self._mean = TrainedGenerator(run, NETWORK)
        self._graphs: dict[tuple, Callable[[dict], Any]] = {}
        self._denoisers: dict[int | None, DenoisedFields] = {}
        self.observe: Callable[[float, np.ndarray, np.ndarray], None] | None = None
        """Called at each call of a denoiser, unless in a latent space, with the noise level, the
        sampler's states and the denoised fields, (k, H, W, C) in physical units."""

    def fingerprint(self) -> str:
        """A short hash of the weights."""
        digest = hashlib.sha256()
        for weight in self.network.get_weights():
            digest.update(np.ascontiguousarray(weight))
        return digest.hexdigest()[:16]

    def check_values(self, fields: np.ndarray, what: str) -> None:
        """Refuses coarse fields that cannot be in the units of the training data.

        Args:
            fields: (…, Cl); missing values are left out of the judgement.
            what: What they are, for the message.

        Raises:
            InputError: Their mean or spread is far off the training data's.
        """
        from phire.rplearn.input_checks import check_values

        present = np.isfinite(fields).all(-1)
        if np.isinf(fields).any():
            raise InputError(f"{what} holds infinite values: mark them as missing (NaN) first.")
        if present.any():
            check_values(
                fields[present][None, None], self.low.normalization, self.low.units, what,
                trained=f"the training data of {self.path}",
            )  # fmt: skip

    def __call__(
        self,
        fields: WholeFields,
        tile: int | None = None,
        *,
        fill: str = "nearest",
        minimum: float | None = None,
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
                deterministic generator, or ``consistency`` does not fit the run.
        """
        if not len(fields.low):
            raise InputError("there are no fields to refine: the first axis has the length 0.")
        self.check_members(members)
        self.check_consistency(consistency)
        self.check_noise_memory(noise_memory)
        filled, missing = self._filled(fields, fill)
        low = self._normalised("low", filled, fields, fields.outer or fields.coarse)
        low = self._with_context(low, fields)
        fine, constant = self._further_arrays(fields)
        made, outputs = [], None
        for member in range(members):
            if self.sampler is not None:
                outputs = self._sampled(
                    fields, low, fine, constant, tile, seed, member, noise_memory
                )
            elif outputs is None or self._random:
                outputs = self._member(
                    fields, low, fine, constant, tile or TILE, seed, member, noise_memory
                )
            if self.distribution is None:
                result = self.normalization.invert(self._without_anomalies(outputs, fields))
            else:
                result = self._of_distribution(outputs, fields, seed, member, statistic)
            if minimum is not None:
                np.maximum(result, np.float32(minimum), out=result)
            if self.conserves or consistency:
                result = self._conserved(result, fields, filled, minimum)
            made.append(mark_missing(result, missing))
        return np.stack(made)

    @property
    def has_statistics_of_points(self) -> bool:
        """True where fields are anomalies from climatologies of each point of the domain."""
        return any(
            part.grid is not None for found in self._anomalies.values() for part in found.parts
        )

    def check_anomalies(self, time: TimeAxis, fine: Grid, name: str) -> None:
        """Refuses fields at times or points whose climatology the run does not know.

        Args:
            time: Times of all fields.
            fine: The grid to predict.
            name: What the input is called.

        Raises:
            InputError: A month or point is not among those of the training data.
        """
        for array, anomalies in self._anomalies.items():
            try:
                anomalies.require(time)
                if array != "low":
                    anomalies.on(fine, array)
            except InputError as error:
                raise InputError(f"{name} does not suit {self.path}: {error}") from None

    def _anomalies_on(self, name: str, grid: Grid) -> Anomalies | None:
        """The climatologies of an array at the points of a grid; None where it has none."""
        if name not in self._anomalies:
            return None
        if name not in self._placed or self._placed[name][0] is not grid:
            self._placed[name] = grid, self._anomalies[name].on(grid, name)
        return self._placed[name][1]

    def _normalised(
        self, name: str, values: np.ndarray, fields: WholeFields, grid: Grid
    ) -> np.ndarray:
        """Normalised values of an array, float32, from physical ones on a grid."""
        values = self.schema.arrays[name].normalization.apply(values).astype(np.float32)
        anomalies = self._anomalies_on(name, grid)
        if anomalies is None:
            return values
        times = fields.times if fields.window_times is None else fields.window_times
        time = TimeAxis(times.ravel(), fields.calendar)
        flat = values.reshape(-1, *values.shape[-3:])
        return anomalies.apply(flat, time).reshape(values.shape)

    def _without_anomalies(self, outputs: np.ndarray, fields: WholeFields) -> np.ndarray:
        """Normalised fields (n, H, W, C) from those that the network gives."""
        anomalies = self._anomalies_on("high", fields.fine)
        if anomalies is None:
            return outputs
        return anomalies.invert(outputs, TimeAxis(fields.times, fields.calendar))

    def _of_distribution(
        self,
        outputs: np.ndarray,
        fields: WholeFields,
        seed: int,
        member: int,
        statistic: str | None,
    ) -> np.ndarray:
        """A statistic of the distribution, or a member, in physical units: (n, H, W, C)."""
        if statistic == "mean":
            return np.float32(self.distribution.mean(outputs))
        if statistic == "median":
            return np.float32(self.distribution.quantile(outputs, 0.5))
        shape = (*fields.fine.shape, len(self.channels))
        levels = np.stack([draw_levels(seed, t, member, shape) for t in fields.times])
        return np.float32(self.distribution.quantile(outputs, levels))

    def choose_statistic(self, statistic: str | None, members: int | None) -> str | None:
        """Returns the statistic to predict; None for members, and where there is no distribution.

        Args:
            statistic: As asked for; by default the mean where no members are.
            members: As asked for.

        Raises:
            InputError: The run gives no distribution, the statistic is unknown, or members are
                asked for, too.
        """
        if statistic is not None and self.distribution is None:
            raise InputError(
                f"--statistic {statistic} is of runs trained by the objective likelihood, which "
                f"{self.path} is not: leave it out."
            )
        if statistic not in (None, *STATISTICS):
            raise InputError(f"--statistic {statistic} must be one of {', '.join(STATISTICS)}.")
        if statistic is not None and members is not None:
            raise InputError(
                f"--statistic {statistic} gives one field, --members {members} draws several: "
                "leave one of them out."
            )
        if self.distribution is None or members is not None:
            return None
        return statistic or "mean"

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

    def check_members(self, members: int) -> None:
        """Refuses an impossible number of members.

        Raises:
            InputError: It is not positive, or several are asked of a deterministic generator.
        """
        if members < 1:
            raise InputError(f"--members {members} must be at least 1.")
        if members > 1 and not self.stochastic:
            raise InputError(
                f"--members {members} needs a stochastic generator, but {self.path} is "
                "deterministic: leave it out, or train a network with noise or Monte Carlo "
                "dropout, or by the objective likelihood."
            )

    def check_noise_memory(self, noise_memory: float | None) -> None:
        """Refuses a memory of noise of a run without noise.

        Raises:
            InputError: It is not positive, or the network has no noise.
        """
        if noise_memory is None:
            return
        if self.sampler is None and "noise" not in self.network.input:
            raise InputError(
                f"--noise-memory is of runs with noise, and {self.path} has none: leave it out."
            )
        if noise_memory <= 0:
            raise InputError(f"--noise-memory of {noise_memory:g} s must be a time above 0.")

    def check_consistency(self, consistency: str | None) -> None:
        """Raises InputError if the run cannot be made consistent with the coarse fields.

        Raises:
            InputError: It is unknown, no channel is on both sides, or the coarse points are no
                means of blocks.
        """
        if consistency is None:
            return
        if consistency not in CONSISTENCIES:
            raise InputError(
                f"--consistency {consistency} must be one of {', '.join(CONSISTENCIES)}."
            )
        if not {*self.channels} & {*self.low.channels}:
            raise InputError(
                f"--consistency {consistency} needs a target that is a coarse channel, too, but "
                f"{self.path} makes {', '.join(self.channels)} of {', '.join(self.low.channels)}: "
                "leave it out."
            )
        if self.alignment != "cell":
            raise InputError(
                f"--consistency {consistency} is of coarse values that are means of blocks, but "
                f"{self.path} was trained with --alignment {self.alignment}: leave it out."
            )

    def _filled(self, fields: WholeFields, fill: str) -> tuple[np.ndarray, np.ndarray]:
        """Coarse fields without missing values, and (n, h, w) True where a block had some."""
        filler = Filler(fill, self.low.normalization.mean)
        flat = fields.low.reshape(-1, *fields.low.shape[-3:])
        filled, missing = filler(flat, fields.coarse)
        filled = filled.reshape(fields.low.shape)
        missing = missing.reshape(*fields.low.shape[:-1], 1)
        return filled, fields.inner(fields.asked(missing))[..., 0]

    def _present(self, fields: WholeFields) -> np.ndarray:
        """Coarse values that are present, 1 or 0, with the margin on every side."""
        return self._with_context(np.isfinite(fields.low).astype(np.float32), fields)

    def _with_context(self, low: np.ndarray, fields: WholeFields) -> np.ndarray:
        """Coarse fields with the margin on every side: theirs, else the nearest there is."""
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
            values = self._normalised(name, array, fields, fields.fine)
            values = np.nan_to_num(values, copy=False)  # as records hold what is missing
            if name == "static":
                values = np.broadcast_to(values, (len(fields.low), *values.shape))
            fine[name] = values
        if "time" in names:
            constant["time"] = fields.time
        if fields.step is not None:
            constant["step"] = fields.step
        return fine, constant

    def _member(
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
            self._run, low, fields.coarse,
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
        member: int,
        noise_memory: float | None,
    ) -> np.ndarray:
        """Samples one normalised member of a denoiser, (n, H, W, C)."""
        base = None
        if self._mean is not None:
            arrays = self._mean._further_arrays(fields)
            base = self._mean._member(fields, low, *arrays, tile or TILE, seed, 0, None)
        position = np.tile(np.int32(fields.position), (len(low), 1))
        inputs = {"low": low, **fine, **constant, "position": position}
        closed, latent = fields.coarse.wraps, self._latent
        made = self._denoiser(tile).sample(
            inputs if latent is None else latent.conditions(inputs),
            seed=seed, times=fields.times, members=[member], closed=closed,
            noise_memory=noise_memory, base=base, observe=self._physical_observer(),
        )[0]  # fmt: skip
        return made if latent is None else latent.decode(made, closed)

    @property
    def works_in_latent_space(self) -> bool:
        """A denoiser whose states are codes of an autoencoder."""
        return self._latent is not None

    def _physical_observer(self) -> Callable[[float, np.ndarray, np.ndarray], None] | None:
        """``observe`` for normalised fields; None where nobody asks."""
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
        """Fields whose block means are the coarse input, for the channels that both have."""
        names = [name for name in self.channels if name in self.low.channels]
        low = [self.low.channels.index(name) for name in names]
        high = [self.channels.index(name) for name in names]
        coarse = fields.inner(fields.asked(filled))[..., low]
        fine[..., high] = with_block_means(
            fine[..., high], coarse, fields.fine, self.scale, minimum
        )
        return fine

    def _run(self, batch: dict[str, np.ndarray]) -> np.ndarray:
        import tensorflow as tf

        step = batch.pop("step", None)
        # A graph a shape: it frees features as soon as they are used, which Keras does not do when
        # a network is called, and the last convolution is arranged by the size of the image.
        key = tuple((name, array.shape) for name, array in sorted(batch.items()))
        if key not in self._graphs:
            signature = {
                name: tf.TensorSpec(array.shape, tf.as_dtype(array.dtype))
                for name, array in batch.items()
            }
            self._graphs[key] = tf.function(
                lambda arrays: self.network(arrays, training=False), input_signature=[signature]
            )
        made = self._graphs[key](batch).numpy()
        if step is None:
            return made
        return made[np.arange(len(made)), step]


def _traits(network: Any) -> tuple[bool, ...]:
    """Tells if a network pads periodically, keeps block means, and has weights for each point."""
    from phire.networks.blocks.conservation import Conservation
    from phire.networks.blocks.position_channels import PlaceChannels
    from phire.networks.dl4ds.locally_connected import LocallyConnected
    from phire.networks.periodic_padding import PeriodicPadding

    kinds = (PeriodicPadding, Conservation, (LocallyConnected, PlaceChannels))
    return tuple(any(isinstance(layer, kind) for layer in network.layers) for kind in kinds)
