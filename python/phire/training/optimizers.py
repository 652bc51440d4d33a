"""Optimizers: Adam by TensorFlow's kernel, which is faster than Keras's own; weight decay."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras
import tensorflow as tf

from phire.errors import InputError


def set_weight_decay(optimizers: Iterable[keras.optimizers.Optimizer], decay: float | None) -> None:
    """Sets decoupled weight decay: each step shrinks weights by ``decay`` times the learning rate.

    AdamW of Loshchilov & Hutter (2019, arXiv:1711.05101). :class:`Adam` decays no biases and other
    vectors.

    Args:
        optimizers: Each decays its own variables.
        decay: Share of a weight per unit of learning rate; None changes nothing.

    Raises:
        InputError: ``decay`` is not positive.
    """
    if decay is None:
        return
    if not decay > 0:
        raise InputError(f"--weight-decay {decay} must be positive.")
    for optimizer in optimizers:
        inner = getattr(optimizer, "inner_optimizer", optimizer)  # of one that scales the loss
        inner.weight_decay = decay


class Adam(keras.optimizers.Adam):
    """Adam (Kingma & Ba 2015, arXiv:1412.6980) by TensorFlow's one kernel a variable.

    Keras's own is a dozen operations a variable, each a pass over its memory and, on a GPU, a
    launch. Arguments, state and result, to rounding, are those of ``keras.optimizers.Adam``.
    """

    def _use_weight_decay(self, variable: Any) -> bool:
        """Decays matrices and kernels alone: biases and scales of normalisation keep their size."""
        return len(variable.shape) > 1

    def update_step(self, gradient: Any, variable: tf.Variable, learning_rate: Any) -> None:
        """Updates one variable by its dense gradient."""
        if self.amsgrad or isinstance(gradient, tf.IndexedSlices):
            super().update_step(gradient, variable, learning_rate)
            return
        index = self._get_variable_index(variable)
        first, second = (of[index].value for of in (self._momentums, self._velocities))
        rate, beta_1, beta_2, epsilon, step = (
            tf.cast(x, variable.dtype)
            for x in (
                learning_rate, self.beta_1, self.beta_2, self.epsilon, self.iterations.value + 1,
            )
        )  # fmt: skip
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=first.handle,
            v=second.handle,
            beta1_power=beta_1**step,
            beta2_power=beta_2**step,
            lr=rate,
            beta1=beta_1,
            beta2=beta_2,
            epsilon=epsilon,
            grad=tf.cast(gradient, variable.dtype),
        )
