"""The error of a generator's spectrum on patches, for validation while it trains."""

from __future__ import annotations

import numpy as np
import tensorflow as tf


def log_spectral_error(truth: tf.Tensor, generated: tf.Tensor, scale: int) -> tf.Tensor:
    """Mean |ln(E/E_truth)| beyond the coarse grid's cutoff, of a batch of patches.

    E is the variance by wavenumber of the two-dimensional cosine transform (Denis et al. 2002,
    doi:10.1175/1520-0493(2002)130<1812:SDOTDA>2.0.CO;2), averaged over the batch and the channels
    of equal weight.

    Args:
        truth: (B, H, W, C) normalised.
        generated: (B, H, W, C) normalised.
        scale: Ratio of the resolutions.

    Returns:
        A scalar.
    """
    height, width = truth.shape[1:3]
    wavenumber = np.hypot(np.arange(height)[:, None] / height, np.arange(width) / width)
    count = min(height, width)
    # Normalised by Nyquist along an axis; the corners beyond it are left out.
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
