"""Reading records as ``tf.data``: in a reproducible order, normalised, batched."""

from __future__ import annotations

import dataclasses
import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from phire.errors import InputError
from phire.fields.normalization import Normalization
from phire.records import features
from phire.records.manifest import BARE, NAME, Manifest
from phire.records.spreading import available_cores

_COMPRESSION = {"none": "", "zlib": "ZLIB", "gzip": "GZIP"}
SHUFFLE_BYTES = 1 << 25
"""Bytes of records that the shuffle buffer may hold. The order on disk is random already: it need
only differ by epoch, and a larger buffer costs more time than the rest of reading."""


class Records:
    """A set of records, open for reading.

    Attributes:
        path: The directory or file.
        manifest: Its facts; of bare TFRecord files, those that the first record tells.
    """

    def __init__(self, path: Path, manifest: Manifest, shards: list[str]) -> None:
        self.path = path
        self.manifest = manifest
        self._shards = shards

    @property
    def count(self) -> int:
        """Number of records."""
        return self.manifest.count

    def steps(self, batch_size: int, *, limit: int | None = None) -> int:
        """Whole batches in an epoch, ``limit`` at most.

        With ``classes`` given to :meth:`dataset` fewer come; see :meth:`count_classes`.

        Raises:
            InputError: The batch is empty.
        """
        if batch_size < 1:
            raise InputError(f"--batch-size {batch_size} must be at least 1.")
        steps = self.count // batch_size
        return steps if limit is None else min(steps, limit)

    def count_classes(self, classes: int | None) -> int:
        """The number of records with a label up to ``classes``."""
        if classes is None or classes >= (self.manifest.classes or 0):
            return self.count
        labels = self._raw(None, 0).batch(256).map(_labels)
        return int(sum(int((batch <= classes).sum()) for batch in labels.as_numpy_iterator()))

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
        """One epoch of batches.

        Args:
            batch_size: Records of a (global) batch.
            seed: Seed of the order; None keeps the order on disk.
            epoch: The order differs by epoch.
            skip: Batches of this epoch that were used already; they are passed over undecoded.
            shard: (number of workers, this worker): each gets its part of every batch.
            drop_remainder: Leave out a last batch that is not full.
            classes: Pairs: only labels up to this.
            limit: Only the first ``limit`` batches' worth of records on disk, shuffled anew each
                epoch (a fixed set to warm up on).

        Returns:
            A dataset of dictionaries. Pairs: ``first``, ``second`` (B, H, W, C) float32 and
            normalised, ``label`` (B,) int64 from 1, ``position`` (B, 4) float32 (colatitude and
            longitude of both, degrees). Downscaling: ``low`` and ``high``.

        Raises:
            InputError: The batch does not split over the workers.
        """
        workers, worker = shard
        if batch_size % workers:
            raise InputError(
                f"--batch-size {batch_size} does not split over {workers} replicas: choose a "
                "multiple."
            )
        keep = None
        if classes is not None and self.manifest.classes and classes < self.manifest.classes:
            keep = classes
        records = self._raw(None if limit else seed, epoch)
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
        # A few calls keep up with any disk; more would hold a batch each.
        batches = records.batch(batch_size // workers, drop_remainder=drop_remainder).map(
            self._decode, num_parallel_calls=min(4, available_cores()), deterministic=True
        )
        options = tf.data.Options()
        options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
        return batches.with_options(options).prefetch(2)

    def _record_bytes(self) -> int:
        manifest = self.manifest
        pixels = (
            np.prod(manifest.patch) * len(manifest.channels) * np.dtype(manifest.dtype).itemsize
        )
        return int(2 * pixels) + 256

    def _raw(self, seed: int | None, epoch: int) -> tf.data.Dataset:
        names = list(self._shards)
        if seed is not None:
            np.random.default_rng([seed, epoch]).shuffle(names)
        return tf.data.TFRecordDataset(
            names,
            compression_type=_COMPRESSION[self.manifest.compression],
            buffer_size=1 << 20,
            # Blocks of several shards at a time: the reader waits for no single file.
            num_parallel_reads=None if len(names) == 1 else min(4, len(names)),
        ).with_options(_deterministic())

    def _decode(self, records: tf.Tensor) -> dict[str, tf.Tensor]:
        """A batch of serialised records, (n,), as :meth:`dataset` gives it."""
        manifest = self.manifest
        wanted = {
            name: tf.io.FixedLenFeature([], tf.string) for name in _pixel_names(manifest.kind)
        }
        if manifest.kind == "pairs":
            wanted["label"] = tf.io.FixedLenFeature([], tf.int64)
            wanted |= {n: tf.io.FixedLenFeature([], tf.float32, -1.0) for n in features.PAIR_FLOATS}
        parsed = tf.io.parse_example(records, wanted)
        if manifest.kind == "pairs":
            return {
                "first": self._pixels(parsed["patch1"], manifest.patch),
                "second": self._pixels(parsed["patch2"], manifest.patch),
                "label": parsed["label"],
                "position": tf.stack([parsed[name] for name in features.PAIR_FLOATS], axis=1),
            }
        return {
            "low": self._pixels(parsed["data_LR"], manifest.low_patch),
            "high": self._pixels(parsed["data_HR"], manifest.patch),
        }

    def _pixels(self, data: tf.Tensor, patch: tuple[int, int]) -> tf.Tensor:
        """(n,) bytes as normalised (n, H, W, C) float32."""
        shape = (*patch, len(self.manifest.channels))
        dtype = tf.as_dtype(self.manifest.dtype)
        length = int(np.prod(shape)) * dtype.size
        if dtype == tf.float16:  # decode_raw of fixed length knows no float16
            flat = tf.bitcast(tf.io.decode_raw(data, tf.int16, fixed_length=length), dtype)
        else:
            flat = tf.io.decode_raw(data, dtype, fixed_length=length)
        pixels = tf.reshape(flat, (data.shape[0] or -1, *shape))
        if self.manifest.physical:
            pixels = self.manifest.normalization.apply(pixels, xp=_TensorMath)
        return tf.cast(pixels, tf.float32)


class _TensorMath:
    """What a normalisation needs, on tensors of any float type."""

    abs, sign, log1p, expm1 = tf.abs, tf.sign, tf.math.log1p, tf.math.expm1


def _deterministic() -> tf.data.Options:
    options = tf.data.Options()
    options.deterministic = True
    return options


def _mix(seed: int, epoch: int) -> int:
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0] & 0x7FFFFFFF)


def _pixel_names(kind: str) -> tuple[str, ...]:
    return features.PAIR_PIXELS if kind == "pairs" else features.DOWNSCALING_PIXELS


def _label(record: tf.Tensor) -> tf.Tensor:
    return tf.io.parse_single_example(record, {"label": tf.io.FixedLenFeature([], tf.int64)})[
        "label"
    ]


def _labels(records: tf.Tensor) -> tf.Tensor:
    return tf.io.parse_example(records, {"label": tf.io.FixedLenFeature([], tf.int64)})["label"]


def open_records(
    path: str | os.PathLike,
    *,
    normalization: str | None = None,
    statistics: str | os.PathLike | None = None,
) -> Records:
    """Opens a directory of records, or bare TFRecord files of AtmoDist or PhIRE.

    Args:
        path: A directory with ``records.json``, a directory of ``*.tfrecord`` files, or one file.
        normalization: Bare files only: ``z`` where they hold physical values (as PhIRE's do), to
            be normalised here; ``none`` where they are normalised already (as AtmoDist's are).
            By default float64 is taken for physical and float32 for normalised.
        statistics: Bare files only: a file of statistics; for ``z`` they are fitted to the records
            if not given.

    Returns:
        The records.

    Raises:
        InputError: There are no records, they are of a kind that is not known, or the options do
            not fit.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path} does not exist: name records of rplearn-data or phire-data.")
    if (path / NAME).is_file():
        if normalization is not None or statistics is not None:
            raise InputError(
                f"{path} states its normalization in {NAME}: leave out --normalization and "
                "--statistics, which are for bare TFRecord files."
            )
        manifest = Manifest.load(path)
        shards = [str(path / name) for name in manifest.shards]
        for shard in shards:
            if not Path(shard).is_file():
                raise InputError(f"{shard} is missing: make the records anew.")
        return Records(path, manifest, shards)
    return _open_bare(path, normalization, statistics)


def _open_bare(
    path: Path, normalization: str | None, statistics: str | os.PathLike | None
) -> Records:
    names = [path] if path.is_file() else sorted(path.glob(BARE))
    if not names:
        raise InputError(
            f"{path} holds neither {NAME} nor *.tfrecord files: name records of rplearn-data or "
            "phire-data."
        )
    shards = [str(name) for name in names]
    compression = sniff_compression(names[0])
    raw = tf.data.TFRecordDataset(shards, compression_type=_COMPRESSION[compression])
    try:
        first = tf.train.Example.FromString(next(raw.as_numpy_iterator()))
        count = int(raw.reduce(np.int64(0), lambda n, _: n + 1).numpy())
    except (StopIteration, tf.errors.OpError, ValueError):
        raise InputError(f"{path} is no TFRecord file, or an empty or damaged one.") from None
    facts = _facts(first, path)
    channels = tuple(f"channel_{c}" for c in range(facts.pop("depth")))
    physical = facts["dtype"] == "float64" if normalization is None else normalization == "z"
    if normalization not in (None, "z", "none"):
        raise InputError(f"--normalization {normalization} must be z or none for bare records.")
    manifest = Manifest(
        count=count,
        shards=tuple(name.name for name in names),
        channels=channels,
        units=("",) * len(channels),
        normalization=Normalization.identity(channels),
        compression=compression,
        **facts,
    )
    if facts["kind"] == "pairs":
        labels = raw.batch(256).map(_labels).as_numpy_iterator()
        manifest = dataclasses.replace(manifest, classes=int(max(batch.max() for batch in labels)))
    if statistics is not None:
        fitted = Normalization.load(statistics)
        if len(fitted.channels) != len(channels):
            raise InputError(
                f"{statistics} holds {len(fitted.channels)} channels, {path} {len(channels)}."
            )
        manifest = dataclasses.replace(manifest, channels=fitted.channels, normalization=fitted)
    elif physical:
        fitted = _fit(Records(path, manifest, shards))
        manifest = dataclasses.replace(manifest, normalization=fitted)
    return Records(path, dataclasses.replace(manifest, physical=physical), shards)


def _fit(records: Records) -> Normalization:
    """The z-score of bare records of physical values."""
    name = "first" if records.manifest.kind == "pairs" else "high"
    count, total, squares = 0, 0.0, 0.0
    for batch in records.dataset(1, drop_remainder=False).as_numpy_iterator():
        values = batch[name].astype(np.float64).reshape(-1, len(records.manifest.channels))
        count += len(values)
        total = total + values.sum(0)
        squares = squares + (values**2).sum(0)
    mean = total / count
    std = np.sqrt(squares / count - mean**2)
    return Normalization("z", records.manifest.channels, tuple(mean), tuple(std))


def _facts(first: tf.train.Example, path: Path) -> dict[str, Any]:
    """Kind, patch, scale and dtype that the first record tells."""
    found = first.features.feature

    def integer(name: str) -> int:
        return int(found[name].int64_list.value[0])

    def dtype(name: str, values: int) -> str:
        size = len(found[name].bytes_list.value[0]) / values
        kinds = {2: "float16", 4: "float32", 8: "float64"}
        if size not in kinds:
            raise InputError(
                f"{path}: {name} holds {size:g} bytes a pixel, which is no float16, float32 or "
                "float64."
            )
        return kinds[size]

    if set(features.PAIR_PIXELS) <= set(found):
        height, width, depth = (integer(name) for name in ("H", "W", "C"))
        facts = {"kind": "pairs", "patch": (height, width), "depth": depth}
        return {**facts, "dtype": dtype("patch1", height * width * depth)}
    if set(features.DOWNSCALING_PIXELS) <= set(found):
        low, high = ((integer(f"h_{r}"), integer(f"w_{r}")) for r in ("LR", "HR"))
        depth = integer("c")
        if high[0] % low[0] or high[0] // low[0] != high[1] / low[1]:
            raise InputError(f"{path}: {high} is no whole multiple of {low}.")
        return {
            "kind": "downscaling",
            "patch": high,
            "scale": high[0] // low[0],
            "depth": depth,
            "dtype": dtype("data_HR", high[0] * high[1] * depth),
        }
    raise InputError(
        f"{path} holds records with the features {', '.join(sorted(found))}: these are neither "
        "AtmoDist's pairs nor PhIRE's downscaling records."
    )


def sniff_compression(path: str | os.PathLike) -> str:
    """``none``, ``zlib`` or ``gzip``, by the first bytes of a TFRecord file."""
    with open(path, "rb") as stream:
        head = stream.read(12)
    if head[:2] == b"\x1f\x8b":
        return "gzip"
    if len(head) > 1 and head[0] == 0x78 and (head[0] * 256 + head[1]) % 31 == 0:
        try:
            zlib.decompressobj().decompress(head)
            return "zlib"
        except zlib.error:
            return "none"
    return "none"
