"""Structural content losses: DSSIM, and MS-DSSIM over several scales.

A loss needs gradients, which :mod:`phire.evaluation.structural_similarity` (NumPy) does
not have; window and constants are the same. ``tf.image.ssim`` takes no masks of invalid points.
``tests/downscaling/test_contents.py`` checks these losses against scikit-image, ``tf.image.ssim``
and ``tf.image.ssim_multiscale``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from phire.downscaling.contents.registry import Loss, content
from phire.downscaling.contents.weighting import as_fields, mean, mean_over_samples
from phire.downscaling.generator_task import Task
from phire.errors import InputError
from phire.evaluation.structural_similarity import GAUSSIAN, K1, K2, Window

POWERS = (0.0448, 0.2856, 0.3001, 0.2363)
"""Exponents of the scales from the finest on (Wang et al. 2003, without the fifth)."""
PRESETS = ("none", "dl4ds")
LEAST_RANGE = 1e-6
"""Lower bound of the dynamic range."""
LEAST_SIMILARITY = 1e-6
"""Lower bound of similarities, whose powers below 1 have no finite gradient at 0."""


@content("dssim")
def dssim_loss(task: Task, *, size: int = 11, preset: str = "none") -> Loss:
    """Structural dissimilarity (1 − SSIM) / 2, from 0 to 1.

    Local means and covariances are weighted by a Gaussian of σ = 1.5 points over the valid points
    of a window. The dynamic range is that of the batch's truth, for each channel. Both fields are
    shifted by the truth's minimum, so biases count. Source: Wang et al. 2004,
    doi:10.1109/TIP.2003.819861.

    Args:
        task: Network and records.
        size: Side of the window in points, an odd number not above the side of a patch.
        preset: ``none``, or ``dl4ds`` to do as DL4DS: the dynamic range is that of both fields and
            all channels, and each field is shifted by its own minimum if that is negative, which
            hides biases.

    Raises:
        InputError: ``size`` is even or larger than a patch, or ``preset`` is unknown.
    """
    _check("dssim", task, size, 1, preset)

    def dssim(truth: tf.Tensor, generated: tf.Tensor, weights: Any = None) -> tf.Tensor:
        truth, generated, weights = _prepared(truth, generated, weights)
        pair, span = _shifted(truth, generated, weights, preset)
        luminance, structure = _similarities(*pair, weights, span, size)
        return mean((1 - luminance * structure) / 2, _of_centres(weights, size))

    return dssim


@content("msdssim")
def multiscale_dssim_loss(
    task: Task, *, size: int = 11, levels: int = 4, preset: str = "none"
) -> Loss:
    """Structural dissimilarity over several scales, (1 − MS-SSIM) / 2.

    Each scale averages the previous one over 2×2 points. MS-SSIM is the product of the structural
    similarities at the finer scales and of SSIM at the coarsest scale, raised to the powers 0.0448,
    0.2856, 0.3001 and 0.2363. Without a mask it equals ``tf.image.ssim_multiscale``. Source: Wang
    et al. 2003, doi:10.1109/ACSSC.2003.1292216.

    Args:
        task: Network and records.
        size, preset: See the content ``dssim``.
        levels: Number of scales, from 1 to 4.

    Raises:
        InputError: The window exceeds a patch at the coarsest scale, or an option is out of range.
    """
    if not 1 <= levels <= len(POWERS):
        raise InputError(f"content msdssim: levels={levels} must be from 1 to {len(POWERS)}.")
    _check("msdssim", task, size, levels, preset)

    def msdssim(truth: tf.Tensor, generated: tf.Tensor, weights: Any = None) -> tf.Tensor:
        truth, generated, weights = _prepared(truth, generated, weights)
        (truth, generated), span = _shifted(truth, generated, weights, preset)
        product, finest = 1.0, weights
        for level in range(levels):
            luminance, similarity = _similarities(truth, generated, weights, span, size)
            if level == levels - 1:
                similarity = luminance * similarity
            similarity = _field_means(similarity, _of_centres(weights, size))
            product *= tf.maximum(similarity, LEAST_SIMILARITY) ** POWERS[level]
            truth, generated, weights = _halved(truth, generated, weights)
        return mean_over_samples((1 - product) / 2, finest)

    return msdssim


def _check(name: str, task: Task, size: int, levels: int, preset: str) -> None:
    """Raises an InputError if an option is out of range or the window exceeds a patch."""
    if preset not in PRESETS:
        raise InputError(f"content {name}: preset={preset} must be one of {', '.join(PRESETS)}.")
    if size < 3 or size % 2 == 0:
        raise InputError(f"content {name}: size={size} must be an odd number, 3 or more.")
    smallest = min(task.schema.patch)
    if -(-smallest // 2 ** (levels - 1)) < size:
        scales = f" at {levels} scales" if levels > 1 else ""
        raise InputError(
            f"content {name} with windows of {size} points{scales} needs patches of "
            f"{(size - 1) * 2 ** (levels - 1) + 1} points a side, but the records' have "
            f"{smallest}: give {name}(size=…{',levels=…' if levels > 1 else ''}), or make larger "
            "patches."
        )


def _prepared(truth: tf.Tensor, generated: tf.Tensor, weights: Any) -> list[Any]:
    """Returns both fields and the weights as float32 (B, H, W, C)."""
    truth, generated, weights = as_fields(truth, generated, weights)
    truth, generated = (tf.cast(x, tf.float32) for x in (truth, generated))
    if weights is not None:
        weights = tf.broadcast_to(tf.cast(weights, tf.float32), tf.shape(truth))
    return [truth, generated, weights]


def _shifted(
    truth: tf.Tensor, generated: tf.Tensor, weights: Any, preset: str
) -> tuple[tuple[tf.Tensor, tf.Tensor], tf.Tensor]:
    """Returns both fields shifted so that the truth is not negative, and the dynamic range."""
    if preset == "dl4ds":
        low = tf.minimum(tf.reduce_min(truth), tf.reduce_min(generated))
        high = tf.maximum(tf.reduce_max(truth), tf.reduce_max(generated))
        shifted = tuple(x - tf.minimum(tf.reduce_min(x), 0.0) for x in (truth, generated))
        return shifted, tf.maximum(high - low, LEAST_RANGE)
    valid = True if weights is None else weights > 0
    low = tf.reduce_min(tf.where(valid, truth, np.inf), (0, 1, 2))
    high = tf.reduce_max(tf.where(valid, truth, -np.inf), (0, 1, 2))
    known = high >= low  # a channel without a valid value has no range
    low, span = tf.where(known, low, 0.0), tf.where(known, high - low, 1.0)
    return (truth - low, generated - low), tf.maximum(span, LEAST_RANGE)


def _similarities(
    truth: tf.Tensor, generated: tf.Tensor, weights: Any, span: tf.Tensor, size: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns maps of the luminance term and the contrast–structure term of SSIM.

    Both have the shape (B, H − size + 1, W − size + 1, C), one value per window.
    """
    profile = Window(size, GAUSSIAN.sigma).profile
    kernel = np.outer(profile, profile)
    kernel = tf.constant(np.repeat(kernel[..., None, None], truth.shape[-1], 2), tf.float32)
    valid = None if weights is None else tf.cast(weights > 0, tf.float32)

    def smooth(x: tf.Tensor) -> tf.Tensor:
        return tf.nn.depthwise_conv2d(x, kernel, (1, 1, 1, 1), "VALID")

    share = None if valid is None else smooth(valid)

    def local_mean(x: tf.Tensor) -> tf.Tensor:
        return smooth(x) if valid is None else tf.math.divide_no_nan(smooth(x * valid), share)

    mean_x, mean_y = local_mean(truth), local_mean(generated)
    luminance = (2 * mean_x * mean_y + (K1 * span) ** 2) / (
        mean_x**2 + mean_y**2 + (K1 * span) ** 2
    )
    covariance = local_mean(truth * generated) - mean_x * mean_y
    variances = local_mean(truth**2 + generated**2) - mean_x**2 - mean_y**2
    structure = (2 * covariance + (K2 * span) ** 2) / (variances + (K2 * span) ** 2)
    return luminance, structure


def _of_centres(weights: Any, size: int) -> Any:
    """Returns the weights at the centres of the windows."""
    border = size // 2
    return None if weights is None else weights[:, border:-border, border:-border]


def _field_means(values: tf.Tensor, weights: Any) -> tf.Tensor:
    """Returns weighted means over points, (B, C); 1 for fields whose weights are all 0."""
    if weights is None:
        return tf.reduce_mean(values, axis=(1, 2))
    total = tf.reduce_sum(weights, axis=(1, 2))
    means = tf.math.divide_no_nan(tf.reduce_sum(values * weights, axis=(1, 2)), total)
    return tf.where(total > 0, means, 1.0)


def _halved(truth: tf.Tensor, generated: tf.Tensor, weights: Any) -> tuple[Any, Any, Any]:
    """Returns both fields and the weights averaged over 2×2 points, fields over valid points."""

    def pool(x: tf.Tensor) -> tf.Tensor:
        return tf.nn.avg_pool2d(x, 2, 2, "SAME")

    if weights is None:
        return pool(truth), pool(generated), None
    valid = tf.cast(weights > 0, tf.float32)
    means = (tf.math.divide_no_nan(pool(x * valid), pool(valid)) for x in (truth, generated))
    return *means, pool(weights)
