"""Scores of the contingency table of events: frequency bias, threat score, extremal dependence.

The package ``scores`` builds the table from arrays of all events; here counts add up over chunks of
times. ``tests/evaluation/test_event_counts.py`` checks the scores against ``scores.categorical``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from phire.evaluation.accumulator import State, Statistic
from phire.evaluation.batches import Batch, Ensemble
from phire.evaluation.definitions import HIGHER, LOWER, ONE, Definition
from phire.evaluation.events import Events, exceeds
from phire.evaluation.member_fields import MemberFields, member_fields
from phire.evaluation.member_ranges import of_members
from phire.evaluation.nan_statistics import mean_of_present
from phire.evaluation.point_scores import joint_mask
from phire.evaluation.registry import statistic
from phire.evaluation.setting import Setting
from phire.evaluation.spectral_scores import divided

if TYPE_CHECKING:
    from phire.evaluation.figures.figure_plan import Plan
    from phire.evaluation.figures.results_reading import ResultsFolder

QUANTILES = (0.9, 0.95, 0.99)

VARIABLES = (
    Definition(
        "frequency_bias", "Frequency bias of events",
        "(hits + false alarms) / (hits + misses), an event being a value above a threshold at a "
        "point and time",
        "1", ONE, "Wilks (2011), Statistical Methods in the Atmospheric Sciences, ch. 8",
    ),
    Definition("hit_rate", "Hit rate", "hits / (hits + misses)", "1", HIGHER),
    Definition(
        "false_alarm_ratio", "False-alarm ratio", "false alarms / (hits + false alarms)", "1", LOWER
    ),
    Definition(
        "equitable_threat_score", "Equitable threat score",
        "(hits − r) / (hits + misses + false alarms − r), r = (hits + misses)(hits + false alarms) "
        "/ all, the hits by chance", "1", HIGHER,
        "Gilbert (1884); Schaefer (1990), "
        "doi:10.1175/1520-0434(1990)005<0570:TCSIAA>2.0.CO;2",
    ),
    Definition(
        "extremal_dependence_index", "Extremal dependence index",
        "(ln F − ln H) / (ln F + ln H), H the hit rate, F the false-alarm rate; does not vanish as "
        "events become rare", "1", HIGHER,
        "Ferro & Stephenson (2011), doi:10.1175/WAF-D-10-05030.1",
    ),
    Definition(
        "symmetric_extremal_dependence_index", "Symmetric extremal dependence index",
        "(ln F − ln H − ln(1 − F) + ln(1 − H)) / (ln F + ln H + ln(1 − F) + ln(1 − H))", "1",
        HIGHER, "Ferro & Stephenson (2011), doi:10.1175/WAF-D-10-05030.1",
    ),
)  # fmt: skip
"""Definitions of the variables of the result."""


@statistic("events", function="event_scores")
class EventCounts(Statistic):
    """Scores of the contingency table of hits, misses and false alarms, weighted by area.

    An event is a value above a quantile of the truth, or above a threshold given in the channel's
    units. It is a hit where truth and candidate have it at the same point and time. The tables of
    all members of an ensemble are summed.
    """

    order = 72
    definitions = VARIABLES
    summary = (
        ("frequency_bias", "frequency_bias"),
        ("equitable_threat_score_mean", "equitable_threat_score"),
        ("extremal_dependence_index_mean", "extremal_dependence_index"),
    )
    of_truth = False
    ensemble = "together"
    member_ranges = tuple(f"{item.name}{ending}" for item in VARIABLES for ending in ("", "_mean"))

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.events = Events.of(setting, QUANTILES)

    def measure(self, truth: Batch, candidate: Batch | None) -> State:
        """Returns the weights (C, E, 4) of hits, misses, false alarms and all points."""
        if candidate is None:
            return {}
        if isinstance(candidate, Ensemble):
            counts = self._of_members(member_fields(self.domain, truth, candidate))
            return {"counts": counts.sum(0)} | of_members([{"counts": one} for one in counts])
        domain = self.domain
        mask = joint_mask(domain, truth, candidate)
        reference, predicted = domain.cut(truth.planes), domain.cut(candidate.planes)
        counts = np.zeros((reference.shape[1], len(self.events), 4))
        for i, c in np.ndindex(*reference.shape[:2]):
            inside = np.broadcast_to(True, domain.shape) if mask is None else mask[i, c]
            counts[c, :, 3] += domain.total(inside)
            for e, limit in enumerate(self.events.limits[:, c]):
                if np.isnan(limit):
                    continue
                observed, forecast = (
                    exceeds(one[i, c], limit) & inside for one in (reference, predicted)
                )
                hits, events = domain.total(observed & forecast), domain.total(observed)
                counts[c, e, :3] += hits, events - hits, domain.total(forecast) - hits
        return {"counts": counts}

    def _of_members(self, fields: MemberFields) -> np.ndarray:
        """Returns the weights (M, C, E, 4) of each member; see :meth:`measure`."""
        total = fields.domain.total_of_points
        counts = np.zeros((fields.size, fields.observed.shape[1], len(self.events), 4))
        everywhere = np.broadcast_to(True, fields.observed.shape)
        whole = fields.domain.total(everywhere if fields.mask is None else fields.mask).sum(0)
        counts[..., 3] = whole[:, None]
        for c, e in np.ndindex(*counts.shape[1:3]):
            limit = self.events.limits[e, c]
            if np.isnan(limit):
                continue
            happened = fields.happened(c, limit)
            observed, above = total(happened).sum(), fields.exceeding(c, limit)
            forecast, hits = (total(one).sum(0) for one in (above, above & happened[:, None]))
            counts[:, c, e, :3] = np.stack([hits, observed - hits, forecast - hits], axis=-1)
        return counts

    def result(self, state: State) -> xr.Dataset:
        """Returns each score over (channel, event), and its mean over events."""
        hits, misses, alarms, total = np.moveaxis(state["counts"], -1, 0)
        total = np.where(np.isfinite(self.events.limits.T), total, np.nan)
        # Adding 0 · total makes the scores of thresholds that a channel lacks NaN instead of 0.
        observed, forecast = hits + misses + 0 * total, hits + alarms + 0 * total
        chance = divided(observed * forecast, total)
        hit_rate, false_rate = divided(hits, observed), divided(alarms, total - observed)
        with np.errstate(divide="ignore", invalid="ignore"):
            logs = [np.log(v) for v in (hit_rate, false_rate, 1 - hit_rate, 1 - false_rate)]
            h, f, no_h, no_f = logs
            values = {
                "frequency_bias": divided(forecast, observed),
                "hit_rate": hit_rate,
                "false_alarm_ratio": divided(alarms, forecast),
                "equitable_threat_score": divided(hits - chance, observed + alarms - chance),
                "extremal_dependence_index": (f - h) / (f + h),
                "symmetric_extremal_dependence_index": (
                    (f - h - no_f + no_h) / (f + h + no_f + no_h)
                ),
            }
        dataset = xr.Dataset(coords=self.coordinates("channel"))
        self.events.add_to(dataset, self.units())
        for name, value in values.items():
            value = np.where(np.isfinite(value), value, np.nan)
            dataset[name] = (("channel", "event"), value, {"units": "1"})
            dataset[f"{name}_mean"] = ("channel", mean_of_present(value, 1), {"units": "1"})
        return dataset

    @classmethod
    def figures(cls, folder: ResultsFolder) -> Iterator[Plan]:
        """Yields the figures of a results folder; see :class:`Statistic`."""
        from phire.evaluation.figures.curve_plots import Panel, channel_plans

        panels = [
            Panel(title, variable, "threshold", "Threshold", label, reference=reference)
            for title, variable, label, reference in (
                ("Frequency bias (→ 1)", "frequency_bias", "Frequency bias", 1.0),
                ("Hit rate (↑)", "hit_rate", "Hit rate", None),
                ("Equitable threat score (↑)", "equitable_threat_score", "Score", None),
                ("Extremal dependence (↑)", "extremal_dependence_index", "Index", None),
            )
        ]
        yield from channel_plans(
            folder, cls.name, panels, "skill", "Events above thresholds",
            "An event is a value above the threshold at a point and time. A frequency bias of 1 "
            "means as many events as in the truth; the other scores measure if they are at the "
            "right points and times, so that realistic detail in the wrong place lowers them.",
        )  # fmt: skip
