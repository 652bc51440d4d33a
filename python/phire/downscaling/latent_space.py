"""Latent space of a trained autoencoder, for latent diffusion."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from phire.downscaling.blended_tiles import OverlappingTiles, tiles_along
from phire.errors import InputError
from phire.fields.coarsening import coarsen_grid
from phire.fields.normalization import Normalization
from phire.records.schema import SampleSchema

NETWORK = "autoencoder"
"""Name of the autoencoder's file in the run of a latent denoiser."""

SAMPLES = 256
"""Number of samples on which the mean and standard deviation of latent fields are measured."""

TILES_AT_ONCE = 8
"""Latent tiles in each call of the decoder; a fixed number, because the batch size may change the
rounding of results."""


class LatentSpace:
    """Latent space of a VQ-VAE: normalised encoder outputs before the vector quantization.

    Each latent channel is normalised to mean 0 and standard deviation 1 over the records. Decoding
    projects latent fields to the width of a code vector, quantizes them and applies the decoder, as
    in latent diffusion (Rombach et al. 2022, arXiv:2112.10752).

    Args:
        network: Trained network of the objective vqvae.
        schema: Schema of the records.
        mean, std: Mean and standard deviation of each latent channel; 0 and 1 by default.

    Attributes:
        factor: Fine points per latent point, along each axis.
        channels: Names of the latent channels.
        mean, std: Mean and standard deviation of each latent channel.
        schema: Schema of samples in latent space.
        path: Run of the autoencoder; None if the space was not opened from a run.

    Raises:
        InputError: ``factor`` does not divide the records' scale and patches.
    """

    path: Path | None = None

    def __init__(
        self, network: keras.Model, schema: SampleSchema, mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
    ) -> None:  # fmt: skip
        self.network = network
        network.trainable = False
        encoder, codebook, decoder = (
            network.get_layer(name) for name in ("encoder", "codebook", "decoder")
        )
        self._encoder = keras.Model(
            encoder.input, encoder.get_layer("last_convolution").output, name="latent_encoder"
        )
        latent = keras.Input((None, None, self._encoder.output.shape[-1]), name="latent_field")
        codes = codebook(encoder.get_layer("latent")(latent))
        self._decoder = keras.Model(latent, decoder(codes), name="latent_decoder")
        self.factor = int(encoder.get_layer("padded").multiple)
        self.channels = tuple(f"latent_{i}" for i in range(latent.shape[-1]))
        self.mean = np.float32(np.zeros(len(self.channels)) if mean is None else mean)
        self.std = np.float32(np.ones(len(self.channels)) if std is None else std)
        if schema.scale % self.factor or any(side % self.factor for side in schema.patch):
            raise InputError(
                f"latent: the autoencoder's factor of {self.factor} must divide the scale of "
                f"{schema.scale} and the patches of {schema.patch[0]} × {schema.patch[1]} points: "
                "train an autoencoder with fewer levels (widths)."
            )
        self._sides = tuple(side // self.factor for side in schema.patch)
        self._fine_channels = len(schema.channels)
        self.schema = self._latent_schema(schema)
        self._decode_batch: Any = None

    @classmethod
    def open(cls, path: str | os.PathLike, schema: SampleSchema, records: Any) -> LatentSpace:
        """Opens a run of the objective vqvae, and measures mean and std of its latent channels.

        Args:
            path: Path of the run.
            schema: Schema of the denoiser's training records.
            records: Records to measure on, with ``count`` and ``dataset``.

        Raises:
            InputError: The run has another objective, or its channels, patches or normalization
                differ from the records'; or a latent channel is constant.
        """
        from phire.training import open_run

        run = open_run(path, "phire-train")
        check_autoencoder(path, run.config, schema)
        space = cls(run.network("generator"), schema)
        values = []
        for batch in space.encoded(records).dataset(min(16, records.count)):
            values.append(np.asarray(batch["high"], np.float64).reshape(-1, len(space.channels)))
            if 16 * len(values) >= SAMPLES:
                break
        values = np.concatenate(values)
        std = values.std(0)
        if not std.min() > 0:
            raise InputError(
                f"latent={path} has a constant channel, latent_{int(std.argmin())}: train the "
                "autoencoder longer, or with fewer latent_channels."
            )
        rounded = [[float(f"{value:.6g}") for value in part] for part in (values.mean(0), std)]
        space.mean, space.std = map(np.float32, rounded)
        space.path = run.path
        return space

    def _latent_schema(self, schema: SampleSchema) -> SampleSchema:
        """Returns the schema of samples in latent space; ``low`` is unchanged."""
        arrays, count = {}, len(self.channels)
        for name, array in schema.arrays.items():
            if name == "valid":
                continue
            if name in ("high", "static", "auxiliary"):
                height, width, channels = array.shape
                sides = height // self.factor, width // self.factor
                array = dataclasses.replace(array, shape=(*sides, channels))
            if name == "high":
                array = dataclasses.replace(
                    array, channels=self.channels, units=("1",) * count, shape=(*sides, count),
                    normalization=Normalization(
                        "none", self.channels, (0.0,) * count, (1.0,) * count
                    ),
                    climatologies=(),
                )  # fmt: skip
            arrays[name] = array
        domain = schema.domain and coarsen_grid(schema.domain, self.factor, "cell")
        return dataclasses.replace(
            schema, arrays=arrays, scale=schema.scale // self.factor, domain=domain
        )

    def encode(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """Transforms a batch to latent space.

        Invalid values enter the encoder as 0, as in its training, and every latent point counts as
        valid. Arrays on the fine grid are averaged over blocks.

        Args:
            batch: Arrays of samples by name, as tensors.
        """
        import tensorflow as tf

        high, valid = batch["high"], batch.get("valid")
        if valid is not None:
            high = tf.where(tf.cast(valid, tf.bool), high, 0)
        latent = tf.cast(self._encoder(high, training=False), tf.float32)
        found = {name: value for name, value in batch.items() if name != "valid"}
        found["high"] = (latent - self.mean) / self.std
        for name in {"static", "auxiliary"} & {*found}:
            found[name] = tf.nn.avg_pool2d(found[name], self.factor, self.factor, "VALID")
        if "position" in found:
            found["position"] = found["position"] // self.factor
        return found

    def encoded(self, records: Any) -> _EncodedRecords:
        """Returns records whose batches are in latent space."""
        return _EncodedRecords(self, records)

    def conditions(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Transforms a denoiser's conditions for whole fields to latent space.

        Args:
            inputs: Arrays by name. ``static`` and ``auxiliary``, (…, H, W, C), are averaged over
                blocks; ``position``, (n, 2), is divided by ``factor``; others are unchanged.
        """
        found, f = dict(inputs), self.factor
        for name in {"static", "auxiliary"} & {*found}:
            *lead, height, width, channels = found[name].shape
            blocks = found[name].reshape(*lead, height // f, f, width // f, f, channels)
            found[name] = blocks.mean((-4, -2))
        if "position" in found:
            found["position"] = found["position"] // f
        return found

    def decode(self, latent: np.ndarray, closed: bool = False) -> np.ndarray:
        """Decodes whole latent fields in overlapping tiles of the training patches' size.

        Args:
            latent: Normalised latent fields, (n, h, w, L).
            closed: True if the fields span all longitudes.

        Returns:
            Fine fields in the normalization of the records, (n, factor·h, factor·w, C) float32.
        """
        axes = [
            tiles_along(count, side, side // 4, 0, self.factor, around, fixed=True)
            for count, side, around in zip(latent.shape[1:3], self._sides, (False, closed))
        ]
        # Tiles are cut from latent points and blended at fine points, `factor` times as many.
        fine = OverlappingTiles(*axes, self.factor)
        height, width = (self.factor * count for count in latent.shape[1:3])
        result = np.zeros((len(latent), height, width, self._fine_channels), np.float32)
        jobs = [(n, tile) for n in range(len(latent)) for tile in range(len(fine))]
        batch = np.zeros((TILES_AT_ONCE, *fine.shape, latent.shape[-1]), np.float32)
        for first in range(0, len(jobs), TILES_AT_ONCE):
            some = jobs[first : first + TILES_AT_ONCE]
            for (n, tile), out in zip(some, batch):
                fine.cut_coarse(latent[n], tile, 0, out)
            for (n, tile), values in zip(some, self._decoded(batch)):
                fine.add(result[n], tile, values)
        return result

    def _decoded(self, batch: np.ndarray) -> np.ndarray:
        """Decodes a batch of normalised latent tiles."""
        import tensorflow as tf

        if self._decode_batch is None:
            self._decode_batch = tf.function(
                lambda x: tf.cast(
                    self._decoder(x * self.std + self.mean, training=False), "float32"
                )
            )
        return self._decode_batch(tf.convert_to_tensor(batch)).numpy()

    def fingerprint(self) -> str:
        """Returns a short hash of the autoencoder's weights."""
        import hashlib

        digest = hashlib.sha256()
        for weight in self.network.get_weights():
            digest.update(np.ascontiguousarray(weight))
        return digest.hexdigest()[:16]

    def to_dict(self) -> dict[str, Any]:
        """Returns the normalization and the hash of the weights, for a run's configuration."""
        return {
            "mean": [float(f"{value:.6g}") for value in self.mean],
            "std": [float(f"{value:.6g}") for value in self.std],
            "fingerprint": self.fingerprint(),
        }


@dataclasses.dataclass(frozen=True)
class _EncodedRecords:
    """Records whose batches are transformed to latent space."""

    space: LatentSpace
    records: Any

    @property
    def count(self) -> int:
        return self.records.count

    def dataset(self, batch_size: int) -> Iterator[dict[str, Any]]:
        return (self.space.encode(batch) for batch in self.records.dataset(batch_size))


def check_autoencoder(
    path: str | os.PathLike, config: Mapping[str, Any], schema: SampleSchema
) -> None:
    """Checks that a run's autoencoder fits the records of a denoiser.

    Args:
        path: Path of the run, for messages.
        config: Configuration of the run.
        schema: Schema of the denoiser's training records.

    Raises:
        InputError: The run has another objective, or its channels, patches or normalization differ
            from the records'.
    """
    kind = (config.get("objective") or {}).get("name")
    if kind != "vqvae" or "schema" not in config:
        raise InputError(
            f"latent={path} was trained by {kind or 'another command'}: name a run of the "
            "objective vqvae."
        )
    encoded = SampleSchema.from_dict(config["schema"])
    if encoded.channels != schema.channels:
        raise InputError(
            f"latent={path} encodes {', '.join(encoded.channels)}, but the records' targets are "
            f"{', '.join(schema.channels)}: name a run with the same channels."
        )
    if encoded.patch != schema.patch:
        raise InputError(
            f"latent={path} was trained on patches of {encoded.patch[0]} × {encoded.patch[1]} "
            f"points, but the records hold {schema.patch[0]} × {schema.patch[1]}: make records "
            "with the same --patch."
        )
    normalizations = [(one.normalization, one.target.climatologies) for one in (encoded, schema)]
    if normalizations[0] != normalizations[1]:
        raise InputError(
            f"latent={path} was trained with another normalization of the targets: make the "
            "records with --statistics of its training records."
        )
