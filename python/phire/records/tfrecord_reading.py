"""Reading of records as ``tf.data``: normalised batches in a reproducible order."""

from __future__ import annotations

import functools
import math
from pathlib import Path

import numpy as np
import tensorflow as tf

from phire.errors import InputError, naming_arguments
from phire.fields.covariates import covariates, patch_longitudes
from phire.records import presence_bits
from phire.records import tfrecord_encoding as encoding
from phire.records.fine_static_maps import load_statics
from phire.records.manifest import Manifest
from phire.records.parallel_tasks import available_cores
from phire.records.schema import DOWNSCALING, PAIRS, PRESENCE, SampleArray, SampleSchema

TF_COMPRESSION = {"none": "", "zlib": "ZLIB", "gzip": "GZIP"}
SHUFFLE_BYTES = 1 << 25
"""Size of the shuffle buffer, bytes. The order on disk is random already and need only differ by
epoch; a larger buffer costs more time than the rest of reading."""


class Records:
    """Records open for reading.

    Attributes:
        path: The directory or file.
        manifest: Their metadata; for bare TFRecord files, that of the first record.
        shards: Paths of the TFRecord files.
    """

    def __init__(self, path: Path, manifest: Manifest, shards: list[str]) -> None:
        self.path = path
        self.manifest = manifest
        self.shards = shards

    @property
    def schema(self) -> SampleSchema:
        """Schema of the samples."""
        return self.manifest.schema

    @property
    def count(self) -> int:
        """Number of records."""
        return self.manifest.count

    @naming_arguments()
    def steps(self, batch_size: int, *, limit: int | None = None) -> int:
        """Counts the whole batches in an epoch, at most ``limit``.

        :meth:`dataset` yields fewer if its ``classes`` leaves out records; see
        :meth:`count_classes`.

        Raises:
            InputError: ``batch_size`` is below 1.
        """
        if batch_size < 1:
            raise InputError(f"--batch-size {batch_size} must be at least 1.")
        steps = self.count // batch_size
        return steps if limit is None else min(steps, limit)

    def count_classes(self, classes: int | None) -> int:
        """Counts the records with a label up to ``classes``."""
        if classes is None or classes >= (self.schema.classes or 0):
            return self.count
        labels = self.serialised(None, 0).batch(256).map(read_labels)
        return int(sum(int((batch <= classes).sum()) for batch in labels.as_numpy_iterator()))

    @naming_arguments()
    def dataset(
        self,
        batch_size: int,
        *,
        seed: int | None = None,
        epoch: int = 0,
        skip: int = 0,
        shard: tuple[int, int] = (1, 0),
        drop_remainder: bool = True,
        classes: int | None = None,
        limit: int | None = None,
    ) -> tf.data.Dataset:
        """Returns the batches of one epoch.

        Args:
            batch_size: Number of records in a (global) batch.
            seed: Seed of the order; None keeps the order on disk.
            epoch: Number of the epoch, by which the order differs.
            skip: Number of batches to skip, without decoding them, when an epoch is resumed.
            shard: (number of workers, number of this worker); each gets its part of every batch.
            drop_remainder: Leave out a last batch that is not full.
            classes: Pairs: the largest label to read; None reads all.
            limit: Read only the first ``limit`` batches' worth of records on disk, shuffled each
                epoch: a fixed set for the warm-up.

        Returns:
            A dataset of dictionaries. Pairs: ``first``, ``second`` (B, H, W, C) float32,
            normalised; ``label`` (B,) int64, from 1; ``position`` (B, 4) float32, degrees
            (colatitude and longitude of the first and the following corner). Downscaling: the
            arrays of the schema, at least ``low`` and ``high``, with its names, shapes and
            normalizations, float32; ``position`` is int32.

        Raises:
            InputError: ``batch_size`` is not a multiple of the number of workers.
        """
        workers, worker = shard
        if batch_size % workers:
            raise InputError(
                f"--batch-size {batch_size} must be a multiple of {workers}, the number of "
                "replicas."
            )
        keep = None
        if classes is not None and self.schema.classes and classes < self.schema.classes:
            keep = classes
        records = self.serialised(None if limit else seed, epoch)
        if keep is not None:
            records = records.filter(lambda record: _label(record) <= keep)
        if limit is not None:
            records = records.take(limit * batch_size)
        if seed is not None:
            buffer = max(batch_size, min(self.count, SHUFFLE_BYTES // self._record_bytes()))
            records = records.shuffle(
                buffer, seed=_mix(seed, epoch), reshuffle_each_iteration=False
            )
        records = records.skip(skip * batch_size)
        if workers > 1:
            records = records.shard(workers, worker)
        # A few parallel calls keep up with any disk; each further one would hold a batch.
        batches = records.batch(batch_size // workers, drop_remainder=drop_remainder).map(
            self.decode, num_parallel_calls=min(4, available_cores()), deterministic=True
        )
        options = tf.data.Options()
        options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
        return batches.with_options(options).prefetch(2)

    def _record_bytes(self) -> int:
        names = encoding.PIXELS.keys() & self.schema.arrays.keys()
        values = sum(math.prod(self.schema.arrays[name].shape) for name in names)
        return values * np.dtype(self.manifest.dtype).itemsize + 256

    def serialised(self, seed: int | None, epoch: int) -> tf.data.Dataset:
        """Returns the records as serialised ``tf.train.Example`` messages.

        Args:
            seed: Seed of the order of the shards; None keeps their order on disk.
            epoch: Number of the epoch, by which the order differs.
        """
        names = list(self.shards)
        if seed is not None:
            np.random.default_rng([seed, epoch]).shuffle(names)
        return tf.data.TFRecordDataset(
            names,
            compression_type=TF_COMPRESSION[self.manifest.compression],
            buffer_size=1 << 20,
            # Several shards are read in parallel, so that no single file blocks the reader.
            num_parallel_reads=None if len(names) == 1 else min(4, len(names)),
        ).with_options(_deterministic())

    def decode(self, records: tf.Tensor) -> dict[str, tf.Tensor]:
        """Decodes serialised records, (n,), to a batch as in :meth:`dataset`."""
        arrays = self.schema.arrays
        pixels = [name for name in encoding.PIXELS if name in arrays]
        wanted = {encoding.PIXELS[name]: tf.io.FixedLenFeature([], tf.string) for name in pixels}
        if self.schema.kind == PAIRS:
            wanted["label"] = tf.io.FixedLenFeature([], tf.int64)
            wanted |= {n: tf.io.FixedLenFeature([], tf.float32, -1.0) for n in encoding.PAIR_FLOATS}
        elif "position" in arrays:
            wanted |= {n: tf.io.FixedLenFeature([], tf.int64) for n in ("row", "column", "time")}
        parsed = tf.io.parse_example(records, wanted)
        sample = {
            name: presence_bits.unpacked(parsed[encoding.PIXELS[name]], arrays[name].shape)
            if name in PRESENCE
            else self._pixels(parsed[encoding.PIXELS[name]], arrays[name])
            for name in pixels
        }
        if "position" in arrays and self.schema.kind == DOWNSCALING:
            sample |= self._placed(parsed)
        if self.schema.kind == PAIRS:
            sample["label"] = parsed["label"]
            sample["position"] = tf.stack([parsed[name] for name in encoding.PAIR_FLOATS], axis=1)
        return sample

    def _placed(self, parsed: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Returns ``position``, and ``static`` and ``time`` if the schema has them."""
        arrays = self.schema.arrays
        position = tf.stack([parsed["row"], parsed["column"]], axis=1)
        sample = {"position": tf.cast(position, tf.int32)}
        if "static" in arrays:
            rows, columns = self.schema.domain.shape
            down = (position[:, :1] + np.arange(self.schema.patch[0])) % rows
            across = (position[:, 1:] + np.arange(self.schema.patch[1])) % columns
            places = down[:, :, None] * columns + across[:, None]
            sample["static"] = tf.gather(self._maps, places)
        if "time" in arrays:
            channels = arrays["time"].channels
            values = tf.numpy_function(
                functools.partial(_covariates, self.schema),
                [parsed["time"], parsed["column"]], tf.float32, stateful=False,
            )  # fmt: skip
            sample["time"] = tf.ensure_shape(values, (None, len(channels)))
        return sample

    @functools.cached_property
    def _maps(self) -> tf.Tensor:
        """Static maps (H · W, maps), normalised, with 0 for missing values."""
        array = self.schema.arrays["static"]
        maps = array.normalization.apply(load_statics(self.path, array.channels))
        with tf.init_scope():
            return tf.constant(np.nan_to_num(maps).reshape(-1, maps.shape[-1]), tf.float32)

    def _pixels(self, data: tf.Tensor, array: SampleArray) -> tf.Tensor:
        """Decodes (n,) bytes to normalised (n, …, H, W, C) float32."""
        dtype = tf.as_dtype(self.manifest.dtype)
        length = math.prod(array.shape) * dtype.size
        if dtype == tf.float16:  # decode_raw with fixed_length does not support float16
            flat = tf.bitcast(tf.io.decode_raw(data, tf.int16, fixed_length=length), dtype)
        else:
            flat = tf.io.decode_raw(data, dtype, fixed_length=length)
        pixels = tf.reshape(flat, (data.shape[0] or -1, *array.shape))
        if self.manifest.physical:
            pixels = array.normalization.apply(pixels, xp=_TensorMath)
        return tf.cast(pixels, tf.float32)


def _covariates(schema: SampleSchema, times: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Returns the time covariates of patches with the given first columns, (n, K) float32."""
    names = [name.removesuffix("_sine") for name in schema.arrays["time"].channels[::2]]
    longitudes = None
    if schema.domain is not None and schema.domain.has_coordinates:
        longitudes = patch_longitudes(schema.domain, columns, schema.patch[1])
    return covariates(times, schema.calendar, names, longitudes)


class _TensorMath:
    """Mathematical functions of a normalization, on tensors of any float type."""

    abs, sign, log1p, expm1 = tf.abs, tf.sign, tf.math.log1p, tf.math.expm1
    log, exp, sqrt, square = tf.math.log, tf.exp, tf.sqrt, tf.square
    maximum, stack = tf.maximum, tf.stack


def _deterministic() -> tf.data.Options:
    options = tf.data.Options()
    options.deterministic = True
    return options


def _mix(seed: int, epoch: int) -> int:
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0] & 0x7FFFFFFF)


def _label(record: tf.Tensor) -> tf.Tensor:
    return tf.io.parse_single_example(record, {"label": tf.io.FixedLenFeature([], tf.int64)})[
        "label"
    ]


def read_labels(records: tf.Tensor) -> tf.Tensor:
    """Reads the labels (n,) of serialised pairs (n,)."""
    return tf.io.parse_example(records, {"label": tf.io.FixedLenFeature([], tf.int64)})["label"]
