"""Channels, regions, and divergence and vorticity of wind."""

import numpy as np
import pytest

from phire.errors import InputError
from phire.fields import ArraySource, ChannelSelection, Grid, RegionSource, WindSource
from phire.fields.grid import EARTH_RADIUS

RANDOM = np.random.default_rng(0)


def located(grid):
    """Two channels that hold the latitude and the longitude (modulo 360) of each point."""
    places = np.meshgrid(grid.latitudes, grid.longitudes % 360, indexing="ij")
    return ArraySource(np.stack(places, -1)[None], channels=["lat", "lon"], grid=grid)


def test_channels_in_the_order_wanted():
    source = ArraySource(RANDOM.normal(size=(2, 4, 5, 3)), channels=["a", "b", "c"], units="xyz")
    chosen = ChannelSelection(source, ["c", "a"])
    assert chosen.units == ("z", "x")
    np.testing.assert_array_equal(chosen.read([1]), source.read([1])[..., [2, 0]])
    window = chosen.read_window([1], slice(1, 3), slice(0, 2))
    np.testing.assert_array_equal(window, source.read([1])[:, 1:3, :2, [2, 0]])
    with pytest.raises(InputError, match="a, b, c"):
        ChannelSelection(source, ["d"])


@pytest.mark.parametrize(
    "region",
    [
        (60, 0, 30, 90),
        (60, -30, 30, 45),
        (90, 170, -90, -170),
        (20, -180, -20, 180),
        (9, 300, 0, 360),
    ],
)
def test_a_region_holds_the_points_within_it_and_knows_where_they_are(region):
    grid = Grid.pole_to_pole(37)
    part = RegionSource(located(grid), region)
    north, west, south, east = region
    assert (part.grid.latitudes <= north).all()
    assert (part.grid.latitudes >= south).all()
    assert (np.diff(part.grid.longitudes) > 0).all()
    assert part.grid.longitudes[0] >= west - 1e-9
    assert part.grid.longitudes[-1] <= west + ((east - west) % 360 or 360) + 1e-9
    found = part.read([0])[0]
    expected = located(part.grid).read([0])[0]
    np.testing.assert_allclose(found, expected, atol=1e-4)
    inside = (grid.latitudes <= north) & (grid.latitudes >= south)
    offset = (grid.longitudes - west) % 360
    width = (east - west) % 360 or 360
    assert part.grid.shape == (inside.sum(), (offset <= width).sum())


def test_the_whole_globe_stays_a_global_grid():
    part = RegionSource(located(Grid.gaussian(16)), (90, -180, -90, 180))
    assert part.grid.kind == "gaussian"
    assert part.grid.longitudes[0] == -180


@pytest.mark.parametrize(
    ("region", "said"),
    [((30, 0, 60, 90), "N,W,S,E"), ((4.9, 0, 1, 9), "no row"), ((100, 0, 0, 9), "N,W,S,E")],
)
def test_regions_that_are_none(region, said):
    with pytest.raises(InputError, match=said):
        RegionSource(located(Grid.pole_to_pole(19)), region)


def test_a_region_of_pixels_is_refused():
    with pytest.raises(InputError, match="coordinates"):
        RegionSource(ArraySource(np.zeros((1, 4, 5, 1))), (1, 0, 0, 1))


ROTATION = 1e-5
"""Angular velocity in s⁻¹ of the flow below; u = ω a cos φ has the vorticity 2 ω sin φ."""


def solid_rotation(grid):
    u = ROTATION * EARTH_RADIUS * np.cos(np.deg2rad(grid.latitudes))
    wind = np.zeros((1, *grid.shape, 3))
    wind[..., 0] = u[:, None]
    wind[..., 2] = 7
    return ArraySource(wind, channels=["u", "v", "t"], units=["m/s", "m/s", "K"], grid=grid)


@pytest.mark.parametrize(
    ("grid", "tolerance"),
    [
        (Grid.gaussian(32), 1e-5),
        (Grid.pole_to_pole(33), 1e-5),
        (Grid.regional(np.linspace(60, 30, 61), np.linspace(0, 20, 41)), 1e-3),
    ],
)
def test_solid_rotation_has_its_vorticity_and_no_divergence(grid, tolerance):
    source = WindSource(solid_rotation(grid), ("u", "v"), further=["t"])
    assert source.channels == ("divergence", "vorticity", "t")
    assert source.units == ("s**-1", "s**-1", "K")
    fields = source.read([0])[0]
    expected = 2 * ROTATION * np.sin(np.deg2rad(grid.latitudes))[:, None]
    np.testing.assert_allclose(
        fields[..., 1], expected + np.zeros(grid.shape), atol=tolerance * 2 * ROTATION
    )
    np.testing.assert_allclose(fields[..., 0], 0, atol=tolerance * 2 * ROTATION)
    np.testing.assert_array_equal(fields[..., 2], 7)


def test_a_missing_wind_on_the_sphere_makes_its_field_missing():
    fields = np.zeros((2, 16, 32, 2))
    fields[0, 3, 4, 1] = np.nan
    source = WindSource(
        ArraySource(fields, channels=["u", "v"], grid=Grid.gaussian(16)), ("u", "v")
    )
    read = source.read(slice(None))
    assert np.isnan(read[0]).all()
    assert np.isfinite(read[1]).all()


def test_wind_of_pixels_or_of_a_narrow_strip_is_refused():
    with pytest.raises(InputError, match="coordinates"):
        WindSource(ArraySource(np.zeros((1, 4, 5, 2))), ("channel_0", "channel_1"))
    strip = ArraySource(np.zeros((1, 2, 5, 2)), grid=Grid.regional([1, 0], range(5)))
    with pytest.raises(InputError, match="three rows"):
        WindSource(strip, ("channel_0", "channel_1"))
