"""The SRGAN's networks: sizes, upsampling, padding, further inputs."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from phire.errors import InputError
from phire.networks import Shapes, build, discriminator
from phire.networks.custom_layers import custom_layers
from phire.networks.pixel_shuffle import PixelShuffle

RANDOM = np.random.default_rng(0)
FREE = (None, None, 2)


def small(scale=4, **options):
    return build("srgan-small", FREE, FREE, scale=scale, **{"filters": 8, "blocks": 1, **options})


def noise(*shape):
    return RANDOM.normal(size=shape).astype("f4")


def test_the_generator_has_the_papers_size():
    # 9×9 convolutions in and out, 16 blocks of two 3×3×64, one after them, two of 64 → 256.
    def conv(size, inputs, outputs):
        return size**2 * inputs * outputs + outputs

    expected = conv(9, 2, 64) + 33 * conv(3, 64, 64) + 2 * conv(3, 64, 256) + conv(9, 64, 2)
    assert build("srgan", FREE, FREE, scale=4).count_params() == expected


def test_the_discriminator_has_the_papers_layers():
    network = discriminator.build("srgan", Shapes((24, 24, 2), (96, 96, 2), 4), False)
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
    network = small(scale, factors=factors, upsampling=upsampling)
    x = noise(2, 5, 7, 2)
    fine = network({"low": x})
    assert fine.shape == (2, 5 * scale, 7 * scale, 2)
    network.save(tmp_path / "generator.keras")
    loaded = keras.saving.load_model(tmp_path / "generator.keras", custom_layers())
    np.testing.assert_array_equal(loaded({"low": x}), fine)


def test_the_pixel_shuffle_puts_channels_into_blocks():
    x = np.arange(1 * 2 * 3 * 8, dtype="f4").reshape(1, 2, 3, 8)
    shuffled = np.asarray(PixelShuffle(2)(x))
    for row in range(4):
        for column in range(6):
            place = 2 * (row % 2) + column % 2
            expected = x[0, row // 2, column // 2, 2 * place : 2 * place + 2]
            np.testing.assert_array_equal(shuffled[0, row, column], expected)


def test_sub_pixel_upsampling_begins_without_a_checkerboard():
    network = small(2)
    shuffle = next(layer for layer in network.layers if isinstance(layer, PixelShuffle))
    part = keras.Model(network.input["low"], shuffle.output)
    fine = np.asarray(part(noise(1, 6, 6, 2)))
    blocks = fine.reshape(1, 6, 2, 6, 2, -1)
    np.testing.assert_allclose(blocks, np.broadcast_to(blocks[:, :, :1, :, :1], blocks.shape))


def test_periodic_padding_knows_no_seam():
    network = small(periodic=True)
    x = noise(1, 8, 12, 2)
    rolled = network({"low": np.roll(x, 5, axis=2)})
    np.testing.assert_allclose(np.roll(network({"low": x}), 20, axis=2), rolled, atol=1e-6)


def test_the_default_factors_are_the_primes_of_the_scale():
    shuffles = [layer.factor for layer in small(20).layers if isinstance(layer, PixelShuffle)]
    assert shuffles == [2, 2, 5]


EVERYTHING = {
    "low": (8, 9, 3), "static": (12, 15, 2), "auxiliary": (12, 15, 1), "time": (2,),
    "noise": (12, 15, 2),
}  # fmt: skip


def with_everything(**options):
    return build(
        "srgan-small", (8, 9, 3), (12, 15, 1), scale=3, static=2, auxiliary=1, time=2, margin=2,
        filters=4, blocks=1, noise=2, **options,
    )  # fmt: skip


def test_further_inputs_join_the_network():
    network = with_everything()
    assert set(network.input) == set(EVERYTHING)
    arrays = {name: noise(2, *shape) for name, shape in EVERYTHING.items()}
    fine = np.asarray(network(arrays))
    assert fine.shape == (2, 12, 15, 1)
    for name in ("low", "static", "auxiliary", "noise"):
        other = {**arrays, name: noise(2, *EVERYTHING[name])}
        assert np.abs(network(other) - fine).max() > 1e-3, name


def test_time_begins_without_an_effect_and_then_scales_and_shifts():
    network = with_everything()
    arrays = {name: noise(2, *shape) for name, shape in EVERYTHING.items()}
    other = {**arrays, "time": noise(2, 2)}
    np.testing.assert_array_equal(network(other), network(arrays))
    for layer in network.layers:
        if layer.name.endswith("scale_shift"):
            layer.kernel.assign(noise(*layer.kernel.shape))
    assert np.abs(network(other) - network(arrays)).max() > 1e-3


def test_a_margin_is_context():
    """The fine field of the inner points alone differs at its edge, not within."""
    options = {"scale": 2, "filters": 4, "blocks": 0, "kernel": 3}
    with_margin = build("srgan", (20, 20, 1), (32, 32, 1), margin=2, **options)
    without = build("srgan", (16, 16, 1), (32, 32, 1), **options)
    without.set_weights(with_margin.get_weights())
    x = noise(1, 20, 20, 1)
    difference = np.asarray(with_margin({"low": x}) - without({"low": x[:, 2:-2, 2:-2]}))[0, ..., 0]
    assert np.abs(difference[8:-8, 8:-8]).max() < 1e-6
    assert np.abs(difference[0]).max() > 1e-3


def test_the_discriminator_may_be_told_what_is_valid():
    made = discriminator.build("srgan-small", Shapes((4, 4, 1), (8, 8, 2), 2), True)
    assert {name: x.shape[1:] for name, x in made.input.items()} == {
        "fine": (8, 8, 2), "valid": (8, 8, 2),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"upsampling": "bilinear"}, "upsampling 'bilinear' must be one of subpixel, resize"),
        ({"factors": ()}, "factors"),
        ({"factors": (2, 3)}, r"factors \[2, 3\] must be whole numbers whose product is .* 4"),
        ({"kernel": 4}, "must be an odd number"),
        ({"dropout": 0.1, "dropout_kind": "droop"}, "dropout_kind 'droop' is unknown"),
        ({"noise": -1}, "noise -1"),
        ({"attention": True}, "network srgan-small has no option 'attention': it has filters=32"),
        ({"periodic": True, "margin": 1}, "without a margin"),
        ({"window": 3}, "window of 3 steps"),
    ],
)
def test_impossible_options_are_named(options, said):
    with pytest.raises(InputError, match=said):
        small(**options)


def test_unknown_names_list_the_known_ones():
    with pytest.raises(InputError, match=r"'esrgan' is unknown: .*srgan, srgan-small"):
        build("esrgan", FREE, FREE, scale=4)
    with pytest.raises(InputError, match="patches of fixed size"):
        discriminator.build("srgan", Shapes(FREE, FREE, 4), False)
