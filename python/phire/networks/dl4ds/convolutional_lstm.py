"""Convolutional LSTM over the frames of a window, for fields of any size."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from phire.networks.blocks.partial_convolution import partial_convolution


@keras.saving.register_keras_serializable(package="phire")
def keras2_hard_sigmoid(x: Any) -> Any:
    """Returns 0.2·x + 0.5, cut to 0 … 1: ``hard_sigmoid`` of Keras 2; Keras 3's is x/6 + 0.5."""
    return ops.clip(0.2 * x + 0.5, 0.0, 1.0)


@keras.saving.register_keras_serializable(package="phire")
class ConvolutionalLSTM(keras.layers.Layer):
    """LSTM whose products with weights are convolutions (Shi et al. 2015, arXiv:1506.04214).

    The sums, initial values and order of weights of ``keras.layers.ConvLSTM2D`` with
    ``return_sequences`` and padding ``same``, against which it is tested. Keras's demands a fixed
    size, and convolves the frames one after another, gate by gate; here one convolution serves the
    inputs of all frames and gates.

    Args:
        filters: Channels of the state.
        kernel_size: Size of the convolutions of inputs and states.
        recurrent_activation: Activation of the gates: a name in Keras, or a registered function.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int,
        recurrent_activation: Any = "sigmoid",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel_size = kernel_size
        self.recurrent_activation = keras.activations.get(recurrent_activation)

    def build(self, inputs_shape: tuple, valid_shape: tuple | None = None) -> None:
        size = (self.kernel_size, self.kernel_size)
        outputs = 4 * self.filters
        self.kernel = self.add_weight(
            (*size, inputs_shape[-1], outputs), "glorot_uniform", name="kernel"
        )
        self.recurrent_kernel = self.add_weight(
            (*size, self.filters, outputs), "orthogonal", name="recurrent_kernel"
        )
        self.bias = self.add_weight((outputs,), self._first_bias, name="bias")

    def _first_bias(self, shape: tuple[int, ...], dtype: Any = None) -> Any:
        """Returns zeros, and ones for the forget gate, which begins open (unit_forget_bias)."""
        gates = [ops.full((self.filters,), float(gate == 1), dtype) for gate in range(4)]
        return ops.concatenate(gates)

    def call(self, inputs: Any, valid: Any = None) -> Any:
        """Returns each frame's state, (B, T, H, W, filters).

        Args:
            inputs: (B, T, H, W, C).
            valid: (B, T, H, W, C') validity of the first C' channels, whose missing values do not
                enter (:func:`phire.networks.blocks.partial_convolution.partial_convolution`).
        """
        steps, channels = inputs.shape[1], inputs.shape[-1]
        _, _, height, width, _ = ops.shape(inputs)
        frames = ops.reshape(inputs, (-1, height, width, channels))
        if valid is None:
            given = ops.conv(frames, self.kernel, padding="same") + self.bias
        else:
            valid = ops.reshape(valid, (-1, height, width, valid.shape[-1]))
            given = partial_convolution(frames, valid, self.kernel) + self.bias
        given = ops.reshape(given, (-1, steps, height, width, 4 * self.filters))
        cell, states = None, []
        for step in range(steps):
            total = given[:, step]
            if states:
                total = total + ops.conv(states[-1], self.recurrent_kernel, padding="same")
            entry, forget, candidate, exit_ = ops.split(total, 4, axis=-1)
            update = self.recurrent_activation(entry) * ops.tanh(candidate)
            cell = update if cell is None else self.recurrent_activation(forget) * cell + update
            states.append(self.recurrent_activation(exit_) * ops.tanh(cell))
        return ops.stack(states, axis=1)

    def compute_output_shape(self, inputs_shape: tuple, valid_shape: tuple | None = None) -> tuple:
        return (*inputs_shape[:-1], self.filters)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments."""
        activation = keras.activations.serialize(self.recurrent_activation)
        return {
            **super().get_config(), "filters": self.filters, "kernel_size": self.kernel_size,
            "recurrent_activation": activation,
        }  # fmt: skip
