"""Convolutional LSTM over the frames of a window, for fields of any size.

``keras.layers.ConvLSTM2D`` needs a fixed size. ``tests/networks/dl4ds/test_convolutional_lstm.py``
checks this layer against it.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from phire.networks.blocks.partial_convolution import partial_convolution


@keras.saving.register_keras_serializable(package="phire")
def keras2_hard_sigmoid(x: Any) -> Any:
    """Computes Keras 2's ``hard_sigmoid``, 0.2·x + 0.5 clipped to [0, 1]; Keras 3 has x/6 + 0.5."""
    return ops.clip(0.2 * x + 0.5, 0.0, 1.0)


@keras.saving.register_keras_serializable(package="phire")
class ConvolutionalLSTM(keras.layers.Layer):
    """Convolutional LSTM (Shi et al. 2015, arXiv:1506.04214) for fields of any size.

    It replaces ``keras.layers.ConvLSTM2D``, which needs a fixed size and convolves frames and gates
    one by one; this layer convolves the inputs of all frames and gates at once. Results, initial
    values and the order of weights are those of ``ConvLSTM2D`` with ``return_sequences=True`` and
    ``padding="same"``, against which the tests check it.

    Args:
        filters: Channels of the state.
        kernel_size: Size of the convolutions of inputs and states.
        recurrent_activation: Activation of the gates, by its name in Keras or as a registered
            function.
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
        """Returns the initial bias: ones for the forget gate (``unit_forget_bias``), else zeros."""
        gates = [ops.full((self.filters,), float(gate == 1), dtype) for gate in range(4)]
        return ops.concatenate(gates)

    def call(self, inputs: Any, valid: Any = None) -> Any:
        """Returns the state after each frame, (B, T, H, W, filters).

        Args:
            inputs: Frames, (B, T, H, W, C).
            valid: Mask of the first C' channels, (B, T, H, W, C'), whose missing values are
                excluded (:func:`phire.networks.blocks.partial_convolution.partial_convolution`);
                None if no value is missing.
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
            # Order of the gates as in Keras.
            input_gate, forget_gate, candidate, output_gate = ops.split(total, 4, axis=-1)
            update = self.recurrent_activation(input_gate) * ops.tanh(candidate)
            if cell is None:  # the initial cell state is zero
                cell = update
            else:
                cell = self.recurrent_activation(forget_gate) * cell + update
            states.append(self.recurrent_activation(output_gate) * ops.tanh(cell))
        return ops.stack(states, axis=1)

    def compute_output_shape(self, inputs_shape: tuple, valid_shape: tuple | None = None) -> tuple:
        return (*inputs_shape[:-1], self.filters)

    def get_config(self) -> dict[str, Any]:
        """Returns the layer's arguments, for saving."""
        activation = keras.activations.serialize(self.recurrent_activation)
        return {
            **super().get_config(), "filters": self.filters, "kernel_size": self.kernel_size,
            "recurrent_activation": activation,
        }  # fmt: skip
