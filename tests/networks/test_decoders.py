"""Decoders: shapes that mirror the encoder's, and that they can learn what they are for."""

import keras
import numpy as np
import pytest

from phire.networks import encoder as encoders
from phire.networks.decoders import reconstruction_network, residual_decoder, spatial_mixing


def test_spatial_mixing_is_one_matrix_over_positions():
    inputs = keras.Input((2, 3, 4))
    model = keras.Model(inputs, spatial_mixing(inputs))
    rng = np.random.default_rng(0)
    matrix, shift = rng.standard_normal((6, 6)), rng.standard_normal(6)
    model.get_layer("spatial_mixing").set_weights([matrix, shift])
    x = rng.standard_normal((5, 2, 3, 4)).astype(np.float32)
    expected = np.einsum("npf,pq->nqf", x.reshape(5, 6, 4), matrix) + shift[None, :, None]
    np.testing.assert_allclose(
        np.asarray(model(x)).reshape(5, 6, 4), expected, rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize(
    ("features", "output"),
    [((2, 2, 8), (32, 32, 2)), ((5, 5, 8), (40, 40, 1)), ((3, 4, 8), (22, 30, 3))],
)
def test_decoder_reaches_any_size(features, output):
    decoder = residual_decoder(features, output, filters=(4, 8), blocks=(1, 1))
    assert decoder.output_shape == (None, *output)
    assert decoder.name == "decoder"


def test_a_call_without_training_is_inference():
    keras.utils.set_random_seed(0)
    decoder = residual_decoder((2, 2, 8), (11, 8, 1), filters=(4, 8), blocks=(1, 1))
    x = np.random.default_rng(0).standard_normal((4, 2, 2, 8)).astype(np.float32)
    np.testing.assert_array_equal(decoder(x), decoder(x, training=False))


def test_reconstruction_network_holds_encoder_and_decoder_and_learns(tmp_path):
    keras.utils.set_random_seed(0)
    options = {"filters": (4, 8), "blocks": (1, 1)}
    encoder = encoders.build("tiny", (16, 16, 1), options={"stem_filters": 4, **options})
    network = reconstruction_network(encoder, (16, 16, 1), name="autoencoder", **options)
    assert {"encoder", "decoder"} <= {layer.name for layer in network.layers}
    rows = np.linspace(-1, 1, 16)[None, :, None, None]
    x = (np.random.default_rng(0).standard_normal((16, 1, 1, 1)) * rows).astype(np.float32)
    x = np.broadcast_to(x, (16, 16, 16, 1)).copy()
    network.compile(keras.optimizers.Adam(3e-3), "mse")
    losses = network.fit(x, x, epochs=25, batch_size=8, verbose=0).history["loss"]
    assert losses[-1] < 0.3 * losses[0]
    network.save(tmp_path / "network.keras")
    loaded = keras.models.load_model(tmp_path / "network.keras")
    np.testing.assert_allclose(
        loaded.predict(x, verbose=0), network.predict(x, verbose=0), atol=1e-5
    )
