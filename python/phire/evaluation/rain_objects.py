"""Structure, amplitude and location of rain, from the objects above a threshold (SAL)."""

from __future__ import annotations

import numpy as np
import xarray as xr
from scipy import ndimage

from phire.evaluation.accumulator import Batch, Setting, State, Statistic
from phire.evaluation.definitions import LOWER, ZERO, Definition
from phire.evaluation.nan_statistics import mean_of_present
from phire.evaluation.point_scores import joint_mask
from phire.evaluation.rain_channels import lacks_rain, wet_values
from phire.evaluation.registry import statistic

FACTOR, QUANTILE = 1 / 15, 0.95
"""An object is where it rains more than ``FACTOR`` times the ``QUANTILE`` of the rainy points."""

SOURCE = "Wernli et al. (2008), doi:10.1175/2008MWR2415.1; (2009), doi:10.1175/2009WAF2222271.1"

VARIABLES = (
    Definition(
        "structure", "Structure of rain (SAL)",
        "(Vₓ − V_y) / ½(Vₓ + V_y), V the mean of sum/maximum over objects, weighted by their sums; "
        "above 0: objects too large or too flat", "1", ZERO, SOURCE,
    ),
    Definition(
        "amplitude", "Amplitude of rain (SAL)", "(⟨x⟩ − ⟨y⟩) / ½(⟨x⟩ + ⟨y⟩)", "1", ZERO, SOURCE,
    ),
    Definition(
        "location", "Location of rain (SAL)",
        "distance of the centres of mass over the domain's diagonal, and twice the difference of "
        "the objects' mean distance from these, distances in points", "1", LOWER, SOURCE,
    ),
)  # fmt: skip
"""Variables of the result that people look at."""

NAMES = ("structure", "amplitude", "location")


@statistic("sal", function="structure_amplitude_location")
class RainObjects(Statistic):
    """SAL of the channels that are precipitation, by time.

    Objects are 8-connected regions above 1/15 of the 95 % quantile of the points above the field's
    least value. Sums are weighted by area. A time at which either field has no rain is left out.
    The means are of the sizes of S and A, in which opposite errors do not cancel.
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
        """Objects need precipitation, and a domain that does not run round the globe."""
        if setting.domain.window_grid.wraps:
            return "objects of rain are taken in regions, not round the globe"
        return lacks_rain(setting)

    def measure(self, truth: Batch, candidate: Batch | None) -> State:
        """(n, C, 3) structure, amplitude and location."""
        if candidate is None:
            return {}
        domain = self.domain
        mask = joint_mask(domain, truth, candidate)
        values = np.full((*truth.planes.shape[:2], 3), np.nan)
        for i in range(len(truth)):
            for c in self.places:
                fields = [
                    domain.cut(batch.planes[i, c]).astype(np.float64)
                    for batch in (truth, candidate)
                ]
                inside = self._weights > 0
                if mask is not None:
                    inside = inside & mask[i, c]
                values[i, c] = sal(*fields, self._weights, inside)
        return {"times": truth.times, "sal": values}

    def result(self, state: State) -> xr.Dataset:
        """Each part over (channel, time), and the mean of its size."""
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
    """Returns structure, amplitude and location of one field; NaN where one has no rain.

    Args:
        truth, candidate: (h, w) rain.
        weights: (h, w) areas.
        inside: (h, w) True for the points that count.
    """
    described = [_described(field, weights, inside) for field in (candidate, truth)]
    if None in described:
        return np.nan, np.nan, np.nan
    (volume, total, centre, distance), (volume_y, total_y, centre_y, distance_y) = described
    diagonal = np.hypot(*truth.shape)
    location = np.hypot(*np.subtract(centre, centre_y)) / diagonal
    location += 2 * abs(distance - distance_y) / diagonal
    return (
        (volume - volume_y) / (0.5 * (volume + volume_y)),
        (total - total_y) / (0.5 * (total + total_y)),
        location,
    )


def _described(
    field: np.ndarray, weights: np.ndarray, inside: np.ndarray
) -> tuple[float, float, np.ndarray, float] | None:
    """Mean scaled volume of objects, sum, centre of mass, and the objects' mean distance from it.

    None where nothing is above the least value.
    """
    field = np.where(inside, field, 0)
    rainy = inside & (field > field[inside].min(initial=np.inf))
    total = float((field * weights).sum())
    if not rainy.any() or not total > 0:
        return None
    threshold = FACTOR * np.quantile(field[rainy], QUANTILE)
    labels, count = ndimage.label(inside & (field >= threshold), np.ones((3, 3)))
    if not count:
        return None
    rain = field * weights
    numbers = np.arange(1, count + 1)
    sums = ndimage.sum_labels(rain, labels, numbers)
    greatest = ndimage.maximum(field, labels, numbers)
    centre = np.array(ndimage.center_of_mass(rain))
    centres = np.array(ndimage.center_of_mass(rain, labels, numbers))
    distance = np.hypot(*(centres - centre).T)
    volume = (sums * sums / greatest).sum() / sums.sum()
    return float(volume), total, centre, float((sums * distance).sum() / sums.sum())
