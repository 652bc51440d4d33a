"""Options of parts have the types that a function's annotations state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phire.errors import InputError
from phire.option_types import with_option_types
from phire.part_registry import options_of


def part(
    shapes, *, filters: int = 4, rate: float = 0.5, attention: bool = False, name: str = "a",
    depths: Sequence[int] = (2,), heads: int | Sequence[int] = 6, metric: str | None = None,
    table: Mapping[str, float] | None = None, free=None,
):  # fmt: skip
    """A part."""


def checked(**options):
    return with_option_types(part, options, "network part")


def test_values_of_their_types_stay():
    options = {
        "filters": 8, "rate": 1, "attention": True, "name": "b", "depths": [1, 2], "heads": 3,
        "metric": None, "table": {"a": 1.0}, "free": object(),
    }  # fmt: skip
    assert checked(**options) == options


@given(st.integers(-(10**6), 10**6))
def test_whole_numbers_may_be_written_with_an_exponent(number):
    found = checked(filters=float(number))["filters"]
    assert found == number and isinstance(found, int)


def test_numbers_of_numpy_are_numbers_of_their_kind():
    assert checked(filters=np.int64(3), rate=np.float32(0.5)) == {"filters": 3, "rate": 0.5}
    with pytest.raises(InputError, match=r"filters=1\.5"):
        checked(filters=np.float32(1.5))


def test_one_value_is_a_list_of_one_where_a_list_is_wanted():
    assert checked(depths=2)["depths"] == [2]
    assert checked(heads=2)["heads"] == 2 and checked(heads=[2, 3])["heads"] == [2, 3]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"filters": 1.5}, "filters=1.5 must be a whole number"),
        ({"filters": True}, "filters=True must be a whole number"),
        ({"rate": "abc"}, "rate=abc must be a number"),
        ({"rate": float("nan")}, "rate=nan must be a number"),
        ({"attention": "maybe"}, "attention=maybe must be true or false"),
        ({"depths": [1.5]}, "must be a list, each a whole number"),
        ({"heads": "six"}, "must be a whole number or a list"),
        ({"metric": 3}, "metric=3 must be a text"),
        ({"table": [1]}, "table=.* must be a mapping"),
        ({"name": 3}, "name=3 must be a text"),
    ],
)
def test_values_of_other_types_are_named(options, named):
    with pytest.raises(InputError, match=f"network part: .*{named}"):
        checked(**options)


def test_options_that_parts_share_are_checked_too():
    def shared(*, weight: float = 1.0):
        """Shared options."""

    @options_of(shared)
    def one(*, filters: int = 2, **options):
        """A part."""

    assert with_option_types(one, {"weight": 2, "filters": 3.0}, "part") == {
        "weight": 2, "filters": 3
    }  # fmt: skip
    with pytest.raises(InputError, match="part: weight=abc must be a number"):
        with_option_types(one, {"weight": "abc"}, "part")
