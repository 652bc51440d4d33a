"""Point-by-point scores of a candidate against the truth, one value for each time.

scikit-image and xskillscore compute such scores from whole arrays; here moments add up over bands
of rows, with area weights and without missing values, and all scores share them.
``tests/evaluation/test_point_scores.py`` checks them against NumPy and scikit-image.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import xarray as xr

from phire.evaluation.accumulator import State, Statistic
from phire.evaluation.batches import Batch, Ensemble
from phire.evaluation.definitions import CHANNEL, HIGHER, LOWER, SQUARED, ZERO, Definition
from phire.evaluation.member_point_scores import (
    member_moments,
    member_similarity,
    member_variation_difference,
)
from phire.evaluation.registry import statistic
from phire.evaluation.running_mean import smoothed, smoothing_window
from phire.evaluation.setting import Setting
from phire.evaluation.structural_similarity import UNIFORM, mean_similarity, structural_similarity
from phire.evaluation.total_variation import total_variation

NAMES = (
    "rmse",
    "mae",
    "bias",
    "correlation",
    "anomaly_correlation",
    "psnr",
    "ssim",
    "total_variation_difference",
)

DEFINITIONS = {
    "rmse": "root of the area-weighted mean square error",
    "mae": "area-weighted mean absolute error",
    "bias": "area-weighted mean error, candidate minus truth",
    "correlation": "area-weighted Pearson correlation in space",
    "anomaly_correlation": "area-weighted correlation of anomalies from the climatology, uncentred",
    "psnr": "peak signal-to-noise ratio, 20 log10(range / rmse), range of the truth over all times",
    "ssim": "area-weighted mean structural similarity, windows of 7 x 7, range of the truth",
    "total_variation_difference": (
        "area-weighted mean of |differences of neighbours| of the candidate minus the truth's"
    ),
}

IN_UNITS = ("rmse", "mae", "bias", "total_variation_difference")


VARIABLES = (
    Definition(
        "rmse", "Root mean square error", "√⟨w (x − y)²⟩", CHANNEL, LOWER,
        "Wilks (2011), Statistical Methods in the Atmospheric Sciences, ch. 8",
    ),
    Definition("mse", "Mean square error", "⟨w (x − y)²⟩", SQUARED, LOWER),
    Definition("mae", "Mean absolute error", "⟨w |x − y|⟩", CHANNEL, LOWER),
    Definition("bias", "Bias", "⟨w (x − y)⟩", CHANNEL, ZERO),
    Definition(
        "correlation", "Correlation",
        "⟨w x′y′⟩ / √(⟨w x′²⟩ ⟨w y′²⟩), primes: departures from the field's own mean", "1", HIGHER,
    ),
    Definition(
        "anomaly_correlation", "Anomaly correlation",
        "⟨w x′y′⟩ / √(⟨w x′²⟩ ⟨w y′²⟩), primes: departures from the climatology", "1", HIGHER,
        "Murphy & Epstein (1989), doi:10.1175/1520-0493(1989)117<0572:SSACCI>2.0.CO;2",
    ),
    Definition(
        "psnr", "Peak signal-to-noise ratio",
        "20 log₁₀(R / RMSE), R the range of the truth over the whole evaluation", "dB", HIGHER,
    ),
    Definition(
        "ssim", "Structural similarity",
        "mean of (2 μₓμ_y + c₁)(2 σₓ_y + c₂) / ((μₓ² + μ_y² + c₁)(σₓ² + σ_y² + c₂)) over windows; "
        "c₁ = (0.01 R)², c₂ = (0.03 R)², R the range of the truth",
        "1", HIGHER, "Wang et al. (2004), doi:10.1109/TIP.2003.819861",
    ),
    Definition(
        "total_variation_difference", "Difference of total variation",
        "TV(x) − TV(y), TV(f) = ⟨|∂f/∂rows| + |∂f/∂columns|⟩ over neighbouring grid points",
        CHANNEL, ZERO, "Rudin, Osher & Fatemi (1992), doi:10.1016/0167-2789(92)90242-F",
    ),
)  # fmt: skip
"""Definitions of the variables of the result."""


@statistic("scores")
class Scores(Statistic):
    """RMSE, MAE, bias, correlations, PSNR, SSIM and total-variation difference by time.

    Points missing in either field do not count; means are weighted by area. For an ensemble, the
    mean is scored, and ranges are those of its members; see
    :mod:`phire.evaluation.member_point_scores`.
    """

    order = 30
    title = "Scores"
    definitions = VARIABLES
    summary = (
        ("rmse_mean", "rmse"),
        ("mae_mean", "mae"),
        ("bias_mean", "bias"),
        ("correlation_mean", "correlation"),
        ("anomaly_correlation_mean", "anomaly_correlation"),
        ("psnr_mean", "psnr"),
        ("ssim_mean", "ssim"),
        ("total_variation_difference_mean", "total_variation_difference"),
    )
    series = ("times", "sums", "anomaly", "ssim", "variation")
    of_truth = False
    ensemble = "mean"
    member_ranges = (*NAMES, *(f"{name}_mean" for name in NAMES))

    @classmethod
    def omission(cls, setting: Setting) -> str | None:
        """Returns a note if fields are too small for the windows of structural similarity."""
        if min(setting.domain.shape) >= UNIFORM.size:
            return None
        return (
            f"no structural similarity, whose windows are of {UNIFORM.size} × {UNIFORM.size} points"
        )

    def measure(self, truth: Batch, candidate: Batch | None) -> State:
        """Returns area-weighted means of errors and products by time and channel.

        "sums" (n, C, 6) holds the means of error, absolute and squared error, of the truth's
        departures from its mean and their squares, and of departures times error.
        """
        if candidate is None:
            return {}
        domain = self.domain
        mask = joint_mask(domain, truth, candidate)
        reference, predicted = domain.cut(truth.planes), domain.cut(candidate.planes)

        def of_truth() -> tuple[np.ndarray, ...]:
            return self._moments(truth, reference, mask)

        # Where no value is missing, the truth's moments are the same for all candidates.
        cached = truth.once(("moments", domain), of_truth) if mask is None else of_truth()
        moments, departure, variation = cached
        error, product, predicted_variation = self._errors(truth, reference, predicted, mask)
        weight = domain.total_weight if mask is None else domain.total(mask)[..., None]
        with np.errstate(invalid="ignore", divide="ignore"):
            sums = np.concatenate([error, moments, product[..., :1]], -1) / weight
            # With x = y + e: Σ x′² = Σ y′² + 2 Σ y′e + Σ e², and Σ x′y′ = Σ y′² + Σ y′e.
            of_candidate = departure + 2 * product[..., 1] + error[..., 2]
            anomaly = (departure + product[..., 1]) / np.sqrt(departure * of_candidate)
            difference = (predicted_variation - variation) / np.reshape(
                weight, np.shape(weight)[:2]
            )
        return {
            "times": truth.times,
            "sums": np.where(weight > 0, sums, np.nan),
            "anomaly": anomaly,
            "ssim": self._similarity(truth, candidate, mask),
            "variation": difference,
        }

    def measure_members(self, truth: Batch, ensemble: Ensemble) -> list[State]:
        """Returns the state of each member, computed for all members at once."""
        moments = member_moments(self.setting, truth, ensemble)
        error, absolute, square, *of_truth, product, departure, with_anomaly = np.moveaxis(
            moments, -1, 0
        )
        with np.errstate(invalid="ignore", divide="ignore"):
            of_member = departure + 2 * with_anomaly + square
            anomaly = (departure + with_anomaly) / np.sqrt(departure * of_member)
        found = {
            "sums": np.stack([error, absolute, square, *of_truth, product], -1),
            "anomaly": anomaly,
            "ssim": member_similarity(self.setting, truth, ensemble),
            "variation": member_variation_difference(self.setting, truth, ensemble),
        }
        size = moments.shape[2]
        return [{key: value[:, :, m] for key, value in found.items()} for m in range(size)]

    def _bands(
        self, planes: np.ndarray, mask: np.ndarray | None
    ) -> Iterator[tuple[tuple[int, int], slice, np.ndarray | None]]:
        """Yields index (field, channel), rows and mask of each band of rows of (n, C, h, w)."""
        for place in np.ndindex(*planes.shape[:2]):
            for rows in self.domain.bands():
                yield place, rows, None if mask is None else mask[place][rows]

    def _departures(self, truth: Batch, reference: np.ndarray) -> Callable[..., np.ndarray]:
        """Returns a function of (field, channel) and rows that gives the truth's anomalies.

        Anomalies are departures from the climatology; without a climatology they are NaN.
        """
        truth_moments = self.setting.truth_moments
        if truth_moments.climatology is None:
            return lambda place, rows: np.full_like(reference[place][rows], np.nan, np.float64)
        climatology = self.domain.cut(truth_moments.climatology)
        groups = truth_moments.groups[truth.times]

        def anomalies(place: tuple[int, int], rows: slice) -> np.ndarray:
            i, c = place
            return np.subtract(reference[i, c, rows], climatology[groups[i], c, rows], dtype=float)

        return anomalies

    def _moments(
        self, truth: Batch, reference: np.ndarray, mask: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns area-weighted sums over each field of the truth.

        They are sums of departures from the mean over all times and of their squares (n, C, 2), of
        squared anomalies (n, C), and the total variation (n, C).
        """
        domain, shape = self.domain, reference.shape[:2]
        moments, departure = np.zeros((*shape, 2)), np.zeros(shape)
        anomalies = self._departures(truth, reference)
        # Departures from the mean over all times keep the precision of the variance.
        centre = self.setting.truth_moments.mean
        for place, rows, present in self._bands(reference, mask):
            centred = _filled(reference[place][rows] - centre[place[1]], present)
            moments[place] += (
                domain.total(centred, rows),
                domain.total_product(centred, centred, rows),
            )
            anomaly = _filled(anomalies(place, rows), present)
            departure[place] += domain.total_product(anomaly, anomaly, rows)
        return moments, departure, self._variation(reference, mask)

    def _errors(
        self, truth: Batch, reference: np.ndarray, predicted: np.ndarray, mask: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns area-weighted sums over the error of each field.

        They are sums of error, absolute and squared error (n, C, 3), of its products with the
        truth's departures and anomalies (n, C, 2), and the candidate's total variation (n, C).
        """
        domain, shape = self.domain, reference.shape[:2]
        sums, products = np.zeros((*shape, 3)), np.zeros((*shape, 2))
        anomalies = self._departures(truth, reference)
        centre = self.setting.truth_moments.mean
        for place, rows, present in self._bands(reference, mask):
            first = reference[place][rows]
            error = _filled(np.subtract(predicted[place][rows], first, dtype=np.float64), present)
            centred = _filled(first - centre[place[1]], present)
            anomaly = _filled(anomalies(place, rows), present)
            products[place] += (
                domain.total_product(centred, error, rows),
                domain.total_product(anomaly, error, rows),
            )
            sums[place] += (
                domain.total(error, rows),
                domain.total(np.abs(error, out=centred), rows),
                domain.total_product(error, error, rows),
            )
        return sums, products, self._variation(predicted, mask)

    def _similarity(self, truth: Batch, candidate: Batch, mask: np.ndarray | None) -> np.ndarray:
        """Returns the area-weighted mean SSIM (n, C) of the windows without missing values."""
        domain = self.domain
        grid = domain.window_grid
        values = np.full(truth.planes.shape[:2], np.nan)
        if min(domain.shape) < UNIFORM.size:
            return values
        for i, c in np.ndindex(*values.shape):
            present = None if mask is None else mask[i, c]
            similarity, full = structural_similarity(
                domain.cut(truth.planes[i, c]),
                domain.cut(candidate.planes[i, c]),
                float(self.setting.truth_moments.range[c]),
                wraps=grid.wraps,
                mask=present,
            )
            values[i, c] = mean_similarity(domain, similarity, full)
        return values

    def _variation(self, planes: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
        """Returns the area-weighted total variation (n, C) of fields (n, C, h, w)."""
        total = np.zeros(planes.shape[:2])
        for place in np.ndindex(*total.shape):
            present = None if mask is None else mask[place]
            total[place] = total_variation(self.domain, planes[place], present)
        return total

    def result(self, state: State) -> xr.Dataset:
        """Returns each score over (channel, time), its running mean, and its mean over times.

        The RMSE of all times is the root of the mean square error; the PSNR follows from it.
        """
        times, ordered = self.ordered(state)
        bias, mae, square, mean, mean_square, product = np.moveaxis(ordered["sums"], -1, 0)
        peak = self.setting.truth_moments.range
        with np.errstate(invalid="ignore", divide="ignore"):
            variance = mean_square - mean**2
            of_candidate = mean_square + 2 * product + square - (mean + bias) ** 2
            covariance = mean_square + product - mean * (mean + bias)
            rmse = np.sqrt(square)
            values = {
                "rmse": rmse,
                "mae": mae,
                "bias": bias,
                "correlation": covariance / np.sqrt(variance * of_candidate),
                "anomaly_correlation": ordered["anomaly"],
                "psnr": 20 * np.log10(peak / rmse),
                "ssim": ordered["ssim"],
                "total_variation_difference": ordered["variation"],
            }
            together = {name: _mean(value) for name, value in values.items()}
            together["rmse"] = np.sqrt(_mean(square))
            together["psnr"] = 20 * np.log10(peak / together["rmse"])
        window = smoothing_window(len(times))
        dataset = xr.Dataset(coords=self.coordinates("channel"))
        dataset["time"] = self.time_coordinate(times)
        for name, value in values.items():
            attributes = {"long_name": DEFINITIONS[name]}
            if name in IN_UNITS:
                attributes |= self.units()
            elif name == "psnr":
                attributes["units"] = "dB"
            else:
                attributes["units"] = "1"
            dataset[name] = (("channel", "time"), value.T, attributes)
            smooth = smoothed(value, window)
            dataset[f"{name}_smoothed"] = (
                ("channel", "time"),
                smooth.T,
                attributes | {"running_mean": f"{window} times"},
            )
            dataset[f"{name}_mean"] = ("channel", together[name], attributes)
        return dataset


def _filled(values: np.ndarray, present: np.ndarray | None) -> np.ndarray:
    """Returns values (h, w) with 0 where they are missing."""
    return values if present is None else np.where(present, values, 0)


def joint_mask(domain, truth: Batch, candidate: Batch) -> np.ndarray | None:
    """Returns booleans (n, C, h, w): True where truth and candidate both have values.

    The mask covers the domain's window; None means that no value is missing there.
    """
    masks = [batch.present for batch in (truth, candidate) if batch.present is not None]
    if not masks:
        return None
    mask = domain.cut(masks[0] if len(masks) == 1 else masks[0] & masks[1])
    return None if mask.all() else mask


def _mean(values: np.ndarray) -> np.ndarray:
    """Returns the mean over the first axis of the finite values; NaN where there are none."""
    present = np.isfinite(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(present, values, 0).sum(0) / present.sum(0)
