"""U-Nets by name: parameters of the published ones, inputs, sizes, halo, saving, JAX."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest
import tensorflow as tf

import phire.networks
from phire.errors import InputError
from phire.fields.covariates import covariates
from phire.networks.blocks.fine_output import fine_layer_of
from phire.networks.custom_layers import custom_layers

TINY = {"widths": [4, 8], "blocks": 1, "groups": 2, "zero_init": False}
EVERYTHING = {
    **TINY, "denoiser": True, "noise": 1, "attention": [1], "heads": 2, "time_embedding": "class",
    "cascade": 3, "place": "sinusoidal", "context": True, "dropout": 0.1,
}  # fmt: skip
SAMPLE = {
    "low": (9, 8, 2), "high": (15, 12, 1), "static": 1, "auxiliary": 1, "time": 4, "margin": 2,
    "domain": (30, 40), "context_size": (4, 6),
}  # fmt: skip
"""×3, with a margin, at sizes that two levels do not divide."""


def built(name, channels=1, side=16, targets=1, **options):
    size = side, side
    return phire.networks.build(name, (*size, channels), (*size, targets), **options)


def sample(model, batch=2, seed=0, sizes=(15, 12)):
    """Random inputs; sizes that the network leaves free are those given, of low less the margin."""
    random = np.random.default_rng(seed)
    arrays = {}
    for tensor in model.inputs:
        shape = [batch, *tensor.shape[1:]]
        shape[1:3] = [n if n is not None else size for n, size in zip(shape[1:3], sizes)]
        if tensor.name == "position":
            values = random.integers(0, 24, shape).astype("i4")
        elif tensor.name == "noise_level":
            values = random.uniform(0.1, 5, shape).astype("f4")
        else:
            values = random.normal(size=shape).astype("f4")
        arrays[tensor.name] = tf.constant(values)
    return arrays


def trainable(model):
    return sum(int(np.prod(v.shape)) for v in model.trainable_variables)


UNET2D = [
    ({}, 4_023_521),
    ({"time": 2, "time_embedding": "class"}, 4_026_593),
    ({"time": 2, "time_embedding": "positional"}, 4_023_521),
    ({"time": 2, "time_embedding": "timestep"}, 4_044_257),
    ({"noise_embedding": "fourier"}, 4_027_617),
    ({"scale_shift": True, "attention_norm": "levels"}, 4_200_769),
    ({"downsampling": ["conv", "resnet"], "upsampling": "resnet"}, 4_279_009),
    ({"middle_attention": False}, 3_957_217),
    ({"widths": [16, 24, 32], "groups": 4, "time": 2, "time_embedding": "class"}, 358_985),
]
BLOCKS = {"widths": [32, 64], "groups": 8, "blocks": 1, "attention": []}
KINDS = [
    ({}, 651_329),
    ({"downsampling": "resnet", "upsampling": "resnet"}, 710_273),
    ({"attention": [0, 1]}, 714_497),
]


@pytest.mark.parametrize("options, parameters", UNET2D + [({**BLOCKS, **o}, n) for o, n in KINDS])
def test_unet2d_has_the_parameters_of_diffusers(options, parameters):
    assert trainable(built("unet2d", **options)) == parameters


@pytest.mark.slow
def test_published_large_networks_have_their_parameters():
    readme = {"widths": [112, 224, 336, 448], "groups": 4, "attention": [1, 2, 3]}
    assert trainable(built("unet2d", **readme)) == 68_559_905
    assert trainable(built("unet2d", **readme, time=2, time_embedding="class")) == 68_570_657
    assert trainable(built("unet-deepr")) == 10_577_345
    assert trainable(built("unet-deepr", widths=[32, 64, 128, 256])) == 13_658_753
    assert trainable(built("unet2d-condition")) == 4_705_601
    assert trainable(built("unet2d-condition", time=4)) == 4_705_601
    assert trainable(built("unet2d-condition", widths=[128, 256, 512])) == 71_243_009


@pytest.mark.slow
@pytest.mark.parametrize(
    "options, parameters",
    [
        ({}, 60_791_169),
        ({"targets": 2}, 60_793_474),
        ({"cascade": 32}, 61_184_961),
        ({"noise_embedding": "positional"}, 60_725_633),
        ({"side": 128, "attention_sides": [16]}, 63_164_289),
        ({"denoiser": False}, 51_596_801),
    ],
)
def test_unet_adm_has_the_parameters_of_the_reference(options, parameters):
    model = built("unet-adm", 14, **options)
    assert trainable(model) == parameters
    frozen = sum(
        int(np.prod(v.shape)) for v in model.non_trainable_variables if "seed" not in v.path
    )
    fourier = options.get("denoiser", True) and "noise_embedding" not in options
    assert frozen == (128 if fourier else 0)


@pytest.mark.slow
def test_songunet_has_the_parameters_of_the_reference():
    # EDM's 55,733,891 less 9 augmentation labels (9·128), with 3 coarse channels more (9·3·128).
    assert trainable(built("songunet", 3, targets=3)) == 55_733_891 - 1_152 + 3_456
    one = built("songunet", 14, widths=[128, 256, 256, 256], attention=[3])
    assert trainable(one) == 61_815_937
    # CorrDiff's regression: 20 channels in, targets and place among them, 4 out.
    corrdiff = built("songunet", 16, targets=4, widths=[128, *[256] * 4], attention=[4])
    assert trainable(corrdiff) == 80_002_692


def test_unet_small_is_small():
    assert trainable(built("unet-small")) == 901_281
    assert trainable(built("unet-small", denoiser=True)) == 1_050_241


@pytest.fixture(scope="module")
def everything():
    keras.utils.set_random_seed(0)
    return phire.networks.build("unet", **SAMPLE, **EVERYTHING)


def test_all_inputs_count_and_all_weights_learn(everything):
    inputs = sample(everything)
    assert set(inputs) == {
        "low", "static", "auxiliary", "time", "position", "noisy", "noise_level", "noise",
        "context",
    }  # fmt: skip
    fine = everything(inputs, training=False)
    assert fine.shape == (2, 15, 12, 1) and fine_layer_of(everything).halo is None
    others = sample(everything, seed=1)
    for name in inputs:
        assert (
            np.abs(everything({**inputs, name: others[name]}, training=False) - fine).max() > 1e-4
        )
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(everything(inputs, training=True)))
    weights = everything.trainable_variables
    for weight, gradient in zip(weights, tape.gradient(loss, [w.value for w in weights])):
        gradient = tf.convert_to_tensor(gradient)
        assert np.isfinite(gradient).all() and np.any(gradient), weight.path


def test_a_batch_of_one_is_a_row_of_a_batch(everything):
    inputs = sample(everything)
    one = everything({name: value[1:] for name, value in inputs.items()}, training=False)
    np.testing.assert_allclose(one, everything(inputs, training=False)[1:], atol=1e-5)


def test_saving_keeps_everything(everything, tmp_path):
    everything.save(tmp_path / "unet.keras")
    loaded = keras.saving.load_model(tmp_path / "unet.keras", custom_layers(), compile=False)
    inputs = sample(everything)
    np.testing.assert_array_equal(
        loaded(inputs, training=False), everything(inputs, training=False)
    )


CROSS = {**TINY, "token_width": 8, "attention": [0], "place": "learned", "up_widths": "next",
         "upsampling": "transposed", "downsampling": "average"}  # fmt: skip
UNDER_JAX = textwrap.dedent(
    """
    import sys
    import keras
    import numpy as np
    from phire.networks.custom_layers import custom_layers

    assert keras.backend.backend() == "jax"
    folder = sys.argv[1]
    for name in ("everything", "cross"):
        network = keras.saving.load_model(f"{folder}/{name}.keras", custom_layers(), compile=False)
        fine = network(dict(np.load(f"{folder}/{name}.npz")), training=False)
        np.save(f"{folder}/{name}.npy", np.asarray(fine))
    """
)


def test_outputs_under_jax_are_those_under_tensorflow(everything, tmp_path):
    cross = phire.networks.build("unet", **SAMPLE, **CROSS)
    for name, model in (("everything", everything), ("cross", cross)):
        model.save(tmp_path / f"{name}.keras")
        np.savez(tmp_path / f"{name}.npz", **{k: np.asarray(v) for k, v in sample(model).items()})
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    ended = subprocess.run(
        [sys.executable, "-c", UNDER_JAX, str(tmp_path)],
        env=environment, capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    for name, model in (("everything", everything), ("cross", cross)):
        here = np.asarray(model(sample(model), training=False))
        assert np.std(here) > 1e-2
        np.testing.assert_allclose(np.load(tmp_path / f"{name}.npy"), here, atol=2e-5)


def test_any_size_gives_what_a_known_size_gives():
    options = {**TINY, "widths": [4, 8, 8], "attention": [2]}
    keras.utils.set_random_seed(0)
    known = phire.networks.build("unet", (7, 5, 2), (14, 10, 1), **options)
    free = phire.networks.build("unet", (None, None, 2), (None, None, 1), scale=2, **options)
    free.set_weights(known.get_weights())
    inputs = sample(known)
    computed = tf.function(lambda x: free(x, training=False))(inputs)
    np.testing.assert_allclose(computed, known(inputs, training=False), atol=1e-5)


@pytest.mark.parametrize("kind", ["class", "positional", "timestep", "cyclical"])
def test_every_day_and_hour_can_be_embedded(kind):
    model = built("unet", time=4, time_embedding=kind, **TINY)
    inputs = sample(model, batch=1)
    seconds = [0, 365 * 86400 + 23 * 3600, 365 * 86400 + 12 * 3600]  # of 1972, a leap year
    times = covariates(63072000 + np.array(seconds), "standard", ("hour", "day"))
    fields = [
        np.asarray(model({**inputs, "time": tf.constant(time[None])}, training=False))
        for time in times
    ]
    assert np.isfinite(fields).all()
    assert min(np.abs(fields[i] - fields[j]).max() for i, j in ((0, 1), (1, 2), (0, 2))) > 1e-4


DROPPED = [({"time_embedding": kind}) for kind in ("class", "positional", "timestep", "cyclical")]


@pytest.mark.parametrize("options", [*DROPPED, {"token_width": 8, "attention": [0]}])
def test_dropped_covariates_are_not_hour_and_day_zero(options):
    model = built("unet", time=4, **TINY, **options)
    inputs = sample(model, batch=1)
    zero = covariates(np.zeros(1, int), "standard", ("hour", "day"))
    fields = [
        model({**inputs, "time": tf.constant(time)}, training=False)
        for time in (zero, np.zeros((1, 4), "f4"))
    ]
    assert np.isfinite(fields[1]).all()
    assert np.abs(fields[0] - fields[1]).max() > 1e-4


@pytest.mark.parametrize("name", ["time_0_embedding_or_zero", "time_1_embedding_or_zero"])
@pytest.mark.parametrize("kind", ["class", "positional", "timestep"])
def test_the_embedding_of_a_dropped_covariate_is_zero(kind, name):
    model = built("unet", time=4, **TINY, time_embedding=kind)
    embedding = keras.Model(model.input, model.get_layer(name).output)
    inputs = sample(model)
    time = np.stack([covariates(np.zeros(1, int), "standard", ("hour", "day"))[0], np.zeros(4)])
    found = np.asarray(embedding({**inputs, "time": tf.constant(time, "float32")}))
    assert np.abs(found[0]).max() > 1e-3
    np.testing.assert_array_equal(found[1], 0)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"time_embedding": "class"}, "needs time covariates"),
        ({"time": 2, "time_embedding": "table"}, "must be one of class"),
        ({"time": 6}, "one number for each of the 3 time covariates"),
        ({"time": 3}, "time=3 must be an even number"),
        ({"place": "learned"}, "needs the domain"),
        ({"context": True}, "needs the whole coarse field"),
        ({"attention": [2]}, "levels from 0 to 1"),
        ({"attention_sides": [5]}, "attention_sides 5 is not the number"),
        ({"upsampling": "bicubic"}, "must be one of nearest"),
        ({"downsampling": ["conv", "conv"]}, "one choice for each of 1 resamplings"),
        ({"attention": [1], "heads": 3}, "must divide the 8 channels"),
        ({"window": 4}, "window of 4 steps"),
        ({"multipliers": [1, 2]}, "one number with the list"),
    ],
)
def test_an_option_without_what_it_needs_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        built("unet", **{**TINY, **options})
