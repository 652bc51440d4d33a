"""Fractions skill score: frequency of extremes within neighbourhoods of increasing size."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import xarray as xr

from phire.evaluation.accumulator import Batch, Ensemble, Setting, State, Statistic
from phire.evaluation.definitions import HIGHER, Definition
from phire.evaluation.events import Events, exceeds
from phire.evaluation.member_fields import member_fields
from phire.evaluation.member_ranges import of_members
from phire.evaluation.nan_statistics import mean_of_present
from phire.evaluation.point_scores import joint_mask
from phire.evaluation.registry import statistic

if TYPE_CHECKING:
    from phire.evaluation.figures.plan import Plan
    from phire.evaluation.figures.reading import ResultsFolder

QUANTILES = (0.9, 0.95, 0.99)
"""Levels of the quantiles of the truth that are thresholds of events."""

WINDOWS = (1, 3, 5, 9, 17, 33)
"""Sides of the squares, in grid points."""

CENTRES = 200_000
"""Approximate number of squares evaluated in a field; larger fields skip rows and columns."""


VARIABLES = (
    Definition(
        "fractions_skill_score", "Fractions skill score",
        "1 − Σ (pₓ − p_y)² / Σ (pₓ² + p_y²), p the fraction of a square's points above a "
        "threshold; of an ensemble pₓ is the neighbourhood probability, the fraction of the "
        "square's points in all members",
        "1", HIGHER,
        "Roberts & Lean (2008), doi:10.1175/2007MWR2123.1; Schwartz et al. (2010), "
        "doi:10.1175/2009WAF2222267.1",
    ),
)  # fmt: skip
"""Definitions of the variables of the result."""


@statistic("fractions_skill_score")
class FractionsSkillScore(Statistic):
    """FSS = 1 − Σ (p − q)² / (Σ p² + Σ q²) (Roberts & Lean 2008, doi:10.1175/2007MWR2123.1).

    p and q are the fractions of a square of n × n points at which candidate and truth exceed a
    quantile of the truth, or a threshold in the channel's units. The sums run over squares
    (weighted by area) and times. On global grids squares cross the seam of longitudes. Points
    outside the fields, or missing in truth or candidate, count as not exceeding.

    Of an ensemble p is the neighbourhood probability: the fraction of the square's points in all
    members (Schwartz et al. 2010, doi:10.1175/2009WAF2222267.1). For the range over members each
    member is evaluated on fewer squares, so that the range costs as much as the score itself;
    ``member_fractions_skill_score`` evaluates all squares of each member.

    It is written here, not taken from a library, to serve members, wrapped grids, area weights and
    chunks of times. It is tested against brute force, pysteps and the package ``scores``.
    """

    order = 70
    definitions = VARIABLES
    summary = (("fractions_skill_score_mean", "fractions_skill_score"),)
    of_truth = False
    ensemble = "together"
    member_ranges = ("fractions_skill_score", "fractions_skill_score_mean")
    variable: ClassVar[str] = "fractions_skill_score"
    members_text: ClassVar[str] = (
        "Ensembles: score of the neighbourhood probability; shaded: range of the single members."
    )

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.events = Events.of(setting, QUANTILES)
        self.windows = [size for size in WINDOWS if size <= min(self.domain.shape)]
        points = self.domain.shape[0] * self.domain.shape[1]
        self.stride = max(1, int(np.sqrt(points / CENTRES)))

    def measure(self, truth: Batch, candidate: Batch | None) -> State:
        """Returns sums (C, events, windows, 2) of (p − q)² and of p² + q²."""
        if candidate is None:
            return {}
        domain = self.domain
        mask = joint_mask(domain, truth, candidate)
        members = (
            member_fields(domain, truth, candidate) if isinstance(candidate, Ensemble) else None
        )
        planes = [domain.cut(batch.planes) for batch in (truth, candidate)]
        size = members.size if members else 1
        step = self._member_steps(size)
        shape = (truth.planes.shape[1], len(self.events), len(self.windows), 2)
        sums, single = np.zeros(shape), np.zeros((size, *shape))
        for i, c, q in np.ndindex(len(truth), *shape[:2]):
            threshold = self.events.limits[q, c]
            if np.isnan(threshold):
                continue
            inside = True if mask is None else mask[i, c]

            def of_truth(i=i, c=c, threshold=threshold, inside=inside) -> list[np.ndarray]:
                return self._counts(exceeds(planes[0][i, c], threshold) & inside)

            # Where no value is missing, the truth's counts are the same for all candidates.
            key = ("exceedance", domain, i, c, q)
            theirs = truth.once(key, of_truth) if mask is None else of_truth()
            if members is None:
                own = self._counts(exceeds(planes[1][i, c], threshold) & inside)
            else:
                own = self._counts(members.votes(c, threshold)[i], size)
                some = [counts[:: step[0], :: step[1]] for counts in theirs]
                for m in range(size):
                    mine = self._counts(members.exceeding(c, threshold)[i, m], step=step)
                    single[m, c, q] += self._squares(mine, some, step=step)
            sums[c, q] += self._squares(own, theirs, size)
        squares = np.array(self.windows, float)[:, None] ** 4
        state = {"sums": sums / squares / size**2}
        if members is None:
            return state
        return state | of_members([{"sums": one} for one in single / squares])

    def _member_steps(self, size: int) -> tuple[int, int]:
        """Returns the steps of rows and columns between the squares of single members.

        With them all members have about :data:`CENTRES` squares together. Rows are skipped first,
        which saves most time, but by no more than half the largest square.
        """
        points = self.domain.shape[0] * self.domain.shape[1] / self.stride**2
        fewer = max(1, int(points * size / CENTRES))
        rows = min(fewer, max(1, max(self.windows) // 2))
        return rows, max(1, fewer // rows)

    def _squares(
        self,
        own: list[np.ndarray],
        theirs: list[np.ndarray],
        size: int = 1,
        step: tuple[int, int] = (1, 1),
    ) -> list[list[float]]:
        """Returns, for each window, the area-weighted sums of (p − q)² and of p² + q².

        Args:
            own: Counts of the candidate by window, p.
            theirs: Counts of the truth by window; q is ``size`` times these.
            size: Number of members that ``own`` counts.
            step: Steps of rows and columns; see :meth:`_member_steps`.
        """
        rows, columns = (self.stride * one for one in step)
        weights = np.broadcast_to(self.domain.weights, self.domain.shape)
        weights = np.ascontiguousarray(weights[::rows, ::columns], np.float64)
        sums = []
        for p, q in zip(own, theirs):
            # Counts are exact integers; ``measure`` divides by the points of a square at the end.
            p, q = p.astype(np.float64), q.astype(np.float64)
            q *= size
            squares = (p - q) ** 2, p * p + q * q
            sums.append([np.einsum("hw,hw->", square, weights) for square in squares])
        return sums

    def _counts(
        self, exceeds: np.ndarray, size: int = 1, step: tuple[int, int] = (1, 1)
    ) -> list[np.ndarray]:
        """Returns, for each window, the counts within squares around every few points.

        The centres are ``stride · step`` rows and columns apart.

        Args:
            exceeds: (h, w) number of members that exceed the threshold, at most ``size``.
            size: Number of members.
            step: Steps of rows and columns; see :meth:`_member_steps`.
        """
        kind = np.uint16 if size * max(self.windows) ** 2 < 1 << 16 else np.uint32
        margin, (down, across) = max(self.windows) // 2, (self.stride * one for one in step)
        height, width = self.domain.shape
        padded = np.zeros((height + 2 * margin, width + 2 * margin), kind)
        inner = padded[margin : margin + height]
        inner[:, margin : margin + width] = exceeds
        if self.domain.window_grid.wraps:
            inner[:, :margin] = exceeds[:, width - margin :]
            inner[:, margin + width :] = exceeds[:, :margin]
        counts = []
        # ``sums`` holds sums over the rows of a square; each larger size adds its further rows.
        # The cumulative sum along a row may overflow, but the differences are exact modulo 2^bits.
        sums = np.zeros((len(range(0, height, down)), padded.shape[1] + 1), kind)
        columns, added = sums[:, 1:], []
        for size in self.windows:
            half = size // 2
            for offset in range(-half, half + 1):
                if offset not in added:
                    start = margin + offset
                    columns += padded[start : start + height : down]
                    added.append(offset)
            running = np.cumsum(sums, axis=1, dtype=kind)
            low, high = (
                running[:, start : start + width : across]
                for start in (margin - half, margin + half + 1)
            )
            counts.append(high - low)
        return counts

    def result(self, state: State) -> xr.Dataset:
        """Returns the score over (channel, event, window), and its mean over events and windows."""
        sums = state["sums"]
        with np.errstate(invalid="ignore", divide="ignore"):
            score = np.where(sums[..., 1] > 0, 1 - sums[..., 0] / sums[..., 1], np.nan)
        dataset = xr.Dataset(coords=self.coordinates("channel"))
        self.events.add_to(dataset, self.units())
        dataset["window"] = ("window", np.array(self.windows), {"units": "points"})
        dataset[self.variable] = (
            ("channel", "event", "window"),
            score,
            {"units": "1", "long_name": "fractions skill score"},
        )
        dataset[f"{self.variable}_mean"] = ("channel", mean_of_present(score, axis=(1, 2)))
        if self.setting.grid.has_distances:
            spacing = self.setting.grid.spacing_km(self.setting.radius)[0]
            dataset["window_km"] = ("window", spacing * np.array(self.windows), {"units": "km"})
        return dataset

    @classmethod
    def figures(cls, folder: ResultsFolder) -> Iterator[Plan]:
        """Yields the figures of a results folder; see :class:`Statistic`."""
        from phire.evaluation.figures.plan import plans_by_channel
        from phire.evaluation.figures.skill import fractions_skill_figure

        yield from plans_by_channel(
            folder,
            cls.name,
            functools.partial(fractions_skill_figure, variable=cls.variable),
            group="skill",
            title=cls.definitions[0].title + " of {channel}",
            caption="Agreement of the frequency of extremes within squares: 1 is perfect, and "
            f"larger squares tolerate larger displacements. {cls.members_text} Dotted: 0.5.",
            variable=cls.variable,
        )
