"""Jet-latitude index."""

from __future__ import annotations

import numpy as np
from scipy.signal import oaconvolve

from phire.errors import InputError

DAY = 86400


def lanczos_weights(cutoff: float, half_width: int) -> np.ndarray:
    """Computes the weights of a Lanczos low-pass filter.

    Args:
        cutoff: Cut-off period in time steps.
        half_width: Number of weights on either side of the central one.

    Returns:
        (2·half_width + 1,) symmetric weights with sum 1: w_k ∝ sin(2πk/cutoff)/(πk) ·
        sin(πk/n)/(πk/n), n = half_width + 1 (Duchon 1979,
        doi:10.1175/1520-0450(1979)018<1016:LFIOAT>2.0.CO;2).
    """
    k = np.arange(-half_width, half_width + 1)
    weights = 2 / cutoff * np.sinc(2 * k / cutoff) * np.sinc(k / (half_width + 1))
    return weights / weights.sum()


def low_pass(
    values: np.ndarray, step: int, *, cutoff_days: float = 10.0, window_days: float = 61.0
) -> np.ndarray:
    """Applies a Lanczos low-pass filter along time.

    Args:
        values: (time, ...) series.
        step: Time step, seconds.
        cutoff_days: Cut-off period, days.
        window_days: Full width of the filter, days.

    Returns:
        Filtered values, float64; NaN where the filter extends beyond the series.

    Raises:
        InputError: The series is shorter than the window.
    """
    half_width = int(window_days * DAY / step) // 2
    if len(values) < 2 * half_width + 1:
        raise InputError(
            f"The series of {len(values) * step / DAY:.1f} days is shorter than the filter's "
            f"window of {window_days:g} days: pass a longer series or a shorter window."
        )
    weights = lanczos_weights(cutoff_days * DAY / step, half_width)
    values = np.asarray(values, np.float64)
    kernel = weights.reshape(-1, *[1] * (values.ndim - 1))
    result = np.full(values.shape, np.nan)
    result[half_width : len(values) - half_width] = oaconvolve(values, kernel, "valid", axes=0)
    return result


def latitude_of_maximum(wind: np.ndarray, latitudes: np.ndarray) -> np.ndarray:
    """Computes the latitude of the maximum of each profile.

    Between grid points the maximum is that of the parabola through the highest point and its two
    neighbours.

    Args:
        wind: (time, latitude) profiles.
        latitudes: (latitude,) degrees, in either order, at least nearly equally spaced.

    Returns:
        (time,) degrees; NaN for profiles with NaN. A maximum at the edge is not interpolated.
    """
    latitudes = np.asarray(latitudes, np.float64)
    known = np.isfinite(wind).all(axis=1)
    filled = np.where(known[:, None], wind, 0.0)
    row = filled.argmax(axis=1)
    inner = np.clip(row, 1, len(latitudes) - 2)
    every = np.arange(len(wind))
    before, middle, after = (filled[every, inner + k] for k in (-1, 0, 1))
    curvature = before - 2 * middle + after
    with np.errstate(divide="ignore", invalid="ignore"):
        offset = np.where(curvature < 0, 0.5 * (before - after) / curvature, 0.0)
    offset = np.where(row == inner, np.clip(offset, -0.5, 0.5), row - inner)
    position = inner + offset
    result = np.interp(position, np.arange(len(latitudes)), latitudes)
    return np.where(known, result, np.nan)


def jet_latitude(
    wind: np.ndarray,
    latitudes: np.ndarray,
    step: int,
    *,
    band: tuple[float, float] = (15.0, 75.0),
    cutoff_days: float = 10.0,
    window_days: float = 61.0,
) -> np.ndarray:
    """Computes the jet-latitude index of Woollings et al. (2010, https://doi.org/10.1002/qj.625).

    Args:
        wind: Low-level zonal wind averaged over a sector of longitudes, (time, latitude).
        latitudes: (latitude,) degrees north.
        step: Time step, seconds.
        band: Southern and northern limit of the search, degrees north; (-75, -15) for the southern
            hemisphere.
        cutoff_days, window_days: Cut-off period and width of the Lanczos low-pass filter.

    Returns:
        (time,) degrees north; NaN within half a filter width of either end.

    Raises:
        InputError: The series is shorter than the filter, or the band holds fewer than three rows.
    """
    south, north = band
    rows = np.flatnonzero((latitudes >= south) & (latitudes <= north))
    if len(rows) < 3:
        raise InputError(
            f"The band {south:g}..{north:g}° holds {len(rows)} of the grid's rows, which span "
            f"{np.min(latitudes):g}..{np.max(latitudes):g}°: name a band with at least three."
        )
    filtered = low_pass(
        np.asarray(wind)[:, rows], step, cutoff_days=cutoff_days, window_days=window_days
    )
    return latitude_of_maximum(filtered, np.asarray(latitudes)[rows])
