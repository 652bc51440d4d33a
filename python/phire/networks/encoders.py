"""Residual encoders from a patch to feature maps.

Sources: Hoffmann & Lessig 2023 (AtmoDist), doi:10.1017/eds.2023.1; He et al. 2016,
arXiv:1512.03385.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from phire.errors import OptionError
from phire.networks.fast_cpu import BatchNormalization
from phire.networks.registry import encoder

WEIGHT_DECAY = 1e-4
"""Default L2 factor of kernels."""
EPSILON = 1.001e-5
"""Added to variances in batch normalization, as in keras.applications."""


def convolution(
    x: Any,
    filters: int,
    size: int,
    stride: int = 1,
    *,
    bias: bool = False,
    weight_decay: float = WEIGHT_DECAY,
    name: str | None = None,
) -> Any:
    """Adds a convolution with "same" padding, He-normal initialization and L2 weight decay."""
    return keras.layers.Conv2D(
        filters,
        size,
        stride,
        padding="same",
        use_bias=bias,
        kernel_initializer="he_normal",
        kernel_regularizer=keras.regularizers.L2(weight_decay) if weight_decay else None,
        name=name,
    )(x)


def normalised(x: Any, *, activate: bool = True, name: str | None = None) -> Any:
    """Adds batch normalization and, with ``activate``, ReLU."""
    x = BatchNormalization(epsilon=EPSILON)(x)
    return keras.layers.ReLU(name=name)(x) if activate else x


def residual_block(
    x: Any, filters: int, stride: int, weight_decay: float, name: str | None = None
) -> Any:
    """Adds a residual block of two 3×3 convolutions.

    The shortcut is projected by a 1×1 convolution if the number of filters changes.
    """
    shortcut = x
    if stride != 1:
        # The shortcut is subsampled before its projection, in place of a strided projection: for
        # few filters oneDNN writes the gradient of a strided 1×1 kernel out of bounds on AVX2
        # processors (jit_avx2_1x1_convolution_bwd_weights_t; TensorFlow 2.21).
        shortcut = keras.layers.MaxPooling2D(1, stride)(shortcut)
    if x.shape[-1] != filters:
        shortcut = convolution(shortcut, filters, 1, weight_decay=weight_decay)
    x = normalised(convolution(x, filters, 3, stride, weight_decay=weight_decay))
    x = normalised(convolution(x, filters, 3, weight_decay=weight_decay), activate=False)
    return keras.layers.ReLU(name=name)(keras.layers.Add()([x, shortcut]))


# "tiny" is for patches of about 32×32 on a laptop. Small displacements reveal the lag, so its first
# stage works at full resolution with half the filters. At equal cost it classifies 50 % of held-out
# pairs of the simulation, against 38 % with a first convolution of stride 2.
@encoder(
    "tiny",
    stem_filters=8,
    stem_size=3,
    stem_stride=1,
    pool=False,
    filters=(8, 16, 32, 64),
    blocks=(1, 1, 1, 1),
)
@encoder("resnet-18", stem_filters=64, filters=(64, 128, 256, 512), blocks=(2, 2, 2, 2))
@encoder("resnet-small")
def residual_encoder(
    input_shape: Sequence[int | None],
    *,
    stem_filters: int = 16,
    stem_size: int = 8,
    stem_stride: int = 2,
    pool: bool = True,
    filters: Sequence[int] = (16, 32, 64, 128),
    blocks: Sequence[int] = (6, 6, 6, 6),
    weight_decay: float = WEIGHT_DECAY,
) -> keras.Model:
    """Builds AtmoDist's residual encoder (Hoffmann & Lessig 2023, doi:10.1017/eds.2023.1).

    The defaults are its "resnet-small", with 2,277,712 parameters for two channels.

    Args:
        input_shape: Shape of the input, (H, W, C); H and W may be None.
        stem_filters, stem_size, stem_stride: Filters, size and stride of the first convolution.
        pool: Apply 3×3 max-pooling of stride 2 after the first convolution.
        filters: Filters of each stage; all stages but the first begin with stride 2.
        blocks: Number of residual blocks of each stage.
        weight_decay: L2 factor of all kernels.

    Returns:
        A model named ``encoder``, whose layers ``stage1`` … output the features of the stages.

    Raises:
        InputError: ``filters`` and ``blocks`` differ in their number of stages, or a number is
            below 1.
    """
    numbers = [stem_filters, stem_size, stem_stride, *_stages(filters), *_stages(blocks)]
    if len(_stages(filters)) != len(_stages(blocks)) or min(numbers) < 1:
        raise OptionError(
            f"filters={list(_stages(filters))} and blocks={list(_stages(blocks))} must have one "
            "number for each stage, and no number below 1."
        )
    inputs = keras.Input(tuple(input_shape), name="fields")
    x = convolution(
        inputs, stem_filters, stem_size, stem_stride, bias=True, weight_decay=weight_decay
    )
    x = normalised(x)
    if pool:
        x = keras.layers.MaxPooling2D(3, 2, padding="same")(x)
    for stage, (width, count) in enumerate(zip(_stages(filters), _stages(blocks)), start=1):
        for block in range(count):
            stride = 2 if stage > 1 and block == 0 else 1
            name = f"stage{stage}" if block == count - 1 else None
            x = residual_block(x, width, stride, weight_decay, name)
    return keras.Model(inputs, x, name="encoder")


def _stages(numbers: Sequence[int] | int) -> tuple[int, ...]:
    """Returns the numbers of all stages as a tuple; a single number is one stage."""
    return tuple(numbers) if isinstance(numbers, Sequence) else (numbers,)


@encoder("resnet-101")
def resnet_101(
    input_shape: Sequence[int | None], *, weight_decay: float = WEIGHT_DECAY
) -> keras.Model:
    """Builds ResNet-101 with weight decay, from keras.applications.

    Args:
        input_shape: Shape of the input, (H, W, C); H and W may be None.
        weight_decay: L2 factor of all kernels.

    Returns:
        A model named ``encoder``, whose layers ``stage1`` … ``stage4`` output the features of the
        stages.
    """
    names = {
        "conv2_block3_out": "stage1",
        "conv3_block4_out": "stage2",
        "conv4_block23_out": "stage3",
        "conv5_block3_out": "stage4",
    }
    original = keras.applications.ResNet101(
        include_top=False, weights=None, input_shape=tuple(input_shape)
    )

    def renamed(layer: keras.layers.Layer) -> keras.layers.Layer:
        config = layer.get_config()
        config["name"] = names.get(layer.name, layer.name)
        if isinstance(layer, keras.layers.BatchNormalization):
            return BatchNormalization.from_config(config)
        if isinstance(layer, keras.layers.Conv2D):
            config["kernel_initializer"] = "he_normal"
            config["kernel_regularizer"] = keras.regularizers.L2(weight_decay)
        return layer.__class__.from_config(config)

    clone = keras.models.clone_model(original, clone_function=renamed)
    return keras.Model(clone.inputs[0], clone.outputs[0], name="encoder")
