"""Log-spectral error of generated patches, a validation score."""

from __future__ import annotations

import numpy as np
import tensorflow as tf


def batch_spectral_error(truth: tf.Tensor, generated: tf.Tensor, scale: int) -> tf.Tensor:
    """Computes the mean of |ln(E/E_truth)| over wavenumbers that the coarse grid does not resolve.

    E is the variance spectrum by the two-dimensional discrete cosine transform, averaged over the
    batch (Denis et al. 2002, doi:10.1175/1520-0493(2002)130<1812:SDOTDA>2.0.CO;2). All channels and
    wavenumbers have equal weight. The score is written in TensorFlow to run inside the validation
    step.

    Args:
        truth: Normalised true fields, (B, H, W, C).
        generated: Normalised generated fields, (B, H, W, C).
        scale: Ratio of the fine to the coarse resolution.

    Returns:
        A scalar.
    """
    height, width = truth.shape[1:3]
    wavenumber = np.hypot(np.arange(height)[:, None] / height, np.arange(width) / width)
    count = min(height, width)
    # Bins run up to the Nyquist wavenumber of an axis; the corners beyond it are left out.
    bins = np.floor(wavenumber * count).astype(np.int32)
    used = (bins >= max(1, count // scale)) & (bins < count)
    first = int(bins[used].min())

    def spectrum(fields: tf.Tensor) -> tf.Tensor:
        x = tf.transpose(tf.cast(fields, tf.float32), (0, 3, 1, 2))
        x = tf.signal.dct(x, norm="ortho")
        x = tf.transpose(tf.signal.dct(tf.transpose(x, (0, 1, 3, 2)), norm="ortho"), (0, 1, 3, 2))
        power = tf.reduce_mean(tf.square(x), axis=0)
        chosen = tf.boolean_mask(power, used, axis=1)
        return tf.math.segment_sum(
            tf.gather(tf.transpose(chosen), np.argsort(bins[used], kind="stable")),
            np.sort(bins[used]) - first,
        )

    tiny = 1e-12
    ratio = (spectrum(generated) + tiny) / (spectrum(truth) + tiny)
    return tf.reduce_mean(tf.abs(tf.math.log(ratio)))
