"""The vector-quantised autoencoder against diffusers' numbers."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from networks.fused_attention import assign_by_layers, name_in_diffusers_block
from networks.truth_weights import assert_output, formula_input, truth
from phire.errors import InputError
from phire.networks import Shapes
from phire.networks import network as networks
from phire.networks.custom_layers import custom_layers
from phire.networks.vqvae_autoencoder import Codebook, build_vqvae, straight_through

NAMES = {
    "conv_in": "first_convolution", "conv_norm_out": "last_norm", "conv_out": "last_convolution"
}  # fmt: skip


def test_default_has_the_parameters_of_deepr():
    parts = build_vqvae(1)
    layers = (parts.encoder, parts.codebook, parts.decoder)
    shapes = [weight.shape for one in layers for weight in one.trainable_weights]
    assert sum(int(np.prod(shape)) for shape in shapes) == 74_011


def test_forward_pass_is_that_of_diffusers():
    found = truth("deepr")["vqvae"]
    stated = next(v for k, v in found.items() if k.startswith("tiny"))
    encoder, codebook, decoder = build_vqvae(1, codes=16, code_width=4)

    def layer_of(module):
        whole = {
            "quant_conv": (encoder, "latent"), "post_quant_conv": (decoder, "from_codes"),
        }.get(module)  # fmt: skip
        if module == "quantize.embedding":
            return codebook
        if whole is None:
            side, _, rest = module.partition(".")
            name = NAMES.get(rest) or name_in_diffusers_block(rest, 3)
            whole = ({"encoder": encoder, "decoder": decoder}[side], name)
        return whole[0].get_layer(whole[1])

    layers = [*encoder.layers, codebook, *decoder.layers]
    assign_by_layers(stated["names"], layer_of, layers)
    latent = encoder(formula_input(1, 1, 8, 12))
    assert_output(latent, stated["latents"])
    np.testing.assert_array_equal(np.ravel(codebook.nearest(latent)), stated["indices"])
    codes = codebook(latent)
    loss = 1.25 * np.mean(np.square(codes - latent))
    np.testing.assert_allclose(loss, stated["loss"], rtol=1e-4)
    assert_output(decoder(straight_through(latent, codes)), stated["out"])


def test_gradients_are_those_of_the_paper():
    stated = truth("deepr")["vqvae"]["codebook unit square, z=(.2,.9),(.7,.4), beta .25"]
    codebook = Codebook(4, 2)
    codebook.build((None, 2))
    codebook.embeddings.assign([[0, 0], [1, 0], [0, 1], [1, 1]])
    latent = tf.Variable([[0.2, 0.9], [0.7, 0.4]])
    with tf.GradientTape() as tape:
        codes = codebook(latent)
        commitment = tf.reduce_mean(tf.square(tf.stop_gradient(codes) - latent))
        loss = tf.reduce_mean(tf.square(codes - tf.stop_gradient(latent))) + 0.25 * commitment
    np.testing.assert_array_equal(codebook.nearest(latent), stated["indices"])
    np.testing.assert_allclose(np.ravel(codes), stated["z_q"])
    gradients = tape.gradient(loss, [latent, codebook.embeddings.value])
    found = [np.asarray(tf.convert_to_tensor(gradient)) for gradient in gradients]
    expected = stated["gradients"]["paper"]
    np.testing.assert_allclose(found[0].T.ravel(), expected["dL/dz"], atol=1e-6)  # N×C×H×W there
    np.testing.assert_allclose(found[1].ravel(), expected["dL/dcodebook"], atol=1e-6)


def test_the_gradient_passes_through_the_codes():
    latent = tf.Variable([[0.2, 0.9]])
    with tf.GradientTape() as tape:
        rounded = straight_through(latent, tf.round(latent))
        loss = tf.reduce_sum(rounded**2)
    np.testing.assert_array_equal(rounded, [[0, 1]])
    np.testing.assert_array_equal(tape.gradient(loss, latent), [[0, 2]])


@pytest.mark.parametrize("part", ["encoder", "decoder"])
def test_saved_parts_compute_the_same_at_any_size(part, tmp_path):
    parts = build_vqvae(2, widths=(4, 8), groups=2, encoder_attention=(1,), code_width=3)
    model = getattr(parts, part)
    channels = 2 if part == "encoder" else 3
    field = np.random.default_rng(0).normal(size=(2, 5, 6, channels)).astype("f4")
    model.save(tmp_path / "part.keras")
    loaded = keras.saving.load_model(tmp_path / "part.keras", custom_layers(), compile=False)
    np.testing.assert_array_equal(loaded(field), model(field))
    assert model(field).shape == ((2, 3, 3, 3) if part == "encoder" else (2, 10, 12, 2))


SMALL = "vqvae,widths=[4,8],groups=2,encoder_attention=[],decoder_attention=[],codes=8,code_width=3"


def test_the_network_gives_back_fields_of_any_size_and_is_saved_whole(tmp_path):
    made = networks.build(SMALL, Shapes((3, 3, 1), (6, 6, 2), 2))
    field = np.random.default_rng(0).normal(size=(2, 7, 10, 2)).astype("f4")
    fine = made({"high": field})
    assert fine.shape == (2, 7, 10, 2) and made.output_names == ["fine"]
    encoder, codebook, decoder = (
        made.get_layer(name) for name in ("encoder", "codebook", "decoder")
    )
    np.testing.assert_allclose(fine, decoder(codebook(encoder(field)))[:, :7], atol=1e-6)
    made.save(tmp_path / "autoencoder.keras")
    loaded = keras.saving.load_model(tmp_path / "autoencoder.keras", custom_layers(), compile=False)
    np.testing.assert_array_equal(loaded({"high": field}), fine)


@pytest.mark.parametrize(
    ("options", "message"),
    [("codes=0", "codes=0 must be 1 or more"), ("widths=[3]", "must be multiples of groups=2")],
)
def test_impossible_options_are_named(options, message):
    with pytest.raises(InputError, match=message):
        networks.build(f"{SMALL},{options}", Shapes((3, 3, 1), (6, 6, 2), 2))
