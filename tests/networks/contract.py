"""What every registered network must keep to, checked at a small size.

A new network is checked as soon as it is registered: with its options in :data:`SMALL`, or without
where its defaults are small. Its own tests stand beside this.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from phire.networks import Shapes, network
from phire.networks.blocks.fine_output import fine_layer_of
from phire.networks.custom_layers import custom_layers

PLAIN = Shapes((8, 10, 2), (16, 20, 1), 2)
"""Coarse fields alone, at ×2."""


@dataclasses.dataclass(frozen=True)
class Case:
    """One network at a small size.

    Attributes:
        name: Name of the network.
        options: Options that make it small.
        shapes: Shapes to build it with.
        slack: Coarse points by which its declared halo may exceed the measured one.
        idle: Weights, by a part of their path, whose gradient is 0 at the beginning.
    """

    name: str
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    shapes: Shapes = PLAIN
    slack: int = 1
    idle: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """What the test is called."""
        options = ",".join(f"{key}={value}" for key, value in self.options.items())
        return f"{self.name}-{options}-{'-'.join(self.inputs)}"

    @property
    def inputs(self) -> list[str]:
        """Names of the optional arrays of the sample."""
        return [n for n in ("static", "auxiliary", "time", "margin") if getattr(self.shapes, n)]


EVERYTHING = Shapes((10, 12, 3), (18, 24, 2), 3, static=2, auxiliary=1, time=2, margin=2)
"""Predictors, maps, covariates and a margin, at ×3, with other channels out than in."""

ALIGNED = Shapes((8, 8, 2), (16, 16, 2), 2, static=1, time=4)
"""As many channels out as in, so that what is interpolated can be added."""

UNET: dict[str, Any] = {"widths": [4, 8], "blocks": 1, "groups": 2, "zero_init": False}
"""A small U-Net of which nothing begins as zero."""

SWIN: dict[str, Any] = {"filters": 8, "depths": (4,), "heads": 2, "window_size": 8}
"""A small Swin2SR whose shifted windows join a whole small field."""

DEEPR = Shapes((10, 12, 3), (24, 32, 2), 4, static=2, auxiliary=1, time=2, margin=2)
"""Everything, for a network that enlarges by powers of two."""

DL4DS: dict[str, Any] = {"filters": 4, "blocks": 1, "activation": "gelu"}
"""A small network of DL4DS's families."""

SMALL: dict[str, list[Case]] = {
    "conv-baseline": [Case("conv-baseline", {"filters": (6, 4)}, shapes)
                      for shapes in (ALIGNED, EVERYTHING)],
    "conv-swin2sr": [Case("conv-swin2sr", SWIN, ALIGNED),
                     Case("conv-swin2sr", {**SWIN, "preset": "deepr"}, DEEPR)],
    "convnet": [Case("convnet", {**DL4DS, "add": "bilinear", "masked": True}, ALIGNED)],
    "convnext": [Case("convnext", {**DL4DS, "upsampling": "transposed"})],
    "deepesd": [Case("deepesd", {"filters": (6, 4, 2)}, EVERYTHING),
                Case("deepesd", {"filters": (6, 4, 2), "points": [0, 7, 319]})],
    "densenet": [Case("densenet", {**DL4DS, "upsampling": "pre", "normalization": "batch"},
                      EVERYTHING)],
    "fsrcnn": [Case("fsrcnn", {"filters": 6, "narrow": 4, "blocks": 1}, shapes)
               for shapes in (ALIGNED, EVERYTHING)],
    "srgan": [
        Case("srgan", {"filters": 4, "blocks": 1, "kernel": 3}),
        Case("srgan", {"filters": 4, "blocks": 2, "kernel": 5, "upsampling": "resize"},
             Shapes((8, 8, 2), (32, 32, 2), 4)),
        Case("srgan", {"filters": 4, "blocks": 1, "kernel": 3}, EVERYTHING),
        Case("srgan", {"filters": 4, "blocks": 1, "kernel": 3, "noise": 2, "dropout": 0.3,
                       "dropout_kind": "mcgaussiandrop"}, EVERYTHING),
    ],
    "swin2sr": [Case("swin2sr", {**SWIN, "upsampling_filters": 4, "upsampling": upsampling}, shapes)
                for upsampling, shapes in (("pixelshuffle", ALIGNED), ("pixelshuffle", EVERYTHING),
                                           ("pixelshuffledirect", EVERYTHING),
                                           ("nearest+conv", EVERYTHING),
                                           ("pixelshuffle-aux", EVERYTHING))],
    "srgan-small": [
        Case("srgan-small", {"filters": 4, "blocks": 1, "dropout": 0.3, "dropout_kind": "mcdrop"}),
        Case("srgan-small", {"filters": 4, "blocks": 1, "dropout": 0.3,
                             "dropout_kind": "spatial"}),
    ],
    "unet": [
        Case("unet", UNET, EVERYTHING),
        Case("unet", {**UNET, "normalization": "rms", "skips": "levels", "context": True},
             dataclasses.replace(PLAIN, context_size=(3, 5)), slack=4),
    ],
    "unet-small": [Case("unet-small", {**UNET, "denoiser": True})],
    "unet-adm": [Case("unet-adm", UNET | {"heads": 2, "cascade": 2}, ALIGNED)],
    "unet2d": [Case("unet2d", UNET | {"attention": [1]}, EVERYTHING)],
    "unet2d-condition": [Case("unet2d-condition", UNET | {"heads": 2, "token_width": 6}, shapes)
                         for shapes in (ALIGNED, dataclasses.replace(
                             EVERYTHING, auxiliary=2, stations=((0, 1),)))],
    "unet-deepr": [Case("unet-deepr", UNET | {"attention": [1]})],
    "resnet": [Case("resnet", {**DL4DS, "filters": 32, "attention": True}, EVERYTHING)],
    "unet-dl4ds": [Case("unet-dl4ds", {**DL4DS, "blocks": 2}, EVERYTHING)],
    "songunet": [Case("songunet", UNET | {"stem": 4})],
}  # fmt: skip
"""Cases by the name of the network."""


def cases() -> Iterator[Case]:
    """All cases of all registered networks, one with the defaults where none is stated."""
    for name, part in network.parts().items():
        if "code_width" in part.options:
            continue  # an autoencoder reads the target; see test_vqvae
        yield from SMALL.get(name, [Case(name)])


def build(case: Case, shapes: Shapes | None = None) -> keras.Model:
    """Builds the network of a case, from the same first weights each time."""
    keras.utils.set_random_seed(1)
    return network.build(case.name, shapes or case.shapes, options=case.options)


def sample(model: keras.Model, case: Case, batch: int = 2, seed: int = 0) -> dict[str, tf.Tensor]:
    """Random arrays for every input of a network.

    Sizes that the network leaves free are those of the case's shapes.
    """
    random = np.random.default_rng(seed)
    arrays = {}
    for name, tensor in inputs_of(model).items():
        known = case.shapes.low if name in ("low", "low_valid") else case.shapes.high
        if case.shapes.window is not None:
            known = (case.shapes.window, *known)
        shape = [a if a is not None else b for a, b in zip(tensor.shape[1:], known)]
        if name in ("seed", "position"):
            arrays[name] = random.integers(0, 99, (batch, 2)).astype("int32")
        elif name == "low_valid":
            arrays[name] = np.ones((batch, *shape), "float32")
        elif name == "noise_level":
            arrays[name] = random.uniform(0.5, 2, (batch, *shape)).astype("float32")
        else:
            arrays[name] = random.normal(size=(batch, *shape)).astype("float32")
    return {name: tf.constant(value) for name, value in arrays.items()}


def inputs_of(model: keras.Model) -> dict[str, Any]:
    """Inputs of a network by name."""
    return {tensor.name: tensor for tensor in model.inputs}


INPUTS = {"low", "static", "auxiliary", "time", "position", "noise", "seed", "noisy",
          "noise_level", "low_valid", "context"}  # fmt: skip
"""Names that inputs may have."""


def output_shape(case: Case, batch: int = 2) -> tuple[int, ...]:
    """The shape of a batch of the output."""
    lead = () if case.shapes.window is None else (case.shapes.window,)
    return (batch, *lead, *case.shapes.high)


def faulty_gradients(model: keras.Model, case: Case) -> list[str]:
    """Paths of the weights without a finite gradient, or with one of 0 that are not idle."""
    inputs = sample(model, case)
    with tf.GradientTape() as tape:
        fine = model(inputs, training=True)
        weights = np.random.default_rng(3).normal(size=fine.shape).astype("float32")
        loss = tf.reduce_sum(fine * weights)
    variables = model.trainable_variables
    found = []
    for variable, gradient in zip(variables, tape.gradient(loss, [v.value for v in variables])):
        idle = any(part in variable.path for part in case.idle)
        size = np.nan if gradient is None else np.abs(tf.convert_to_tensor(gradient)).max()
        if not np.isfinite(size) or (size == 0 and not idle):
            found.append(variable.path)
    return found


def saved_and_loaded(model: keras.Model, folder: Any) -> keras.Model:
    """The network as it comes back from a file."""
    model.save(folder / "network.keras")
    return keras.saving.load_model(folder / "network.keras", custom_layers(), compile=False)


def largest_difference(first: keras.Model, second: keras.Model, case: Case) -> float:
    """Largest difference of two networks' outputs, as a share of what 1e-6 relative allows."""
    inputs = sample(first, case)
    a, b = (np.asarray(model(inputs, training=False)) for model in (first, second))
    return float((np.abs(a - b) / (1e-6 + 1e-6 * np.abs(a))).max())


def randomise(model: keras.Model) -> None:
    """Moves all weights by random numbers, so that nothing is switched off or too faint to see.

    Layers of which a network would else be the identity at first do then show their reach.
    """
    random = np.random.default_rng(5)
    for variable in model.trainable_variables:
        value = np.asarray(variable)
        variable.assign(value + 0.2 * random.normal(size=value.shape).astype(value.dtype))


def measured_halo(model: keras.Model, case: Case, shapes: Shapes) -> int:
    """Largest distance, in coarse points, at which one coarse point changes an output.

    Args:
        model: Built with ``shapes``.
        case: Its case.
        shapes: A field larger than twice the declared halo.
    """
    randomise(model)
    inputs = sample(model, dataclasses.replace(case, shapes=shapes), batch=1)
    s, m = shapes.scale, shapes.margin
    rows, columns = (size // s for size in shapes.high[:2])
    reach = 0
    # A point in the middle and its neighbour: strides and shuffles treat places differently.
    for row, column in ((rows // 2, columns // 2), (rows // 2 - 1, columns // 2 - 1)):
        low = inputs["low"].numpy()
        low[..., row + m, column + m, :] += 30
        changed = model({**inputs, "low": tf.constant(low)}, training=False)
        difference = np.abs(changed - model(inputs, training=False)).max(axis=-1)
        difference = difference.reshape(-1, *difference.shape[-2:]).max(axis=0)
        where = np.argwhere(difference > 0) // s
        reach = max(reach, int(np.abs(where - (row, column)).max()))
    return reach


def halos(case: Case) -> tuple[int | None, int | None]:
    """The halo that the network declares, and that which perturbed inputs show.

    Either is None for the whole field; the measured one then if a corner changes the farthest.
    """
    declared = fine_layer_of(build(case)).halo
    if declared is None:
        return None, None if corner_reaches_everywhere(case) else 0
    half = declared + 3
    low, high = 2 * half + 1, (2 * half + 1) * case.shapes.scale
    shapes = dataclasses.replace(
        case.shapes,
        low=(*[low + 2 * case.shapes.margin] * 2, *case.shapes.low[2:]),
        high=(high, high, *case.shapes.high[2:]),
    )
    model = build(case, shapes)
    return declared, measured_halo(model, case, shapes)


def corner_reaches_everywhere(case: Case) -> bool:
    """Tells if a change in one corner changes the farthest output."""
    model = build(case)
    randomise(model)
    inputs = sample(model, case, batch=1)
    low = inputs["low"].numpy()
    low[..., case.shapes.margin, case.shapes.margin, :] += 30
    changed = model({**inputs, "low": tf.constant(low)}, training=False)
    difference = np.abs(changed - model(inputs, training=False)).max(axis=-1)
    return bool(difference[..., -1, -1].max() > 0)
