"""Range of noise levels for sampling, from the spectrum of the fields.

The sampler's last step, from σ_min to zero, scales a mode of standard deviation s by
s/√(s² + σ_min²), so σ_min must be small compared with the smallest s. An initial state N(0, σ_max²)
lacks the fraction s²/(s² + σ_max²) of the noisy data's variance, so σ_max must be large compared
with the largest s.
"""

from __future__ import annotations

import numpy as np
import scipy.fft

from phire.errors import InputError

SMALLEST_SHARE = 1 / 3
"""Ratio of σ_min to the standard deviation of the smallest mode. With it the last step lowers this
standard deviation by 5 %."""

LARGEST_SHARE = 4.0
"""Ratio of σ_max to the largest mode's standard deviation. The initial state's standard deviation
in that mode is then 3 % too small."""

ROUNDING = 1e-12
"""Power relative to the largest mode's, below which a mode counts as rounding error."""


def mode_variances(fields: np.ndarray) -> np.ndarray:
    """Returns the mean power of each mode of the orthonormal discrete cosine transform.

    In an orthonormal transform, white noise of variance σ² has the power σ² in every mode, so power
    and noise levels are comparable. The cosine transform does not assume periodic fields.

    Args:
        fields: Fields as the denoiser gets them, (n, H, W, C).

    Returns:
        Variances of the modes, (H, W, C) float64.
    """
    modes = scipy.fft.dctn(np.asarray(fields, np.float64), axes=(1, 2), norm="ortho")
    return (modes**2).mean(axis=0)


def sigma_range(spectrum: np.ndarray) -> tuple[float, float]:
    """Returns σ_min and σ_max: 1/3 of the smallest and 4 times the largest mode's deviation.

    Args:
        spectrum: Variance of each mode of an orthonormal transform, of any shape. Modes that are
            zero, NaN or rounding errors are ignored.

    Raises:
        InputError: No mode has any variance.
    """
    power = np.asarray(spectrum, np.float64).ravel()
    power = power[np.isfinite(power)]
    power = power[power > ROUNDING * power.max(initial=0)]
    if not power.size:
        raise InputError(
            "sigma_min and sigma_max cannot be measured, because the fields have no variance: give "
            "both."
        )
    smallest, largest = np.sqrt((power.min(), power.max()))
    return float(SMALLEST_SHARE * smallest), float(LARGEST_SHARE * largest)
