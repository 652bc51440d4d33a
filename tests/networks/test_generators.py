"""The SRGAN's networks: sizes, upsampling, padding, conservation, reach."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from phire.errors import InputError
from phire.fields.normalization import Normalization
from phire.networks.custom_layers import custom_layers
from phire.networks.discriminators import srgan_discriminator
from phire.networks.generators import build_generator, receptive_radius, srgan_generator
from phire.networks.layers import Conservation, PixelShuffle

RANDOM = np.random.default_rng(0)


def small(**options):
    return build_generator("srgan-small", 2, **{"filters": 8, "blocks": 1, **options})


def noise(*shape):
    return RANDOM.normal(size=shape).astype("f4")


def test_the_generator_has_the_papers_size():
    # 9×9 convolutions in and out, 16 blocks of two 3×3×64, one after them, two of 64 → 256.
    def conv(size, inputs, outputs):
        return size**2 * inputs * outputs + outputs

    expected = conv(9, 2, 64) + 33 * conv(3, 64, 64) + 2 * conv(3, 64, 256) + conv(9, 64, 2)
    assert build_generator("srgan", 2).count_params() == expected


def test_the_discriminator_has_the_papers_layers():
    network = srgan_discriminator((96, 96, 2))
    convolutions = [layer for layer in network.layers if isinstance(layer, keras.layers.Conv2D)]
    assert [c.filters for c in convolutions] == [32, 32, 64, 64, 128, 128, 256, 256]
    assert [c.strides[0] for c in convolutions] == [1, 2] * 4
    dense = [layer.units for layer in network.layers if isinstance(layer, keras.layers.Dense)]
    assert dense == [1024, 1]
    slopes = {x.negative_slope for x in network.layers if isinstance(x, keras.layers.LeakyReLU)}
    assert slopes == {0.2}


@pytest.mark.parametrize(("factors", "scale"), [((2, 2), 4), ((2, 5), 10), ((3,), 3), ((1, 2), 2)])
@pytest.mark.parametrize("upsampling", ["subpixel", "resize"])
def test_any_factors(factors, scale, upsampling, tmp_path):
    network = small(factors=factors, upsampling=upsampling)
    x = noise(2, 5, 7, 2)
    fine = network(x)
    assert fine.shape == (2, 5 * scale, 7 * scale, 2)
    network.save(tmp_path / "generator.keras")
    loaded = keras.saving.load_model(tmp_path / "generator.keras", custom_layers())
    np.testing.assert_array_equal(loaded(x), fine)


def test_the_pixel_shuffle_puts_channels_into_blocks():
    x = np.arange(1 * 2 * 3 * 8, dtype="f4").reshape(1, 2, 3, 8)
    shuffled = np.asarray(PixelShuffle(2)(x))
    for row in range(4):
        for column in range(6):
            place = 2 * (row % 2) + column % 2
            expected = x[0, row // 2, column // 2, 2 * place : 2 * place + 2]
            np.testing.assert_array_equal(shuffled[0, row, column], expected)


def test_sub_pixel_upsampling_begins_without_a_checkerboard():
    network = small(factors=(2,))
    shuffle = next(layer for layer in network.layers if isinstance(layer, PixelShuffle))
    part = keras.Model(network.inputs[0], shuffle.output)
    fine = np.asarray(part(noise(1, 6, 6, 2)))
    blocks = fine.reshape(1, 6, 2, 6, 2, -1)
    np.testing.assert_allclose(blocks, np.broadcast_to(blocks[:, :, :1, :, :1], blocks.shape))


def test_periodic_padding_knows_no_seam():
    network = small(periodic=True)
    x = noise(1, 8, 12, 2)
    rolled = network(np.roll(x, 5, axis=2))
    np.testing.assert_allclose(np.roll(network(x), 20, axis=2), rolled, atol=1e-6)


LOG1P = Normalization("log1p", ("a", "b"), (1e-7, 2.0), (3e-5, 4.0), (0.01, 0.0), (0.2, 0.15))


@pytest.mark.parametrize("normalization", [None, LOG1P])
def test_conservation_keeps_the_physical_block_means(normalization):
    network = small(conserve=True, normalization=normalization)
    x = noise(2, 5, 6, 2)
    fine = np.asarray(network(x), "f8")
    coarse = x.astype("f8")
    if normalization is not None:
        fine, coarse = normalization.invert(fine), normalization.invert(coarse)
    means = fine.reshape(2, 5, 4, 6, 4, 2).mean((2, 4))
    np.testing.assert_allclose(means, coarse, atol=1e-5 * coarse.std((0, 1, 2)).max(), rtol=1e-4)


def test_conservation_is_saved_with_its_normalization(tmp_path):
    network = small(conserve=True, normalization=LOG1P)
    network.save(tmp_path / "generator.keras")
    loaded = keras.saving.load_model(tmp_path / "generator.keras", custom_layers())
    x = noise(1, 4, 4, 2)
    np.testing.assert_array_equal(loaded(x), network(x))
    layer = next(layer for layer in loaded.layers if isinstance(layer, Conservation))
    assert layer.normalization == LOG1P


@pytest.mark.parametrize("options", [{}, {"upsampling": "resize"}, {"conserve": True}])
def test_the_receptive_radius_holds(options):
    network = small(**options)
    radius = receptive_radius(network)
    size = 2 * radius + 5
    x = noise(1, size, size, 2)
    changed = x.copy()
    changed[0, 0, 0] += 10
    difference = np.abs(network(changed) - network(x))[0].max(-1)
    touched = difference.reshape(size, 4, size, 4).max((1, 3)) > 0
    assert not touched[radius + 1 :].any()
    assert not touched[:, radius + 1 :].any()
    assert touched[radius - 1].any() or touched[radius - 2].any()  # and it is not far too wide


def test_impossible_arguments_are_named():
    with pytest.raises(InputError, match="upsampling 'bilinear' must be one of subpixel, resize"):
        srgan_generator(2, upsampling="bilinear")
    with pytest.raises(InputError, match="factors"):
        srgan_generator(2, factors=())
    with pytest.raises(InputError, match="'esrgan' is unknown"):
        build_generator("esrgan", 2)
