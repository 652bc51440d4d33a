"""Levels of a U-Net: residual blocks, attention and resampling."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

from keras import layers, ops

from phire.errors import OptionError
from phire.networks.blocks.field_norm import FieldNorm
from phire.networks.blocks.global_attention import FieldAttention
from phire.networks.blocks.token_attention import TokenAttention
from phire.networks.fast_cpu import SiLU

DOWNSAMPLING = ("conv", "conv-after", "average", "resnet")
"""Kinds of downsampling; see :func:`phire.networks.unet.unet_builder.unet`."""
UPSAMPLING = ("nearest", "transposed", "resnet")
"""Kinds of upsampling; see :func:`phire.networks.unet.unet_builder.unet`."""


class Levels:
    """Builder of the encoder, middle and decoder of a U-Net, on symbolic Keras tensors.

    Level 0 is the finest. With the option ``skips=all`` each output of the encoder (of the first
    convolution, every block and every downsampling) is concatenated to the input of one block of
    the decoder, the last output first. With ``skips=levels`` this holds only for the output of the
    last block of each level except the coarsest.

    Args:
        options: Checked options of :func:`phire.networks.unet.unet_builder.unet`.
        widths: Channels of each level.
        attention: Levels whose blocks are followed by attention.
        embedding: Embedding of noise level and covariates, (B, E); None for no embedding.
        tokens: Tokens for cross-attention, (B, L, D); None for self-attention only.

    Attributes:
        reach: Upper bound of the distance, in points of the finest level, over which convolutions
            and resampling connect input and output.
    """

    def __init__(
        self, options: SimpleNamespace, widths: list[int], attention: frozenset[int],
        embedding: Any, tokens: Any,
    ) -> None:  # fmt: skip
        self.options = options
        self.widths = widths
        self.attention = attention
        self.tokens = tokens
        self.embedding = embedding
        if embedding is not None:
            self.embedding = SiLU(name="embedding_activation")(embedding)
        self.reach = 0

    def __call__(self, x: Any, stem: int, outputs: int, coarser: list[Any] = ()) -> Any:
        """Adds the U-Net, (B, H, W, C) → (B, H, W, outputs).

        Args:
            x: Input with all fields concatenated, (B, H, W, C); H and W must be multiples of
                2^(levels − 1).
            stem: Channels of the first convolution.
            outputs: Channels of the last convolution.
            coarser: Conditions to concatenate to the input of each coarser level, finest first.
        """
        x = self.convolution(x, stem, 0, "first_convolution")
        last = len(self.widths) - 1
        skips = [[x]]
        for level in range(last + 1):
            if level:
                x = self.down(x, level - 1)
                skips.append([x])
            for block in range(self.options.blocks):
                name = f"down_{level}_block_{block}"
                if level and not block and coarser:
                    x = layers.Concatenate(name=f"{name}_conditions")([x, coarser[level - 1]])
                x = self.residual(x, self.widths[level], level, name)
                x = self.attend(x, name) if level in self.attention else x
                skips[level].append(x)
        x = self.residual(x, self.widths[last], last, "middle_0")
        if self.options.middle_attention:
            x = self.attend(x, "middle")
        x = self.residual(x, self.widths[last], last, "middle_1")
        all_joined = self.options.skips == "all"
        for level in range(last if all_joined else last - 1, -1, -1):
            if level < last:
                x = self.up(x, level + 1)
            x = self._up_level(x, level, skips[level] if all_joined else skips[level][-1:])
        x = self.activated(FieldNorm(*self.norm, name="last_norm")(x), "last")
        return self.convolution(x, outputs, 0, "last_convolution", last=True)

    def _up_level(self, x: Any, level: int, skips: list[Any]) -> Any:
        """Adds a level of the decoder; each block gets one of the level's skips, the last first."""
        options = self.options
        skips = list(skips)
        blocks = max(len(skips), options.blocks)
        for block in range(blocks):
            ends = block == blocks - 1
            narrow = ends and level and options.up_widths == "next"
            name = f"up_{level}_block_{block}"
            if skips:
                x = layers.Concatenate(name=f"{name}_joined")([x, skips.pop()])
            x = self.residual(x, self.widths[level - 1 if narrow else level], level, name)
            if level in self.attention and (ends or options.up_attention == "all"):
                x = self.attend(x, name)
        return x

    @property
    def norm(self) -> tuple[str, int, float]:
        """Arguments of every :class:`FieldNorm`: kind, groups and epsilon."""
        return self.options.normalization, self.options.groups, self.options.epsilon

    def activated(self, x: Any, name: str) -> Any:
        """Adds the activation function."""
        if self.options.activation == "silu":
            return SiLU(name=f"{name}_activation")(x)
        return layers.Activation(self.options.activation, name=f"{name}_activation")(x)

    def convolution(self, x: Any, width: int, level: int, name: str, *, last: bool = False) -> Any:
        """Adds a 3×3 convolution; with ``zero_init`` the ``last`` one of a branch starts at 0."""
        self.reach += 2**level
        start = "zeros" if last and self.options.zero_init else "glorot_uniform"
        return layers.Conv2D(width, 3, padding="same", kernel_initializer=start, name=name)(x)

    def residual(self, x: Any, width: int, level: int, name: str, resample: Any = None) -> Any:
        """Adds a residual block of two convolutions, each after normalization and activation.

        The embedding enters at the second normalization.

        Args:
            x: Input, (B, H, W, C).
            width: Channels of the output.
            level: Level of the convolutions.
            name: Prefix of the layers' names.
            resample: Resampling layer of both branches, before the first convolution; None to keep
                the size.
        """
        options = self.options
        h = self.activated(FieldNorm(*self.norm, name=f"{name}_norm_1")(x), f"{name}_1")
        if resample is not None:
            h, x = resample(h), resample(x)
        h = self.convolution(h, width, level, f"{name}_convolution_1")
        norm = FieldNorm(*self.norm, name=f"{name}_norm_2")
        if self.embedding is None:
            h = norm(h)
        else:
            units = width * (2 if options.scale_shift else 1)
            embedded = layers.Dense(units, name=f"{name}_embedding")(self.embedding)
            if options.scale_shift:
                h = norm(h, embedded)
            else:
                h = norm(h + layers.Reshape((1, 1, width), name=f"{name}_shift")(embedded))
        h = self.activated(h, f"{name}_2")
        if options.dropout:
            h = layers.Dropout(options.dropout, name=f"{name}_dropout")(h)
        h = self.convolution(h, width, level, f"{name}_convolution_2", last=True)
        if x.shape[-1] != width or (resample is not None and options.resample_projection):
            x = layers.Conv2D(width, 1, name=f"{name}_shortcut")(x)
        return self._sum(x, h, name)

    def _sum(self, x: Any, h: Any, name: str) -> Any:
        """Adds a branch to x; with ``half_variance``, divides the sum by √2."""
        x = layers.Add(name=f"{name}_sum")([x, h])
        return x / math.sqrt(2) if self.options.half_variance else x

    def _heads(self, channels: int, name: str) -> int:
        """Returns the number of attention heads for a number of channels."""
        if self.options.head_channels:
            return max(channels // self.options.head_channels, 1)
        if channels % self.options.heads:
            raise OptionError(
                f"heads {self.options.heads} must divide the {channels} channels of {name}."
            )
        return self.options.heads

    def attend(self, x: Any, name: str) -> Any:
        """Adds self-attention or, with tokens, a transformer block with cross-attention."""
        channels = x.shape[-1]
        heads = self._heads(channels, name)
        h = x
        placed = ("all",) if name == "middle" else ("all", "levels")
        if self.options.attention_norm in placed:
            h = FieldNorm(*self.norm, name=f"{name}_attention_norm")(x)
        if self.tokens is not None:
            return layers.Add(name=f"{name}_attention_sum")(
                [x, self._transformer(h, heads, f"{name}_transformer")]
            )
        start = "zeros" if self.options.zero_init else "glorot_uniform"
        h = FieldAttention(heads, start, name=f"{name}_attention")(h)
        return self._sum(x, h, f"{name}_attention")

    def _transformer(self, x: Any, heads: int, name: str) -> Any:
        """Adds self-attention, cross-attention to the tokens and a gated MLP, with projections."""
        channels = x.shape[-1]
        x = layers.Dense(channels, name=f"{name}_in")(x)
        for part in ("self_attention", "cross_attention"):
            h = layers.LayerNormalization(epsilon=1e-5, name=f"{name}_{part}_norm")(x)
            attention = TokenAttention(heads, name=f"{name}_{part}")
            x = x + (attention(h) if part == "self_attention" else attention(h, self.tokens))
        h = layers.LayerNormalization(epsilon=1e-5, name=f"{name}_mlp_norm")(x)
        h = layers.Dense(8 * channels, name=f"{name}_mlp_1")(h)
        h, gate = ops.split(h, 2, axis=-1)
        gate = layers.Activation("gelu", name=f"{name}_gate")(gate)
        x = x + layers.Dense(channels, name=f"{name}_mlp_2")(h * gate)
        start = "zeros" if self.options.zero_init else "glorot_uniform"
        return layers.Dense(channels, kernel_initializer=start, name=f"{name}_out")(x)

    def down(self, x: Any, level: int) -> Any:
        """Halves rows and columns, from ``level`` to the next coarser one."""
        kind = of_level(self.options.downsampling, level)
        name = f"down_{level}_sampling"
        self.reach += 2**level
        if kind == "average":
            return layers.AveragePooling2D(2, name=name)(x)
        if kind == "resnet":
            pool = layers.AveragePooling2D(2, name=f"{name}_pooling")
            return self.residual(x, x.shape[-1], level + 1, name, pool)
        if kind == "conv-after":
            return layers.Conv2D(x.shape[-1], 3, strides=2, padding="same", name=name)(x)
        # PyTorch pads before the first row and column; Keras's "same" pads after the last.
        x = layers.ZeroPadding2D(((1, 0), (1, 0)), name=f"{name}_padding")(x)
        return layers.Conv2D(x.shape[-1], 3, strides=2, name=name)(x)

    def up(self, x: Any, level: int) -> Any:
        """Doubles rows and columns, from ``level`` to the next finer one."""
        kind = of_level(self.options.upsampling, level - 1)
        name = f"up_{level}_sampling"
        self.reach += 2**level
        if kind == "transposed":
            return layers.Conv2DTranspose(
                x.shape[-1], 4, strides=2, padding="same", name=name
            )(x)  # fmt: skip
        double = layers.UpSampling2D(2, name=f"{name}_nearest")
        if kind == "resnet":
            return self.residual(x, x.shape[-1], level - 1, name, double)
        return self.convolution(double(x), x.shape[-1], level - 1, name)


def of_level(choice: str | list[str], level: int) -> str:
    """Returns the choice of a level: the only one, or the one in a list, finest level first."""
    return choice if isinstance(choice, str) else choice[level]
