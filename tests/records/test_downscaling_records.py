"""Downscaling records against the fields they were cut from."""

import os

import numpy as np
import pytest
import tensorflow as tf

from phire.errors import InputError
from phire.fields.coarsening import CoarsenedSource
from phire.fields.grid import Grid
from phire.fields.store import open_store
from phire.records import Manifest, write_downscaling_records, write_pair_records
from phire.records.tfrecord_encoding import DOWNSCALING_INTEGERS
from records.stores import make_store, shard_bytes

OPTIONS = {"patch": (8, 12), "scale": 4, "patches_per_field": 5, "shards": 2}


def write(store, output, **options):
    write_downscaling_records(store, output, **{**OPTIONS, **options})
    return Manifest.load(output)


def read(directory):
    """All records by TensorFlow's reader: dictionaries with arrays ``low`` and ``high``."""
    manifest = Manifest.load(directory)
    features = {name: tf.io.FixedLenFeature([], tf.int64) for name in DOWNSCALING_INTEGERS}
    features |= {name: tf.io.FixedLenFeature([], tf.string) for name in ("data_LR", "data_HR")}
    shards = tf.data.TFRecordDataset([str(directory / name) for name in manifest.shards])
    for record in shards.as_numpy_iterator():
        parsed = {k: v.numpy() for k, v in tf.io.parse_single_example(record, features).items()}
        sizes = {
            "low": (parsed["h_LR"], parsed["w_LR"], parsed["c"]),
            "high": (parsed["h_HR"], parsed["w_HR"], parsed["c"]),
        }
        for name, data in (("low", "data_LR"), ("high", "data_HR")):
            parsed[name] = np.frombuffer(parsed[data], np.float32).reshape(sizes[name])
        yield parsed


def find(part, whole, wraps):
    """Row and column at which ``part`` lies in ``whole``; its values occur once only."""
    (row,), (column,) = np.nonzero(np.isclose(whole[..., 0], part[0, 0, 0], rtol=0, atol=0))
    columns = column + np.arange(part.shape[1])
    assert wraps or columns.max() < whole.shape[1]
    np.testing.assert_array_equal(
        whole[row : row + part.shape[0]][:, columns % whole.shape[1]], part
    )
    return int(row), int(column)


@pytest.mark.parametrize("grid", ["sphere", "region", "southward", "uneven"])
def test_the_low_resolution_is_the_mean_of_the_high_one(tmp_path, sphere, region, grid):
    grids = {
        "sphere": sphere,
        "region": region,
        "southward": Grid.regional(region.latitudes[::-1], region.longitudes),
        # 19 × 27: three rows at the south and three columns at the east are left over.
        "uneven": Grid.regional(region.latitudes[:19], -10 + 0.25 * np.arange(27)),
    }
    fields = make_store(tmp_path / "store.h5", grid=grids[grid])
    manifest = write(tmp_path / "store.h5", tmp_path / "out")
    normalization = manifest.schema.normalization
    assert (manifest.schema.pooling, manifest.schema.alignment, manifest.schema.scale) == (
        "area-mean",
        "cell",
        4,
    )
    with open_store(tmp_path / "store.h5") as store:
        coarse = normalization.apply(CoarsenedSource(store, 4).read(slice(None)))
    wrapped = 0
    offset = grids[grid].shape[0] % 4 if grid == "southward" else 0
    count = 0
    for record in read(tmp_path / "out"):
        count += 1
        time = record["index"]
        wraps = grid == "sphere"
        row, column = find(record["low"], coarse[time], wraps)
        high = find(record["high"], normalization.apply(fields[time]), wraps)
        assert high == (offset + 4 * row, 4 * column)
        wrapped += column * 4 + 12 > grids[grid].shape[1]
    assert count == manifest.count == 5 * 24
    assert (wrapped > 0) == (grid == "sphere")


def test_a_circle_that_is_no_multiple_does_not_wrap(tmp_path):
    grid = Grid.driscoll_healy(16, 30)
    fields = make_store(tmp_path / "store.h5", grid=grid)
    manifest = write(tmp_path / "store.h5", tmp_path / "out", patches_per_field=20)
    columns = [
        find(record["high"], manifest.schema.normalization.apply(fields[record["index"]]), False)[1]
        for record in read(tmp_path / "out")
    ]
    assert len(columns) == manifest.count
    # Two columns at the end belong to no block.
    assert max(columns) + manifest.schema.patch[1] == 28


def test_whole_fields(tmp_path, region):
    fields = make_store(tmp_path / "store.h5", grid=region)
    manifest = write(tmp_path / "store.h5", tmp_path / "out", whole_fields=True)
    assert manifest.schema.patch == (20, 24)
    assert manifest.schema.low_patch == (5, 6)
    seen = set()
    for record in read(tmp_path / "out"):
        wanted = manifest.schema.normalization.apply(fields[record["index"]])
        assert np.array_equal(record["high"], wanted)
        seen.add(int(record["index"]))
    assert seen == set(range(24))


def corner_pair(tmp_path, region, *, low_steps=range(24)):
    """A high resolution, and every fourth of its points as the low one."""
    high = make_store(tmp_path / "high.h5", grid=region)
    grid = Grid.regional(region.latitudes[::4], region.longitudes[::4])
    low = make_store(tmp_path / "low.h5", grid=grid, steps=low_steps)
    return high, low


def test_an_explicit_low_resolution_on_the_corners(tmp_path, region, capsys):
    high, low = corner_pair(tmp_path, region, low_steps=range(2, 30, 2))
    manifest = write(
        tmp_path / "high.h5", tmp_path / "out", low=tmp_path / "low.h5", alignment="corner"
    )
    assert (manifest.schema.pooling, manifest.schema.alignment) == ("explicit", "corner")
    assert "13 of 24 fields are left out" in capsys.readouterr().err
    times = set()
    for record in read(tmp_path / "out"):
        time = int(record["index"])
        times.add(time)
        row, column = find(
            record["low"], manifest.schema.normalization.apply(low[(time - 2) // 2]), False
        )
        place = find(record["high"], manifest.schema.normalization.apply(high[time]), False)
        assert place == (4 * row, 4 * column)
    assert times == set(range(2, 24, 2))


def test_the_alignment_is_that_of_the_coarse_input(tmp_path, region, capsys):
    corner_pair(tmp_path, region)
    manifest = write(tmp_path / "high.h5", tmp_path / "out", low=tmp_path / "low.h5")
    assert manifest.schema.alignment == "corner"
    assert "interpolation" not in capsys.readouterr().err
    manifest = write(
        tmp_path / "high.h5", tmp_path / "cell", low=tmp_path / "low.h5", alignment="cell"
    )
    assert manifest.schema.alignment == "cell"
    said = capsys.readouterr().err
    assert "regridded to the 4 × 4 blocks by bilinear interpolation" in said
    assert "its spacing is 1 and 1 times that" in said
    write(tmp_path / "high.h5", tmp_path / "finer", low=tmp_path / "low.h5", scale=2)
    said = capsys.readouterr().err
    assert (
        "low.h5 ends 0.123° in the south and 0.123° in the east before the outermost coarse" in said
    )


def test_resolutions_of_other_channels_or_times(tmp_path, region):
    corner_pair(tmp_path, region, low_steps=range(40, 50))
    options = {"low": tmp_path / "low.h5", "alignment": "corner"}
    with pytest.raises(InputError, match="no time in common"):
        write(tmp_path / "high.h5", tmp_path / "out", **options)
    make_store(
        tmp_path / "low.h5", channels=("u", "v"),
        grid=Grid.regional(region.latitudes[::4], region.longitudes[::4]),
    )  # fmt: skip
    with pytest.raises(InputError, match=r"low.h5 has no channel 'divergence'; it has u, v"):
        write(tmp_path / "high.h5", tmp_path / "out", **options)


def test_missing_values_of_either_resolution_are_avoided_or_filled(tmp_path, region):
    def spoil_high(fields):
        fields[3, 5, 5, 0] = np.nan
        fields[6] = np.nan

    def spoil_low(fields):
        fields[8, 2, 3, 1] = np.nan

    make_store(tmp_path / "high.h5", grid=region, change=spoil_high)
    grid = Grid.regional(region.latitudes[::4], region.longitudes[::4])
    make_store(tmp_path / "low.h5", grid=grid, change=spoil_low)
    options = {"low": tmp_path / "low.h5", "alignment": "corner", "patches_per_field": 20}
    manifest = write(tmp_path / "high.h5", tmp_path / "skipped", **options)
    assert manifest.missing == {"policy": "skip", "fields": 2, "absent": 1}
    for record in read(tmp_path / "skipped"):
        assert record["index"] != 6
        assert np.isfinite(record["low"]).all()
        assert np.isfinite(record["high"]).all()
    manifest = write(tmp_path / "high.h5", tmp_path / "filled", missing="fill", **options)
    filled = manifest.schema.normalization.apply(
        np.array(manifest.schema.normalization.mean, np.float32)
    )
    highs = [r["high"] for r in read(tmp_path / "filled") if r["index"] == 3]
    assert any((high[..., 0] == filled[0]).any() for high in highs)
    assert all(np.isfinite(high).all() for high in highs)


def test_a_mean_over_filled_values_is_taken_after_filling(tmp_path, region):
    def spoil(fields):
        fields[3, :4, :4, 0] = np.nan
        fields[3, 4, 4, 0] = np.nan

    make_store(tmp_path / "store.h5", grid=region, change=spoil)
    manifest = write(tmp_path / "store.h5", tmp_path / "out", missing="fill", whole_fields=True)
    mean = manifest.schema.normalization.mean[0]
    for record in read(tmp_path / "out"):
        if record["index"] == 3:
            physical = manifest.schema.normalization.invert(record["low"])
            assert physical[0, 0, 0] == pytest.approx(mean, rel=1e-4)
            weights = np.cos(np.deg2rad(region.latitudes[4:8]))
            block = manifest.schema.normalization.invert(record["high"])[4:8, 4:8, 0]
            assert block[0, 0] == pytest.approx(mean, rel=1e-4)
            wanted = np.average(block.mean(1), weights=weights)
            assert physical[1, 1, 0] == pytest.approx(wanted, rel=1e-4)


def test_chunking_changes_no_byte(tmp_path, region, monkeypatch):
    make_store(tmp_path / "store.h5", grid=region)
    write(tmp_path / "store.h5", tmp_path / "a")
    monkeypatch.setattr("phire.records.sampled_records.CHUNK_BYTES", 1)
    monkeypatch.setattr("phire.records.parallel_tasks.THREADS", 1)
    write(tmp_path / "store.h5", tmp_path / "b")
    assert shard_bytes(tmp_path / "a") == shard_bytes(tmp_path / "b")


@pytest.mark.parametrize(
    "options, said",
    [
        ({"patch": (8, 10)}, "patch 8,10 must be a multiple of scale 4"),
        ({"patch": (24, 24)}, "patch 24,24 is larger"),
        ({"scale": 1}, "scale 1"),
        ({"patches_per_field": 0}, "patches_per_field"),
        ({"alignment": "corner"}, "alignment corner needs low"),
        ({"alignment": "edge"}, "alignment edge"),
        ({"low": "none.h5"}, "none.h5 does not exist"),
    ],
)
def test_impossible_options(tmp_path, region, options, said):
    make_store(tmp_path / "store.h5", grid=region)
    with pytest.raises(InputError, match=said):
        write(tmp_path / "store.h5", tmp_path / "out", **options)
    assert [path.name for path in tmp_path.iterdir()] == ["store.h5"]


@pytest.mark.skipif("PHIRE_REALDATA" not in os.environ, reason="PHIRE_REALDATA is not set")
def test_arome_over_arpege(tmp_path):
    """Two models on one corner: every fourth point of AROME lies on one of ARPEGE."""
    convert = pytest.importorskip("phire.fields.conversion").convert
    folder = os.environ["PHIRE_REALDATA"]
    for name in ("arome", "arpege"):
        convert([f"{folder}/{name}_msl_NW_2018-05-01.grib"], tmp_path / f"{name}.h5")
    manifest = write(
        tmp_path / "arome.h5", tmp_path / "out", low=tmp_path / "arpege.h5", alignment="corner",
        normalization="z", patch=(32, 32),
    )  # fmt: skip
    assert manifest.count == 25 * 5
    differences = []
    for record in read(tmp_path / "out"):
        differences.append(record["high"][::4, ::4] - record["low"])
    # Pressure of two models at the same points and times: a small part of its variability.
    assert np.std(differences) < 0.5
    assert abs(np.corrcoef(record["high"][::4, ::4].ravel(), record["low"].ravel())[0, 1]) > 0.8


@pytest.mark.parametrize("write", [write_downscaling_records, write_pair_records])
def test_a_wrong_keyword_is_one_of_the_function_that_was_called(tmp_path, write):
    with pytest.raises(TypeError, match=rf"^{write.__name__}\(\) got an unexpected .* 'shard'$"):
        write("fine.h5", tmp_path / "records", shard=2)
    assert not list(tmp_path.iterdir())
