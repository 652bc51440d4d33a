"""Learned distance of each field, and Fréchet distance of the learned features of all fields."""

from __future__ import annotations

import numpy as np
import xarray as xr

from phire.evaluation.accumulator import State, Statistic
from phire.evaluation.batches import Batch
from phire.evaluation.definitions import LOWER, Definition
from phire.evaluation.frechet_distance import frechet_distance
from phire.evaluation.nan_statistics import mean_of_present
from phire.evaluation.registry import statistic
from phire.evaluation.running_mean import smoothed, smoothing_window
from phire.evaluation.setting import Setting

VARIABLES = (
    Definition(
        "learned_distance", "Learned distance",
        "scale · mean (f(x) − f(y))² over the feature maps f of a network that was trained to "
        "predict the time lag between two fields",
        "1", LOWER, "Hoffmann & Lessig (2023), arXiv:2202.01897",
    ),
    Definition(
        "frechet_distance", "Fréchet distance of features",
        "|μₓ − μ_y|² + tr(Cₓ + C_y − 2 (Cₓ C_y)^½) of the learned features' means and covariances",
        "1", LOWER, "Heusel et al. (2017), arXiv:1706.08500",
    ),
)  # fmt: skip
"""Definitions of the variables of the result."""


@statistic("learned", function="learned_distances")
class LearnedDistances(Statistic):
    """Learned distance of each field from the truth's, and Fréchet distance of the features.

    ``setting.learned`` holds the callables: ``distance(truth, candidate)`` → (n,), and
    ``features(fields)`` → (n, F), for fields (n, H, W, C) in physical units. Fields with a missing
    value are left out. The members of an ensemble count as fields of their own.
    """

    order = 120
    title = "Learned distance"
    definitions = VARIABLES
    summary = (
        ("learned_distance_mean", "learned_distance"),
        ("frechet_distance", "frechet_distance"),
    )
    series = ("times", "distance")
    of_truth = False
    in_main_process = True
    member_ranges = ("learned_distance", "learned_distance_mean", "frechet_distance")

    @classmethod
    def applies_to(cls, setting: Setting) -> bool:
        """Applies to whole fields only: the network has no weights for points."""
        return setting.domain.is_whole

    @classmethod
    def refusal(cls, setting: Setting) -> str | None:
        """Requires a learned metric."""
        return None if setting.learned else "no learned metric is given: add --learned METRIC"

    def features(self, batch: Batch, whole: np.ndarray) -> np.ndarray:
        """Returns the features (k, F) of the k fields at which ``whole`` (n,) is True.

        They are cached in the batch.
        """

        def compute() -> np.ndarray:
            fields = self._northward(batch.fields[whole])
            return np.asarray(self.setting.learned["features"](fields), dtype=np.float64)

        return batch.once(("features", whole.tobytes()), compute)

    def distances(self, truth: Batch, candidate: Batch, whole: np.ndarray) -> np.ndarray:
        """Returns the learned distances (n,); NaN for fields at which ``whole`` (n,) is False."""
        distances = np.full(len(truth), np.nan)
        if "distance" in self.setting.learned:
            fields = (self._northward(batch.fields[whole]) for batch in (truth, candidate))
            distances[whole] = np.asarray(self.setting.learned["distance"](*fields), np.float64)
        return distances

    def _northward(self, fields: np.ndarray) -> np.ndarray:
        """Returns fields (n, H, W, C) with the northernmost row first, as in training."""
        grid = self.setting.domain.grid
        if grid.has_coordinates and not grid.descending:
            fields = fields[:, ::-1]
        return np.ascontiguousarray(fields)

    def measure(self, truth: Batch, candidate: Batch | None) -> State:
        """Returns distances by time, and the means and scatter matrices of the features."""
        if candidate is None:
            return {}
        whole = whole_fields(truth, candidate)
        if not whole.any():
            return {}
        state: State = {
            "times": truth.times,
            "distance": self.distances(truth, candidate, whole),
        }
        if "features" in self.setting.learned:
            for key, batch in (("truth", truth), ("own", candidate)):
                mean, scatter = feature_moments(self.features(batch, whole))
                state[f"{key}_mean"], state[f"{key}_scatter"] = mean, scatter
            state["count"] = np.asarray(float(whole.sum()))
        return state

    def join(self, first: State, second: State, in_place: bool) -> State:
        joined = super().join(first, second, in_place=False)
        return join_moments(joined, first, second)

    def result(self, state: State) -> xr.Dataset:
        """Returns ``learned_distance(time)``, its mean, and ``frechet_distance``."""
        times, ordered = self.ordered(state)
        distance = ordered["distance"]
        dataset = xr.Dataset()
        dataset["time"] = self.time_coordinate(times)
        if np.isfinite(distance).any():
            units = {"units": "1", "long_name": "learned distance from the truth"}
            dataset["learned_distance"] = ("time", distance, units)
            smooth = smoothed(distance, smoothing_window(len(times)))
            dataset["learned_distance_smoothed"] = ("time", smooth, units)
            dataset["learned_distance_mean"] = ((), mean_of_present(distance), units)
        if "count" in state and state["count"] >= 2:
            moments = [_moments(state, key) for key in ("truth", "own")]
            dataset["frechet_distance"] = (
                (),
                frechet_distance(*moments[0], *moments[1]),
                {"units": "1", "long_name": "Fréchet distance of learned features"},
            )
        return dataset


def whole_fields(truth: Batch, candidate: Batch) -> np.ndarray:
    """Returns booleans (n,): True for fields without missing values in truth and candidate."""
    whole = np.ones(len(truth), dtype=bool)
    for batch in (truth, candidate):
        if batch.present is not None:
            whole &= batch.present.all((1, 2, 3))
    return whole


def feature_moments(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns mean (..., F) and scatter matrix (..., F, F) of features (..., n, F).

    The scatter matrix is the sum of products of departures from the mean; divided by n − 1 it is
    the covariance.
    """
    mean = features.mean(-2)
    departures = features - mean[..., None, :]
    return mean, np.swapaxes(departures, -1, -2) @ departures


def join_moments(joined: State, first: State, second: State) -> State:
    """Sets the means and scatter matrices of a joined state from those of its two parts.

    It uses the pairwise update of Chan, Golub & LeVeque (1979), which is stable because it
    subtracts no large sums.

    Args:
        joined: State with the sums of both parts; changed in place.
        first, second: States with ``count``, and ``truth_mean``, ``own_mean`` (..., F) and
            ``truth_scatter``, ``own_scatter`` (..., F, F); also under the prefixes of single
            members.

    Returns:
        ``joined``; unchanged where one part has no ``count``.
    """
    for count in [key for key in joined if key.rpartition("/")[2] == "count"]:
        if count not in first or count not in second:
            continue
        share = second[count] / joined[count]
        for key in ("truth", "own"):
            key = f"{count.removesuffix('count')}{key}"
            gap = second[f"{key}_mean"] - first[f"{key}_mean"]
            joined[f"{key}_mean"] = first[f"{key}_mean"] + gap * share
            product = gap[..., :, None] * gap[..., None, :]
            joined[f"{key}_scatter"] = joined[f"{key}_scatter"] + product * first[count] * share
    return joined


def _moments(state: State, key: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns mean (F,) and covariance (F, F) of the features of ``truth`` or ``own``."""
    return state[f"{key}_mean"], state[f"{key}_scatter"] / (float(state["count"]) - 1)
