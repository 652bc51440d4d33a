"""Sample schema and manifest: JSON round trips, and records of before the schema."""

from __future__ import annotations

import json
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phire.errors import InputError
from phire.fields.grid import Grid
from phire.fields.normalization import Normalization
from phire.fields.normalization_names import KINDS
from phire.records import Manifest, SampleArray, SampleSchema, write_pair_records
from records.stores import make_store

NAMES = st.text(string.ascii_lowercase, min_size=1, max_size=5)
NUMBERS = st.floats(-1e6, 1e6)


@st.composite
def normalizations(draw, channels):
    def values(numbers):
        return tuple(draw(numbers) for _ in channels)

    positive = st.floats(1e-6, 1e6)
    return Normalization(
        draw(st.sampled_from(KINDS)), channels, values(NUMBERS), values(positive), values(NUMBERS),
        values(positive), minimum=values(st.floats(-9, 0)), maximum=values(st.floats(1, 9)),
    )  # fmt: skip


@st.composite
def arrays(draw):
    channels = tuple(draw(st.lists(NAMES, min_size=1, max_size=3, unique=True)))
    return SampleArray(
        channels,
        tuple(draw(NAMES) for _ in channels),
        tuple(draw(st.lists(st.integers(1, 100), max_size=4))),
        draw(st.none() | st.tuples(NUMBERS, NUMBERS)),
        tuple(range(-draw(st.integers(0, 4)), 1)),
        draw(st.none() | normalizations(channels)),
    )


@st.composite
def schemas(draw):
    grids = [None, Grid.pixels(3, 4), Grid.driscoll_healy(4), Grid.regional([3.0, 2.5], [0.1, 7])]
    return SampleSchema(
        draw(st.sampled_from(["pairs", "downscaling"])),
        draw(st.dictionaries(NAMES, arrays(), min_size=1, max_size=3)),
        classes=draw(st.none() | st.integers(1, 40)),
        scale=draw(st.none() | st.integers(2, 10)),
        alignment=draw(st.sampled_from([None, "cell", "corner"])),
        pooling=draw(st.sampled_from([None, "area-mean", "explicit"])),
        margin=draw(st.integers(0, 4)),
        window=draw(st.none() | st.integers(1, 5)),
        domain=draw(st.sampled_from(grids)),
        step=draw(st.none() | st.integers(1, 86400)),
        calendar=draw(st.sampled_from([None, "360_day", "standard"])),
    )


@settings(max_examples=60)
@given(schemas())
def test_a_schema_comes_back_from_json(schema):
    back = SampleSchema.from_dict(json.loads(json.dumps(schema.to_dict())))
    assert back == schema
    assert back.arrays == schema.arrays
    if schema.domain is not None:
        assert back.domain.equals(schema.domain) and back.domain.kind == schema.domain.kind


def test_a_schema_that_differs_is_another():
    one = SampleSchema("downscaling", {}, scale=4)
    assert one != SampleSchema("downscaling", {}, scale=5)
    with pytest.raises(ValueError, match="2 units for 1 channels"):
        SampleArray(("a",), ("K", "m"), (1,))


@pytest.fixture
def earlier(tmp_path, sphere):
    """Pairs whose manifest is as it was before the schema."""
    make_store(tmp_path / "store.h5", grid=sphere)
    write_pair_records(tmp_path / "store.h5", tmp_path / "out", patch=(4, 6), classes=3)
    path = tmp_path / "out" / "records.json"
    value = json.loads(path.read_text())
    del value["schema"]
    value |= {"kind": "pairs", "patch": [4, 6], "channels": ["a", "b"]}
    value["provenance"]["command"] = ["rplearn-data", "my store.h5", "out"]
    path.write_text(json.dumps(value))
    return tmp_path / "out"


def test_records_of_an_earlier_version_are_refused_with_the_command(earlier):
    said = r"earlier version of phire.*`rplearn-data 'my store.h5' out --overwrite`"
    with pytest.raises(InputError, match=said):
        Manifest.load(earlier)
    options = {"patch": (4, 6), "classes": 3}
    with pytest.raises(InputError, match=said):
        write_pair_records(earlier.parent / "store.h5", earlier, **options)
    write_pair_records(earlier.parent / "store.h5", earlier, overwrite=True, **options)
    assert Manifest.load(earlier).schema.patch == (4, 6)


def test_the_schema_of_pairs(earlier):
    with pytest.raises(InputError):
        Manifest.load(earlier)
    write_pair_records(earlier.parent / "store.h5", earlier.parent / "new", patch=(4, 6), classes=3)
    schema = Manifest.load(earlier.parent / "new").schema
    assert list(schema.arrays) == ["first", "second", "label", "position"]
    assert schema.arrays["second"].offsets == (1, 2, 3)
    assert schema.arrays["first"].shape == (4, 6, 2)
    assert schema.domain.shape == (16, 32)
    assert (schema.step, schema.calendar) == (10800, "standard")
