"""Every network and upsampling, plain and with all options, fields and windows: steps to tiles.

A step of training with every array of a sample, a saved run, prediction of a field larger than
the patches: whole, in tiles and with one coarse point changed. Step functions run eagerly, for to
compile each would take minutes.
"""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from phire.downscaling.generator_task import Task
from phire.downscaling.generator_training import objectives
from phire.downscaling.trained_generator import TrainedGenerator
from phire.downscaling.whole_fields import WholeFields
from phire.fields.coarsening import coarsen_grid
from phire.fields.grid import Grid
from phire.fields.normalization import Normalization
from phire.networks import network as networks
from phire.records.schema import DOWNSCALING, SampleArray, SampleSchema
from phire.training.run_directory import prepare_run

DL4DS = "filters=3,blocks=1"
RICH = (
    "attention,localized,normalization=layer,dropout=0.1,dropout_kind=mcspatialdrop,separable,"
    "activation=gelu,output_activation=softplus,add=bicubic,add_channels=[1],masked"
)
LOCAL = RICH.replace("attention,", "")
SWIN = "filters=4,depths=[2],heads=1,window_size=2,upsampling_filters=4"
UNET = "widths=[4,8],blocks=1,groups=2"
UNETS = (
    ("unet", ""), ("unet", ",noise=2,skips=levels,normalization=rms,downsampling=average"),
    ("unet-small", ""), ("unet-adm", ",heads=2"), ("unet2d", ",attention=[1]"),
    ("unet2d-condition", ",heads=2,token_width=6"), ("unet-deepr", ",attention=[1]"),
    ("songunet", ",stem=4"),
)  # fmt: skip
WHOLE = ("deepesd", "preset=deepr")
"""Parts of specifications of networks of one size, which are trained on whole fields."""


def cases():
    """Specification and window of each case.

    DL4DS's networks and upsamplings are all combined, each with two of four settings: plain or
    with all options, single fields or a window. The settings alternate, so that each network and
    each upsampling has all four.
    """
    settings = (("", None), (f",{RICH}", 2)), ((f",{LOCAL}", None), ("", 2))
    for number, name in enumerate(("convnet", "resnet", "densenet", "convnext")):
        for turn, upsampling in enumerate(("pre", "subpixel", "resize", "transposed")):
            for options, window in settings[(number + turn) % 2]:
                if name == "convnext":  # it has no windows
                    options, window = options.replace(RICH, LOCAL), None
                yield f"{name},{DL4DS},upsampling={upsampling}{options}", window
        yield f"{name},{DL4DS},{RICH.replace('=layer', '=batch')}", None
    yield f"unet-dl4ds,{DL4DS},{RICH.replace('=layer', '=group')}", None
    yield f"unet-dl4ds,{DL4DS}", None
    yield f"unet-dl4ds,{DL4DS},{LOCAL}", None
    for upsampling in ("pixelshuffle", "pixelshuffledirect", "nearest+conv", "pixelshuffle-aux"):
        yield f"swin2sr,{SWIN},upsampling={upsampling}", None
    yield f"swin2sr,{SWIN},add=bilinear,drop_path=0.2,residual=3conv", None
    yield "conv-swin2sr,filters=4,depths=[2],heads=1,window_size=2", None
    yield "conv-swin2sr,filters=4,depths=[2],heads=1,window_size=2,preset=deepr", None
    yield "conv-baseline,filters=[3,3]", None
    yield "conv-baseline,filters=[3,3],preset=deepr,add=none", None
    yield "deepesd,filters=[3,2]", None
    yield "deepesd,filters=[3,2],padding=valid,points=[0,7,100]", None
    yield "fsrcnn,filters=3,narrow=2,blocks=1", None
    yield "fsrcnn,filters=3,narrow=2,blocks=1,add=bicubic", None
    yield "srgan,filters=3,blocks=1,kernel=3", None
    yield "srgan,filters=3,blocks=1,kernel=3,upsampling=resize,noise=2,dropout=0.1", None
    yield "srgan-small,filters=3,blocks=1,dropout=0.1,dropout_kind=mcdrop", None
    for name, options in UNETS:
        yield f"{name},{UNET},denoiser=false{options}", None


CASES = list(cases())
DOMAIN = Grid.regional(np.linspace(60, 50, 16), np.linspace(0, 12, 24))
CHANNELS = {"low": ("psl", "tas"), "high": ("tas",), "static": ("orography",),
            "auxiliary": ("satellite",), "time": ("sine", "cosine"), "valid": ("tas",),
            "low_valid": ("psl", "tas")}  # fmt: skip
MARGIN, SCALE = 1, 2
MISSING = (2, 7)
"""Coarse point of the whole field that misses a channel."""


def schema(window, patch=(8, 8)):
    low = tuple(n // SCALE + 2 * MARGIN for n in patch)
    sizes = dict.fromkeys(CHANNELS, patch) | {"low": low, "low_valid": low, "time": ()}
    arrays = {}
    for name, channels in CHANNELS.items():
        steps = () if window is None or name in ("static", "time") else (window,)
        count = (1.0,) * len(channels)
        arrays[name] = SampleArray(
            channels, ("",) * len(channels), (*steps, *sizes[name], len(channels)),
            normalization=Normalization("z", channels, count, count),
        )  # fmt: skip
    arrays["position"] = SampleArray(("row", "column"), ("", ""), (2,))
    return SampleSchema(
        DOWNSCALING, arrays, scale=SCALE, margin=MARGIN, domain=DOMAIN, window=window
    )


def batch(described):
    random = np.random.default_rng(0)
    arrays = {
        name: random.normal(size=(2, *array.shape)).astype("f4")
        for name, array in described.arrays.items()
    }
    arrays["valid"] = (arrays["valid"] > -1).astype("f4")
    arrays["high"] = np.where(arrays["valid"] > 0, arrays["high"], np.nan)
    arrays["low_valid"] = (arrays["low_valid"] > -1).astype("f4")
    room = np.subtract(DOMAIN.shape, described.patch)
    arrays["position"] = np.minimum([[0, 2], [6, 10]], room).astype("i4")
    return {name: tf.constant(value) for name, value in arrays.items()}


def whole_field(window):
    """A field of the whole domain with points around it, 8 × 12 coarse points."""
    random = np.random.default_rng(1)
    steps = () if window is None else (window,)
    height, width = DOMAIN.shape
    fine = {
        name: random.normal(size=(*lead, height, width, 1)).astype("f4")
        for name, lead in (("static", ()), ("auxiliary", (1, *steps)))
    }
    low = random.normal(size=(1, *steps, height // 2 + 2, width // 2 + 2, 2)).astype("f4")
    low[..., MISSING[0] + 1, MISSING[1] + 1, 0] = np.nan
    return WholeFields(
        low, coarsen_grid(DOMAIN, SCALE, "cell"), DOMAIN, np.array([86400]),
        around=((1, 1), (1, 1)), static=fine["static"], auxiliary=fine["auxiliary"],
        time=random.normal(size=(1, 2)).astype("f4"),
        step=None if window is None else np.array([window - 1]),
    )  # fmt: skip


@pytest.fixture(autouse=True)
def eager():
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def trained(specification, described):
    """Returns a generator after a step of training; every weight had a finite gradient."""
    keras.utils.set_random_seed(3)
    made = objectives.build(
        "content,content=mae+mse", Task(described, *networks.resolve(specification))
    )
    made.begin("phase 1")
    made.step_seed = tf.constant([1, 2])
    variables = made.generator.trainable_variables
    random = np.random.default_rng(5)
    for variable in variables:  # so that no part of a network begins as zero
        variable.assign(variable + 0.2 * random.normal(size=variable.shape))
    samples = batch(described)
    with tf.GradientTape() as tape:
        loss = made.content(made.truth(samples), made.generate(samples, True), samples["valid"])
    gradients = tape.gradient(loss, [variable.value for variable in variables])
    for variable, gradient in zip(variables, gradients):
        assert gradient is not None, variable.path
        assert np.isfinite(tf.convert_to_tensor(gradient)).all(), variable.path
    # A few may be idle: behind a ReLU that is dead for these samples.
    idle = [v.path for v, g in zip(variables, gradients) if not np.any(tf.convert_to_tensor(g))]
    assert len(idle) <= 0.15 * len(variables) + 2, idle
    before = [variable.numpy() for variable in variables]
    assert np.isfinite(float(made.whole_step(samples)["loss"]))
    changed = [np.any(v.numpy() != old) for v, old in zip(variables, before)]
    assert sum(changed) >= len(variables) - len(idle)
    assert np.isfinite(float(made.validation_step(samples)["loss"]))
    return made.generator


def saved(network, specification, described, folder):
    """The generator that a run of the network holds."""
    config = {"network": specification, "schema": described.to_dict()}
    run = prepare_run(folder, config, overwrite=False)
    network.save(run.path / "networks" / "generator.keras")
    provenance = run.path / "provenance.json"
    provenance.write_text(json.dumps({**json.loads(provenance.read_text()), "completed": "2000"}))
    generator = TrainedGenerator(run.path)
    samples = {name: value for name, value in batch(described).items() if name in network.input}
    if "seed" in network.input:
        samples["seed"] = tf.constant([[1, 2], [3, 4]])
    if "noise" in network.input:
        samples["noise"] = tf.random.stateless_normal((2, *described.patch, 2), (1, 2))
    np.testing.assert_array_equal(generator.network(samples), network(samples))
    return generator


@pytest.mark.slow
@pytest.mark.parametrize(("specification", "window"), CASES, ids=lambda x: str(x))
def test_trained_saved_predicted_in_tiles(specification, window, tmp_path):
    whole_only = any(part in specification for part in WHOLE)
    described = schema(window, DOMAIN.shape if whole_only else (8, 8))
    network = trained(specification, described)
    generator = saved(network, specification, described, tmp_path / "run")
    field = whole_field(window)
    whole = generator(field, seed=4)
    assert whole.shape == (1, 1, *DOMAIN.shape, 1)
    missing = np.zeros(DOMAIN.shape, bool)
    missing[MISSING[0] * SCALE :, MISSING[1] * SCALE :][:SCALE, :SCALE] = True
    np.testing.assert_array_equal(np.isnan(whole[0, 0, ..., 0]), missing)
    if "low_valid" in network.input:  # what stands in for the missing value is not read
        np.testing.assert_array_equal(generator(field, fill="mean", seed=4), whole)
    field.low[..., MARGIN, MARGIN, :] += 5
    changed = np.argwhere(np.nan_to_num(generator(field, seed=4) - whole)[0, 0, ..., 0])
    assert len(changed)
    if generator.halo is None:
        return
    assert changed.max() < SCALE * (generator.halo + 1)
    tiled = generator(whole_field(window), tile=8, seed=4)
    np.testing.assert_allclose(tiled, whole, atol=1e-5 * max(1, np.nanmax(np.abs(whole))))


def test_no_network_is_left_out():
    # vqvae compresses fields for latent denoisers: it reads fine fields, and has its own tests.
    names = {*networks.parts()} - {"vqvae"}
    assert {specification.partition(",")[0] for specification, _ in CASES} == names
