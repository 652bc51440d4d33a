"""Numbers from spectra: the error of their logarithm, and down to where they hold."""

from __future__ import annotations

import numpy as np

ROUND_OFF = 2.0**-25
"""Relative standard size of what rounding to single precision adds, at most."""


def log_spectral_error(ratio: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Mean |ln(E / E_truth)| over some degrees.

    Args:
        ratio: (..., L) E / E_truth of time-mean spectra.
        inside: (..., L) or (L,) True for the degrees to average over.

    Returns:
        (...) the error; infinite where a spectrum vanishes, NaN where no degree is inside.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        errors = np.abs(np.log(ratio))
        inside = np.broadcast_to(inside, errors.shape) & ~np.isnan(errors)
        return np.where(inside, errors, 0).sum(-1) / inside.sum(-1)


def effective_resolution(
    ratio: np.ndarray, wavelengths: np.ndarray, inside: np.ndarray
) -> np.ndarray:
    """The shortest wavelength down to which E / E_truth stays at least ½.

    Args:
        ratio: (..., L) by descending wavelength.
        wavelengths: (L,) descending.
        inside: (..., L) or (L,) True for the degrees that count: those the truth has.

    Returns:
        (...) a wavelength; NaN where not even the longest wave holds.
    """
    inside = np.broadcast_to(inside, ratio.shape)
    with np.errstate(invalid="ignore"):
        holds = np.logical_and.accumulate((ratio >= 0.5) | ~inside, axis=-1) & inside
    return np.where(holds, wavelengths, np.inf).min(-1, where=holds, initial=np.inf) + np.where(
        holds.any(-1), 0, np.nan
    )


def truncation(variance: np.ndarray, points: int) -> np.ndarray:
    """The last degree whose variance stands out from the round-off of single precision.

    Rounding adds noise that is white over the grid: of a mean square S it makes S ε² (2l+1) / N at
    degree l, N being the number of points.

    Args:
        variance: (..., L+1) by degree.
        points: N.

    Returns:
        (...) int; 0 where there is no variance.
    """
    degree = np.arange(variance.shape[-1])
    noise = variance.sum(-1, keepdims=True) * ROUND_OFF**2 * (2 * degree + 1) / points
    above = variance > 100 * noise
    return np.where(above.any(-1), degree[-1] - above[..., ::-1].argmax(-1), 0)


def divided(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """A quotient, NaN where the denominator is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(denominator != 0, numerator / denominator, np.nan)
