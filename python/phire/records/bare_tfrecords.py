"""Bare TFRecord files of AtmoDist and PhIRE, whose sizes are read from the records themselves."""

from __future__ import annotations

import dataclasses
import math
import os
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from phire.errors import InputError
from phire.fields.normalization import Normalization
from phire.records import tfrecord_encoding as encoding
from phire.records.manifest import BARE, Manifest
from phire.records.pair_records import pair_schema
from phire.records.schema import DOWNSCALING, TARGET, SampleArray, SampleSchema
from phire.records.tfrecord_reading import TF_COMPRESSION, Records, read_labels


def open_bare(
    path: Path,
    normalization: str | None,
    statistics: str | os.PathLike | None,
    channels: Sequence[str] | None = None,
) -> Records:
    """Opens bare TFRecord files; see :func:`phire.records.records_opening.open_records`."""
    names = [path] if path.is_file() else sorted(path.glob(BARE))
    shards = [str(name) for name in names]
    compression = sniff_compression(names[0])
    raw = tf.data.TFRecordDataset(shards, compression_type=TF_COMPRESSION[compression])
    try:
        first = tf.train.Example.FromString(next(raw.as_numpy_iterator()))
        count = int(raw.reduce(np.int64(0), lambda n, _: n + 1).numpy())
    except (StopIteration, tf.errors.OpError, ValueError):
        raise InputError(f"{path} is not a TFRecord file, or it is empty or damaged.") from None
    if normalization not in (None, "z", "none"):
        raise InputError(f"--normalization {normalization} must be z or none for bare records.")
    classes = None
    if set(encoding.PAIR_PIXELS) <= set(first.features.feature):
        labels = raw.batch(256).map(read_labels).as_numpy_iterator()
        classes = int(max(batch.max() for batch in labels))
    schema, dtype = _schema(first, path, classes)
    physical = dtype == "float64" if normalization is None else normalization == "z"
    manifest = Manifest(
        schema, count, tuple(name.name for name in names), dtype=dtype, compression=compression
    )
    if statistics is not None:
        fitted = Normalization.load(statistics)
        if len(fitted.channels) != len(schema.channels):
            raise InputError(
                f"{statistics} holds {len(fitted.channels)} channels, {path} "
                f"{len(schema.channels)}."
            )
        manifest = _normalised(manifest, fitted)
    elif physical:
        manifest = _normalised(manifest, _fit(Records(path, manifest, shards)))
    if channels is not None:
        manifest = _named(manifest, tuple(channels), path)
    return Records(path, dataclasses.replace(manifest, physical=physical), shards)


def _named(manifest: Manifest, channels: tuple[str, ...], path: Path) -> Manifest:
    """Returns the manifest with the given channel names."""
    count = len(manifest.schema.channels)
    if len(set(channels)) != len(channels) or len(channels) != count:
        raise InputError(
            f"--channels {','.join(channels)}: {path} holds {count} channels, name each once."
        )
    fitted = manifest.schema.normalization
    return _normalised(manifest, dataclasses.replace(fitted, channels=channels))


def _normalised(manifest: Manifest, fitted: Normalization) -> Manifest:
    """Returns the manifest with fitted channels and normalization."""
    arrays = {
        name: array
        if array.normalization is None
        else dataclasses.replace(array, channels=fitted.channels, normalization=fitted)
        for name, array in manifest.schema.arrays.items()
    }
    return dataclasses.replace(manifest, schema=dataclasses.replace(manifest.schema, arrays=arrays))


def _fit(records: Records) -> Normalization:
    """Fits z-scores to bare records of physical values."""
    name = TARGET[records.schema.kind]
    count, total, squares = 0, 0.0, 0.0
    for batch in records.dataset(1, drop_remainder=False).as_numpy_iterator():
        values = batch[name].astype(np.float64).reshape(-1, len(records.schema.channels))
        count += len(values)
        total = total + values.sum(0)
        squares = squares + (values**2).sum(0)
    mean = total / count
    std = np.sqrt(squares / count - mean**2)
    return Normalization("z", records.schema.channels, tuple(mean), tuple(std))


def _schema(first: tf.train.Example, path: Path, classes: int | None) -> tuple[SampleSchema, str]:
    """Returns schema and pixel type, from the first record and the largest label."""
    found = first.features.feature

    def integer(name: str) -> int:
        return int(found[name].int64_list.value[0])

    def dtype(name: str, values: int) -> str:
        size = len(found[name].bytes_list.value[0]) / values
        kinds = {2: "float16", 4: "float32", 8: "float64"}
        if size not in kinds:
            raise InputError(
                f"{path}: {name} holds {size:g} bytes per pixel; only float16, float32 and float64 "
                "can be read."
            )
        return kinds[size]

    if classes is not None:
        patch, depth = (integer("H"), integer("W")), integer("C")
        channels, units = _unknown(depth)
        schema = pair_schema(channels, units, patch, classes, Normalization.identity(channels))
        return schema, dtype("patch1", math.prod(patch) * depth)
    if set(encoding.DOWNSCALING_PIXELS) <= set(found):
        low, high = ((integer(f"h_{r}"), integer(f"w_{r}")) for r in ("LR", "HR"))
        channels, units = _unknown(integer("c"))
        if high[0] % low[0] or high[0] // low[0] != high[1] / low[1]:
            raise InputError(
                f"{path}: the high-resolution size {high} is not a whole multiple of the "
                f"low-resolution size {low}."
            )
        arrays = {
            name: SampleArray(
                channels, units, (*size, len(channels)),
                normalization=Normalization.identity(channels),
            )
            for name, size in (("low", low), ("high", high))
        }  # fmt: skip
        schema = SampleSchema(DOWNSCALING, arrays, scale=high[0] // low[0])
        return schema, dtype("data_HR", math.prod(high) * len(channels))
    raise InputError(
        f"{path} holds records with the features {', '.join(sorted(found))}: these are neither "
        "AtmoDist's pairs nor PhIRE's downscaling records."
    )


def _unknown(depth: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Returns placeholder names and units of unnamed channels."""
    return tuple(f"channel_{c}" for c in range(depth)), ("",) * depth


def sniff_compression(path: str | os.PathLike) -> str:
    """Detects the compression (``none``, ``zlib``, ``gzip``) from the first bytes of a TFRecord."""
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
