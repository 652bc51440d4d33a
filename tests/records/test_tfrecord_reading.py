"""Reading: the order, what is normalised, and files that other tools wrote."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from phire.errors import InputError
from phire.fields.normalization import Normalization
from phire.records import (
    describe_records,
    open_records,
    write_downscaling_records,
    write_pair_records,
)
from records.stores import make_store

pytestmark = pytest.mark.versions


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Pairs in three shards, and the same as float16 and zlib."""
    from phire.fields.grid import Grid

    folder = tmp_path_factory.mktemp("records")
    make_store(folder / "store.h5", grid=Grid.driscoll_healy(16))
    options = {"patch": (4, 6), "patches_per_field": 6, "classes": 5, "shards": 3}
    write_pair_records(folder / "store.h5", folder / "pairs", **options)
    write_pair_records(
        folder / "store.h5", folder / "half", dtype="float16", compression="zlib", **options
    )
    write_downscaling_records(
        folder / "store.h5", folder / "patches", patch=(8, 12), patches_per_field=4, shards=2
    )
    return folder


def batches(records, batch_size=16, **options):
    return list(records.dataset(batch_size, **options).as_numpy_iterator())


def together(parts, name="first"):
    return np.concatenate([part[name] for part in parts])


def as_set(pixels):
    return {part.tobytes() for part in pixels}


def test_the_order_follows_from_seed_and_epoch(made):
    records = open_records(made / "pairs")
    first = together(batches(records, seed=1, epoch=2))
    assert np.array_equal(first, together(batches(records, seed=1, epoch=2)))
    everything = together(batches(records, drop_remainder=False))
    for other in ({"seed": 1, "epoch": 3}, {"seed": 2, "epoch": 2}):
        read = together(batches(records, drop_remainder=False, **other))
        assert not np.array_equal(first, read[: len(first)])
        assert as_set(read) == as_set(everything)


def test_without_a_seed_the_order_is_that_on_disk(made):
    records = open_records(made / "pairs")
    names = [str(made / "pairs" / name) for name in records.manifest.shards]
    raw = tf.data.TFRecordDataset(names).as_numpy_iterator()
    labels = [
        tf.train.Example.FromString(r).features.feature["label"].int64_list.value[0] for r in raw
    ]
    read = together(batches(records, drop_remainder=False), "label")
    assert sorted(read.tolist()) == sorted(labels)
    assert read.tolist() == together(batches(records, drop_remainder=False), "label").tolist()


@pytest.mark.parametrize("options", [{}, {"classes": 3}, {"limit": 4}])
def test_skipping_goes_on_where_an_epoch_was_left(made, options):
    records = open_records(made / "pairs")
    whole = batches(records, seed=4, epoch=1, **options)
    rest = batches(records, seed=4, epoch=1, skip=2, **options)
    assert len(rest) == len(whole) - 2
    for a, b in zip(whole[2:], rest):
        assert all(np.array_equal(a[name], b[name]) for name in a)


def test_workers_share_each_batch(made):
    records = open_records(made / "pairs")
    whole = batches(records, seed=4)
    parts = [batches(records, seed=4, shard=(2, i)) for i in range(2)]
    for batch, *halves in zip(whole, *parts, strict=True):
        assert [len(half["label"]) for half in halves] == [8, 8]
        assert as_set(batch["first"]) == as_set(together(halves))
    with pytest.raises(InputError, match="batch_size 15"):
        records.dataset(15, shard=(2, 0))


def test_batches_stay_full_where_classes_are_left_out(made):
    records = open_records(made / "pairs")
    read = batches(records, seed=0, classes=3)
    assert all(len(batch["label"]) == 16 for batch in read)
    assert together(read, "label").max() == 3
    labels = together(batches(records, drop_remainder=False), "label")
    assert records.count_classes(3) == (labels <= 3).sum()
    assert len(read) == records.count_classes(3) // 16


def test_the_first_batches_are_a_fixed_set(made):
    records = open_records(made / "pairs")
    epochs = [together(batches(records, seed=0, epoch=e, limit=3)) for e in range(3)]
    assert len(epochs[0]) == 48
    assert not np.array_equal(epochs[0], epochs[1])
    assert as_set(epochs[0]) == as_set(epochs[1]) == as_set(epochs[2])
    assert records.steps(16, limit=3) == 3
    assert records.steps(16) == records.count // 16


def test_compressed_float16_is_read_as_float32(made):
    full = batches(open_records(made / "pairs"), drop_remainder=False)
    half = batches(open_records(made / "half"), drop_remainder=False)
    assert half[0]["first"].dtype == np.float32
    np.testing.assert_allclose(together(full), together(half), rtol=1e-3, atol=1e-4)
    assert np.array_equal(together(full, "position"), together(half, "position"))


def test_atmodists_bare_files(made, tmp_path):
    """Its records are these without a manifest: float32, normalised."""
    (tmp_path / "bare").mkdir()
    for path in (made / "pairs").glob("*.tfrecord"):
        shutil.copy(path, tmp_path / "bare")
    whole = open_records(made / "pairs")
    bare = open_records(tmp_path / "bare")
    manifest = bare.manifest
    assert (manifest.schema.kind, manifest.schema.patch, manifest.schema.classes) == (
        "pairs",
        (4, 6),
        5,
    )
    assert bare.count == whole.count
    assert manifest.schema.channels == ("channel_0", "channel_1")
    assert np.array_equal(together(batches(whole)), together(batches(bare)))
    whole.manifest.schema.normalization.save(tmp_path / "statistics.json")
    named = open_records(tmp_path / "bare", statistics=tmp_path / "statistics.json")
    assert named.manifest.schema.channels == ("divergence", "vorticity")
    assert np.array_equal(together(batches(whole)), together(batches(named)))


def write_bare(path, values, compression=""):
    with tf.io.TFRecordWriter(str(path), compression) as writer:
        for i, value in enumerate(values):
            low = value[::2, ::2]
            feature = {
                "index": i, "h_LR": low.shape[0], "w_LR": low.shape[1],
                "h_HR": value.shape[0], "w_HR": value.shape[1], "c": value.shape[2],
            }  # fmt: skip
            example = tf.train.Example()
            for name, number in feature.items():
                example.features.feature[name].int64_list.value.append(number)
            for name, data in (("data_LR", low), ("data_HR", value)):
                example.features.feature[name].bytes_list.value.append(data.tobytes())
            writer.write(example.SerializeToString())


@pytest.mark.parametrize("compression", ["", "GZIP", "ZLIB"])
def test_bare_physical_values_are_normalised(tmp_path, compression):
    values = np.random.default_rng(0).normal(5, 3, size=(7, 4, 6, 2))
    write_bare(tmp_path / "wind.tfrecord", values, compression)
    records = open_records(tmp_path / "wind.tfrecord")
    assert (records.manifest.schema.scale, records.manifest.dtype) == (2, "float64")
    fitted = records.manifest.schema.normalization
    np.testing.assert_allclose(fitted.mean, values.mean((0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(fitted.std, values.std((0, 1, 2)), rtol=1e-6)
    (batch,) = batches(records, 7)
    wanted = (values - values.mean((0, 1, 2))) / values.std((0, 1, 2))
    np.testing.assert_allclose(batch["high"], wanted, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(batch["low"], wanted[:, ::2, ::2], rtol=1e-4, atol=1e-5)
    given = Normalization("log1p", ("u", "v"), (5, 5), (3, 3), (0, 0), (0.2, 0.2))
    given.save(tmp_path / "statistics.json")
    named = open_records(
        tmp_path / "wind.tfrecord", normalization="z", statistics=tmp_path / "statistics.json"
    )
    (batch,) = batches(named, 7)
    np.testing.assert_allclose(batch["high"], given.apply(values), rtol=1e-4, atol=1e-5)
    assert named.manifest.schema.channels == ("u", "v")
    named = open_records(tmp_path / "wind.tfrecord", channels=["ua", "va"])
    assert named.schema.channels == named.schema.normalization.channels == ("ua", "va")
    assert named.schema.normalization.mean == fitted.mean
    with pytest.raises(InputError, match=r"channels ua: .* holds 2 channels"):
        open_records(tmp_path / "wind.tfrecord", channels=["ua"])


@pytest.mark.skipif("PHIRE_REALDATA" not in os.environ, reason="PHIRE_REALDATA is not set")
def test_records_that_phire_wrote():
    path = Path(os.environ["PHIRE_REALDATA"]) / "phire_wind_LR.tfrecord"
    records = open_records(path)
    manifest = records.manifest
    assert (records.count, manifest.schema.patch, manifest.schema.low_patch) == (
        5,
        (100, 100),
        (10, 10),
    )
    assert (manifest.schema.scale, manifest.dtype, manifest.schema.kind) == (
        10,
        "float64",
        "downscaling",
    )
    (batch,) = batches(records, 5)
    np.testing.assert_allclose(batch["high"].mean((0, 1, 2)), 0, atol=1e-4)
    np.testing.assert_allclose(batch["high"].std((0, 1, 2)), 1, atol=1e-4)
    physical = manifest.schema.normalization.invert(batch["high"])
    assert 1 < np.abs(physical).mean() < 20  # wind in m/s
    facts = describe_records(path)
    assert (facts["records"], facts["patch"]) == (5, "100 × 100")
    assert "applied while reading" in facts["normalization"]


def test_an_empty_batch_is_refused(made):
    with pytest.raises(InputError, match="batch_size 0"):
        open_records(made / "pairs").steps(0)


@pytest.mark.parametrize(
    "spoil, said",
    [
        (lambda folder: shutil.rmtree(folder), "does not exist"),
        (lambda folder: (folder / "records.json").write_text("{"), "is damaged"),
        (lambda folder: next(folder.glob("*.tfrecord")).unlink(), "is missing"),
        (
            lambda folder: [path.unlink() for path in folder.iterdir()],
            "neither records.json nor",
        ),
    ],
)
def test_damaged_records(made, tmp_path, spoil, said):
    shutil.copytree(made / "pairs", tmp_path / "copy")
    spoil(tmp_path / "copy")
    with pytest.raises(InputError, match=said):
        open_records(tmp_path / "copy")


def test_what_is_no_record(made, tmp_path):
    (tmp_path / "noise.tfrecord").write_bytes(np.random.default_rng(0).bytes(500))
    with pytest.raises(InputError, match=r"noise.tfrecord is not a TFRecord"):
        open_records(tmp_path / "noise.tfrecord")
    with tf.io.TFRecordWriter(str(tmp_path / "other.tfrecord")) as writer:
        example = tf.train.Example()
        example.features.feature["image"].int64_list.value.append(1)
        writer.write(example.SerializeToString())
    with pytest.raises(InputError, match="features image"):
        open_records(tmp_path / "other.tfrecord")
    with pytest.raises(InputError, match="leave out normalization"):
        open_records(made / "pairs", normalization="z")
    write_bare(tmp_path / "wind.tfrecord", np.ones((2, 4, 6, 2)))
    Normalization("z", ("t",), (0,), (1,)).save(tmp_path / "one.json")
    with pytest.raises(InputError, match="holds 1 channels"):
        open_records(tmp_path / "wind.tfrecord", statistics=tmp_path / "one.json")
    with pytest.raises(InputError, match="normalization log1p"):
        open_records(tmp_path / "wind.tfrecord", normalization="log1p")


def test_a_manifest_of_the_future_is_refused(made, tmp_path):
    shutil.copytree(made / "pairs", tmp_path / "copy")
    path = tmp_path / "copy" / "records.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "orbit": 1}))
    with pytest.raises(InputError, match="orbit"):
        open_records(tmp_path / "copy")
