"""Records made byte by byte are what TensorFlow itself writes and reads."""

import struct

import google_crc32c
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from phire.records import tfrecord_encoding as encoding


def assemble(integers, floats, pixels):
    """A framed record, put together as the writers do it."""
    sizes = {name: len(data) for name, data in pixels.items()}
    (length,) = encoding.record_lengths(
        {name: np.array([value]) for name, value in integers.items()}, list(floats), sizes
    )
    heads = [encoding.pixel_head(name, size) for name, size in sizes.items()]
    record, crc = encoding.record_head(
        int(length), list(integers.items()), list(floats.items()), heads[0]
    )
    crc = np.array([crc], np.uint32)
    for i, data in enumerate(pixels.values()):
        if i:
            record += heads[i]
            crc = encoding.joined_crc(crc, google_crc32c.value(heads[i]), len(heads[i]))
        assert len(record) == length - encoding.pixel_places(sizes)[i]
        record += data
        crc = encoding.joined_crc(crc, google_crc32c.value(data), len(data))
    record += struct.pack("<I", int(encoding.masked(crc)[0]))
    assert len(record) == length
    return record


@settings(max_examples=30)
@given(
    index=st.integers(-(2**62), 2**40),
    label=st.integers(1, 2**20),
    place=st.floats(-1000, 1000, width=32),
    first=st.binary(min_size=1, max_size=40000),
    second=st.binary(min_size=1, max_size=300),
)
def test_tensorflow_reads_what_was_put_together(
    tmp_path_factory, index, label, place, first, second
):
    path = tmp_path_factory.mktemp("record") / "one.tfrecord"
    path.write_bytes(
        assemble({"index": index, "label": label}, {"lat_start": place}, {"a": first, "b": second})
    )
    # TFRecordDataset verifies both checksums.
    (record,) = tf.data.TFRecordDataset(str(path)).as_numpy_iterator()
    found = tf.train.Example.FromString(record).features.feature
    assert found["index"].int64_list.value[0] == index
    assert found["label"].int64_list.value[0] == label
    assert found["lat_start"].float_list.value[0] == np.float32(place)
    assert found["a"].bytes_list.value[0] == first
    assert found["b"].bytes_list.value[0] == second


@pytest.mark.parametrize(
    "value", [0, 1, 127, 128, 16383, 16384, 2**21 - 1, 2**21, 2**35, 2**62, -1, -(2**40)]
)
def test_lengths_follow_from_the_values(value):
    (length,) = encoding.record_lengths({"index": np.array([value])}, [], {"a": 5})
    example = tf.train.Example()
    example.features.feature["index"].int64_list.value.append(value)
    example.features.feature["a"].bytes_list.value.append(b"12345")
    # Protobuf writes one int64 unpacked or packed; ours is packed, as tf.train.Example's.
    assert length == len(example.SerializeToString()) + 16


@given(first=st.binary(max_size=1000), second=st.binary(max_size=1000))
def test_joined_checksums_are_those_of_the_whole(first, second):
    joined = encoding.joined_crc(
        np.array([google_crc32c.value(first)]), google_crc32c.value(second), len(second)
    )
    assert joined[0] == google_crc32c.value(first + second)
