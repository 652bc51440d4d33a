"""VQ-VAE of fine fields: encoder, codebook and decoder.

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
from phire.part_registry import options_of


@keras.saving.register_keras_serializable(package="phire")
class Codebook(keras.layers.Layer):
    """Table of code vectors in float32; latent values are quantized to the nearest one.

    The weight ``counts``, (codes,), is the EMA of the number of values per step that are assigned
    to each code; the objective vqvae updates it.

    Args:
        codes: Number of codes, initialized from U(−1/codes, 1/codes).
        width: Length of a code vector.
    """

    def __init__(self, codes: int, width: int, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.codes = codes
        self.width = width

    def build(self, input_shape: tuple) -> None:
        """Creates the weights ``embeddings``, (codes, width), and ``counts``."""
        bound = 1 / self.codes
        # In distributed training all replicas assign the same values, which are reduced already.
        self.embeddings = self.add_weight(
            shape=(self.codes, self.width), name="embeddings", aggregation="only_first_replica",
            initializer=keras.initializers.RandomUniform(-bound, bound),
        )  # fmt: skip
        self.counts = self.add_weight(
            shape=(self.codes,), name="counts", aggregation="only_first_replica",
            initializer="zeros", trainable=False,
        )  # fmt: skip

    def nearest(self, latent: Any) -> Any:
        """Returns the indices of the nearest codes by Euclidean distance, (…, width) → (…)."""
        # |z − e|² = |z|² − 2 z·e + |e|², where |z|² does not depend on the code.
        products = ops.matmul(latent, ops.transpose(self.embeddings))
        return ops.argmin(ops.sum(ops.square(self.embeddings), axis=-1) - 2 * products, axis=-1)

    def code(self, indices: Any) -> Any:
        """Returns the code vectors of indices, (…) → (…, width)."""
        return ops.take(self.embeddings, indices, axis=0)

    def call(self, inputs: Any) -> Any:
        """Quantizes latent values to the nearest codes, (…, width) → (…, width)."""
        return self.code(self.nearest(inputs))

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """Returns (…, width)."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Returns the layer's arguments, for saving."""
        return {**super().get_config(), "codes": self.codes, "width": self.width}


def straight_through(latent: Any, codes: Any) -> Any:
    """Returns the codes, but passes gradients to the latent field unchanged."""
    return latent + ops.stop_gradient(codes - latent)


class Autoencoder(NamedTuple):
    """Parts of a VQ-VAE.

    Attributes:
        encoder: Model (B, H, W, C) → (B, H/f, W/f, width) with f = 2^(levels − 1); sides that f
            does not divide are padded by the edge values.
        codebook: Layer that quantizes latent fields.
        decoder: Model (B, h, w, width) → (B, f·h, f·w, C).
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
    """Builds the parts of a VQ-VAE; the defaults are DeepR's, with 74,011 parameters.

    Args:
        channels: Channels C of the fields.
        widths: Channels of each level, finest first.
        blocks: Residual blocks of each level of the encoder; the decoder has one more.
        groups: Groups of group normalization.
        encoder_attention, decoder_attention: Levels with attention; 0 is the finest.
        latent_channels: Channels of the encoder's last and the decoder's first convolution, which
            are projected to and from code vectors.
        codes: Number of codes.
        code_width: Length of a code vector.

    Raises:
        InputError: A number is not positive, or a width is not a multiple of ``groups``.
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
    """Builds a VQ-VAE of fine fields, for the objective vqvae.

    The defaults are DeepR's, with 74,011 parameters and latent fields of a quarter of the rows and
    columns.

    Args:
        shapes: Shapes of a sample; only the targets' channels are used.
        **options: See :func:`build_vqvae`.

    Returns:
        A model from ``high`` (B, H, W, C) to its reconstruction, with the layers ``encoder``,
        ``codebook`` and ``decoder``.

    Raises:
        InputError: The records have a time window, or an option is out of range.
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
    """Builds the encoder; see :class:`Autoencoder`."""
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
    """Builds the decoder; see :class:`Autoencoder`."""
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
    """Adds two residual blocks at the coarsest level, with attention between them."""
    last = len(levels.widths) - 1
    x = levels.residual(x, levels.widths[last], last, "middle_0")
    return levels.residual(levels.attend(x, "middle"), levels.widths[last], last, "middle_1")


def _ended(levels: Levels, x: Any, channels: int) -> Any:
    """Adds the last normalization, activation and convolution."""
    x = levels.activated(FieldNorm(*levels.norm, name="last_norm")(x), "last")
    return levels.convolution(x, channels, 0, "last_convolution")
