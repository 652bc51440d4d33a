"""Records byte by byte: ``tf.train.Example`` messages in TFRecord framing.

The features are AtmoDist's and PhIRE's. They are written without TensorFlow, so that a worker that
cuts patches starts at once and the pixels are copied once on their way from the field to the file.

TFRecord: length (uint64), masked CRC32C of the length, data, masked CRC32C of the data, all
little-endian (tensorflow/core/lib/io/record_writer.h).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import google_crc32c
import numpy as np

PAIR_INTEGERS = ("index", "label", "T_max", "H", "W", "C")
PAIR_FLOATS = ("lat_start", "long_start", "lat_end", "long_end")
PAIR_PIXELS = ("patch1", "patch2")
DOWNSCALING_INTEGERS = ("index", "h_LR", "w_LR", "h_HR", "w_HR", "c")
DOWNSCALING_PIXELS = ("data_LR", "data_HR")

_BYTES, _FLOATS, _INTEGERS = 1, 2, 3  # field numbers of tf.train.Feature
_CRC_MASK = 0xA282EAD8


def varint(value: int) -> bytes:
    """A protobuf base-128 integer; ``value`` must not be negative."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _field(number: int, length: int) -> bytes:
    """The head of a length-delimited protobuf field."""
    return bytes([number << 3 | 2]) + varint(length)


def _entry(name: str, kind: int, content_length: int) -> bytes:
    """All of a feature before the content of its list, whose length is given."""
    # Feature{list} inside an entry{key, value} of the map Features.feature.
    list_head = _field(kind, content_length)
    feature_length = len(list_head) + content_length
    key = _field(1, len(name)) + name.encode()
    value_head = _field(2, feature_length)
    entry_length = len(key) + len(value_head) + feature_length
    return _field(1, entry_length) + key + value_head + list_head


def integer_feature(name: str, value: int) -> bytes:
    """A map entry with one int64."""
    packed = varint(int(value))
    content = _field(1, len(packed)) + packed
    return _entry(name, _INTEGERS, len(content)) + content


def float_feature(name: str, value: float) -> bytes:
    """A map entry with one float."""
    content = _field(1, 4) + struct.pack("<f", value)
    return _entry(name, _FLOATS, len(content)) + content


def pixel_head(name: str, size: int) -> bytes:
    """A map entry with one string of bytes, all but the bytes themselves."""
    content_head = _field(1, size)
    return _entry(name, _BYTES, len(content_head) + size) + content_head


def example(
    integers: Sequence[tuple[str, int]],
    floats: Sequence[tuple[str, float]],
    pixels: Sequence[tuple[str, bytes]],
) -> list[bytes]:
    """A serialised ``tf.train.Example`` in pieces; the pixels are not copied."""
    head = b"".join(
        [integer_feature(*item) for item in integers] + [float_feature(*item) for item in floats]
    )
    pieces: list[bytes] = [head]
    for name, data in pixels:
        pieces += [pixel_head(name, len(data)), data]
    length = sum(map(len, pieces))
    return [_field(1, length), *pieces]


def framed(pieces: Sequence[bytes]) -> list[bytes]:
    """A record in TFRecord framing, in pieces."""
    length = struct.pack("<Q", sum(map(len, pieces)))
    crc = 0
    for piece in pieces:
        crc = google_crc32c.extend(crc, piece)
    return [length, _masked(google_crc32c.value(length)), *pieces, _masked(crc)]


def _masked(crc: int) -> bytes:
    rotated = (crc >> 15 | crc << 17) & 0xFFFFFFFF
    return struct.pack("<I", (rotated + _CRC_MASK) & 0xFFFFFFFF)


def record_lengths(
    integers: dict[str, np.ndarray], floats: Sequence[str], pixels: dict[str, int]
) -> np.ndarray:
    """Bytes of each framed record, without making it.

    Args:
        integers: The integer features, (n,) each.
        floats: Names of the float features.
        pixels: Bytes of each feature of pixels.

    Returns:
        (n,) int64.
    """
    length = sum(len(float_feature(name, 0.0)) for name in floats)
    length += sum(len(pixel_head(name, size)) + size for name, size in pixels.items())
    lengths = np.full(len(next(iter(integers.values()))), length, dtype=np.int64)
    for name, values in integers.items():
        # The length changes with the number of 7-bit groups alone.
        groups = np.maximum(1, -(-np.ceil(np.log2(np.maximum(values, 1) + 0.5)) // 7)).astype(int)
        table = [len(integer_feature(name, (1 << 7 * g) - 1)) for g in range(1, 10)]
        lengths += np.asarray(table)[groups - 1]
    heads = np.array([len(_field(1, int(n))) for n in np.unique(lengths)])
    lengths += heads[np.searchsorted(np.unique(lengths), lengths)]
    return lengths + 16
