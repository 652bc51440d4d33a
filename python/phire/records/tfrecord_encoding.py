"""Encoding of records as bytes: ``tf.train.Example`` messages in TFRecord framing.

The features are AtmoDist's and PhIRE's. They are written without TensorFlow, so that workers which
cut patches start at once. The pixels come last, so that their offset follows from the end of the
record alone.

TFRecord: length (uint64), masked CRC32C of the length, data, masked CRC32C of the data, all
little-endian (tensorflow/core/lib/io/record_writer.h).

``tests/records/test_tfrecord_encoding.py`` checks the bytes by reading them with
``tf.data.TFRecordDataset``, which verifies both checksums, and ``tf.train.Example``.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Mapping, Sequence

import google_crc32c
import numpy as np

PAIR_FLOATS = ("lat_start", "long_start", "lat_end", "long_end")
PAIR_PIXELS = ("patch1", "patch2")
DOWNSCALING_INTEGERS = ("index", "h_LR", "w_LR", "h_HR", "w_HR", "c")
DOWNSCALING_PIXELS = ("data_LR", "data_HR")
PIXELS = {
    "first": "patch1", "second": "patch2", "low": "data_LR", "high": "data_HR",
    "auxiliary": "auxiliary", "valid": "valid", "low_valid": "low_valid", "context": "context",
}  # fmt: skip
"""Name of the feature that holds the pixels of each array of a sample."""

_BYTES, _FLOATS, _INTEGERS = 1, 2, 3  # field numbers of tf.train.Feature
_CRC_MASK = 0xA282EAD8
_FRAME = 12
"""Bytes of TFRecord framing before the data; four more follow the data."""


def varint(value: int) -> bytes:
    """Encodes a 64-bit integer as a protobuf varint; negative ones in two's complement."""
    value &= (1 << 64) - 1
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _field(number: int, length: int) -> bytes:
    """Returns the tag and the length that precede a length-delimited protobuf field."""
    return bytes([number << 3 | 2]) + varint(length)


def _entry(name: str, kind: int, content_length: int) -> bytes:
    """Returns the bytes of a feature before its list of values, which has the given length."""
    # Feature{list} inside an entry{key, value} of the map Features.feature.
    list_head = _field(kind, content_length)
    feature_length = len(list_head) + content_length
    key = _field(1, len(name)) + name.encode()
    value_head = _field(2, feature_length)
    entry_length = len(key) + len(value_head) + feature_length
    return _field(1, entry_length) + key + value_head + list_head


@functools.lru_cache(maxsize=1 << 16)
def integer_feature(name: str, value: int) -> bytes:
    """Encodes a feature of one int64."""
    packed = varint(value)
    content = _field(1, len(packed)) + packed
    return _entry(name, _INTEGERS, len(content)) + content


@functools.lru_cache(maxsize=64)
def _float_head(name: str) -> bytes:
    content_head = _field(1, 4)
    return _entry(name, _FLOATS, len(content_head) + 4) + content_head


def float_feature(name: str, value: float) -> bytes:
    """Encodes a feature of one float."""
    return _float_head(name) + struct.pack("<f", value)


def pixel_head(name: str, size: int) -> bytes:
    """Encodes the bytes of a pixel feature that precede its ``size`` bytes of pixels."""
    content_head = _field(1, size)
    return _entry(name, _BYTES, len(content_head) + size) + content_head


def pixel_places(pixels: Mapping[str, int]) -> np.ndarray:
    """Computes the offset of each pixel feature from the end of a record, in bytes.

    Args:
        pixels: Bytes of each feature of pixels, in order.
    """
    sizes = [len(pixel_head(name, size)) + size for name, size in pixels.items()]
    after = np.cumsum([0, *sizes[:0:-1]])[::-1]
    return after + list(pixels.values()) + 4  # the checksum of the data ends the record


def record_lengths(
    integers: Mapping[str, np.ndarray], floats: Sequence[str], pixels: Mapping[str, int]
) -> np.ndarray:
    """Computes the length of each framed record in bytes.

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
        # A varint has one byte per 7 bits, so only the number of such groups matters.
        bounds = np.uint64(1) << np.uint64(7) * np.arange(1, 10, dtype=np.uint64)
        table = [len(integer_feature(name, (1 << 7 * g) - 1)) for g in range(1, 11)]
        bits = np.asarray(values).astype(np.int64).view(np.uint64)
        lengths += np.asarray(table)[np.searchsorted(bounds, bits, side="right")]
    # All features are one field of the Example, whose head contains their total length.
    distinct, which = np.unique(lengths, return_inverse=True)
    return lengths + np.array([len(_field(1, int(n))) for n in distinct])[which] + _FRAME + 4


def record_head(
    length: int,
    integers: Sequence[tuple[str, int]],
    floats: Sequence[tuple[str, float]],
    first_pixels: bytes,
) -> tuple[bytes, int]:
    """Encodes all bytes of a framed record that precede its first pixels.

    Args:
        length: Bytes of the framed record.
        integers, floats: Name and value of each feature.
        first_pixels: The :func:`pixel_head` of the first pixel feature.

    Returns:
        The bytes, and the CRC32C of those that follow the frame's header, which is continued over
        the pixels.
    """
    body = b"".join(
        [integer_feature(*item) for item in integers]
        + [float_feature(*item) for item in floats]
        + [first_pixels]
    )
    frame, features = _framing(length - _FRAME - 4)
    body = features + body
    return frame + body, google_crc32c.value(body)


@functools.lru_cache(maxsize=1024)
def _framing(data: int) -> tuple[bytes, bytes]:
    """Returns the TFRecord framing of ``data`` bytes, and the protobuf head of the features."""
    # The head states the length of what follows it, and its own size depends on that number:
    # find the largest length that fits.
    inner = data - 1
    while len(_field(1, inner)) + inner > data:
        inner -= 1
    size = struct.pack("<Q", data)
    crc = masked(np.uint32(google_crc32c.value(size)))
    return size + struct.pack("<I", int(crc)), _field(1, inner)


def masked(crc: np.ndarray) -> np.ndarray:
    """Masks CRC32C values (uint32) as the TFRecord format prescribes."""
    # Rotation by 15 bits and addition of a constant, modulo 2³², as in crc32c.h of TensorFlow.
    crc = np.asarray(crc).astype(np.uint64)
    rotated = (crc >> 15 | crc << 17) & 0xFFFFFFFF
    return ((rotated + _CRC_MASK) & 0xFFFFFFFF).astype(np.uint32)


def joined_crc(first: np.ndarray, second: np.ndarray | int, length: int) -> np.ndarray:
    """Combines the CRC32C values of two byte strings into that of their concatenation.

    A CRC is linear over GF(2): appending ``length`` bytes multiplies the first CRC by a matrix,
    whose 32 columns are the images of the single bits.

    Args:
        first, second: CRCs of the two byte strings, uint32.
        length: Bytes of the second byte string.
    """
    # CRC32C inverts its register, so it is linear only up to a constant, `origin`: the CRC that
    # the zeros give from a register of 0.
    zeros = bytes(length)
    origin = google_crc32c.extend(0, zeros)
    crc = np.broadcast_to(np.asarray(second, np.uint32), np.shape(first)).copy()
    for bit in range(32):
        image = np.uint32(google_crc32c.extend(1 << bit, zeros) ^ origin)
        crc ^= np.where(np.asarray(first, np.uint32) >> np.uint32(bit) & 1, image, np.uint32(0))
    return crc
