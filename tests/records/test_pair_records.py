"""Pair records against the fields they were cut from, read back with TensorFlow alone."""

import json
import os
import signal
import threading
import time

import numpy as np
import pytest
import tensorflow as tf

from phire.errors import InputError, WorkError
from phire.fields.grid import Grid
from phire.fields.normalization import Normalization
from phire.fields.store import open_store
from phire.records import Manifest, describe_records, write_pair_records
from phire.records.tfrecord_encoding import PAIR_FLOATS
from records.stores import make_store, shard_bytes

OPTIONS = {
    "patch": (4, 6),
    "patches_per_field": 6,
    "classes": 5,
    "shards": 3,
    "latitudes": (-60, 60),
}
COMPRESSION = {"none": "", "zlib": "ZLIB", "gzip": "GZIP"}


INTEGERS = ("index", "label", "T_max", "H", "W", "C")
"""Integer features of AtmoDist's records."""


def write(store, output, **options):
    write_pair_records(store, output, **{**OPTIONS, **options})
    return Manifest.load(output)


def read(directory):
    """All records, by TensorFlow's own reader and parser, in the order on disk."""
    manifest = Manifest.load(directory)
    features = {name: tf.io.FixedLenFeature([], tf.int64) for name in INTEGERS}
    features |= {name: tf.io.FixedLenFeature([], tf.float32) for name in PAIR_FLOATS}
    features |= {name: tf.io.FixedLenFeature([], tf.string) for name in ("patch1", "patch2")}
    records = []
    for shard in manifest.shards:
        part = tf.data.TFRecordDataset(
            str(directory / shard), compression_type=COMPRESSION[manifest.compression]
        )
        for batch in part.batch(1000):
            parsed = {k: v.numpy() for k, v in tf.io.parse_example(batch, features).items()}
            for i in range(len(batch)):
                record = {k: v[i] for k, v in parsed.items()}
                for name in ("patch1", "patch2"):
                    pixels = np.frombuffer(record[name], np.dtype(manifest.dtype))
                    record[name] = pixels.reshape(
                        *manifest.schema.patch, len(manifest.schema.channels)
                    )
                records.append({"shard": shard, **record})
    assert len(records) == manifest.count
    return records


def expected(fields, normalization, start, row, column, patch):
    columns = (column + np.arange(patch[1])) % fields.shape[2]
    return normalization.apply(fields[start, row : row + patch[0]][:, columns])


@pytest.mark.parametrize("normalization", ["log1p", "z", "none"])
def test_records_hold_the_patches_that_they_name(tmp_path, sphere, normalization):
    fields = make_store(tmp_path / "store.h5", grid=sphere)
    manifest = write(tmp_path / "store.h5", tmp_path / "out", normalization=normalization)
    assert manifest.count == 6 * 23
    assert manifest.schema.normalization.kind == normalization
    wrapped = 0
    for record in read(tmp_path / "out"):
        # The colatitude counts from the north pole, the longitude from 0: AtmoDist's convention.
        row, column = record["lat_start"] / 180 * 16, record["long_start"] / 360 * 32
        assert record["lat_end"] == (row + 4) * 180 / 16
        assert record["long_end"] == (column + 6) * 360 / 32
        wrapped += column + 6 > 32
        start, lag = int(record["index"]), int(record["label"])
        assert 1 <= lag <= record["T_max"] == 5
        assert (record["H"], record["W"], record["C"]) == (4, 6, 2)
        for name, t in (("patch1", start), ("patch2", start + lag)):
            wanted = expected(
                fields, manifest.schema.normalization, t, int(row), int(column), (4, 6)
            )
            assert np.array_equal(record[name], wanted.astype(np.float32))
    assert wrapped > 0


def test_a_field_of_few_patches_is_normalised_alike(tmp_path):
    """Many patches are cut from a normalised field, few are normalised one by one."""
    grid = Grid.driscoll_healy(64)
    fields = make_store(tmp_path / "store.h5", grid=grid, steps=range(8))
    manifest = write(tmp_path / "store.h5", tmp_path / "out", patches_per_field=1)
    for record in read(tmp_path / "out"):
        row, column = round(record["lat_start"] / 180 * 64), round(record["long_start"] / 360 * 128)
        wanted = expected(
            fields, manifest.schema.normalization, record["index"], row, column, (4, 6)
        )
        assert np.array_equal(record["patch1"], wanted)


def test_statistics_are_those_of_numpy(tmp_path, sphere):
    fields = make_store(tmp_path / "store.h5", grid=sphere).astype(np.float64)
    fitted = write(tmp_path / "store.h5", tmp_path / "out").schema.normalization
    mean, std = fields.mean((0, 1, 2)), fields.std((0, 1, 2))
    scaled = (fields - mean) / std
    logarithm = np.sign(scaled) * np.log1p(0.2 * np.abs(scaled))
    np.testing.assert_allclose(fitted.mean, mean, rtol=1e-10)
    np.testing.assert_allclose(fitted.std, std, rtol=1e-10)
    np.testing.assert_allclose(fitted.log_mean, logarithm.mean((0, 1, 2)), atol=1e-14)
    np.testing.assert_allclose(fitted.log_std, logarithm.std((0, 1, 2)), rtol=1e-10)


def test_statistics_are_taken_from_a_file_or_from_other_records(tmp_path, sphere):
    make_store(tmp_path / "store.h5", grid=sphere)
    given = Normalization("z", ("divergence", "vorticity"), (0, 0), (1e-5, 2e-5))
    given.save(tmp_path / "statistics.json")
    store = tmp_path / "store.h5"
    options = {"normalization": "z"}
    first = write(store, tmp_path / "a", statistics=tmp_path / "statistics.json", **options)
    second = write(store, tmp_path / "b", statistics=tmp_path / "a", **options)
    assert first.schema.normalization == second.schema.normalization == given
    assert write(store, tmp_path / "d", statistics=tmp_path / "a").schema.normalization == given
    with pytest.raises(
        InputError, match="divergence are those of the normalization z, not of log1p: leave out"
    ):
        write(store, tmp_path / "c", statistics=tmp_path / "a", normalization="log1p")
    make_store(tmp_path / "other.h5", grid=sphere, channels=("u", "v"))
    with pytest.raises(InputError, match="no channel u, v"):
        write(tmp_path / "other.h5", tmp_path / "c", statistics=tmp_path / "a", **options)
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize("compression", ["zlib", "gzip"])
def test_compressed_shards_hold_the_same_records(tmp_path, sphere, compression):
    make_store(tmp_path / "store.h5", grid=sphere)
    write(tmp_path / "store.h5", tmp_path / "plain")
    write(tmp_path / "store.h5", tmp_path / "packed", compression=compression)
    for a, b in zip(read(tmp_path / "plain"), read(tmp_path / "packed"), strict=True):
        assert a["shard"] == b["shard"]
        assert np.array_equal(a["patch2"], b["patch2"])
    assert len(list((tmp_path / "packed").iterdir())) == 4  # three shards and the manifest


def test_float16_halves_the_bytes(tmp_path, sphere):
    make_store(tmp_path / "store.h5", grid=sphere)
    write(tmp_path / "store.h5", tmp_path / "full")
    write(tmp_path / "store.h5", tmp_path / "half", dtype="float16")
    for a, b in zip(read(tmp_path / "full"), read(tmp_path / "half"), strict=True):
        assert b["patch1"].dtype == np.float16
        assert b["patch1"].nbytes * 2 == a["patch1"].nbytes
        assert np.array_equal(a["patch1"].astype(np.float16), b["patch1"])


def test_the_same_seed_gives_the_same_bytes(tmp_path, sphere, monkeypatch):
    make_store(tmp_path / "store.h5", grid=sphere)
    store = tmp_path / "store.h5"
    write(store, tmp_path / "a", seed=5)
    monkeypatch.setattr("phire.records.sampled_records.CHUNK_BYTES", 5 * 16 * 32 * 8)
    monkeypatch.setattr("phire.records.parallel_tasks.THREADS", 1)
    write(store, tmp_path / "b", seed=5)
    write(store, tmp_path / "c", seed=6)
    assert shard_bytes(tmp_path / "a") == shard_bytes(tmp_path / "b")
    assert shard_bytes(tmp_path / "a") != shard_bytes(tmp_path / "c")


@pytest.mark.slow
def test_workers_change_no_byte_and_one_may_be_lost(tmp_path, sphere, monkeypatch):
    from distributed import Client, LocalCluster

    make_store(tmp_path / "store.h5", grid=sphere, steps=range(120))
    store = tmp_path / "store.h5"
    options = {"patches_per_field": 20, "compression": "zlib"}
    write(store, tmp_path / "here", **options)
    monkeypatch.setattr("phire.records.sampled_records.CHUNK_BYTES", 4 * 16 * 32 * 8)
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as local,
        Client(local) as client,
    ):
        victim = next(iter(client.run(os.getpid).values()))
        killed = threading.Event()

        def kill():
            partial = tmp_path / ".there.partial"
            while not partial.exists() or not list(partial.glob("*.tfrecord")):
                time.sleep(0.002)
            os.kill(victim, signal.SIGKILL)
            killed.set()

        threading.Thread(target=kill, daemon=True).start()
        write(store, tmp_path / "there", scheduler=local.scheduler_address, **options)
        assert killed.is_set()
    assert shard_bytes(tmp_path / "here") == shard_bytes(tmp_path / "there")


def test_more_shards_than_files_are_kept_open(tmp_path, sphere, monkeypatch):
    make_store(tmp_path / "store.h5", grid=sphere)
    write(tmp_path / "store.h5", tmp_path / "a", shards=7)
    monkeypatch.setattr("phire.records.tfrecord_writing.OPEN_FILES", 2)
    write(tmp_path / "store.h5", tmp_path / "b", shards=7)
    assert shard_bytes(tmp_path / "a") == shard_bytes(tmp_path / "b")


def test_every_shard_holds_samples_of_the_whole_period(tmp_path, sphere):
    make_store(tmp_path / "store.h5", grid=sphere)
    write(tmp_path / "store.h5", tmp_path / "out", patches_per_field=20)
    records = read(tmp_path / "out")
    for shard in {record["shard"] for record in records}:
        starts = np.array([record["index"] for record in records if record["shard"] == shard])
        assert starts.min() < 3
        assert starts.max() > 18
        # In the order on disk time goes neither up nor down.
        assert abs(np.corrcoef(starts, np.arange(len(starts)))[0, 1]) < 0.2


def test_lags_that_no_pair_has_are_named(tmp_path, sphere, capsys):
    make_store(tmp_path / "store.h5", grid=sphere, steps=[*range(0, 16, 4), *range(1, 17, 4)])
    write(tmp_path / "store.h5", tmp_path / "out", classes=5)
    assert "no two fields lie 2 steps" in capsys.readouterr().err
    assert {record["label"] for record in read(tmp_path / "out")} == {1, 3, 4, 5}


def test_repeated_times_are_stated(tmp_path, sphere):
    make_store(tmp_path / "store.h5", grid=sphere, steps=[0, 1, 2, 3, 3, 3, 4, 5, 6, 7])
    manifest = write(tmp_path / "store.h5", tmp_path / "out", classes=2)
    with open_store(tmp_path / "store.h5") as store:
        assert manifest.repeated == (store.time.format(3),)
        assert describe_records(tmp_path / "out")["repeated times"] == store.time.format(3)
    assert not {3, 4, 5} & {record["index"] for record in read(tmp_path / "out")}


def test_gaps_are_kept_and_no_pair_crosses_them_wrongly(tmp_path, sphere):
    steps = [t for t in range(30) if t not in (9, 10, 20)]
    make_store(tmp_path / "store.h5", grid=sphere, steps=steps)
    manifest = write(tmp_path / "store.h5", tmp_path / "out")
    with open_store(tmp_path / "store.h5") as store:
        assert manifest.gaps == ((store.time.format(8), 2), (store.time.format(17), 1))
    assert "2 steps after" in describe_records(tmp_path / "out")["gaps"]
    assert "repeated times" not in describe_records(tmp_path / "out")
    fields = make_store(tmp_path / "again.h5", grid=sphere, steps=steps)
    for record in read(tmp_path / "out"):
        start = steps[record["index"]]
        end = steps.index(start + record["label"])
        row, column = round(record["lat_start"] * 16 / 180), round(record["long_start"] * 32 / 360)
        wanted = expected(fields, manifest.schema.normalization, end, row, column, (4, 6))
        assert np.array_equal(record["patch2"], wanted)


def spoil(fields):
    fields[3, 5:8, 20:24, 1] = np.nan
    fields[10] = np.nan
    fields[17, 2, :, 0] = np.nan


def test_patches_that_touch_missing_values_are_not_drawn(tmp_path, sphere, capsys):
    make_store(tmp_path / "store.h5", grid=sphere, change=spoil)
    manifest = write(tmp_path / "store.h5", tmp_path / "out", patches_per_field=30)
    said = capsys.readouterr().err
    assert "2 of 24 fields have missing values" in said
    assert "1 of 24 fields have no values" in said
    assert manifest.missing == {"policy": "skip", "fields": 2, "absent": 1}
    records = read(tmp_path / "out")
    assert all(np.isfinite(r["patch1"]).all() and np.isfinite(r["patch2"]).all() for r in records)
    used = {int(r["index"]) for r in records} | {int(r["index"] + r["label"]) for r in records}
    assert used == set(range(24)) - {10}


def test_missing_values_are_filled_with_the_mean(tmp_path, sphere):
    make_store(tmp_path / "store.h5", grid=sphere, change=spoil)
    manifest = write(
        tmp_path / "store.h5", tmp_path / "out", patches_per_field=30, missing="fill",
    )  # fmt: skip
    filled = manifest.schema.normalization.apply(
        np.array(manifest.schema.normalization.mean, np.float32)
    )
    seen = 0
    for record in read(tmp_path / "out"):
        row, column = round(record["lat_start"] * 16 / 180), round(record["long_start"] * 32 / 360)
        if record["index"] == 3 and row <= 5 < row + 4 and column <= 20 < column + 6:
            assert record["patch1"][5 - row, 20 - column, 1] == filled[1]
            seen += 1
        assert np.isfinite(record["patch1"]).all()
    assert seen > 0


def test_where_missing_values_are_refused_the_first_is_named(tmp_path, sphere):
    make_store(tmp_path / "store.h5", grid=sphere, change=spoil)
    with pytest.raises(InputError, match=r"store.h5 has missing values in 3 of 24 .*T09:00"):
        write(tmp_path / "store.h5", tmp_path / "out", missing="error")
    assert not (tmp_path / "out").exists()


def test_infinite_values_are_refused(tmp_path, sphere):
    def change(fields):
        fields[4, 3, 3, 0] = np.inf

    make_store(tmp_path / "store.h5", grid=sphere, change=change)
    statistics = Normalization("z", ("divergence", "vorticity"), (0, 0), (1, 1))
    statistics.save(tmp_path / "statistics.json")
    for options in ({}, {"statistics": tmp_path / "statistics.json"}):
        with pytest.raises(InputError, match=r"store.h5.*infinite values"):
            write(tmp_path / "store.h5", tmp_path / "out", normalization="z", **options)


def test_nothing_but_missing_values(tmp_path, sphere):
    def change(fields):
        fields[:] = np.nan

    make_store(tmp_path / "store.h5", grid=sphere, change=change)
    with pytest.raises(InputError, match=r"store.h5.*no valid value"):
        write(tmp_path / "store.h5", tmp_path / "out")


def test_without_coordinates_rows_and_columns_are_kept(tmp_path, capsys):
    import h5py

    with h5py.File(tmp_path / "bare.h5", "w") as file:
        file["data"] = np.random.default_rng(0).normal(size=(1, 12, 20, 24)).astype("f4")
    manifest = write(tmp_path / "bare.h5", tmp_path / "out")
    assert "latitudes is ignored" in capsys.readouterr().err
    assert manifest.schema.spacing is None
    records = read(tmp_path / "out")
    assert max(record["lat_end"] for record in records) <= 20
    assert max(record["long_end"] for record in records) <= 24


def test_longitudes_west_of_greenwich_count_from_0(tmp_path, region):
    fields = make_store(tmp_path / "store.h5", grid=region)
    manifest = write(tmp_path / "store.h5", tmp_path / "out")
    for record in read(tmp_path / "out"):
        assert 350 <= record["long_start"] < 356
        row = round((record["lat_start"] - 30) / 0.25)
        column = round((record["long_start"] - 350) / 0.25)
        wanted = expected(
            fields, manifest.schema.normalization, record["index"], row, column, (4, 6)
        )
        assert np.array_equal(record["patch1"], wanted)


def test_the_output_protocol(tmp_path, sphere, capsys):
    make_store(tmp_path / "store.h5", grid=sphere)
    store, output = tmp_path / "store.h5", tmp_path / "out"
    write(store, output)
    before = (output / "records.json").stat().st_mtime_ns
    write(store, output, workers=None)
    assert "already made" in capsys.readouterr().err
    assert (output / "records.json").stat().st_mtime_ns == before
    with pytest.raises(InputError, match="patches_per_field was 6, now 7"):
        write(store, output, patches_per_field=7)
    write(store, output, patches_per_field=7, overwrite=True)
    assert Manifest.load(output).count == 7 * 23
    make_store(store, grid=sphere, steps=range(25))
    with pytest.raises(InputError, match=r"the content of .*store\.h5 has changed"):
        write(store, output, patches_per_field=7)
    (tmp_path / "thesis").mkdir()
    with pytest.raises(InputError, match="not made by this command"):
        write(store, tmp_path / "thesis")


def test_what_an_interrupted_run_left_is_replaced(tmp_path, sphere):
    make_store(tmp_path / "store.h5", grid=sphere)
    write(tmp_path / "store.h5", tmp_path / "a")
    left = tmp_path / ".b.partial"
    left.mkdir()
    (left / "records-00000-of-00003.tfrecord").write_bytes(b"half")
    (left / "stray").write_bytes(b"of another kind")
    write(tmp_path / "store.h5", tmp_path / "b")
    assert shard_bytes(tmp_path / "a") == shard_bytes(tmp_path / "b")
    assert not left.exists()
    assert not (tmp_path / "b" / "stray").exists()


@pytest.mark.parametrize(
    "options, said",
    [
        ({"patch": (17, 4)}, "patch 17,4 is larger"),
        ({"patch": (0, 4)}, "patch 0,4"),
        ({"classes": 24}, "classes 24 needs more than 24 time steps"),
        ({"patches_per_field": 0}, "patches_per_field"),
        ({"shards": 0}, "shards 0"),
        ({"compression": "lz4"}, "compression lz4"),
        ({"dtype": "float16", "normalization": "none"}, "dtype float16"),
        ({"time": "1990-01-01,1991-01-01"}, "time"),
        ({"workers": 2, "scheduler": "tcp://localhost:1"}, "exclude"),
        ({"workers": -1}, "workers -1"),
        ({"seed": -1}, "seed -1"),
        ({"shards": 5000}, "shards 5000"),
        ({"statistics": "none.json"}, "none.json does not exist"),
    ],
)
def test_impossible_options(tmp_path, sphere, options, said):
    make_store(tmp_path / "store.h5", grid=sphere)
    with pytest.raises(InputError, match=said):
        write(tmp_path / "store.h5", tmp_path / "out", **options)
    assert [path.name for path in tmp_path.iterdir()] == ["store.h5"]


def test_a_disk_that_is_too_small(tmp_path, sphere, monkeypatch):
    import collections

    make_store(tmp_path / "store.h5", grid=sphere)
    usage = collections.namedtuple("usage", "total used free")(1, 1, 1000)
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    with pytest.raises(WorkError, match=r"the disk is full: .* only 1 kB left"):
        write(tmp_path / "store.h5", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("output", ["store.h5", "."])
def test_no_input_is_replaced(tmp_path, sphere, output):
    make_store(tmp_path / "store.h5", grid=sphere)
    with pytest.raises(InputError, match=r"contains the input .*store\.h5: name another output"):
        write(tmp_path / "store.h5", tmp_path / output, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["store.h5"]


def test_a_file_in_the_way_of_records(tmp_path, sphere):
    make_store(tmp_path / "store.h5", grid=sphere)
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(InputError, match="not made by this command"):
        write(tmp_path / "store.h5", tmp_path / "notes")
    assert (tmp_path / "notes").read_text() == "mine"


def test_what_is_said_of_records(tmp_path, sphere):
    def change(fields):
        fields[3] = np.nan
        fields[4, 5, 6] = np.nan

    make_store(tmp_path / "store.h5", grid=sphere, change=change)
    write(tmp_path / "store.h5", tmp_path / "out", seed=5)
    facts = describe_records(tmp_path / "out")
    assert facts["step"] == "3 h"
    assert facts["missing values"] == "in 1 fields; 1 more have no values (--missing skip)"
    assert facts["made from"] == str(tmp_path / "store.h5")
    assert facts["seed"] == 5


def test_the_manifest_is_plain_json(tmp_path, sphere):
    make_store(tmp_path / "store.h5", grid=sphere)
    manifest = write(tmp_path / "store.h5", tmp_path / "out")
    value = json.loads((tmp_path / "out" / "records.json").read_text())
    assert value["schema"]["kind"] == "pairs"
    assert value["schema"]["arrays"]["first"]["channels"] == ["divergence", "vorticity"]
    assert value["schema"]["step"] == 3 * 3600
    assert value["options"]["patch"] == [4, 6]
    assert value["provenance"]["versions"]["numpy"] == np.__version__
    assert manifest.schema.units == ("s**-1", "s**-1")
