"""The convolutional LSTM equals Keras's with the same weights."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from phire.networks.dl4ds.convolutional_lstm import ConvolutionalLSTM, keras2_hard_sigmoid


@pytest.mark.parametrize("gates", ["sigmoid", keras2_hard_sigmoid])
def test_outputs_of_keras(gates):
    keras.utils.set_random_seed(0)
    sequence = np.random.default_rng(0).normal(size=(2, 4, 6, 5, 3)).astype("f4")
    reference = keras.layers.ConvLSTM2D(
        4, 3, padding="same", return_sequences=True, recurrent_activation=gates
    )
    expected = reference(sequence)
    layer = ConvolutionalLSTM(4, 3, gates)
    layer.build(sequence.shape)
    np.testing.assert_array_equal(layer.get_weights()[2], reference.get_weights()[2])
    layer.set_weights(reference.get_weights())
    np.testing.assert_allclose(layer(sequence), expected, atol=1e-6)


def test_hard_sigmoid_of_keras_2():
    np.testing.assert_allclose(
        keras2_hard_sigmoid(np.array([-3, -2.5, 0, 1, 2.5, 3], "f4")), [0, 0, 0.5, 0.7, 1, 1]
    )
