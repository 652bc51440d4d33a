"""Semivariograms: half the mean squared difference of pairs of points, by their distance.

Libraries of geostatistics (gstools, scikit-gstat) compare all pairs of scattered points in a plane.
Here a sample of pairs, the same for truth and candidates, is drawn on the sphere and summed over
chunks of times. ``tests/evaluation/test_semivariograms.py`` checks it against gstools in a region
and against the Legendre series of a field of known spectrum.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from phire.evaluation.accumulator import State, Statistic
from phire.evaluation.batches import Batch, Ensemble
from phire.evaluation.definitions import LOWER, SQUARED, Definition
from phire.evaluation.registry import statistic
from phire.evaluation.setting import Setting
from phire.evaluation.spectral_scores import divided, log_spectral_error
from phire.fields.curvilinear import CurvilinearGrid
from phire.fields.great_circle import destination
from phire.fields.grid import TOLERANCE, Grid
from phire.fields.interpolation import Interpolator

if TYPE_CHECKING:
    from phire.evaluation.figures.figure_plan import Plan
    from phire.evaluation.figures.results_reading import ResultsFolder

DIRECTIONS = ("", "_zonal", "_meridional")
"""Endings of the variables by direction of the pairs: any, along parallels, along meridians."""

REPLICATES = 1000
"""Number of bootstrap samples."""

ATTEMPTS = 50
"""Largest number of azimuths tried until the second point of a pair lies within the grid."""


@dataclasses.dataclass(frozen=True, eq=False)
class _Pairs:
    """Interpolation to the points of all pairs of one field.

    Attributes:
        interpolator: Interpolation to the first points, followed by the second points of each
            direction.
        shape: Number of lags, and of pairs for each lag.
    """

    interpolator: Interpolator
    shape: tuple[int, int]


VARIABLES = (
    Definition(
        "semivariogram", "Semivariogram",
        "γ(h) = ½ mean (f(x) − f(x + h))² over pairs of points at the great-circle distance h; x "
        "is uniform on the sphere (or region), and so is the azimuth; values are interpolated by "
        "six-point Lagrange polynomials; truth and candidates have the same pairs",
        SQUARED, "", "Matheron (1963), doi:10.2113/gsecongeo.58.8.1246",
    ),
    Definition(
        "semivariogram_normalised", "Normalised semivariogram",
        "γ(h) divided by the truth's variance; tends to 1 where the field no longer correlates",
        "1",
    ),
    Definition(
        "semivariogram_log_error", "Log-semivariogram error",
        "mean |ln(γ / γ_truth)| over the lags", "1", LOWER,
    ),
)  # fmt: skip
"""Definitions of the variables of the result."""


@statistic("semivariogram")
class Semivariogram(Statistic):
    """Semivariogram γ(h) = ½ · mean (f(x) − f(x + h))² over pairs of points.

    The first point x is uniform over the domain; the second lies at the great-circle distance h in
    a uniform direction (``_zonal``: east or west, ``_meridional``: north or south). Values between
    grid points are interpolated by Lagrange polynomials through 6 points. The pairs differ from
    time to time, and are the same for the truth and all candidates. The second point may lie
    outside a region, but not outside the data. Lags below one grid spacing are NaN.

    Source: Matheron 1963, doi:10.2113/gsecongeo.58.8.1246.
    """

    order = 20
    definitions = VARIABLES
    summary = (("semivariogram_log_error", "semivariogram_log_error"),)
    series = ("times", "own", "truth", "pairs")
    member_ranges = (
        *(f"semivariogram{direction}" for direction in DIRECTIONS),
        "semivariogram_normalised", "semivariogram_ratio", "semivariogram_log_error",
    )  # fmt: skip

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.lags = np.asarray(setting.lags, dtype=np.float64)
        self.directions = DIRECTIONS if setting.directional else DIRECTIONS[:1]

    @classmethod
    def refusal(cls, setting: Setting) -> str | None:
        """Requires coordinates in degrees."""
        if not setting.grid.has_points:
            return "a distance in kilometres needs coordinates"
        return None

    def _pairs(self, time: int) -> _Pairs:
        """Chooses random pairs of points for one time.

        Args:
            time: Index of the time.
        """
        setting = self.setting
        # The seed contains the time's value, not its index: a longer series has the same pairs.
        random = np.random.default_rng([setting.seed, int(setting.time.values[time]) % 2**63])
        shape = (len(self.lags), setting.pairs)
        start = self._places(random, shape)
        distance = np.broadcast_to((self.lags * 1e3 / setting.radius)[:, None], shape)
        ends = [
            self._partners(random, start, distance, direction)
            for direction in range(len(self.directions))
        ]
        places = [np.stack([part.ravel() for part in pair]) for pair in (start, *ends)]
        latitudes, longitudes = np.concatenate(places, axis=1)
        grid = setting.grid
        if isinstance(grid, CurvilinearGrid):
            # On a projected grid values are interpolated in row and column, as on pixels.
            latitudes, longitudes = grid.row_column(latitudes, longitudes)
            latitudes, longitudes = np.nan_to_num(latitudes), np.nan_to_num(longitudes)
            grid = Grid.pixels(*grid.shape)
        return _Pairs(Interpolator(grid, latitudes, longitudes), shape)

    def _places(self, random: np.random.Generator, shape: tuple) -> tuple[np.ndarray, np.ndarray]:
        """Draws latitudes and longitudes, degrees, that are uniform over the domain's area."""
        domain, grid = self.domain, self.domain.window_grid
        if isinstance(grid, CurvilinearGrid):
            row, column, down, across = self._draw_cells(random, shape)
            return grid.places_within(
                *(
                    np.clip(place, 0, size - 1)
                    for place, size in zip((row + down, column + across), grid.shape)
                )
            )
        rows, columns = grid.latitudes, grid.longitudes
        if grid.is_sphere:
            south, north, west, east = -90.0, 90.0, 0.0, 360.0
        else:
            south, north, west, east = rows.min(), rows.max(), columns[0], columns[-1]
            east += grid.spacing[1] if grid.wraps else 0
        if domain.is_box:
            sine = random.uniform(*np.sin(np.deg2rad([south, north])), shape)
            return np.rad2deg(np.arcsin(sine)), random.uniform(west, east, shape)
        row, column, down, across = self._draw_cells(random, shape)
        down, across = down * grid.spacing[0], across * grid.spacing[1]
        return np.clip(rows[row] + down, -90, 90), columns[column] + across

    def _draw_cells(self, random: np.random.Generator, shape: tuple) -> tuple[np.ndarray, ...]:
        """Draws cells with probabilities proportional to area, and uniform positions in them.

        Returns:
            Rows and columns of the cells, and offsets from their centres, −½ to ½ cell.
        """
        weights = np.broadcast_to(self.domain.weights, self.domain.shape).ravel()
        cells = random.choice(len(weights), shape, p=weights / weights.sum())
        return *np.unravel_index(cells, self.domain.shape), *random.uniform(-0.5, 0.5, (2, *shape))

    def _partners(
        self, random: np.random.Generator, start: tuple, distance: np.ndarray, direction: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draws the second point of each pair.

        Args:
            random: Generator of random numbers.
            start: Latitudes and longitudes of the first points, degrees.
            distance: Distances in radians.
            direction: Index of :data:`DIRECTIONS`.

        Returns:
            Latitudes and longitudes, degrees.
        """

        def draw(count: int) -> np.ndarray:  # azimuths in radians, from north to east
            if not direction:
                return random.uniform(0, 2 * np.pi, count)
            return np.pi * (random.integers(0, 2, count) + (0.5 if direction == 1 else 0))

        latitude, longitude = (values.ravel() for values in start)
        far = distance.ravel()
        ends = destination(latitude, longitude, draw(far.size), far)
        grid = self.setting.grid
        if not grid.is_sphere:
            # Azimuths that lead out of the data are drawn again, so that points near an edge have
            # as many pairs as others. A point is given up only if no azimuth stays within.
            for _ in range(ATTEMPTS):
                outside = np.flatnonzero(~_within(grid, *ends))
                if not len(outside):
                    break
                redrawn = destination(
                    latitude[outside], longitude[outside], draw(len(outside)), far[outside]
                )
                for values, replacement in zip(ends, redrawn):
                    values[outside] = replacement
        return ends

    def _squares(self, planes: np.ndarray, truth: Batch, i: int) -> np.ndarray:
        """Returns ½ (f(x) − f(x + h))² of fields of one time, (M, C, directions, lags, pairs).

        Args:
            planes: (M, C, H, W) fields of truth, candidate or members.
            truth: Fields of the truth, which cache the pairs.
            i: Index of the time in the batch.
        """
        time = int(truth.times[i])
        pairs = truth.once(("pairs", self.domain, i), lambda: self._pairs(time))
        # Members and channels take the place of times: each plane is contiguous in memory.
        values = pairs.interpolator(planes.reshape(-1, *planes.shape[2:], 1))
        values = values.reshape(*planes.shape[:2], -1, *pairs.shape)
        return 0.5 * (values[:, :, 1:] - values[:, :, :1]) ** 2

    def _sums(self, truth: Batch, members: np.ndarray) -> tuple[np.ndarray, ...]:
        """Returns sums of squares over the pairs with values in both fields, and their counts.

        Args:
            truth: Fields of the truth.
            members: (n, M, C, H, W) fields compared with it.

        Returns:
            Sums of the members, sums of the truth and counts, each (M, n, C, lags, directions).
        """
        found = []
        for i, planes in enumerate(members):
            true_squares = truth.once(
                ("squares", self.domain, i),
                lambda i=i: self._squares(truth.planes[i, None], truth, i),
            )
            same = np.may_share_memory(planes, truth.planes)
            squares = true_squares if same else self._squares(planes, truth, i)
            both = np.isfinite(squares) & np.isfinite(true_squares)
            sums = (np.where(both, values, 0).sum(-1) for values in (squares, true_squares))
            found.append((*sums, both.sum(-1)))
        return tuple(np.swapaxes(np.stack(values, 1), 3, 4) for values in zip(*found))

    def measure(self, truth: Batch, candidate: Batch | None) -> State:
        """Returns sums of squares and numbers of pairs, (n, C, lags, directions); see _sums."""
        fields = truth if candidate is None else candidate
        return self._states(truth, fields.planes[:, None], candidate is not None)[0]

    def measure_members(self, truth: Batch, ensemble: Ensemble) -> list[State]:
        """Returns the state of each member, interpolated together."""
        return self._states(truth, ensemble.members, True)

    def _states(self, truth: Batch, members: np.ndarray, compared: bool) -> list[State]:
        """Returns the states of members (n, M, C, H, W); see :meth:`measure`."""
        return [
            {
                "times": truth.times,
                "own": own,
                "truth": of_truth,
                "pairs": pairs,
                "compared": np.asarray(float(compared)),
            }
            for own, of_truth, pairs in zip(*self._sums(truth, members))
        ]

    def result(self, state: State) -> xr.Dataset:
        """Returns semivariograms over (channel, lag), with intervals and the ratio to the truth."""
        setting = self.setting
        _, series = self.ordered(state)
        sums, truth, pairs = series["own"], series["truth"], series["pairs"]
        resolved = self.lags >= setting.grid.spacing_km(setting.radius)[0] * (1 - 1e-6)
        mean = np.where(resolved[:, None], divided(sums.sum(0), pairs.sum(0)), np.nan)
        reference = np.where(resolved[:, None], divided(truth.sum(0), pairs.sum(0)), np.nan)
        dataset = xr.Dataset(coords=self.coordinates("channel"))
        dataset["lag"] = ("lag", self.lags, {"units": "km", "long_name": "great-circle distance"})
        units = self.squared_units()
        dimensions = ("channel", "lag")
        for d, direction in enumerate(self.directions):
            dataset[f"semivariogram{direction}"] = (dimensions, mean[..., d], units)
        dataset["semivariogram_normalised"] = (
            dimensions,
            divided(mean[..., 0], setting.truth_moments.variance[:, None]),
            {"units": "1", "long_name": "semivariogram divided by the truth's variance"},
        )
        low, high = bootstrap(sums[..., 0], pairs[..., 0], setting.seed)
        for name, bound in (("low", low), ("high", high)):
            dataset[f"semivariogram_{name}"] = (
                dimensions,
                np.where(resolved, bound, np.nan),
                units,
            )
        if state["compared"]:
            dataset["semivariogram_ratio"] = (
                dimensions,
                divided(mean[..., 0], reference[..., 0]),
                {"units": "1", "long_name": "semivariogram divided by the truth's"},
            )
            ratio = divided(mean[..., 0], reference[..., 0])
            dataset["semivariogram_log_error"] = (
                "channel",
                log_spectral_error(ratio, np.isfinite(ratio)),
                {"units": "1", "long_name": "mean |ln(semivariogram / truth's)| over the lags"},
            )
        dataset["pair_count"] = (dimensions, pairs[..., 0].sum(0))
        return dataset

    @classmethod
    def figures(cls, folder: ResultsFolder) -> Iterator[Plan]:
        """Yields the figures of a results folder; see :class:`Statistic`."""
        from phire.evaluation.figures.figure_plan import plans_by_channel
        from phire.evaluation.figures.semivariogram_plots import (
            direction_figure,
            semivariogram_figure,
        )

        for variable, name, title, caption, draw in (
            ("semivariogram", "semivariogram", "Semivariogram of {channel}",
             "Half the mean squared difference of two points, by their distance. Values below the "
             "truth's at short distances mean that the fields are too smooth. Shaded: 95 % "
             "interval.", semivariogram_figure),
            ("semivariogram_zonal", "semivariogram-direction",
             "Semivariogram of {channel} by direction",
             "Semivariograms of pairs along parallels and along meridians: a candidate should have "
             "the truth's anisotropy, too.", direction_figure),
        ):  # fmt: skip
            yield from plans_by_channel(
                folder, cls.name, draw, group="semivariograms", title=title, caption=caption,
                variable=variable, name=name, titled=True,
            )  # fmt: skip


def bootstrap(
    sums: np.ndarray, counts: np.ndarray, seed: int, level: float = 0.95
) -> tuple[np.ndarray, np.ndarray]:
    """Returns a bootstrap interval of Σ sums / Σ counts over times.

    Blocks of ⌈T^⅓⌉ consecutive times are resampled (Künsch 1989, doi:10.1214/aos/1176347265), since
    neighbouring times are correlated.

    Args:
        sums: (T, ...) sums of squares.
        counts: (T, ...) number of pairs.
        seed: Seed of the draws.
        level: Level of the interval.

    Returns:
        Lower and upper bounds (...); NaN for fewer than two times.
    """
    # Times without a pair (missing fields) are left out.
    used = counts.reshape(len(counts), -1).any(1)
    sums, counts = sums[used], counts[used]
    count = len(sums)
    if count < 2:
        return np.full(sums.shape[1:], np.nan), np.full(sums.shape[1:], np.nan)
    random = np.random.default_rng([seed, 1])
    length = int(np.ceil(count ** (1 / 3)))
    blocks = -(-count // length)
    starts = random.integers(0, count, (REPLICATES, blocks))
    chosen = ((starts[..., None] + np.arange(length)) % count).reshape(REPLICATES, -1)[:, :count]
    weights = np.zeros((REPLICATES, count))
    np.add.at(weights, (np.arange(REPLICATES)[:, None], chosen), 1)
    replicates = divided(np.tensordot(weights, sums, 1), np.tensordot(weights, counts, 1))
    tail = (1 - level) / 2
    low, high = np.quantile(replicates, [tail, 1 - tail], axis=0)
    return low, high


def _within(grid: Grid, latitude: np.ndarray, longitude: np.ndarray) -> np.ndarray:
    """Returns booleans (n,): True for places between the outermost points of a grid.

    Args:
        grid: The grid.
        latitude, longitude: (n,) places, degrees.
    """
    if isinstance(grid, CurvilinearGrid):
        places = zip(grid.row_column(latitude, longitude), grid.shape)
        return np.logical_and(*((place >= 0) & (place <= size - 1) for place, size in places))
    south, north = np.sort(grid.latitudes[[0, -1]])
    inside = (latitude >= south - TOLERANCE) & (latitude <= north + TOLERANCE)
    if grid.wraps:
        return inside
    offset = (longitude - grid.longitudes[0] + TOLERANCE) % 360
    return inside & (offset <= np.ptp(grid.longitudes) + 2 * TOLERANCE)
