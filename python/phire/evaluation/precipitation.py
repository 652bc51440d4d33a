"""Climate indices of precipitation: wet frequency and intensity, heavy rain, maxima, spells.

Libraries of climate indices (xclim) need the whole series of daily fields; here counts and maxima
add up over chunks of times, and one bit for each value serves the spells.
``tests/evaluation/test_precipitation.py`` checks the indices by brute force at each point.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from phire.evaluation.accumulator import State, Statistic
from phire.evaluation.batches import Batch, Ensemble
from phire.evaluation.definitions import CHANNEL, ONE, Definition
from phire.evaluation.histograms import Bins, quantiles
from phire.evaluation.member_ranges import of_members
from phire.evaluation.point_scores import joint_mask
from phire.evaluation.rain_channels import lacks_rain, wet_values
from phire.evaluation.registry import statistic
from phire.evaluation.setting import Setting
from phire.evaluation.spectral_scores import divided

if TYPE_CHECKING:
    from phire.evaluation.figures.figure_plan import Plan
    from phire.evaluation.figures.results_reading import ResultsFolder

HEAVY = 10.0
"""Threshold of heavy rain as a multiple of the wet value: 10 mm (R10) if this is 1 mm."""

BINS = 16384
"""Number of bins of the histogram of wet values, from 0 to three times the truth's maximum."""

LONGEST = 40
"""Number of lengths of spells that are counted; longer spells count as the longest."""

NAMES = {
    "wet_frequency": ("Wet frequency", "share of times with at least 1 mm (or 1 mm/day): R01"),
    "wet_intensity": ("Wet intensity", "mean of the values of at least 1 mm: SDII"),
    "heavy_frequency": ("Heavy frequency", "share of times with at least 10 mm: R10"),
    "greatest": (
        "Greatest value",
        "maximum at each point over all times: Rx1day of daily fields",
    ),
    "wet_quantile": (
        "98 % quantile of wet values",
        "98 % quantile over points and times of the values of at least 1 mm",
    ),
    "wet_spell": (
        "Longest wet spell",
        "largest number of consecutive times with at least 1 mm: CWD",
    ),
    "dry_spell": (
        "Longest dry spell",
        "largest number of consecutive times with less than 1 mm: CDD",
    ),
}
"""Title and formula of each index."""

VARIABLES = tuple(
    Definition(
        f"{name}{ending}",
        title + words,
        meaning + formula,
        units,
        better,
        "ETCCDI: Zhang et al. (2011), doi:10.1002/wcc.147",
    )
    for name, (title, meaning) in NAMES.items()
    for ending, words, formula, units, better in (
        (
            "",
            "",
            "",
            CHANNEL if name in ("wet_intensity", "greatest", "wet_quantile") else "1",
            "",
        ),
        (
            "_ratio",
            " over the truth's",
            "; area mean divided by that of the truth, over points and times that both have",
            "1",
            ONE,
        ),
    )
)
"""Definitions of the variables of the result."""


@statistic("rain", function="rain_indices")
class RainIndices(Statistic):
    """Climate indices of precipitation at each point, their area means, and ratios to the truth.

    They are computed for all channels that are precipitation, and for time steps of any length;
    those of ETCCDI (R01, SDII, R10, Rx1day, CWD, CDD) are defined for daily fields. A missing value
    ends a spell. For the spells, the state holds one bit for each value.

    The indices of an ensemble are means over its members. Members are not pooled, because their
    common maximum would be taken over more values than the truth has.
    """

    order = 74
    definitions = VARIABLES
    summary = tuple((f"{name}_ratio", f"{name}_ratio") for name in NAMES)
    series = ("times", "wet", "present", "wet_truth")
    extremes = ("maximum", "maximum_truth")
    ensemble = "together"
    noted_if_refused = False
    apart_always = ("maximum",)
    member_ranges = (
        *NAMES, *(f"{name}_mean" for name in NAMES),
        *(variable for variable, _ in summary), "spell_share",
    )  # fmt: skip

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.wet = wet_values(setting)
        greatest = np.maximum(setting.truth_moments.maximum * 3, 1e-30)
        self.bins = Bins.between(np.zeros_like(greatest), greatest, BINS)
        self._of_truth: tuple[np.ndarray, dict[str, np.ndarray]] | None = None

    @classmethod
    def refusal(cls, setting: Setting) -> str | None:
        """Requires a channel of precipitation."""
        return lacks_rain(setting)

    def measure(self, truth: Batch, candidate: Batch | None) -> State:
        """Returns sums and maxima by point, histograms of wet values, and bits of wet points.

        Keys of the truth, and those of present points, are shared by all members of an ensemble.
        """
        fields = truth if candidate is None else candidate
        mask = joint_mask(self.domain, truth, fields)
        places = list(self.wet)
        shape = (len(truth), len(places), *self.domain.shape)
        present = np.ones(shape, bool) if mask is None else mask[:, places]
        state = {
            "times": truth.times,
            "present": np.packbits(present, axis=-1)[:, None],
            "count": present.sum(0, dtype=np.uint32),
        }
        if candidate is None:
            return state | self._sums(truth, present)
        sums_of_truth = self._sums(truth, present)
        state |= {f"{key}_truth": value for key, value in sums_of_truth.items()}
        if isinstance(candidate, Ensemble):
            return state | of_members([self._sums(one, present) for one in candidate.each()])
        return state | self._sums(candidate, present)

    def _sums(self, fields: Batch, present: np.ndarray) -> State:
        """Returns wet points as bits (n, 1, c, h, w/8), and sums and maxima over time (c, h, w)."""
        values = self.domain.cut(fields.planes)[:, list(self.wet)]
        limit = np.array(list(self.wet.values()))[:, None, None].astype(values.dtype)
        wet = (values >= limit) & present
        return {
            "wet": np.packbits(wet, axis=-1)[:, None],
            "wet_count": wet.sum(0, dtype=np.uint32),
            "sum": np.where(wet, values, 0).sum(0, dtype=np.float64),
            "heavy": ((values >= HEAVY * limit) & present).sum(0, dtype=np.uint32),
            "maximum": np.fmax.reduce(np.where(present, values, np.nan), axis=0),
            "histogram": self._histogram(values, wet),
        }

    def merge_members(self, states: Sequence[State]) -> State:
        """Returns sums and maxima as means over the members, and the wet points of all members."""
        return {
            key: np.concatenate([one[key] for one in states], axis=1)
            if key in self.series
            else np.mean([one[key] for one in states], axis=0)
            for key in states[0]
        }

    def _histogram(self, values: np.ndarray, wet: np.ndarray) -> np.ndarray:
        """Returns area-weighted histograms (rain channels, bins) of wet values.

        Args:
            values: (n, c, h, w) precipitation.
            wet: (n, c, h, w) True for wet values.
        """
        weights = np.broadcast_to(self.domain.weights, values[:, 0].shape)
        return np.stack(
            [
                self.bins.histogram(values[:, k][wet[:, k]], c, weights[wet[:, k]])
                for k, c in enumerate(self.wet)
            ]
        )

    def _indices(self, state: State, ending: str) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Returns indices (rain channels, h, w), and counts of spells (c, wet or dry, length)."""
        longest, counts = self._spells(state, ending)
        edges, places = self.bins.edges, list(self.wet)
        level = np.array([0.98])
        histogram = state[f"histogram{ending}"]
        upper = [quantiles(h, edges[c], level)[0] for h, c in zip(histogram, places)]
        wet, count = state[f"wet_count{ending}"], state["count"]
        found = {
            "wet_frequency": divided(wet, count),
            "wet_intensity": divided(state[f"sum{ending}"], wet),
            "heavy_frequency": divided(state[f"heavy{ending}"], count),
            "greatest": state[f"maximum{ending}"],
            "wet_quantile": np.array(upper),
            "wet_spell": np.where(count > 0, longest[0], np.nan),
            "dry_spell": np.where(count > 0, longest[1], np.nan),
        }
        return found, counts

    def _wet_and_dry(self, state: State, ending: str) -> Iterator[np.ndarray]:
        """Yields booleans (2, members, c, h, w) for each time: True where it is wet, and dry.

        For a gap of the time axis, and after the last time, all are False, which ends all spells.
        """
        order = np.argsort(state["times"])
        steps = np.diff(self.setting.time.values[state["times"][order]])
        width = self.domain.shape[1]
        for k, place in enumerate(order):
            wet, present = (
                np.unpackbits(state[key][place], axis=-1, count=width).view(bool)
                for key in (f"wet{ending}", "present")
            )
            now = np.stack([wet, present & ~wet])
            if k and steps[k - 1] > steps.min():
                yield np.zeros_like(now)
            yield now
        yield np.zeros_like(now)

    def _spells(self, state: State, ending: str) -> tuple[np.ndarray, np.ndarray]:
        """Returns the longest wet and dry spells, and the weights of spells by length.

        Returns:
            Lengths (2, c, h, w), averaged over members; and area weights (c, 2, lengths) of all
            spells by length.
        """
        counts = np.zeros((len(self.wet), 2, LONGEST))
        area = np.broadcast_to(self.domain.weights, self.domain.shape)
        running = longest = np.zeros((), np.int32)
        for now in self._wet_and_dry(state, ending):
            running = np.broadcast_to(running, now.shape)
            for place in np.ndindex(*now.shape[:3]):
                ended = np.flatnonzero((running[place] > 0) & ~now[place])
                length = np.minimum(running[place].ravel()[ended], LONGEST) - 1
                kind, _, c = place
                counts[c, kind] += np.bincount(length, area.ravel()[ended], minlength=LONGEST)
            running = (running + 1) * now
            longest = np.maximum(longest, running)
        return longest.mean(1), counts

    def _truth_means(self, state: State) -> dict[str, np.ndarray]:
        """Returns area means of the truth's indices, computed once for all members."""
        wet = state["wet_truth"]
        if self._of_truth is None or self._of_truth[0] is not wet:
            indices, _ = self._indices(state, "_truth")
            self._of_truth = wet, {name: self._mean(values) for name, values in indices.items()}
        return self._of_truth[1]

    def _mean(self, values: np.ndarray) -> np.ndarray:
        """Returns the area means (c,) of maps (c, h, w), without NaN; means (c,) are unchanged."""
        if values.ndim == 1:
            return values
        inside = np.isfinite(values)
        return self.domain.mean(np.where(inside, values, 0), inside)

    def result(self, state: State) -> xr.Dataset:
        """Returns maps and area means of the indices, ratios to the truth, and spells by length."""
        indices, counts = self._indices(state, "")
        places = list(self.wet)
        dimensions = ("channel", *self.plane_dimensions)
        dataset = xr.Dataset(coords=self.coordinates(*dimensions))
        channels = len(self.setting.channels)

        def spread(values: np.ndarray) -> np.ndarray:
            full = np.full((channels, *values.shape[1:]), np.nan)
            full[places] = values
            return full

        for name, values in indices.items():
            in_units = name in ("wet_intensity", "greatest", "wet_quantile")
            units = self.units() if in_units else {"units": "1"}
            if values.ndim == 3:
                dataset[name] = (dimensions, spread(values).astype(np.float32), units)
            dataset[f"{name}_mean"] = ("channel", spread(self._mean(values)), units)
        kinds = ("wet", "dry")
        dataset["spell"] = ("spell", np.array(kinds, dtype=object))
        dataset["length"] = ("length", np.arange(1, LONGEST + 1))
        share = divided(counts, counts.sum(-1, keepdims=True))
        longer = np.cumsum(share[..., ::-1], -1)[..., ::-1]
        longer = np.where(longer > 1e-12, longer, np.nan)
        dataset["spell_share"] = (
            ("channel", "spell", "length"),
            spread(longer),
            {"units": "1", "long_name": "share of spells of at least this length, by area"},
        )
        if "sum_truth" in state:
            true_means = self._truth_means(state)
            for name, values in indices.items():
                ratio = divided(self._mean(values), true_means[name])
                dataset[f"{name}_ratio"] = ("channel", spread(ratio), {"units": "1"})
        return dataset

    @classmethod
    def figures(cls, folder: ResultsFolder) -> Iterator[Plan]:
        """Yields the figures of a results folder; see :class:`Statistic`."""
        from phire.evaluation.figures.curve_plots import Panel, channel_plans
        from phire.evaluation.figures.map_plots import map_plans, member_map_plans

        panels = [
            Panel(f"{kind.capitalize()} spells", "spell_share", "length",
                  "Length (times)", "Share of spells at least as long", {"spell": kind},
                  logarithmic="both")
            for kind in ("wet", "dry")
        ]  # fmt: skip
        yield from channel_plans(
            folder, cls.name, panels, "distributions", "Wet and dry spells",
            "Share of the spells of at least a given length: consecutive times with (wet) or "
            "without (dry) at least 1 mm at a point. Interpolated fields have light rain over too "
            "large areas, and hence too long wet spells.",
        )  # fmt: skip
        captions = {
            name: f"{meaning[:1].upper()}{meaning[1:]}. Below: candidate minus truth."
            for name, (_, meaning) in NAMES.items()
        }
        yield from map_plans(folder, cls.name, captions, "{variable} of {channel}")
        yield from member_map_plans(folder, cls.name, tuple(captions))
