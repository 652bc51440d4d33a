"""Fractions skill score: whether a candidate has as many extremes in about the right places."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from phire.evaluation.accumulator import Batch, Setting, State, Statistic
from phire.evaluation.definitions import HIGHER, Definition
from phire.evaluation.events import Events
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
        "1 − Σ (pₓ − p_y)² / Σ (pₓ² + p_y²), p the fraction of a square beyond a threshold", "1",
        HIGHER, "Roberts & Lean (2008), doi:10.1175/2007MWR2123.1",
    ),
)  # fmt: skip
"""Variables of the result that people look at."""


@statistic("fractions_skill_score")
class FractionsSkillScore(Statistic):
    """FSS = 1 − Σ (p − q)² / (Σ p² + Σ q²) (Roberts & Lean 2008, doi:10.1175/2007MWR2123.1).

    p and q are the fractions of a square of n × n points where candidate and truth exceed a
    quantile of the truth, or a threshold given in units; sums run over squares (weighted by area)
    and times. Squares reach across the seam of longitudes; what lies outside the fields, or is
    missing in either, exceeds nothing.
    """

    order = 70
    definitions = VARIABLES
    summary = (("fractions_skill_score_mean", "fractions_skill_score"),)
    of_truth = False

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
        planes = [domain.cut(batch.planes) for batch in (truth, candidate)]
        sums = np.zeros((truth.planes.shape[1], len(self.events), len(self.windows), 2))
        weights = np.broadcast_to(domain.weights, domain.shape)
        weights = np.ascontiguousarray(weights[:: self.stride, :: self.stride], np.float64)
        for i, c, q in np.ndindex(len(truth), *sums.shape[:2]):
            threshold = self.events.limits[q, c]
            if np.isnan(threshold):
                continue
            inside = True if mask is None else mask[i, c]

            def of_truth(i=i, c=c, threshold=threshold, inside=inside) -> list[np.ndarray]:
                return self._counts((planes[0][i, c] > threshold) & inside)

            # Without holes the truth's counts serve all candidates.
            key = ("exceedance", domain, i, c, q)
            theirs = truth.once(key, of_truth) if mask is None else of_truth()
            own = self._counts((planes[1][i, c] > threshold) & inside)
            for w, (p, o) in enumerate(zip(own, theirs)):
                # Sums of squares as exact whole numbers, made fractions at the end.
                p, o = p.astype(np.float64), o.astype(np.float64)
                squares = (p - o) ** 2, p * p + o * o
                sums[c, q, w] += [np.einsum("hw,hw->", square, weights) for square in squares]
        return {"sums": sums / np.array(self.windows, float)[:, None] ** 4}

    def _counts(self, exceeds: np.ndarray) -> list[np.ndarray]:
        """(h, w) points that exceed in squares of each size around every ``stride``-th point."""
        margin, stride = max(self.windows) // 2, self.stride
        height, width = self.domain.shape
        padded = np.zeros((height + 2 * margin, width + 2 * margin), np.uint16)
        inner = padded[margin : margin + height]
        inner[:, margin : margin + width] = exceeds
        if self.domain.window_grid.wraps:
            inner[:, :margin] = exceeds[:, width - margin :]
            inner[:, margin + width :] = exceeds[:, :margin]
        counts = []
        # Each size adds rows to the last; sums along a row wrap at 2¹⁶, their differences do not.
        sums = np.zeros((len(range(0, height, stride)), padded.shape[1] + 1), np.uint16)
        columns, added = sums[:, 1:], []
        for size in self.windows:
            half = size // 2
            for offset in range(-half, half + 1):
                if offset not in added:
                    start = margin + offset
                    columns += padded[start : start + height : stride]
                    added.append(offset)
            running = np.cumsum(sums, axis=1, dtype=np.uint16)
            low, high = (
                running[:, start : start + width : stride]
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
        dataset["fractions_skill_score"] = (
            ("channel", "event", "window"),
            score,
            {"units": "1", "long_name": "fractions skill score"},
        )
        dataset["fractions_skill_score_mean"] = ("channel", mean_of_present(score, axis=(1, 2)))
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
            fractions_skill_figure,
            group="skill",
            title="Fractions skill score of {channel}",
            caption="Agreement on where extremes occur: 1 is perfect; larger squares forgive "
            "larger displacement. Dotted: 0.5.",
            variable="fractions_skill_score",
        )
