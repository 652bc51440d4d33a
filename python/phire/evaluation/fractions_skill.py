"""Fractions skill score: frequency of extremes within neighbourhoods of increasing size.

pysteps and the package ``scores`` compute it too, for one field and one window at a time, without
missing values, area weights or fields that close around the globe. The tests check it against both
(``test_independent_implementations.py``, ``test_distributions.py``) and by brute force.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import xarray as xr

from phire.evaluation.accumulator import State, Statistic
from phire.evaluation.batches import Batch, Ensemble
from phire.evaluation.definitions import HIGHER, Definition
from phire.evaluation.events import Events, exceeds
from phire.evaluation.member_fields import member_fields
from phire.evaluation.member_ranges import of_members
from phire.evaluation.nan_statistics import mean_of_present
from phire.evaluation.point_scores import joint_mask
from phire.evaluation.registry import statistic
from phire.evaluation.setting import Setting

if TYPE_CHECKING:
    from phire.evaluation.figures.figure_plan import Plan
    from phire.evaluation.figures.results_reading import ResultsFolder

QUANTILES = (0.9, 0.95, 0.99)
"""Levels of the quantiles of the truth that are thresholds of events."""

WINDOWS = (1, 3, 5, 9, 17, 33)
"""Sides of the squares, in grid points."""

CENTRES = 200_000
"""Approximate number of squares evaluated in a field; larger fields skip rows and columns."""

MEMBER_CENTRES = 100_000
"""Approximate number of squares evaluated in all members of a field, each alone."""


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

    For an ensemble, p is the neighbourhood probability: the fraction of the square's points in all
    members (Schwartz et al. 2010, doi:10.1175/2009WAF2222267.1). For the range over members each
    member is evaluated on fewer squares, so that the range costs less than the score itself;
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
            true_counts = truth.once(key, of_truth) if mask is None else of_truth()
            if members is None:
                predicted_counts = self._counts(exceeds(planes[1][i, c], threshold) & inside)
            else:
                predicted_counts = self._counts(members.votes(c, threshold)[i], size)
                thinned = [counts[:: step[0], :: step[1]] for counts in true_counts]
                member_counts = self._counts(members.exceeding(c, threshold)[i], step=step)
                single[:, c, q] += self._squares(member_counts, thinned, step=step)
            sums[c, q] += self._squares(predicted_counts, true_counts, size)
        squares = np.array(self.windows, float)[:, None] ** 4
        state = {"sums": sums / squares / size**2}
        if members is None:
            return state
        return state | of_members([{"sums": one} for one in single / squares])

    def _member_steps(self, size: int) -> tuple[int, int]:
        """Returns the steps of rows and columns between the squares of single members.

        With them all members have about :data:`MEMBER_CENTRES` squares together. Rows are skipped
        first, which saves most time, but by no more than the side of the largest square.
        """
        points = self.domain.shape[0] * self.domain.shape[1] / self.stride**2
        fewer = max(1, int(points * size / MEMBER_CENTRES))
        rows = min(fewer, max(self.windows))
        return rows, max(1, fewer // rows)

    def _squares(
        self,
        counts: list[np.ndarray],
        true_counts: list[np.ndarray],
        size: int = 1,
        step: tuple[int, int] = (1, 1),
    ) -> np.ndarray:
        """Returns area-weighted sums (..., windows, 2) of (p − q)² and p² + q² over squares.

        Args:
            counts: Counts p (..., h, w) of the candidate for each window, perhaps of each member.
            true_counts: Counts (h, w) of the truth for each window; q is ``size`` times these.
            size: Number of members that are counted together in p.
            step: Steps of rows and columns; see :meth:`_member_steps`.
        """
        rows, columns = (self.stride * one for one in step)
        weights = self.domain.weights
        weights = weights[::rows, :: columns if weights.shape[1] > 1 else 1]

        def total(first: np.ndarray, second: np.ndarray) -> np.ndarray:
            if weights.shape[1] == 1:
                return np.vecdot(first, second) @ weights[:, 0]
            return np.einsum("...hw,...hw->...", first * weights, second)

        sums = []
        for p, q in zip(counts, true_counts):
            # Products of integers are exact; ``measure`` divides by the points of a square.
            p, q = p.astype(np.float64), q.astype(np.float64) * size
            both = total(p, p) + total(q, q)
            sums.append(np.stack([both - 2 * total(p, q), both], axis=-1))
        return np.stack(sums, axis=-2)

    def _counts(
        self, exceeds: np.ndarray, size: int = 1, step: tuple[int, int] = (1, 1)
    ) -> list[np.ndarray]:
        """Returns, for each window, the counts within squares around every few points.

        The centres are ``stride · step`` rows and columns apart.

        Args:
            exceeds: (..., h, w) number of members that exceed the threshold, at most ``size``.
            size: Number of members.
            step: Steps of rows and columns; see :meth:`_member_steps`.
        """
        longest = max(self.windows)
        in_column = np.min_scalar_type(size * longest)
        margin, (down, across) = longest // 2, (self.stride * one for one in step)
        height, width = self.domain.shape
        shape = (*exceeds.shape[:-2], height + 2 * margin, width + 2 * margin)
        padded = np.zeros(shape, in_column)
        inner = padded[..., margin : margin + height, :]
        inner[..., margin : margin + width] = exceeds
        if self.domain.window_grid.wraps:
            inner[..., :margin] = exceeds[..., width - margin :]
            inner[..., margin + width :] = exceeds[..., :margin]
        counts = []
        # ``columns`` holds sums over the rows of a square; each larger size adds its further rows.
        columns = np.zeros_like(padded[..., margin : margin + height : down, :])
        added: list[int] = []
        for window in self.windows:
            half = window // 2
            for offset in range(-half, half + 1):
                if offset not in added:
                    start = margin + offset
                    columns += padded[..., start : start + height : down, :]
                    added.append(offset)
            within = columns[..., margin - half : margin + half + width]
            within = within.astype(np.min_scalar_type(size * window**2))
            counts.append(run_sums(within, window)[..., ::across])
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
        from phire.evaluation.figures.figure_plan import plans_by_channel
        from phire.evaluation.figures.skill_plots import fractions_skill_figure

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


def run_sums(values: np.ndarray, size: int) -> np.ndarray:
    """Returns the sums of ``size`` neighbours along the last axis, in the type of the values.

    It adds sums of 1, 2, 4 … neighbours, each for the whole array. Differences of a cumulative sum,
    and scipy's ``uniform_filter``, proceed from value to value and take five times as long.

    Args:
        values: (..., w).
        size: From 1 to w.
    """
    count = values.shape[-1] - size + 1
    total, place = np.zeros((*values.shape[:-1], count), values.dtype), 0
    power, width = values, 1
    while True:
        if size & width:
            total += power[..., place : place + count]
            place += width
        if 2 * width > size:
            return total
        power = power[..., :-width] + power[..., width:]
        width *= 2
