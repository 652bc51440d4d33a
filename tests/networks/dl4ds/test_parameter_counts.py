"""Weights with preset=dl4ds are as many as DL4DS's, counted from its constructors.

A: scale 4, 1 channel, filters 8, blocks 4, no normalization (convnext: layer). B: scale 2, 2
channels, filters 12, blocks 3, gelu (convnext: batch). C: scale 4, 3 channels, of which two
coarsened statics in networks of single fields, filters 8, blocks 4, batch, attention, localized.
"""

from __future__ import annotations

import numpy as np
import pytest

from phire.networks import build

SPATIAL = """
convnet pre 40421 45146 76637 77121
convnet subpixel 77413 91946 113629 114113
convnet resize 49669 56846 85885 86369
convnet transposed 227309 80582 79205 79689
resnet pre 42061 46826 78277 78761
resnet subpixel 79053 93626 115269 115753
resnet resize 51309 58526 87525 88009
resnet transposed 228949 82262 80845 81329
densenet pre 86302 93749 123090 123986
densenet subpixel 123294 140549 160082 160978
densenet resize 95550 105449 132338 133234
densenet transposed 273190 129185 125658 126554
convnext pre 25463 34304 55873 56025
convnext subpixel 62455 81104 92865 93017
convnext resize 34711 46004 65121 65273
convnext transposed 212351 69740 58441 58593
unet-dl4ds pre 541429 304478 573237 574265
"""
TEMPORAL = """
convnet pre 83125 148034 110371 110567
convnet subpixel 85137 152540 112798 112994
convnet resize 83385 148616 111046 111242
convnet transposed 98353 158972 97214 97410
resnet pre 83125 148034 110371 110567
resnet subpixel 85137 152540 112798 112994
resnet resize 83385 148616 111046 111242
resnet transposed 98353 158972 97214 97410
densenet pre 83189 148178 110451 110647
densenet subpixel 92469 169010 120226 120422
densenet resize 85509 153386 113266 113462
densenet transposed 145397 194834 113250 113446
"""
UNUSED_AT_SCALE_4 = {None: 9 * 9 * 32 * 32, "densenet": 9 * 9 * 16 * 16, "other": 9 * 9 * 8 * 8}
"""Weights of the stride-4 convolution that DL4DS applies after its two steps of 2, wrongly."""


def rows(table, window):
    for line in table.strip().splitlines():
        name, upsampling, *counts = line.split()
        yield name, upsampling, window, tuple(map(int, counts))


def counts(model):
    trainable, fixed = (
        sum(int(np.prod(weight.shape)) for weight in weights)
        for weights in (model.trainable_weights, model.non_trainable_weights)
    )
    # The state of a random generator is no weight of DL4DS's.
    return trainable, trainable + fixed


def built(name, upsampling, scale, channels, window=None, static=0, side=16, **options):
    if name != "unet-dl4ds":
        options["preset"] = "dl4ds"
    return build(
        name, (side, side, channels), (side * scale, side * scale, 1), window=window,
        static=static, domain=(side * scale, side * scale), upsampling=upsampling, **options,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "upsampling", "window", "expected"), [*rows(SPATIAL, None), *rows(TEMPORAL, 3)]
)
def test_tables_a_b_c(name, upsampling, window, expected):
    a, b, trainable, everything = expected
    if upsampling == "transposed":  # the fault at scale 4 is mended
        kind = None if window is None else "densenet" if name == "densenet" else "other"
        a -= UNUSED_AT_SCALE_4[kind]
    norms = ("layer", "batch") if name == "convnext" else ("none", "none")
    options = {"filters": 8, "blocks": 4, "normalization": norms[0], "activation": "relu"}
    assert counts(built(name, upsampling, 4, 1, window, **options))[0] == a
    options = {"filters": 12, "blocks": 3, "normalization": norms[1], "activation": "gelu"}
    assert counts(built(name, upsampling, 2, 2, window, **options))[0] == b
    scale, low = 2 if upsampling == "transposed" else 4, 3 if window else 1
    options = {"filters": 8, "blocks": 4, "normalization": "batch", "activation": "relu"}
    options |= {"attention": True, "localized": True}
    model = built(name, upsampling, scale, low, window, static=2, **options)
    assert counts(model) == (trainable, everything)


@pytest.mark.parametrize(
    ("upsampling", "scale", "expected"),
    [("subpixel", scale, 79053) for scale in (2, 4, 8)]
    + [("subpixel", 3, 125293), ("subpixel", 5, 273261), ("subpixel", 6, 374989)]
    + [("subpixel", 10, 310253), ("subpixel", 20, 310253), ("subpixel", 16, 2409549)]
    + [("resize", scale, 51309) for scale in (2, 3)]
    + [("transposed", 8, 146005), ("transposed", 4, 146005)]
    + [("transposed", scale, 63061) for scale in (2, 3, 10)],
)
def test_a_resnet_at_other_scales(upsampling, scale, expected):
    model = built("resnet", upsampling, scale, 1, side=4, filters=8, blocks=4)
    assert counts(model)[0] == expected


@pytest.mark.parametrize(("decoder", "expected"), [("subpixel", 835549), ("transposed", 1324669)])
def test_decoders_of_the_unet(decoder, expected):
    model = built("unet-dl4ds", "pre", 4, 1, filters=8, blocks=4, decoder_upsampling=decoder)
    assert counts(model)[0] == expected
