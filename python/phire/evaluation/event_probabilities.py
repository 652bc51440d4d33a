"""Probabilities of events: Brier score and its parts, reliability, ROC curve.

scikit-learn and the package ``scores`` need all pairs of probability and outcome at once; here
pairs are counted for each number of members above the threshold, and counts add up over chunks of
times. ``tests/evaluation/test_event_probabilities.py`` checks the scores against both libraries.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from phire.evaluation.accumulator import State, Statistic
from phire.evaluation.batches import Batch, Ensemble
from phire.evaluation.definitions import HIGHER, LOWER, Definition
from phire.evaluation.events import Events
from phire.evaluation.histograms import sums_in_few_bins
from phire.evaluation.member_fields import member_fields
from phire.evaluation.nan_statistics import mean_of_present
from phire.evaluation.registry import statistic
from phire.evaluation.setting import Setting
from phire.evaluation.spectral_scores import divided

if TYPE_CHECKING:
    from phire.evaluation.figures.figure_plan import Plan
    from phire.evaluation.figures.results_reading import ResultsFolder

QUANTILES = (0.05, 0.5, 0.9, 0.95, 0.99)
"""Quantiles of the truth; events are values above them."""

VARIABLES = (
    Definition(
        "brier_score", "Brier score", "⟨w (p − o)²⟩, p the share of members with the event, o = 1 "
        "where the truth has it; = reliability − resolution + uncertainty", "1", LOWER,
        "Brier (1950), doi:10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2",
    ),
    Definition(
        "brier_reliability", "Reliability part of the Brier score",
        "Σₖ fₖ (pₖ − ōₖ)², fₖ the share of the area and times with the forecast probability pₖ, ōₖ "
        "the observed frequency of the event at these points and times", "1", LOWER,
        "Murphy (1973), doi:10.1175/1520-0450(1973)012<0595:ANVPOT>2.0.CO;2",
    ),
    Definition(
        "brier_resolution", "Resolution part of the Brier score", "Σₖ fₖ (ōₖ − ō)²", "1", HIGHER,
        "Murphy (1973), doi:10.1175/1520-0450(1973)012<0595:ANVPOT>2.0.CO;2",
    ),
    Definition(
        "brier_uncertainty", "Uncertainty part of the Brier score", "ō (1 − ō)", "1", "",
        "Murphy (1973), doi:10.1175/1520-0450(1973)012<0595:ANVPOT>2.0.CO;2",
    ),
    Definition(
        "brier_skill_score", "Brier skill score", "1 − Brier score / ō (1 − ō)", "1", HIGHER,
        "Wilks (2011), Statistical Methods in the Atmospheric Sciences, ch. 8",
    ),
    Definition(
        "roc_area", "Area under the relative operating curve",
        "∫ H dF, hit rate H and false-alarm rate F of warnings given when at least k members have "
        "the event, k = 0 … M + 1; 0.5: no skill", "1", HIGHER,
        "Mason (1982), Aust. Met. Mag. 30, 291–303",
    ),
    Definition(
        "expected_calibration_error", "Expected calibration error", "Σₖ fₖ |pₖ − ōₖ|", "1", LOWER,
        "Naeini et al. (2015), doi:10.1609/aaai.v29i1.9602",
    ),
)  # fmt: skip
"""Definitions of the variables of the result."""


@statistic("probability", function="probability_scores")
class EventProbabilities(Statistic):
    """Brier score with its parts, ROC curve and reliability of event probabilities of ensembles.

    An event is a value above a quantile of the truth, or above a threshold given in the channel's
    units; its probability is the share of members that have it. The decomposition of the Brier
    score is exact, since M members give only M + 1 different probabilities: no binning is needed.
    """

    order = 111
    definitions = VARIABLES
    summary = (
        ("brier_skill_score", "brier_skill_score"),
        ("roc_area_mean", "roc_area"),
        ("expected_calibration_error_mean", "expected_calibration_error"),
    )
    of_truth = False
    ensemble = "all"

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.events = Events.of(setting, QUANTILES)

    def measure(self, truth: Batch, candidate: Batch | None) -> State:
        """Returns histograms (C, E, M + 1) of the number of members with the event.

        "forecasts" counts all points, "events" those at which the event was observed; both are
        weighted by area.
        """
        if not isinstance(candidate, Ensemble):
            return {}
        fields = member_fields(self.domain, truth, candidate)
        shape = (fields.observed.shape[1], len(self.events), fields.size + 1)
        state = {"forecasts": np.zeros(shape), "events": np.zeros(shape)}
        # In the smallest integer type, five events took 3 ms in place of 7 ms.
        small = np.min_scalar_type(2 * shape[2])
        area = np.ascontiguousarray(fields.weights)
        for c, e in np.ndindex(*shape[:2]):
            limit = self.events.limits[e, c]
            # One count over pairs of number of members (0 … M) and event observed (0, 1).
            place = fields.votes(c, limit).astype(small)
            place += np.multiply(fields.happened(c, limit), shape[2], dtype=small)
            weights = sums_in_few_bins(place.ravel(), area[:, c].ravel(), 2 * shape[2])
            weights = weights.reshape(2, shape[2])
            state["forecasts"][c, e], state["events"][c, e] = weights.sum(0), weights[1]
        return state

    def result(self, state: State) -> xr.Dataset:
        """Returns scores over (channel, event), and curves over the probabilities."""
        forecasts, events = state["forecasts"], state["events"]
        forecasts = np.where(np.isfinite(self.events.limits.T)[..., None], forecasts, np.nan)
        size = forecasts.shape[-1] - 1
        probability = np.arange(size + 1) / size
        total = forecasts.sum(-1)
        share = divided(forecasts, total[..., None])
        frequency = divided(events, forecasts)
        base = divided(events.sum(-1), total)
        # A probability that was never forecast has no observed frequency, and the weight 0.
        gap = np.where(forecasts > 0, probability - np.nan_to_num(frequency), 0)
        gain = np.where(forecasts > 0, np.nan_to_num(frequency) - base[..., None], 0)
        parts = {
            "brier_reliability": (share * gap**2).sum(-1),
            "brier_resolution": (share * gain**2).sum(-1),
            "brier_uncertainty": base * (1 - base),
            "expected_calibration_error": (share * np.abs(gap)).sum(-1),
        }
        brier = parts["brier_reliability"] - parts["brier_resolution"] + parts["brier_uncertainty"]
        hits, alarms = operating_curve(forecasts, events)
        parts |= {
            "brier_score": brier,
            "brier_skill_score": 1 - divided(brier, parts["brier_uncertainty"]),
            # Negative, since both rates descend as more members are required.
            "roc_area": -np.trapezoid(hits, alarms, axis=-1),
        }
        dataset = xr.Dataset(coords=self.coordinates("channel"), attrs={"members": size})
        self.events.add_to(dataset, self.units())
        for name, values in parts.items():
            dataset[name] = (("channel", "event"), values, {"units": "1"})
            dataset[f"{name}_mean"] = ("channel", mean_of_present(values, 1), {"units": "1"})
        for name, dimension, values in (
            ("forecast_probability", "probability_bin",
             np.broadcast_to(probability, forecasts.shape).copy()),
            ("observed_frequency", "probability_bin", frequency),
            ("forecast_share", "probability_bin", share),
            ("hit_rate", "votes", hits),
            ("false_alarm_rate", "votes", alarms),
        ):  # fmt: skip
            dataset[name] = (("channel", "event", dimension), values, {"units": "1"})
        return dataset

    @classmethod
    def figures(cls, folder: ResultsFolder) -> Iterator[Plan]:
        """Yields the figures of a results folder; see :class:`Statistic`."""
        from phire.evaluation.figures.ensemble_plots import operating_figure, reliability_figure
        from phire.evaluation.figures.figure_plan import plans_by_channel

        for variable, name, title, caption, draw in (
            ("observed_frequency", "reliability", "Reliability of ensembles of {channel}",
             "Observed frequency of the event against its forecast probability. On the diagonal "
             "the probabilities are calibrated.",
             reliability_figure),
            ("hit_rate", "roc", "Relative operating curves of {channel}",
             "Hit rate against false-alarm rate as fewer members are required for a warning. The "
             "nearer to the upper left corner, the better events are discriminated from "
             "non-events. The curve does not measure calibration.",
             operating_figure),
        ):  # fmt: skip
            yield from plans_by_channel(
                folder, cls.name, draw, group="ensembles", title=title, caption=caption,
                variable=variable, name=name,
            )  # fmt: skip


def operating_curve(forecasts: np.ndarray, events: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns hit rate and false-alarm rate of warnings by at least k = 0 … M + 1 members.

    Args:
        forecasts: (..., M + 1) weight of points by number of members with the event.
        events: (..., M + 1) weight of the points at which the event was observed.

    Returns:
        Hit rate and false-alarm rate, each (..., M + 2), descending from 1 to 0. The hit rate is
        NaN where no event was observed, the false-alarm rate where every point had the event.
    """
    rates = []
    for counted in (events, forecasts - events):
        above = np.cumsum(counted[..., ::-1], axis=-1)[..., ::-1]
        above = np.concatenate([above, np.zeros_like(above[..., :1])], axis=-1)
        rates.append(divided(above, above[..., :1]))
    return rates[0], rates[1]
