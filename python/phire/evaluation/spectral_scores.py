"""Scores of spectra: log-spectral error, effective and coherent resolution."""

from __future__ import annotations

import numpy as np

MEANINGS = {
    "_ratio": "spectrum divided by the truth's",
    "_log_error": "mean |ln(E / E_truth)| beyond the coarse cutoff",
    "_log_error_all": "mean |ln(E / E_truth)| of all waves",
    "coherent_resolution": "shortest wavelength down to which the coherence is at least 0.5",
    "_resolution": "shortest wavelength down to which E/E_truth is within 0.5 … 2",
    "coherence": "spectral coherence with the truth",
}
"""Long names of the scores of spectra, by the ending of the variable's name."""

CLIFF, STEEPEST = 1e-2, 12
"""A degree is beyond a cliff if it has less than this share of the variance that a decay as steep
as l⁻¹² would leave; see :func:`truncation`."""

GAP = 0.01
"""A wave is ignored by resolutions if it has less than this share of a shorter wave's variance."""

ROUND_OFF = 2.0**-25
"""Upper bound of the relative standard deviation of rounding errors in single precision."""


def log_spectral_error(ratio: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Returns the mean of |ln(E / E_truth)| over some degrees.

    Args:
        ratio: (..., L) E / E_truth of time-mean spectra.
        inside: (..., L) or (L,) True for the degrees to average over.

    Returns:
        (...) error; infinite if a spectrum is 0, NaN if ``inside`` is False for all degrees.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        errors = np.abs(np.log(ratio))
        inside = np.broadcast_to(inside, errors.shape) & ~np.isnan(errors)
        return np.where(inside, errors, 0).sum(-1) / inside.sum(-1)


def effective_resolution(
    ratio: np.ndarray, wavelengths: np.ndarray, inside: np.ndarray
) -> np.ndarray:
    """Returns the shortest wavelength down to which E / E_truth stays within ½ … 2.

    The upper limit is needed because noise, which resolves nothing, has too much variance.

    Args:
        ratio: (..., L) E / E_truth by descending wavelength.
        wavelengths: (L,) descending wavelengths.
        inside: (..., L) or (L,) True for the waves that count: those that the truth has.

    Returns:
        (...) wavelength; NaN if the longest wave is outside the limits.
    """
    with np.errstate(invalid="ignore"):
        return shortest_wave((ratio >= 0.5) & (ratio <= 2), wavelengths, inside)


def coherent_resolution(
    coherence: np.ndarray, wavelengths: np.ndarray, inside: np.ndarray
) -> np.ndarray:
    """Returns the shortest wavelength down to which the coherence stays at ½ or more.

    Args:
        coherence: (..., L) coherence with the truth by descending wavelength.
        wavelengths: (L,) descending wavelengths.
        inside: (..., L) or (L,) True for the waves that count.

    Returns:
        (...) wavelength; NaN if the longest wave is less coherent.
    """
    with np.errstate(invalid="ignore"):
        return shortest_wave(coherence >= 0.5, wavelengths, inside)


def shortest_wave(good: np.ndarray, wavelengths: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Returns the shortest wavelength down to which all waves are ``good``.

    Args:
        good: (..., L) booleans by descending wavelength.
        wavelengths: (L,) descending wavelengths.
        inside: (..., L) or (L,) True for the waves that count; others are ignored.

    Returns:
        (...) wavelength; NaN if the longest wave that counts is not good.
    """
    inside = np.broadcast_to(inside, good.shape)
    holds = np.logical_and.accumulate(good | ~inside, axis=-1) & inside
    return np.where(holds, wavelengths, np.inf).min(-1, where=holds, initial=np.inf) + np.where(
        holds.any(-1), 0, np.nan
    )


def is_gap(truth: np.ndarray) -> np.ndarray:
    """Returns booleans (..., L): True for waves with less than 1 % of a shorter one's variance.

    The ratio of spectra at such a wave is a ratio of noise. An example is the even degrees of a
    flow that is symmetric about the equator.

    Args:
        truth: (..., L) spectrum of the truth by descending wavelength.
    """
    shorter = np.maximum.accumulate(truth[..., ::-1], axis=-1)[..., ::-1]
    return truth < GAP * shorter


def truncation(variance: np.ndarray, points: int) -> np.ndarray:
    """Returns the last degree that the fields resolve: above round-off and not beyond a cliff.

    Rounding to single precision adds white noise to a field. With the field's mean square S, the
    relative rounding error ε and N grid points, the noise at degree l has the variance
    S ε² (2l + 1) / N. Packed fields of a spectral model hold more noise than that beyond the
    model's truncation; there the spectrum drops abruptly, as at a cliff.

    Args:
        variance: (..., L + 1) variance by degree.
        points: Number of grid points.

    Returns:
        (...) degrees; 0 for a spectrum of zeros.
    """
    degree = np.arange(variance.shape[-1])
    noise = variance.sum(-1, keepdims=True) * ROUND_OFF**2 * (2 * degree + 1) / points
    above = (variance > 100 * noise) & ~_beyond_a_cliff(variance)
    return np.where(above.any(-1), degree[-1] - above[..., ::-1].argmax(-1), 0)


def _beyond_a_cliff(variance: np.ndarray) -> np.ndarray:
    """Returns booleans (..., L + 1): True for degrees at and beyond a cliff of the spectrum.

    A cliff begins at the degree l if the variance of l and of all higher degrees is less than
    :data:`CLIFF` times the largest of E(l′) (l′ / l)¹² over l′ < l.

    Args:
        variance: (..., L + 1) variance by degree.
    """
    degree = np.arange(1.0, variance.shape[-1] + 1)
    # In logarithms, since l¹² would overflow.
    with np.errstate(divide="ignore"):
        size = np.log(variance)
        size[..., 0] = -np.inf  # the mean, which belongs to no spectrum
    raised = np.maximum.accumulate(size + STEEPEST * np.log(degree), axis=-1)
    expected = raised - STEEPEST * np.log(degree)
    rest = np.maximum.accumulate(size[..., ::-1], axis=-1)[..., ::-1]
    return np.logical_or.accumulate(rest < expected + np.log(CLIFF), axis=-1)


def divided(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Returns a quotient; NaN where the denominator is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(denominator != 0, numerator / denominator, np.nan)


def comparison(
    name: str,
    own: np.ndarray,
    truth: np.ndarray,
    cross: np.ndarray,
    wavelengths: np.ndarray,
    known: np.ndarray,
    beyond: np.ndarray,
) -> dict[str, np.ndarray]:
    """Computes the scores of a candidate's spectrum against the truth's.

    Args:
        name: Name of the variable of the spectrum, with which the names of the scores begin.
        own, truth: (..., L) spectra of candidate and truth, summed over time.
        cross: (..., L) cross-spectrum, summed over time.
        wavelengths: (L,) descending wavelengths.
        known: (..., L) True where the truth resolves the waves.
        beyond: (L,) True for waves shorter than the coarse grid's cutoff.

    Returns:
        Scores by name: ratio and coherence (..., L), NaN where ``known`` is False; log-spectral
        errors beyond the cutoff and of all waves, effective and coherent resolution, each (...).
    """
    known = np.broadcast_to(known, own.shape)
    ratio = np.where(known, divided(own, truth), np.nan)
    coherence = np.where(known, divided(cross, np.sqrt(own * truth)), np.nan)
    scored = known & np.isfinite(wavelengths)  # without the mean
    prefix = "" if name == "variance" else f"{name}_"
    resolved = scored & ~is_gap(np.where(known, truth, 0))
    return {
        f"{name}_ratio": ratio,
        f"{name}_log_error": log_spectral_error(ratio, scored & beyond),
        f"{name}_log_error_all": log_spectral_error(ratio, scored),
        f"{name}_resolution": effective_resolution(ratio, wavelengths, resolved),
        f"{prefix}coherence": coherence,
        f"{prefix}coherent_resolution": coherent_resolution(coherence, wavelengths, resolved),
    }


def in_dimensions(
    compared: dict[str, np.ndarray], dimensions: tuple[str, ...], length: str
) -> dict[str, tuple]:
    """Returns the scores of :func:`comparison` as variables of a dataset.

    Args:
        compared: Scores by name.
        dimensions: Dimensions of the spectra; the last is that of the waves.
        length: Units of wavelengths.

    Returns:
        Dimensions, values and attributes by name.
    """
    variables = {}
    for name, values in compared.items():
        ending = next(e for e in MEANINGS if name.endswith(e))
        units = length if ending.endswith("resolution") else "1"
        by_wave = ending in ("_ratio", "coherence")
        attributes = {"units": units, "long_name": MEANINGS[ending]}
        variables[name] = (dimensions if by_wave else dimensions[:-1], values, attributes)
    return variables
