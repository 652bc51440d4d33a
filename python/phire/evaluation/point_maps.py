"""Maps: statistics in time at every point of the grid."""

from __future__ import annotations

import numpy as np
import xarray as xr

from phire.evaluation.accumulator import Batch, State, Statistic, register
from phire.evaluation.point_scores import joint_mask
from phire.evaluation.spectral_scores import divided


@register
class Maps(Statistic):
    """Mean and standard deviation in time, and of the error RMSE, MAE, bias and correlation."""

    name = "maps"

    def measure(self, truth: Batch, candidate: Batch | None) -> State:
        """Sums over time of departures from the truth's mean, their squares and products."""
        domain = self.domain
        mask = joint_mask(domain, truth, candidate or truth)
        centre = np.asarray(self.setting.facts.mean, truth.planes.dtype)[:, None, None]

        def centred(batch: Batch) -> np.ndarray:
            departures = batch.once(
                ("departures", domain), lambda: domain.cut(batch.planes) - centre
            )
            return departures if mask is None else np.where(mask, departures, 0)

        def sums_of_truth() -> dict[str, np.ndarray]:
            return {"truth": _sum(theirs), "truth_square": _product(theirs, theirs)}

        theirs = centred(truth)
        if mask is None:
            shape = theirs.shape[1:]
            count = np.full(shape, float(len(truth)))
            state = dict(truth.once(("map sums", domain), sums_of_truth))
        else:
            count = mask.sum(0, dtype=np.float64)
            state = sums_of_truth()
        # The sums are shared by candidates: updates in place must not reach them.
        state = {key: value.copy() for key, value in state.items()} | {"count": count}
        if candidate is None:
            return state
        own = centred(candidate)
        return state | {
            "own": _sum(own),
            "own_square": _product(own, own),
            "product": _product(own, theirs),
            "absolute": _sum(np.abs(own - theirs)),
        }

    def result(self, state: State) -> xr.Dataset:
        """Maps over (channel, latitude, longitude)."""
        count = state["count"]
        prefix = "own" if "own" in state else "truth"
        centre = self.setting.facts.mean[:, None, None]
        mean, std = _moments(state[prefix], state[f"{prefix}_square"], count)
        units = self.units()
        maps = {"mean": (mean + centre, units), "std": (std, units)}
        if prefix == "own":
            other, other_std = _moments(state["truth"], state["truth_square"], count)
            square = state["own_square"] + state["truth_square"] - 2 * state["product"]
            covariance = divided(state["product"], count) - mean * other
            # Round-off of a constant series is no correlation.
            varies = (std > 1e-6 * np.abs(std).max()) & (other_std > 1e-6 * np.abs(other_std).max())
            maps |= {
                "rmse": (np.sqrt(np.maximum(divided(square, count), 0)), units),
                "mae": (divided(state["absolute"], count), units),
                "bias": (mean - other, units),
                "std_difference": (std - other_std, units),
                "correlation": (
                    np.where(varies, divided(covariance, std * other_std), np.nan),
                    {"units": "1", "long_name": "correlation in time"},
                ),
            }
        dimensions = ("channel", *self.plane_dimensions)
        dataset = xr.Dataset(coords=self.coordinates(*dimensions))
        outside = np.broadcast_to(self.domain.weights == 0, self.domain.shape)
        for name, (values, attributes) in maps.items():
            values = np.where(outside & ~self._on_pole(), np.nan, values)
            dataset[name] = (dimensions, values.astype(np.float32), attributes)
        dataset["count"] = (dimensions, count.astype(np.int32))
        dataset["channel_units"] = ("channel", np.array(self.setting.units, dtype=object))
        return dataset

    def _on_pole(self) -> np.ndarray:
        """(h, 1) True for rows whose weight may be 0 for their having no area."""
        if not self.domain.grid.has_coordinates:
            return np.zeros((self.domain.shape[0], 1), dtype=bool)
        return np.abs(self.domain.window_grid.latitudes[:, None]) > 90 - 1e-6


def _sum(values: np.ndarray) -> np.ndarray:
    return values.sum(0, dtype=np.float64)


def _product(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    # Field by field: a sum over few long arrays is what einsum does worst.
    total = np.multiply(first[0], second[0], dtype=np.float64)
    for one, two in zip(first[1:], second[1:]):
        total += np.multiply(one, two, dtype=np.float64)
    return total


def _moments(
    total: np.ndarray, square: np.ndarray, count: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    mean = divided(total, count)
    return mean, np.sqrt(np.maximum(divided(square, count) - mean**2, 0))
