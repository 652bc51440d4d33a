"""Latent space of a trained autoencoder, in which a denoiser works instead of on fine fields."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from phire.downscaling.overlapping_tiles import OverlappingTiles, tiles_along
from phire.errors import InputError
from phire.fields.coarsening import coarsen_grid
from phire.fields.normalization import Normalization
from phire.records.schema import SampleSchema

NETWORK = "autoencoder"
"""Name under which a run keeps the autoencoder whose latent space it works in."""

SAMPLES = 256
"""Samples that the scale of latent fields is measured on."""

TILES_AT_ONCE = 8
"""Latent tiles that are decoded at once; always as many, so that batches change no result."""


class LatentSpace:
    """Latent space of an autoencoder: fields before the projection to codes, of unit size.

    Its points lie ``factor`` fine points apart. Each latent channel is normalised to mean 0 and
    standard deviation 1 by what is measured on the records. Decoding projects latent fields to the
    width of a code, rounds them to codes and applies the decoder.

    Args:
        network: Network of an objective vqvae.
        schema: Schema of the records.
        mean, std: Of each latent channel; 0 and 1 by default.

    Attributes:
        factor: Fine points to a latent one, along each axis.
        channels: Names of the latent channels.
        mean, std: One number a latent channel.
        path: The run of the autoencoder, where it was opened from one.

    Raises:
        InputError: The latent grid does not fit the records.
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
                f"latent: the latent grid is {self.factor} times coarser than the fine one, which "
                f"must divide the scale of {schema.scale} and the patches of {schema.patch[0]} × "
                f"{schema.patch[1]} points: train an autoencoder of fewer levels (widths)."
            )
        self._sides = tuple(side // self.factor for side in schema.patch)
        self._fine_channels = len(schema.channels)
        self.schema = self._latent_schema(schema)
        self._decode_batch: Any = None

    @classmethod
    def open(cls, path: str | os.PathLike, schema: SampleSchema, records: Any) -> LatentSpace:
        """Opens a run of the objective vqvae, and measures the scale of its latent fields.

        Args:
            path: The run.
            schema: Schema of the records that the denoiser is trained on.
            records: Records to measure on, with ``count`` and ``dataset``.

        Raises:
            InputError: The run is of another objective, channels, patches or normalization.
        """
        from phire.training import open_run

        run = open_run(path)
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
                f"latent={path}: the channel latent_{int(std.argmin())} is constant: train the "
                "autoencoder longer, or with fewer latent_channels."
            )
        rounded = [[float(f"{value:.6g}") for value in part] for part in (values.mean(0), std)]
        space.mean, space.std = map(np.float32, rounded)
        space.path = run.path
        return space

    def _latent_schema(self, schema: SampleSchema) -> SampleSchema:
        """Returns the schema of samples in latent space; ``low`` is as it was."""
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
        """Returns a batch in latent space.

        Invalid values enter the encoder as 0, as in its training; all latent points are valid. Maps
        on the fine grid become block means.

        Args:
            batch: Arrays of samples, as tensors.
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
        """Returns conditions of whole fields in latent space; see :meth:`encode`.

        Args:
            inputs: ``static`` and ``auxiliary`` (…, H, W, C), ``position`` (n, 2), and others that
                stay as they are.
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
        """Decodes whole latent fields in overlapping tiles of the size trained on.

        Args:
            latent: (n, h, w, L) of unit size.
            closed: The fields go around the circle of longitude.

        Returns:
            (n, factor·h, factor·w, C) float32, normalised as the records' targets.
        """
        axes = [
            tiles_along(count, side, side // 4, 0, self.factor, around)
            for count, side, around in zip(latent.shape[1:3], self._sides, (False, closed))
        ]
        # Of latent points the tiles are cut; of fine ones they are blended.
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
        import tensorflow as tf

        if self._decode_batch is None:
            self._decode_batch = tf.function(
                lambda x: tf.cast(
                    self._decoder(x * self.std + self.mean, training=False), "float32"
                )
            )
        return self._decode_batch(tf.convert_to_tensor(batch)).numpy()

    def fingerprint(self) -> str:
        """Returns a short hash of the weights."""
        import hashlib

        digest = hashlib.sha256()
        for weight in self.network.get_weights():
            digest.update(np.ascontiguousarray(weight))
        return digest.hexdigest()[:16]

    def to_dict(self) -> dict[str, Any]:
        """Returns what a run keeps of the latent space beside the network."""
        return {
            "mean": [float(f"{value:.6g}") for value in self.mean],
            "std": [float(f"{value:.6g}") for value in self.std],
            "fingerprint": self.fingerprint(),
        }


@dataclasses.dataclass(frozen=True)
class _EncodedRecords:
    """Records whose batches are in latent space, for measuring."""

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
    """Checks that a run's autoencoder fits samples of a schema.

    Args:
        path: The run, for messages.
        config: Its configuration.
        schema: Schema of the records that a denoiser is to be trained on.

    Raises:
        InputError: It is of another objective, or of other channels, patches or normalization.
    """
    kind = (config.get("objective") or {}).get("name")
    if kind != "vqvae" or "schema" not in config:
        raise InputError(
            f"latent={path} was trained by {kind or 'another command'}: name a run of the "
            "objective vqvae."
        )
    theirs = SampleSchema.from_dict(config["schema"])
    if theirs.channels != schema.channels:
        raise InputError(
            f"latent={path} encodes {', '.join(theirs.channels)}, and the records' targets are "
            f"{', '.join(schema.channels)}: name a run of the same channels."
        )
    if theirs.patch != schema.patch:
        raise InputError(
            f"latent={path} was trained on patches of {theirs.patch[0]} × {theirs.patch[1]} "
            f"points, and the records hold {schema.patch[0]} × {schema.patch[1]}: make the records "
            "of both alike."
        )
    alike = [(one.normalization, one.target.climatologies) for one in (theirs, schema)]
    if alike[0] != alike[1]:
        raise InputError(
            f"latent={path} was trained with another normalization of the targets: make the "
            "records with --statistics of those that it was trained on."
        )
