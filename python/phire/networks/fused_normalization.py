"""Group normalization on TensorFlow's CPUs, whose gradient is one compiled pass over the field.

``tests/networks/blocks/test_field_norm.py`` checks results and gradients.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

Combine = Callable[..., tuple[Any, Any]]


def normalize(x: Any, combine: Combine, *arguments: Any) -> Any:
    """Returns x · factor + offset, where both depend on the moments of x over the field.

    TensorFlow's own gradient broadcasts those of the moments to the size of the field and adds them
    in several passes, which take longer than all else in the layer. Here the moments' gradients
    are factors of x, per sample and channel.

    Args:
        x: Features, (B, H, W, C).
        combine: Function of the means of x and x², both (B, C), and of ``arguments``; returns
            factor and offset, (B, C), all in float32.
        arguments: Tensors on which factor and offset depend.

    Returns:
        (B, H, W, C) in the dtype of x.
    """
    import tensorflow as tf

    @tf.custom_gradient
    def normalized(x: Any, *arguments: Any) -> Any:
        moments = _moments(x)
        factor, offset = combine(*moments, *arguments)

        def gradient(dy: Any) -> Any:
            sums = [
                _sum(tf.cast(dy, tf.float32) * tf.cast(x, tf.float32)),
                _sum(tf.cast(dy, tf.float32)),
            ]
            inner = [*moments, *arguments]
            with tf.GradientTape() as tape:
                tape.watch(inner)
                made = combine(*inner)
            mean, square, *further = tape.gradient(made, inner, sums)
            points = tf.cast(tf.shape(x)[1] * tf.shape(x)[2], tf.float32)
            dx = _compiled(x.dtype)(dy, x, factor, 2 * square / points, mean / points)
            return (tf.ensure_shape(dx, x.shape), *further)

        y = _forward(x.dtype)(
            x, *(tf.broadcast_to(v, tf.shape(moments[0])) for v in (factor, offset))
        )
        return tf.ensure_shape(y, x.shape), gradient

    return normalized(x, *arguments)


def _moments(x: Any) -> tuple[Any, Any]:
    """Returns the means of x and x² over the field, (B, C) float32."""
    import tensorflow as tf

    x = tf.cast(x, tf.float32)
    return tf.reduce_mean(x, (1, 2)), tf.reduce_mean(tf.square(x), (1, 2))


def _sum(x: Any) -> Any:
    """Returns sums over the field, (B, C)."""
    import tensorflow as tf

    return tf.reduce_sum(x, (1, 2))


@functools.cache
def _compiled(dtype: Any) -> Any:
    """Returns a compiled function (dy, x, a, b, c) → dy·a + x·b + c for one dtype."""
    import tensorflow as tf

    fields, factors = tf.TensorSpec((None,) * 4, dtype), tf.TensorSpec((None, None), tf.float32)

    @tf.function(input_signature=[fields] * 2 + [factors] * 3, jit_compile=True)
    def combined(dy: Any, x: Any, a: Any, b: Any, c: Any) -> Any:
        dy, x = (tf.cast(value, tf.float32) for value in (dy, x))
        a, b, c = (value[:, None, None] for value in (a, b, c))
        return tf.cast(dy * a + x * b + c, dtype)

    return combined


@functools.cache
def _forward(dtype: Any) -> Any:
    import tensorflow as tf

    fields, factors = tf.TensorSpec((None,) * 4, dtype), tf.TensorSpec((None, None), tf.float32)

    @tf.function(input_signature=[fields] + [factors] * 2, jit_compile=True)
    def combined(x: Any, a: Any, b: Any) -> Any:
        a, b = (value[:, None, None] for value in (a, b))
        return tf.cast(tf.cast(x, tf.float32) * a + b, dtype)

    return combined
