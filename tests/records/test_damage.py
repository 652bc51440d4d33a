"""A damaged record is named by its file and place, with the command that makes it again."""

from __future__ import annotations

import os
import shutil

import numpy as np
import pytest
import tensorflow as tf

from phire.errors import WorkError
from phire.fields.grid import Grid
from phire.records import find_damage, naming_damage, open_records, write_pair_records
from records.stores import make_store


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("damage")
    make_store(folder / "store.h5", grid=Grid.driscoll_healy(16))
    for compression in ("none", "zlib"):
        write_pair_records(
            folder / "store.h5", folder / compression, patch=(4, 6), patches_per_field=6,
            classes=5, shards=2, compression=compression,
        )  # fmt: skip
    return folder


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(data)


def cut(path):
    os.truncate(path, path.stat().st_size // 2)


def other(path):
    with tf.io.TFRecordWriter(str(path)) as writer:
        example = tf.train.Example()
        example.features.feature["image"].int64_list.value.append(1)
        writer.write(example.SerializeToString())


def drop_last(path):
    size = next(iter(tf.data.TFRecordDataset(str(path)))).numpy()
    os.truncate(path, path.stat().st_size - len(size) - 16)


@pytest.mark.parametrize(
    ("compression", "spoil", "said"),
    [
        ("none", flip, "record .* is damaged .its checksum is wrong"),
        ("none", cut, "record .* is damaged .the file was cut short"),
        ("none", other, "record 1 is damaged .its arrays have other names or sizes"),
        ("none", drop_last, r"holds only .* of the .* records"),
        ("zlib", flip, "record .* is damaged .it cannot be unpacked"),
    ],
)
def test_damage_is_named(made, tmp_path, compression, spoil, said):
    folder = tmp_path / "copy"
    shutil.copytree(made / compression, folder)
    assert find_damage(open_records(folder)) is None
    path = sorted(folder.glob("*.tfrecord"))[1]
    spoil(path)
    with pytest.raises(WorkError, match=f"{said}.*make the records again") as caught:
        with naming_damage(None, open_records(folder)):
            for batch in open_records(folder).dataset(8, drop_remainder=False):
                assert np.isfinite(batch["first"].numpy()).all()
            raise WorkError("the records ended")
    assert str(folder) in str(caught.value)


def test_errors_of_whole_records_stay_as_they_are(made):
    with pytest.raises(WorkError, match="not finite"), naming_damage(open_records(made / "none")):
        raise WorkError("the loss is not finite")
