"""Least and largest noise level from the spectrum of the fields that are to be sampled.

The sampler's last jump, from σ_min to zero, scales a mode of standard deviation s by
s/√(s²+σ_min²); a start from N(0, σ_max²) lacks the share of the variance that s²/(s²+σ_max²) is.
"""

from __future__ import annotations

import numpy as np
import scipy.fft

from phire.errors import InputError

SMALLEST_SHARE = 1 / 3
"""σ_min in the smallest mode's standard deviation: that mode then loses 5 %."""

LARGEST_SHARE = 4.0
"""σ_max in the largest mode's standard deviation: the start then lacks 3 % of it."""

ROUNDING = 1e-12
"""Power, relative to the largest mode's, below which a mode is taken for rounding errors."""


def mode_variances(fields: np.ndarray) -> np.ndarray:
    """Returns the mean power of each mode of an orthonormal cosine transform.

    In an orthonormal transform white noise of standard deviation σ has σ in every mode. The cosine
    transform needs no periodic field.

    Args:
        fields: (n, H, W, C), in the scaling in which the denoiser sees them.

    Returns:
        (H, W, C) float64.
    """
    modes = scipy.fft.dctn(np.asarray(fields, np.float64), axes=(1, 2), norm="ortho")
    return (modes**2).mean(axis=0)


def sigma_range(spectrum: np.ndarray) -> tuple[float, float]:
    """Returns (σ_min, σ_max): a third of the smallest mode's standard deviation, 4 of the largest.

    Args:
        spectrum: Variance of each mode of an orthonormal transform, of any shape. Modes that are
            zero, missing or rounding errors are left out.

    Raises:
        InputError: No mode has any variance.
    """
    power = np.asarray(spectrum, np.float64).ravel()
    power = power[np.isfinite(power)]
    power = power[power > ROUNDING * power.max(initial=0)]
    if not power.size:
        raise InputError("the noise levels cannot be chosen: the fields have no variance.")
    smallest, largest = np.sqrt((power.min(), power.max()))
    return float(SMALLEST_SHARE * smallest), float(LARGEST_SHARE * largest)
