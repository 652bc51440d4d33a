"""Structure, amplitude and location (SAL) of rain, from objects above a threshold.

pysteps computes SAL from a field without missing values, with packages that phire does not need
otherwise. ``tests/evaluation/test_sal.py`` checks the three parts against pysteps.
"""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import xarray as xr
from scipy import ndimage

from phire.evaluation.accumulator import State, Statistic
from phire.evaluation.batches import Batch
from phire.evaluation.definitions import LOWER, ZERO, Definition
from phire.evaluation.nan_statistics import mean_of_present
from phire.evaluation.point_scores import joint_mask
from phire.evaluation.rain_channels import lacks_rain, wet_values
from phire.evaluation.registry import statistic
from phire.evaluation.setting import Setting

FACTOR, QUANTILE = 1 / 15, 0.95
"""The threshold of objects is ``FACTOR`` times the quantile ``QUANTILE`` of the rainy points."""

SOURCE = "Wernli et al. (2008), doi:10.1175/2008MWR2415.1; (2009), doi:10.1175/2009WAF2222271.1"

VARIABLES = (
    Definition(
        "structure", "Structure of rain (SAL)",
        "(Vₓ − V_y) / ½(Vₓ + V_y), V the mean over objects of the object's sum divided by its "
        "maximum, weighted by sums; above 0: objects too large or too flat", "1", ZERO, SOURCE,
    ),
    Definition(
        "amplitude", "Amplitude of rain (SAL)", "(⟨x⟩ − ⟨y⟩) / ½(⟨x⟩ + ⟨y⟩)", "1", ZERO, SOURCE,
    ),
    Definition(
        "location", "Location of rain (SAL)",
        "(|mₓ − m_y| + 2 |rₓ − r_y|) / d, m the centre of mass of the field, r the mean distance "
        "of the objects' centres from it, weighted by sums, d the diagonal of the domain; all in "
        "grid points", "1", LOWER, SOURCE,
    ),
)  # fmt: skip
"""Definitions of the variables of the result."""

NAMES = ("structure", "amplitude", "location")


@dataclasses.dataclass(frozen=True)
class Objects:
    """Objects of a field of rain.

    Attributes:
        volume: Mean over objects of an object's sum divided by its maximum, weighted by sums.
        total: Sum of the field.
        centre: Row and column of the field's centre of mass.
        distance: Mean distance of the objects' centres from ``centre`` in grid points, weighted by
            sums.
    """

    volume: float
    total: float
    centre: tuple[float, float]
    distance: float


@statistic("sal", function="structure_amplitude_location")
class RainObjects(Statistic):
    """Structure, amplitude and location of each channel that is precipitation, by time.

    Objects are 8-connected regions of points at or above 1/15 of the 95 % quantile of the rainy
    points. A point is rainy if it is above the smallest value of the field. Sums are weighted by
    area. Times at which one of the fields has no rain are left out. Means over time are those of
    |S|, |A| and L, so that opposite errors do not cancel.
    """

    order = 76
    title = "Structure, amplitude and location of rain"
    definitions = VARIABLES
    summary = tuple((f"{name}_mean", name) for name in NAMES)
    series = ("times", "sal")
    member_ranges = (*NAMES, *(f"{name}_mean" for name in NAMES))
    of_truth = False
    noted_if_refused = False

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.places = list(wet_values(setting))
        self._weights = np.broadcast_to(self.domain.weights, self.domain.shape).astype(np.float64)

    @classmethod
    def refusal(cls, setting: Setting) -> str | None:
        """Requires precipitation, and a domain that does not span all longitudes."""
        if setting.domain.window_grid.wraps:
            return "objects of rain need a region that does not span all longitudes"
        return lacks_rain(setting)

    def measure(self, truth: Batch, candidate: Batch | None) -> State:
        """Returns structure, amplitude and location (n, C, 3) by time."""
        if candidate is None:
            return {}
        mask = joint_mask(self.domain, truth, candidate)
        whole = self._weights > 0
        values = np.full((*truth.planes.shape[:2], 3), np.nan)
        for i, c in itertools.product(range(len(truth)), self.places):
            inside = whole if mask is None else whole & mask[i, c]

            def objects(batch: Batch, i=i, c=c, inside=inside) -> Objects | None:
                field = self.domain.cut(batch.planes[i, c]).astype(np.float64)
                return rain_objects(field, self._weights, inside)

            # Where no value is missing, the truth's objects are the same for all candidates.
            key = ("rain objects", self.domain, i, c)
            true_objects = (
                objects(truth) if mask is not None else truth.once(key, lambda: objects(truth))
            )
            values[i, c] = compared(true_objects, objects(candidate), self.domain.shape)
        return {"times": truth.times, "sal": values}

    def result(self, state: State) -> xr.Dataset:
        """Returns S, A and L over (channel, time), and the means of their absolute values."""
        times, ordered = self.ordered(state)
        dataset = xr.Dataset(coords=self.coordinates("channel"))
        dataset["time"] = self.time_coordinate(times)
        for name, values in zip(NAMES, np.moveaxis(ordered["sal"], -1, 0)):
            dataset[name] = (("channel", "time"), values.T, {"units": "1"})
            mean = mean_of_present(np.abs(values), 0)
            dataset[f"{name}_mean"] = ("channel", mean, {"units": "1"})
        return dataset


def sal(
    truth: np.ndarray, candidate: np.ndarray, weights: np.ndarray, inside: np.ndarray
) -> tuple[float, float, float]:
    """Returns structure, amplitude and location of one field; NaN if truth or field has no rain.

    Args:
        truth, candidate: (h, w) fields of rain.
        weights: (h, w) area weights.
        inside: (h, w) True for the points that count.

    Source:
        Wernli et al. (2008), doi:10.1175/2008MWR2415.1.
    """
    objects = [rain_objects(field, weights, inside) for field in (truth, candidate)]
    return compared(*objects, truth.shape)


def compared(
    truth: Objects | None, candidate: Objects | None, shape: tuple[int, int]
) -> tuple[float, float, float]:
    """Returns structure, amplitude and location from the objects of both fields.

    Args:
        truth, candidate: Objects of the fields; None for a field without rain gives NaN.
        shape: Height and width (h, w) of the fields.
    """
    if truth is None or candidate is None:
        return np.nan, np.nan, np.nan
    diagonal = np.hypot(*shape)
    location = np.hypot(*np.subtract(candidate.centre, truth.centre)) / diagonal
    location += 2 * abs(candidate.distance - truth.distance) / diagonal
    return (
        (candidate.volume - truth.volume) / (0.5 * (candidate.volume + truth.volume)),
        (candidate.total - truth.total) / (0.5 * (candidate.total + truth.total)),
        float(location),
    )


def rain_objects(field: np.ndarray, weights: np.ndarray, inside: np.ndarray) -> Objects | None:
    """Returns the objects of a field; None if no point is above the smallest value.

    Args:
        field: (h, w) field of rain.
        weights: (h, w) area weights.
        inside: (h, w) True for the points that count.
    """
    field = np.where(inside, field, 0)
    rainy = inside & (field > field[inside].min(initial=np.inf))
    rain = field * weights
    total = float(rain.sum())
    if not rainy.any() or not total > 0:
        return None
    threshold = FACTOR * np.quantile(field[rainy], QUANTILE)
    labels, count = ndimage.label(inside & (field >= threshold), np.ones((3, 3)))
    if not count:
        return None
    # Sums over the points of objects only: those of scipy.ndimage sort all points of the field.
    places = np.nonzero(labels)
    label = labels[places] - 1
    mass = rain[places]
    sums = np.bincount(label, mass)
    greatest = np.zeros(count)
    np.maximum.at(greatest, label, field[places])
    centres = [np.bincount(label, mass * place) / sums for place in places]
    centre = [rain.sum(1 - k) @ np.arange(rain.shape[k]) / total for k in range(2)]
    distance = np.hypot(*(one - middle for one, middle in zip(centres, centre)))
    volume = (sums * sums / greatest).sum() / sums.sum()
    return Objects(
        float(volume), total, (centre[0], centre[1]), float((sums * distance).sum() / sums.sum())
    )
