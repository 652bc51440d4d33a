"""However a file orders rows and columns, they are read southward and eastward."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phire.errors import InputError
from phire.fields.orientation import Orientation


def places(latitudes, longitudes):
    """A field whose values tell where each point lies: latitude + i · longitude modulo 360."""
    return np.asarray(latitudes)[:, None] + 1j * (np.asarray(longitudes) % 360)


@given(
    rows=st.integers(2, 9),
    columns=st.integers(4, 24),
    northward=st.booleans(),
    westward=st.booleans(),
    shift=st.integers(-24, 24),
    jump=st.booleans(),
    window=st.tuples(st.integers(0, 8), st.integers(0, 8)),
)
def test_every_value_stays_at_its_place(rows, columns, northward, westward, shift, jump, window):
    latitudes = np.linspace(60, -20, rows)
    longitudes = 360 / columns * (np.arange(columns) + shift)
    if jump:
        longitudes = (longitudes + 180) % 360 - 180
    latitudes = latitudes[::-1] if northward else latitudes
    longitudes = longitudes[::-1] if westward else longitudes
    orientation = Orientation.of_coordinates(latitudes, longitudes)
    grid = orientation.grid
    assert grid.descending
    assert (np.diff(grid.longitudes) > 0).all()
    down, across = slice(window[0], None), slice(None, window[1])
    field = places(latitudes, longitudes)
    read = orientation.turned(
        field[orientation.file_rows(down, rows), orientation.file_columns(across, columns)]
    )
    expected = places(grid.latitudes, grid.longitudes)[down, across]
    np.testing.assert_allclose(read.real, expected.real, atol=1e-9)
    np.testing.assert_allclose((read.imag - expected.imag + 180) % 360, 180, atol=1e-9)


@pytest.mark.parametrize("westward", [False, True])
def test_a_first_column_that_is_repeated_is_read_once(westward):
    longitudes = np.arange(0, 361, 30.0)[:: -1 if westward else 1]
    orientation = Orientation.of_coordinates([80.0, 40, 0, -40, -80], longitudes)
    assert orientation.grid.shape == (5, 12)
    assert orientation.grid.wraps
    columns = orientation.file_columns(slice(None), 13)
    read = orientation.turned(longitudes[None, columns])
    np.testing.assert_allclose((read - orientation.grid.longitudes + 180) % 360, 180)


def test_longitudes_in_disorder_are_refused():
    with pytest.raises(InputError, match="longitudes"):
        Orientation.of_coordinates([10.0, 0], [0.0, 20, 10, 30])
