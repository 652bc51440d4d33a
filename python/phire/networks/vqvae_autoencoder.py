"""Vector-quantised autoencoder of fine fields: encoder, codebook and decoder.

Source: van den Oord et al. 2017, arXiv:1711.00937, with the residual blocks of diffusers' VQModel.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple

import keras
from keras import layers, ops

from phire.errors import OptionError
from phire.networks.blocks.field_norm import FieldNorm
from phire.networks.blocks.fine_output import Fine
from phire.networks.blocks.multiples import CropLike, PadToMultiple
from phire.networks.blocks.sample_inputs import refuse_window
from phire.networks.registry import network
from phire.networks.shapes import Shapes
from phire.networks.unet.levels import Levels
from phire.parts import options_of


@keras.saving.register_keras_serializable(package="phire")
class Codebook(keras.layers.Layer):
    """Table of codes that latent fields are rounded to, in float32.

    Beside the codes it holds ``counts``, (codes,), the EMA of the number of values a step that each
    code stands for; training updates it.

    Args:
        codes: Number of codes, begun as U(−1/codes, 1/codes).
        width: Length of a code.
    """

    def __init__(self, codes: int, width: int, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.codes = codes
        self.width = width

    def build(self, input_shape: tuple) -> None:
        """Makes ``embeddings``, (codes, width), and ``counts``."""
        bound = 1 / self.codes
        # All replicas of a distributed training assign the same sums, already reduced.
        self.embeddings = self.add_weight(
            shape=(self.codes, self.width), name="embeddings", aggregation="only_first_replica",
            initializer=keras.initializers.RandomUniform(-bound, bound),
        )  # fmt: skip
        self.counts = self.add_weight(
            shape=(self.codes,), name="counts", aggregation="only_first_replica",
            initializer="zeros", trainable=False,
        )  # fmt: skip

    def nearest(self, latent: Any) -> Any:
        """Returns the indices of the nearest codes by Euclidean distance: (…, width) → (…)."""
        # |z|² is the same for all codes, so that it decides nothing.
        products = ops.matmul(latent, ops.transpose(self.embeddings))
        return ops.argmin(ops.sum(ops.square(self.embeddings), axis=-1) - 2 * products, axis=-1)

    def code(self, indices: Any) -> Any:
        """Returns the codes of indices: (…) → (…, width)."""
        return ops.take(self.embeddings, indices, axis=0)

    def call(self, inputs: Any) -> Any:
        """Returns the nearest codes of (…, width), to be used as they are in a codebook loss."""
        return self.code(self.nearest(inputs))

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """Returns (…, width)."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments."""
        return {**super().get_config(), "codes": self.codes, "width": self.width}


def straight_through(latent: Any, codes: Any) -> Any:
    """Returns the codes, with the gradient of the latent field."""
    return latent + ops.stop_gradient(codes - latent)


class Autoencoder(NamedTuple):
    """Parts of a vector-quantised autoencoder.

    Attributes:
        encoder: (B, H, W, C) → (B, H/f, W/f, width), f = 2^(levels − 1); sizes that f does not
            divide are continued by the edge.
        codebook: Rounds latent fields to codes of the same shape.
        decoder: (B, h, w, width) → (B, f·h, f·w, C).
    """

    encoder: keras.Model
    codebook: Codebook
    decoder: keras.Model


def build_vqvae(
    channels: int,
    *,
    widths: Sequence[int] = (8, 16, 16),
    blocks: int = 1,
    groups: int = 8,
    encoder_attention: Sequence[int] = (1, 2),
    decoder_attention: Sequence[int] = (0, 1),
    latent_channels: int = 1,
    codes: int = 256,
    code_width: int = 32,
) -> Autoencoder:
    """Builds a vector-quantised autoencoder; by default DeepR's, of 74,011 parameters.

    Args:
        channels: C, channels of the fields.
        widths: Channels of each level, finest first.
        blocks: Residual blocks of a level in the encoder; the decoder has one more.
        groups: Groups of channels in normalisations.
        encoder_attention, decoder_attention: Levels with attention, 0 the finest.
        latent_channels: Channels between the networks and the projections to and from codes.
        codes: Number of codes.
        code_width: Length of a code.

    Raises:
        InputError: A number is not positive, or a width is no multiple of ``groups``.
    """
    numbers = {"blocks": blocks, "groups": groups, "latent_channels": latent_channels,
               "codes": codes, "code_width": code_width}  # fmt: skip
    for name, number in numbers.items():
        if number < 1:
            raise OptionError(f"{name}={number} must be 1 or more.")
    if not widths or any(width < 1 or width % groups for width in widths):
        raise OptionError(f"widths={list(widths)} must be multiples of groups={groups}.")
    options = SimpleNamespace(
        normalization="group", groups=groups, epsilon=1e-6, activation="silu", dropout=0.0,
        zero_init=False, half_variance=False, attention_norm="all", heads=1, head_channels=None,
        downsampling="conv-after", upsampling="nearest", scale_shift=False,
    )  # fmt: skip
    widths = list(widths)
    encode = Levels(options, widths, frozenset(encoder_attention), None, None)
    decode = Levels(options, widths, frozenset(decoder_attention), None, None)
    codebook = Codebook(codes, code_width, name="codebook")
    codebook.build((None, None, None, code_width))
    return Autoencoder(
        _encoder(encode, channels, blocks, latent_channels, code_width), codebook,
        _decoder(decode, channels, blocks, latent_channels, code_width),
    )  # fmt: skip


@network("vqvae")
@options_of(build_vqvae)
def vqvae(shapes: Shapes, **options: Any) -> keras.Model:
    """Builds a vector-quantised autoencoder of fine fields, for the objective vqvae.

    By default DeepR's, of 74,011 parameters, whose latent fields have a quarter of the rows and
    columns.

    Args:
        shapes: Shapes of the sample, of which only the targets' are used.
        **options: See :func:`build_vqvae`.

    Returns:
        A model of the input ``high`` (B, H, W, C), whose output is the same field rounded to codes.
        Its layers ``encoder``, ``codebook`` and ``decoder`` are the parts.

    Raises:
        InputError: The records have a window, or an option is out of range.
    """
    refuse_window(shapes, "vqvae")
    parts = build_vqvae(shapes.high[2], **options)
    high = keras.Input((None, None, shapes.high[2]), name="high")
    fine = parts.decoder(parts.codebook(parts.encoder(high)))
    fine = CropLike(name="cropped")(fine, high)
    return keras.Model({"high": high}, Fine(halo=None)(fine), name="autoencoder")


def _encoder(
    levels: Levels, channels: int, blocks: int, latent_channels: int, code_width: int
) -> keras.Model:
    field = keras.Input((None, None, channels), name="high")
    last = len(levels.widths) - 1
    x = PadToMultiple(2**last, name="padded")(field)
    x = levels.convolution(x, levels.widths[0], 0, "first_convolution")
    for level, width in enumerate(levels.widths):
        for block in range(blocks):
            x = levels.residual(x, width, level, f"down_{level}_block_{block}")
            if level in levels.attention:
                x = levels.attend(x, f"down_{level}_block_{block}")
        x = levels.down(x, level) if level < last else x
    x = _middle(levels, x)
    x = _ended(levels, x, latent_channels)
    return keras.Model(field, layers.Dense(code_width, name="latent")(x), name="encoder")


def _decoder(
    levels: Levels, channels: int, blocks: int, latent_channels: int, code_width: int
) -> keras.Model:
    latent = keras.Input((None, None, code_width), name="latent")
    last = len(levels.widths) - 1
    x = layers.Dense(latent_channels, name="from_codes")(latent)
    x = levels.convolution(x, levels.widths[last], last, "first_convolution")
    x = _middle(levels, x)
    for level in range(last, -1, -1):
        for block in range(blocks + 1):
            x = levels.residual(x, levels.widths[level], level, f"up_{level}_block_{block}")
            if level in levels.attention:
                x = levels.attend(x, f"up_{level}_block_{block}")
        x = levels.up(x, level) if level else x
    return keras.Model(latent, _ended(levels, x, channels), name="decoder")


def _middle(levels: Levels, x: Any) -> Any:
    """Two residual blocks of the coarsest level, attention between them."""
    last = len(levels.widths) - 1
    x = levels.residual(x, levels.widths[last], last, "middle_0")
    return levels.residual(levels.attend(x, "middle"), levels.widths[last], last, "middle_1")


def _ended(levels: Levels, x: Any, channels: int) -> Any:
    x = levels.activated(FieldNorm(*levels.norm, name="last_norm")(x), "last")
    return levels.convolution(x, channels, 0, "last_convolution")
