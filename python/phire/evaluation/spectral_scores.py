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
"""Meanings of a comparison of spectra, by the ending of its name."""

CLIFF, STEEPEST = 1e-2, 12
"""Share of the energy expected by a spectrum of l⁻¹² below which a degree is beyond a cliff."""

GAP = 0.01
"""Share of a shorter wave's variance below which a wave is passed over by resolutions."""

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
    """The shortest wavelength down to which E / E_truth stays within ½ … 2.

    Too much energy counts like too little: noise resolves nothing.

    Args:
        ratio: (..., L) by descending wavelength.
        wavelengths: (L,) descending.
        inside: (..., L) or (L,) True for the degrees that count: those the truth has.

    Returns:
        (...) a wavelength; NaN where not even the longest wave holds.
    """
    with np.errstate(invalid="ignore"):
        return shortest_wave((ratio >= 0.5) & (ratio <= 2), wavelengths, inside)


def coherent_resolution(
    coherence: np.ndarray, wavelengths: np.ndarray, inside: np.ndarray
) -> np.ndarray:
    """The shortest wavelength down to which the coherence with the truth stays at ½ or more.

    Args and result as of :func:`effective_resolution`, with ``coherence`` (..., L).
    """
    with np.errstate(invalid="ignore"):
        return shortest_wave(coherence >= 0.5, wavelengths, inside)


def shortest_wave(good: np.ndarray, wavelengths: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """The shortest wavelength (...) before the first of descending ones that is not ``good``.

    Args:
        good: (..., L) by descending wavelength.
        wavelengths: (L,) descending.
        inside: (..., L) or (L,) True for those that count; others are passed over.

    Returns:
        (...) NaN where not even the longest wave is good.
    """
    inside = np.broadcast_to(inside, good.shape)
    holds = np.logical_and.accumulate(good | ~inside, axis=-1) & inside
    return np.where(holds, wavelengths, np.inf).min(-1, where=holds, initial=np.inf) + np.where(
        holds.any(-1), 0, np.nan
    )


def is_gap(truth: np.ndarray) -> np.ndarray:
    """Returns the mask (..., L) of waves with less than 1 % of the variance of a shorter one.

    Flows that are symmetric about the equator hardly have even degrees; a ratio there judges noise.

    Args:
        truth: (..., L) its spectrum, by descending wavelength.
    """
    shorter = np.maximum.accumulate(truth[..., ::-1], axis=-1)[..., ::-1]
    return truth < GAP * shorter


def truncation(variance: np.ndarray, points: int) -> np.ndarray:
    """The last degree whose variance stands out from round-off and is not beyond a cliff.

    Rounding to single precision adds noise that is white over the grid: of a mean square S it makes
    S ε² (2l+1) / N at degree l, N being the number of points. Fields of a spectral model that were
    packed hold more noise than that beyond the model's truncation, where the spectrum falls as off
    a cliff.

    Args:
        variance: (..., L+1) by degree.
        points: N.

    Returns:
        (...) int; 0 where there is no variance.
    """
    degree = np.arange(variance.shape[-1])
    noise = variance.sum(-1, keepdims=True) * ROUND_OFF**2 * (2 * degree + 1) / points
    above = (variance > 100 * noise) & ~_beyond_a_cliff(variance)
    return np.where(above.any(-1), degree[-1] - above[..., ::-1].argmax(-1), 0)


def _beyond_a_cliff(variance: np.ndarray) -> np.ndarray:
    """True for degrees from which on all is :data:`CLIFF` times less than l⁻¹² would leave.

    Args:
        variance: (..., L+1) by degree.

    Returns:
        (..., L+1).
    """
    degree = np.arange(1.0, variance.shape[-1] + 1)
    # max over l' < l of E(l') (l'/l)^12, in logarithms, for l^12 exceeds what numbers hold.
    with np.errstate(divide="ignore"):
        size = np.log(variance)
        size[..., 0] = -np.inf  # the mean, which belongs to no spectrum
    raised = np.maximum.accumulate(size + STEEPEST * np.log(degree), axis=-1)
    expected = raised - STEEPEST * np.log(degree)
    rest = np.maximum.accumulate(size[..., ::-1], axis=-1)[..., ::-1]
    return np.logical_or.accumulate(rest < expected + np.log(CLIFF), axis=-1)


def divided(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """A quotient, NaN where the denominator is 0."""
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
    """Computes the scores of a candidate's spectrum beside the truth's.

    Args:
        name: The variable's name, which the results' names begin with.
        own, truth: (..., L) sums of the spectra over time.
        cross: (..., L) sums of the cross-spectrum.
        wavelengths: (L,) descending.
        known: (..., L) True where the truth has a spectrum.
        beyond: (L,) True beyond the coarse grid's cutoff.

    Returns:
        By name: ratio and coherence (..., L), NaN where not ``known``; log-spectral errors beyond
        the cutoff and of all waves, effective and coherent resolution, each (...).
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
    """The results of :func:`comparison` as variables of a dataset.

    Args:
        compared: The results.
        dimensions: Of the spectra; the last is that of the waves.
        length: Units of wavelengths.
    """
    told = {}
    for name, values in compared.items():
        ending = next(e for e in MEANINGS if name.endswith(e))
        units = length if ending.endswith("resolution") else "1"
        kept = dimensions if ending in ("_ratio", "coherence") else dimensions[:-1]
        told[name] = (kept, values, {"units": units, "long_name": MEANINGS[ending]})
    return told
