"""Contents of structure: dissimilarity by SSIM, at one and at several scales."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from phire.downscaling.contents.registry import Loss, content
from phire.downscaling.contents.weighting import as_fields, mean, mean_over_samples
from phire.downscaling.generator_task import Task
from phire.errors import InputError

SIGMA = 1.5
K1, K2 = 0.01, 0.03
POWERS = (0.0448, 0.2856, 0.3001, 0.2363)
"""Powers of the scales, the finest first (Wang et al. 2003, without the fifth)."""
PRESETS = ("none", "dl4ds")
LEAST_RANGE = 1e-6
LEAST_SIMILARITY = 1e-6
"""A power below 1 has no gradient at 0, and none of negative numbers."""


@content("dssim")
def dssim_loss(task: Task, *, size: int = 11, preset: str = "none") -> Loss:
    """Structural dissimilarity (1 − SSIM) / 2, from 0 to 1.

    Local means and covariances are weighted by a Gaussian of σ = 1.5 points over the valid points
    of a window. The dynamic range is that of the batch's truth, channel by channel, and both fields
    are shifted by the truth's minimum, so that a bias counts. tf.image.ssim and scikit-image give
    the same of single fields, but know no masks. Source: Wang et al. 2004,
    doi:10.1109/TIP.2003.819861.

    Args:
        task: Records.
        size: Side of the window in points, an odd number; no more than a patch has.
        preset: ``dl4ds``: one range of both fields and all channels together, and each field
            shifted by its own minimum where that is negative, which hides a bias.

    Raises:
        InputError: The size is even or above the patch's, or the preset is unknown.
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
    """Structural dissimilarity at several scales, (1 − MS-SSIM) / 2.

    Each scale halves the one before by means of 2×2 points. Of each field and channel the means of
    the structure's similarity at the finer scales and of SSIM at the coarsest are multiplied, to
    the powers 0.0448, 0.2856, 0.3001 and 0.2363. Equal to tf.image.ssim_multiscale without a mask.
    Source: Wang et al. 2003, doi:10.1109/ACSSC.2003.1292216.

    Args:
        task: Records.
        size, preset: See ``dssim``.
        levels: Number of scales, 4 at most.

    Raises:
        InputError: The patch is smaller than the window at the coarsest scale, or an option is
            impossible.
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
    if preset not in PRESETS:
        raise InputError(f"content {name}: preset={preset} must be one of {', '.join(PRESETS)}.")
    if size < 3 or size % 2 == 0:
        raise InputError(f"content {name}: size={size} must be an odd number from 3 on.")
    smallest = min(task.schema.patch)
    if -(-smallest // 2 ** (levels - 1)) < size:
        scales = f" at {levels} scales" if levels > 1 else ""
        raise InputError(
            f"content {name} with windows of {size} points{scales} needs patches of "
            f"{(size - 1) * 2 ** (levels - 1) + 1} points a side, the records' have {smallest}: "
            f"give {name}(size=…{',levels=…' if levels > 1 else ''}), or make larger patches."
        )


def _prepared(truth: tf.Tensor, generated: tf.Tensor, weights: Any) -> list[Any]:
    truth, generated, weights = as_fields(truth, generated, weights)
    truth, generated = (tf.cast(x, tf.float32) for x in (truth, generated))
    if weights is not None:
        weights = tf.broadcast_to(tf.cast(weights, tf.float32), tf.shape(truth))
    return [truth, generated, weights]


def _shifted(
    truth: tf.Tensor, generated: tf.Tensor, weights: Any, preset: str
) -> tuple[tuple[tf.Tensor, tf.Tensor], tf.Tensor]:
    """Returns both fields without negative truth, and the dynamic range."""
    if preset == "dl4ds":
        low = tf.minimum(tf.reduce_min(truth), tf.reduce_min(generated))
        high = tf.maximum(tf.reduce_max(truth), tf.reduce_max(generated))
        own = tuple(x - tf.minimum(tf.reduce_min(x), 0.0) for x in (truth, generated))
        return own, tf.maximum(high - low, LEAST_RANGE)
    valid = True if weights is None else weights > 0
    low = tf.reduce_min(tf.where(valid, truth, np.inf), (0, 1, 2))
    high = tf.reduce_max(tf.where(valid, truth, -np.inf), (0, 1, 2))
    known = high >= low  # a channel without a valid value has no range
    low, span = tf.where(known, low, 0.0), tf.where(known, high - low, 1.0)
    return (truth - low, generated - low), tf.maximum(span, LEAST_RANGE)


def _similarities(
    truth: tf.Tensor, generated: tf.Tensor, weights: Any, span: tf.Tensor, size: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the maps of luminance's and structure's similarity, (B, H − size + 1, …, C)."""
    offsets = np.arange(size) - size // 2
    profile = np.exp(-(offsets**2) / (2 * SIGMA**2))
    kernel = np.outer(profile, profile) / profile.sum() ** 2
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
    """Returns the weights of the windows' centres."""
    border = size // 2
    return None if weights is None else weights[:, border:-border, border:-border]


def _field_means(values: tf.Tensor, weights: Any) -> tf.Tensor:
    """Returns weighted means (B, C) over points; 1 where all weights are 0."""
    if weights is None:
        return tf.reduce_mean(values, axis=(1, 2))
    total = tf.reduce_sum(weights, axis=(1, 2))
    means = tf.math.divide_no_nan(tf.reduce_sum(values * weights, axis=(1, 2)), total)
    return tf.where(total > 0, means, 1.0)


def _halved(truth: tf.Tensor, generated: tf.Tensor, weights: Any) -> tuple[Any, Any, Any]:
    """Returns means of 2×2 points, of valid ones where there are weights."""

    def pool(x: tf.Tensor) -> tf.Tensor:
        return tf.nn.avg_pool2d(x, 2, 2, "SAME")

    if weights is None:
        return pool(truth), pool(generated), None
    valid = tf.cast(weights > 0, tf.float32)
    means = (tf.math.divide_no_nan(pool(x * valid), pool(valid)) for x in (truth, generated))
    return *means, pool(weights)
