"""Fractions skill score: frequency of extremes in neighbourhoods of growing size."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import xarray as xr

from phire.evaluation.accumulator import Batch, Ensemble, Setting, State, Statistic
from phire.evaluation.definitions import HIGHER, Definition
from phire.evaluation.events import Events
from phire.evaluation.member_fields import member_fields
from phire.evaluation.member_ranges import of_members
from phire.evaluation.nan_statistics import mean_of_present
from phire.evaluation.point_scores import joint_mask
from phire.evaluation.registry import statistic

if TYPE_CHECKING:
    from phire.evaluation.figures.plan import Plan
    from phire.evaluation.figures.reading import ResultsFolder

QUANTILES = (0.9, 0.95, 0.99)
WINDOWS = (1, 3, 5, 9, 17, 33)
CENTRES = 200_000
"""Windows looked at in a field, about: of larger ones, those around every few rows and columns."""


VARIABLES = (
    Definition(
        "fractions_skill_score", "Fractions skill score",
        "1 − Σ (pₓ − p_y)² / Σ (pₓ² + p_y²), p the fraction of a square beyond a threshold; of an "
        "ensemble pₓ is its neighbourhood probability, the fraction of the square and the members",
        "1", HIGHER,
        "Roberts & Lean (2008), doi:10.1175/2007MWR2123.1; Schwartz et al. (2010), "
        "doi:10.1175/2009WAF2222267.1",
    ),
)  # fmt: skip
"""Variables of the result that people look at."""


@statistic("fractions_skill_score")
class FractionsSkillScore(Statistic):
    """FSS = 1 − Σ (p − q)² / (Σ p² + Σ q²) (Roberts & Lean 2008, doi:10.1175/2007MWR2123.1).

    p and q are the fractions of a square of n × n points where candidate and truth exceed a
    quantile of the truth, or a threshold given in units; sums run over squares (weighted by area)
    and times. Squares reach across the seam of longitudes; what lies outside the fields, or is
    missing in either, exceeds nothing. Of an ensemble p is the neighbourhood probability: the
    fraction of the square's points and all members (Schwartz et al. 2010,
    doi:10.1175/2009WAF2222267.1). The range over its members is of so many fewer squares that all
    members have as many together; ``member_fractions_skill_score`` takes them all.
    """

    order = 70
    definitions = VARIABLES
    summary = (("fractions_skill_score_mean", "fractions_skill_score"),)
    of_truth = False
    ensemble = "together"
    member_ranges = ("fractions_skill_score", "fractions_skill_score_mean")
    variable: ClassVar[str] = "fractions_skill_score"
    members_text: ClassVar[str] = (
        "Of ensembles: of the probability within the square; shaded: of single members."
    )

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.events = Events.of(setting, QUANTILES)
        self.windows = [size for size in WINDOWS if size <= min(self.domain.shape)]
        points = self.domain.shape[0] * self.domain.shape[1]
        self.stride = max(1, int(np.sqrt(points / CENTRES)))

    def measure(self, truth: Batch, candidate: Batch | None) -> State:
        """Sums of squares of differences and of fractions: (C, events, windows, 2)."""
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
                return self._counts((planes[0][i, c] > threshold) & inside)

            # Without holes the truth's counts serve all candidates.
            key = ("exceedance", domain, i, c, q)
            theirs = truth.once(key, of_truth) if mask is None else of_truth()
            if members is None:
                own = self._counts((planes[1][i, c] > threshold) & inside)
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
        """Rows and columns between squares of single members: all have :data:`CENTRES` together.

        Rows are left out first, which saves most, but none is farther than half the largest square
        from one that is looked at.
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
        """Weighted sums over squares, by window, of (p − q)² and p² + q² of counts p and q."""
        rows, columns = (self.stride * one for one in step)
        weights = np.broadcast_to(self.domain.weights, self.domain.shape)
        weights = np.ascontiguousarray(weights[::rows, ::columns], np.float64)
        sums = []
        for p, q in zip(own, theirs):
            # Sums of squares as exact whole numbers, made fractions at the end.
            p, q = p.astype(np.float64), q.astype(np.float64)
            q *= size
            squares = (p - q) ** 2, p * p + q * q
            sums.append([np.einsum("hw,hw->", square, weights) for square in squares])
        return sums

    def _counts(
        self, exceeds: np.ndarray, size: int = 1, step: tuple[int, int] = (1, 1)
    ) -> list[np.ndarray]:
        """Sums (h, w) over squares of each size around points ``stride · step`` apart.

        Args:
            exceeds: (h, w) numbers of members that exceed, at most ``size``.
            size: Number of members.
            step: Of rows and columns; see :meth:`_member_steps`.
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
        # Each size adds rows to the last; sums along a row may wrap, their differences do not.
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
        """Over (channel, event, window)."""
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
        """Yields the figures that a folder of results gives; see :class:`Statistic`."""
        from phire.evaluation.figures.plan import plans_by_channel
        from phire.evaluation.figures.skill import fractions_skill_figure

        yield from plans_by_channel(
            folder,
            cls.name,
            functools.partial(fractions_skill_figure, variable=cls.variable),
            group="skill",
            title=cls.definitions[0].title + " of {channel}",
            caption="Agreement on where extremes occur: 1 is perfect; larger squares forgive "
            f"larger displacement. {cls.members_text} Dotted: 0.5.",
            variable=cls.variable,
        )
