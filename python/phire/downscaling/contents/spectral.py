"""Content losses of spatial scales: log amplitudes of the cosine transform, and gradients."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from phire.downscaling.contents.registry import Loss, content
from phire.downscaling.contents.weighting import as_fields, mean, mean_over_samples
from phire.downscaling.energy_score import first_differences
from phire.downscaling.generator_task import Task
from phire.errors import InputError


@content("spectral")
def spectral_loss(task: Task, *, epsilon: float = 1e-3) -> Loss:
    """Mean over wavenumbers of |ln A − ln A_truth| with A² = X² + epsilon² and X the 2-D DCT.

    The transform is the orthonormal DCT-II, as for spectra of limited areas (Denis et al. 2002,
    doi:10.1175/1520-0493(2002)130<1812:SDOTDA>2.0.CO;2). Both fields are 0 at invalid points; each
    field counts by its mean weight.

    Args:
        task: Network and records.
        epsilon: Amplitude of normalised values below which differences count little.

    Raises:
        InputError: ``epsilon`` is not positive.
    """
    if not epsilon > 0:
        raise InputError(f"content spectral: epsilon={epsilon:g} must be positive.")

    def log_amplitude(fields: tf.Tensor) -> tf.Tensor:
        return 0.5 * tf.math.log(tf.square(cosine_transform(fields)) + epsilon**2)

    def spectral(truth: tf.Tensor, generated: tf.Tensor, weights: Any = None) -> tf.Tensor:
        truth, generated, weights = as_fields(truth, generated, weights)
        difference = tf.abs(log_amplitude(generated) - log_amplitude(truth))
        return mean_over_samples(tf.reduce_mean(difference, axis=(2, 3)), weights)

    return spectral


def cosine_transform(fields: tf.Tensor) -> tf.Tensor:
    """Returns the orthonormal 2-D DCT-II of fields (B, H, W, C) as float32 (B, C, H, W)."""
    x = tf.transpose(tf.cast(fields, tf.float32), (0, 3, 1, 2))
    x = tf.signal.dct(x, norm="ortho")
    return tf.transpose(tf.signal.dct(tf.transpose(x, (0, 1, 3, 2)), norm="ortho"), (0, 1, 3, 2))


@content("gradient")
def gradient_loss(task: Task, *, power: float = 1.0) -> Loss:
    """Mean of |Δ generated − Δ truth|^power over differences Δ between neighbouring points.

    Args:
        task: Network and records.
        power: Power of the error of a difference, at least 1.

    Raises:
        InputError: ``power`` is below 1.
    """
    if not power >= 1:
        raise InputError(f"content gradient: power={power:g} must be at least 1.")

    def gradient(truth: tf.Tensor, generated: tf.Tensor, weights: Any = None) -> tf.Tensor:
        error, weights = as_fields(generated - truth, weights)
        if weights is not None:
            weights = tf.broadcast_to(tf.cast(weights, error.dtype), tf.shape(error))
        parts = [
            mean(tf.abs(change) ** power, both)
            for change, both in first_differences(error, weights)
        ]
        return tf.add_n(parts) / len(parts)

    return gradient
