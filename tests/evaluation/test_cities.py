"""Cities and the grid points around them."""

import csv
from collections import Counter
from importlib import resources

import numpy as np
import pytest

from phire.errors import InputError
from phire.evaluation.cities import (
    City,
    cities_within,
    neighbourhood,
    neighbourhoods,
    read_cities,
)
from phire.fields.grid import Grid

# Positions as printed in atlases.
KNOWN = {
    "Tokyo": (35.69, 139.69),
    "Delhi": (28.61, 77.21),
    "London": (51.51, -0.13),
    "Moscow": (55.75, 37.62),
    "New York": (40.71, -74.01),
    "Los Angeles": (34.05, -118.24),
    "Mexico City": (19.43, -99.13),
    "São Paulo": (-23.55, -46.63),
    "Buenos Aires": (-34.60, -58.38),
    "Lagos": (6.45, 3.40),
    "Cape Town": (-33.93, 18.42),
    "Nairobi": (-1.29, 36.82),
    "Jakarta": (-6.20, 106.82),
    "Sydney": (-33.87, 151.21),
    "Auckland": (-36.85, 174.76),
    "Dakar": (14.69, -17.45),
}


def test_about_150_different_cities_of_over_a_million():
    cities = read_cities()
    assert 140 <= len(cities) <= 170
    assert len({(city.name, city.country) for city in cities}) == len(cities)
    assert all(1 <= city.population < 40 for city in cities)
    assert all(-60 < city.latitude < 66 and -180 <= city.longitude <= 180 for city in cities)


def test_spread_over_continents_hemispheres_and_both_sides_of_greenwich():
    cities = read_cities()
    text = resources.files("phire").joinpath("data/cities.csv").read_text("utf-8")
    rows = csv.DictReader(line for line in text.splitlines() if not line.startswith("#"))
    continents = Counter(row["continent"] for row in rows)
    assert set(continents) == {
        "Africa", "Asia", "Europe", "North America", "South America", "Oceania"
    }  # fmt: skip
    assert min(continents.values()) >= 6
    assert max(continents.values()) < len(cities) / 2
    assert sum(city.latitude < 0 for city in cities) >= 30
    assert sum(city.longitude < 0 for city in cities) >= 50
    assert sum(abs(city.latitude) < 23.5 for city in cities) >= 40


@pytest.mark.parametrize("name", KNOWN)
def test_known_positions(name):
    (city,) = [city for city in read_cities() if city.name == name]
    assert city.latitude == pytest.approx(KNOWN[name][0], abs=0.2)
    assert city.longitude == pytest.approx(KNOWN[name][1], abs=0.2)


def test_no_two_cities_share_a_place():
    positions = np.array([(city.latitude, city.longitude) for city in read_cities()])
    apart = np.abs(positions[:, None] - positions[None]).sum(-1) + 9 * np.eye(len(positions))
    assert apart.min() > 0.3


@pytest.mark.parametrize("west", [0.0, -180.0])
def test_nearest_point_is_the_nearest_on_the_sphere(west):
    latitudes = np.arange(89.75, -90, -0.5)
    grid = Grid.from_coordinates(latitudes, west + 0.5 * np.arange(720))
    rows, columns = neighbourhoods(grid, read_cities(), size=1)
    phi, theta = np.deg2rad(grid.longitudes), np.deg2rad(grid.latitudes)
    points = np.stack(
        [
            np.cos(theta)[:, None] * np.cos(phi),
            np.cos(theta)[:, None] * np.sin(phi),
            np.sin(theta)[:, None] * np.ones_like(phi),
        ],
        axis=-1,
    )
    for city, row, column in zip(read_cities(), rows[:, 0, 0], columns[:, 0, 0]):
        latitude, longitude = np.deg2rad([city.latitude, city.longitude])
        place = [
            np.cos(latitude) * np.cos(longitude),
            np.cos(latitude) * np.sin(longitude),
            np.sin(latitude),
        ]
        # In degrees a tie may fall either way; on the sphere the neighbour must be as near.
        assert points[row, column] @ place >= (points @ place).max() - 2e-7


def test_west_of_greenwich_is_360_plus_longitude():
    grid = Grid.driscoll_healy(180)  # 1°, from 0°
    (new_york,) = [city for city in read_cities() if city.name == "New York"]
    row, column = neighbourhood(grid, new_york.latitude, new_york.longitude)
    assert grid.longitudes[column[0, 0]] == 286  # 360 − 74, not 180 + 74
    assert grid.latitudes[row[0, 0]] == 41
    shifted = Grid.from_coordinates(grid.latitudes, grid.longitudes - 180)
    _, column = neighbourhood(shifted, new_york.latitude, new_york.longitude)
    assert shifted.longitudes[column[0, 0]] == -74
    assert (neighbourhood(grid, 0, -74.2)[1] == neighbourhood(grid, 0, 285.8)[1]).all()


def test_squares_of_one_two_and_three_points():
    grid = Grid.cell_centred(18)  # 10°: rows 85 … −85, columns 0 … 350
    row, column = neighbourhood(grid, 33, 47, size=1)
    assert (row, column) == (5, 5)
    row, column = neighbourhood(grid, 33, 47, size=2)
    assert row.tolist() == [[5, 5], [6, 6]]  # 35° and 25° surround 33°
    assert column.tolist() == [[4, 5], [4, 5]]  # 40° and 50° surround 47°
    row, column = neighbourhood(grid, 33, 47, size=3)
    assert row[:, 0].tolist() == [4, 5, 6]
    assert column[0].tolist() == [4, 5, 6]


def test_squares_run_across_greenwich_and_stop_at_the_pole():
    grid = Grid.cell_centred(18)
    assert neighbourhood(grid, 0, -1, size=3)[1][0].tolist() == [35, 0, 1]
    assert neighbourhood(grid, 0, -4, size=2)[1][0].tolist() == [35, 0]
    assert neighbourhood(grid, 0, 4, size=2)[1][0].tolist() == [0, 1]
    assert neighbourhood(grid, 89, 0, size=3)[0][:, 0].tolist() == [0, 1, 2]
    ascending = Grid.from_coordinates(grid.latitudes[::-1], grid.longitudes)
    assert neighbourhood(ascending, -89, 0, size=3)[0][:, 0].tolist() == [0, 1, 2]


def test_regional_grid_holds_only_the_cities_in_its_cells():
    grid = Grid.from_coordinates(np.arange(58, 49.9, -0.25), np.arange(-10, 2.1, 0.25))
    names = {city.name for city in cities_within(grid)}
    assert names == {"London", "Glasgow", "Dublin"}
    shifted = Grid.from_coordinates(grid.latitudes, grid.longitudes + 360)
    assert {city.name for city in cities_within(shifted)} == names
    assert len(cities_within(Grid.driscoll_healy(20))) == len(read_cities())
    edge = City("Edge", "", 50.0, -10.1, 1.0)
    assert cities_within(grid, [edge]) == (edge,)
    row, column = neighbourhood(grid, edge.latitude, edge.longitude, size=3)
    assert row[:, 0].tolist() == [30, 31, 32]
    assert column[0].tolist() == [0, 1, 2]


def test_no_city_gives_empty_squares():
    rows, columns = neighbourhoods(Grid.driscoll_healy(20), [], size=2)
    assert rows.shape == columns.shape == (0, 2, 2)


def test_refuses_grids_without_coordinates_and_squares_too_large():
    with pytest.raises(InputError, match="coordinates"):
        cities_within(Grid.pixels(10, 10))
    with pytest.raises(InputError, match="11 × 11"):
        neighbourhood(Grid.driscoll_healy(10), 0, 0, size=11)
