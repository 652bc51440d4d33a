"""Keras layers with faster TensorFlow implementations, mostly for CPUs.

Each class replaces the Keras layer of the same kind and gives the same results to rounding; other
backends fall back to Keras. ``tests/networks/test_fast_cpu.py`` and ``test_encoders.py`` check
results and gradients against Keras's layers.

The gains stated below compare processor times on one AVX-512 core, each the shortest of 4 or 5 runs
that alternate with Keras's layer; a step is the loss and the gradient of a whole network.
"""

from __future__ import annotations

import functools
from typing import Any

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable(package="phire")
class BatchNormalization(keras.layers.BatchNormalization):
    """Batch normalization over the last axis, by TensorFlow's fused kernel if it applies.

    Keras computes mean, variance and result in separate passes over the batch; the fused kernel
    computes them in one pass, forward and backward. A step of AtmoDist's resnet-small with 8 fields
    of 32 × 32 points takes 8 % less time.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Normalises (B, H, W, C); see ``keras.layers.BatchNormalization``."""
        fused = (
            keras.backend.backend() == "tensorflow"
            and mask is None
            and len(inputs.shape) == 4
            and self.scale
            and self.center
        )
        if not fused:
            return super().call(inputs, training=training, mask=mask)
        import tensorflow as tf

        # The kernel keeps statistics in float32 whatever the type of the inputs.
        gamma, beta, mean, variance = (
            tf.cast(v.value, tf.float32)
            for v in (self.gamma, self.beta, self.moving_mean, self.moving_variance)
        )
        inputs = tf.cast(inputs, self.compute_dtype)
        if not (training and self.trainable):
            return tf.compat.v1.nn.fused_batch_norm(
                inputs, gamma, beta, mean, variance, epsilon=self.epsilon, is_training=False
            )[0]
        outputs, batch_mean, batch_variance = tf.compat.v1.nn.fused_batch_norm(
            inputs, gamma, beta, epsilon=self.epsilon, is_training=True
        )
        for moving, batch in (
            (self.moving_mean, batch_mean),
            (self.moving_variance, batch_variance),
        ):
            decayed = moving.value * self.momentum
            moving.assign(decayed + tf.cast(batch, moving.dtype) * (1 - self.momentum))
        return outputs


@keras.saving.register_keras_serializable(package="phire")
class LeakyReLU(keras.layers.LeakyReLU):
    """Leaky ReLU whose gradient is computed from its output, which has the sign of its input.

    TensorFlow then need not keep the input for the gradient, which saves the memory of one feature
    map for each activation. A step of SRGAN's networks takes 1 to 3 % less time.
    """

    def call(self, inputs: Any) -> Any:
        """Activates a tensor of any shape."""
        if keras.backend.backend() != "tensorflow":
            return super().call(inputs)
        import tensorflow as tf

        slope = float(self.negative_slope)

        @tf.custom_gradient
        def activate(x: Any) -> Any:
            y = tf.nn.leaky_relu(x, slope)
            return y, lambda dy: tf.raw_ops.LeakyReluGrad(gradients=dy, features=y, alpha=slope)

        return activate(inputs)


@keras.saving.register_keras_serializable(package="phire")
class SiLU(keras.layers.Layer):
    """SiLU, x·sigmoid(x), with a gradient in one compiled pass in half precision on CPUs.

    TensorFlow's gradient takes eight passes, and its sigmoid of bfloat16 is three times as slow as
    that of float32. A step of unet-small in bfloat16, with 8 fields of 64 × 64 points, takes 17 %
    less time; one in float32 would gain nothing.
    """

    def call(self, inputs: Any) -> Any:
        """Activates a tensor of any shape."""
        half = keras.backend.standardize_dtype(inputs.dtype) in ("bfloat16", "float16")
        if not (half and on_processor()):
            return ops.silu(inputs)
        import tensorflow as tf

        @tf.custom_gradient
        def activate(x: Any) -> Any:
            def gradient(dy: Any) -> Any:
                return tf.ensure_shape(_silu_gradient(x.dtype)(x, dy), x.shape)

            return tf.nn.silu(x), gradient

        return activate(inputs)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """Returns the shape of the input."""
        return input_shape


@functools.cache
def _silu_gradient(dtype: Any) -> Any:
    """Returns a compiled function (x, dy) → dy · d silu(x)/dx for one dtype."""
    import tensorflow as tf

    any_shape = tf.TensorSpec(None, dtype)

    @tf.function(input_signature=[any_shape, any_shape], jit_compile=True)
    def gradient(x: Any, dy: Any) -> Any:
        x, dy = (tf.cast(value, tf.float32) for value in (x, dy))
        sigmoid = 0.5 * tf.tanh(0.5 * x) + 0.5
        return tf.cast(dy * sigmoid * (1 + x * (1 - sigmoid)), dtype)

    return gradient


@keras.saving.register_keras_serializable(package="phire")
class ManyInputDense(keras.layers.Dense):
    """Dense layer, under the name that it has in discriminators saved by earlier versions."""


@keras.saving.register_keras_serializable(package="phire")
class FewFilterConvolution(keras.layers.Conv2D):
    """Convolution of stride 1 to few channels, such as a generator's last layer.

    CPU kernels process 8 or 16 output channels at once, so most of their work is wasted for few
    channels; on a single large image oneDNN even falls back to kernels that take 100 times as long.
    On TensorFlow without a GPU this layer therefore

    - converts blocks of pixels to channels, in its input and output, and rearranges the weights: a
      9×9 convolution of 64 to 2 channels becomes a 5×5 convolution of 256 to 8 channels on half the
      rows and columns;
    - computes the convolution as a transposed convolution with the mirrored kernel. The sum is the
      same, and oneDNN's kernels for it are fast at any size.

    Weights and results are those of ``keras.layers.Conv2D``. With fine fields of 64 × 64 points, a
    step of SRGAN's generator with two blocks takes 22 % less time, that of srgan-small 14 % less;
    with 128 × 128 points, a prediction with two blocks takes 34 % less.
    """

    def call(self, inputs: Any) -> Any:
        """Transforms (B, H, W, C) → (B, H, W, filters); padding ``valid`` crops the borders."""
        if not self.is_faster():
            return super().call(inputs)
        import tensorflow as tf

        block = self.block_side(inputs)
        x = inputs if block == 1 else _in_blocks(inputs, block)
        x = tf.cast(x, self.compute_dtype)
        kernel = self._arranged(tf.cast(self.kernel.value, self.compute_dtype), block)
        mirrored = tf.transpose(kernel[::-1, ::-1], (0, 1, 3, 2))
        shape = tf.concat([tf.shape(x)[:3], [block**2 * self.filters]], 0)
        x = tf.nn.conv2d_transpose(x, mirrored, shape, 1, "SAME")
        if block > 1:
            x = tf.nn.depth_to_space(x, block)
        x = tf.ensure_shape(x, (*inputs.shape[:3], self.filters))
        if self.padding == "valid":
            rows, columns = (slice(size // 2, -(size // 2)) for size in self.kernel_size)
            x = x[:, rows, columns]
        if self.use_bias:
            x = tf.nn.bias_add(x, tf.cast(self.bias.value, x.dtype))
        return self.activation(x)

    def is_faster(self) -> bool:
        """Returns True if this layer is faster than Keras's convolution for its options."""
        return (
            on_processor()
            and self.data_format == "channels_last"
            and self.padding in ("same", "valid")
            and self.filters <= 4
            and self.strides == (1, 1)
            and self.dilation_rate == (1, 1)
            and self.groups == 1
            and min(self.kernel_size) >= 5
            and all(size % 2 == 1 for size in self.kernel_size)
            and getattr(self, "lora_rank", None) is None
        )

    def block_side(self, inputs: Any) -> int:
        """Returns the side of the blocks: 4, 2 or 1, the largest that divides rows and columns."""
        height, width = inputs.shape[1:3]
        if height is None or width is None:
            return 1
        sizes = (4, 2) if self.filters == 1 else (2,)
        return next((n for n in sizes if height % n == 0 and width % n == 0), 1)

    def _arranged(self, kernel: Any, block: int) -> Any:
        """Rearranges a kernel (k, l, C, F) to act on blocks of n×n pixels: (K, L, n²·C, n²·F)."""
        if block == 1:
            return kernel
        import tensorflow as tf

        channels, filters = kernel.shape[2:]
        rows, columns = (_taps(size, block) for size in self.kernel_size)
        kernel = tf.einsum(
            "biat,djeu,tuco->bdijcaeo",
            *(tf.constant(taps, kernel.dtype) for taps in (rows, columns)),
            kernel,
        )
        return tf.reshape(
            kernel, (len(rows), len(columns), block**2 * channels, block**2 * filters)
        )


def on_processor() -> bool:
    """Returns True if the backend is TensorFlow and no GPU is visible."""
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return not tf.config.get_visible_devices("GPU")


def _in_blocks(x: Any, block: int) -> Any:
    """Converts blocks of n×n pixels to channels, (B, H, W, C) → (B, H/n, W/n, n²·C).

    If the graph has just converted such channels to pixels by a pixel shuffle, these channels are
    returned. That saves two passes over the generator's largest features, and two more for the
    gradient.
    """
    import tensorflow as tf

    shuffled = x
    while tf.is_symbolic_tensor(shuffled) and shuffled.op.type == "Cast":  # mixed precision
        shuffled = shuffled.op.inputs[0]
    if tf.is_symbolic_tensor(shuffled) and shuffled.op.type == "DepthToSpace":
        if shuffled.op.get_attr("block_size") == block:
            return tf.cast(shuffled.op.inputs[0], x.dtype)
    return tf.nn.space_to_depth(x, block)


def _taps(size: int, block: int) -> np.ndarray:
    """Returns 1 where a kernel's tap connects an input pixel to an output pixel of a block, else 0.

    Args:
        size: Number of taps of the kernel along this axis.
        block: Side n of the blocks.

    Returns:
        Array (input block, input pixel, output pixel, tap).
    """
    reach = size // 2
    blocks = -(-reach // block)
    at = block * (np.arange(2 * blocks + 1) - blocks)[:, None] + np.arange(block)
    between = at[..., None] - np.arange(block) + reach
    return (between[..., None] == np.arange(size)).astype("f4")
