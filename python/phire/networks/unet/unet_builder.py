"""U-Net builder, and presets with the options of published U-Nets."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import keras

from phire.errors import OptionError
from phire.networks.blocks.field_norm import KINDS as NORMALIZATIONS
from phire.networks.blocks.fine_output import Fine
from phire.networks.blocks.interpolation_layer import REACH
from phire.networks.blocks.multiples import CropLike
from phire.networks.blocks.sample_inputs import refuse_window
from phire.networks.option_checks import check_counts, check_share
from phire.networks.registry import network
from phire.networks.shapes import FixedSizeError, Shapes
from phire.networks.unet.levels import DOWNSAMPLING, UPSAMPLING, Levels
from phire.networks.unet.unet_inputs import (
    coarser_conditions,
    embedding_of,
    inputs_of,
    joined_on_fine_grid,
    padded,
    tokens_of,
)


@network("unet")
@network("unet-small", widths=[32, 64, 96], blocks=1, groups=8, skips="levels")
@network(
    "unet-adm", denoiser=True, widths=[128, 256, 256, 256], blocks=4, middle_attention=True,
    heads=4, noise_embedding="fourier", dropout=0.1,
)  # fmt: skip
@network(
    "unet2d", denoiser=True, widths=[32, 64, 128], attention=[1, 2], middle_attention=True,
    head_channels=8, scale_shift=False, noise_embedding="positional", fourier_scale=16.0,
    zero_init=False,
)  # fmt: skip
@network(
    "unet2d-condition", denoiser=True, widths=[32, 64, 128], attention=[0, 1],
    middle_attention=True, heads=8, token_width=256, scale_shift=False,
    noise_embedding="positional", zero_init=False,
)  # fmt: skip
@network(
    "unet-deepr", denoiser=True, widths=[16, 32, 64, 256], groups=8, attention=[2, 3],
    middle_attention=True, scale_shift=False, noise_embedding="positional", sine_first=True,
    up_widths="next", upsampling="transposed", dropout=0.1, zero_init=False,
)  # fmt: skip
@network(
    "songunet", denoiser=True, widths=[256, 256, 256], stem=128, blocks=4, attention=[1],
    up_attention="last", middle_attention=True, scale_shift=False, noise_embedding="log",
    sine_first=True, downsampling="resnet", upsampling="resnet", resample_projection=True,
    epsilon=1e-6,
    half_variance=True, dropout=0.1,
)  # fmt: skip
def unet(
    shapes: Shapes,
    *,
    denoiser: bool = False,
    noise: int = 0,
    widths: list[int] | int = (64, 128, 256),
    multipliers: list[int] | None = None,
    stem: int | None = None,
    blocks: int = 2,
    normalization: str = "group",
    groups: int = 32,
    epsilon: float = 1e-5,
    scale_shift: bool = True,
    activation: str = "silu",
    dropout: float = 0.0,
    zero_init: bool = True,
    half_variance: bool = False,
    attention: list[int] = (),
    attention_sides: list[int] = (),
    middle_attention: bool = False,
    up_attention: str = "all",
    attention_norm: str = "all",
    heads: int = 1,
    head_channels: int | None = None,
    token_width: int = 0,
    downsampling: str | list[str] = "conv",
    upsampling: str | list[str] = "nearest",
    resample_projection: bool = False,
    skips: str = "all",
    up_widths: str = "level",
    noise_embedding: str = "fourier",
    fourier_scale: float = 1.0,
    sine_first: bool = False,
    time_embedding: str | None = None,
    periods: list[float] = (24.0, 365.2425),
    interpolation: str = "bicubic",
    cascade: int = 0,
    place: str | None = None,
    place_channels: int = 4,
    context: bool = False,
) -> keras.Model:
    """Builds a U-Net as a generator of fine fields or, with ``denoiser``, as a denoiser.

    The coarse field is interpolated to the fine grid and concatenated with the fine maps, and with
    the noisy field or the noise. Fields whose sides the downsampling does not divide are padded by
    their edge values and cropped again. A denoiser outputs F without preconditioning. The halo is
    None with attention or group normalization, which depend on the whole field.

    Presets have the numbers of trainable parameters of published networks: ``unet-adm``, guided
    diffusion (Dhariwal and Nichol 2021, arXiv:2105.05233); ``unet2d`` and ``unet2d-condition``,
    diffusers 0.20; ``unet-deepr``, DeepR; ``songunet``, the DDPM++ of EDM (Karras et al. 2022,
    arXiv:2206.00364) without augmentation labels.

    Args:
        shapes: Shapes of a sample.
        denoiser: Add the inputs ``noisy`` (B, H, W, C) and ``noise_level`` (B,).
        noise: Channels N of the input ``noise`` (B, H, W, N) of a stochastic generator; 0 for no
            such input.
        widths: Channels of each level, finest first; or one number, with ``multipliers``.
        multipliers: Factor of each level by which the one width is multiplied; None if ``widths``
            is a list.
        stem: Channels of the first convolution, and a quarter of the embedding's length; None for
            widths[0].
        blocks: Residual blocks of each level of the encoder; the decoder has one more with
            ``skips=all``.
        normalization: ``group``, ``rms`` (over the channels of a point) or ``none``.
        groups: Groups of group normalization; if they do not divide the channels, the greatest
            common divisor of both.
        epsilon: Added to the variance in normalizations.
        scale_shift: The embedding scales and shifts the output of a block's second normalization;
            otherwise it is added to the input of this normalization.
        activation: Name of a Keras activation.
        dropout: Fraction of values dropped before each block's second convolution.
        zero_init: Initialize the last convolution of each block, of attention and of the network
            with zeros.
        half_variance: Divide the sums of skip and branch by √2.
        attention: Levels with attention after every block; 0 is the finest.
        attention_sides: Further levels with attention, by their number of rows or columns.
        middle_attention: Add attention between the two middle blocks.
        up_attention: Blocks with attention in the decoder's levels: ``all``, or the ``last`` only.
        attention_norm: Attention with a normalization before it: ``all``, that of the ``levels``
            but not the middle (as in diffusers with ``scale_shift``), or ``none``.
        heads: Number of attention heads.
        head_channels: Channels of a head, in place of ``heads``.
        token_width: Length of the tokens for cross-attention, which turns attention into a
            transformer block; 0 for no tokens. There is one token per covariate and, for records
            with stations, one for each of a patch's first 64 stations; without covariates and
            stations there is one token of zeros.
        downsampling: ``conv``, of stride 2 with padding before the first row and column;
            ``conv-after``, with padding after the last; ``average``; ``resnet``, a residual block
            with pooling; or a list of these, finest level first.
        upsampling: ``nearest`` with a convolution, ``transposed`` convolution, ``resnet``; or a
            list of these.
        resample_projection: Add a 1×1 convolution to the shortcut of resampling residual blocks.
        skips: Outputs of the encoder that are concatenated in the decoder: ``all``, or one for each
            of the ``levels`` except the coarsest, which then has no blocks in the decoder.
        up_widths: Width of the last block of each level of the decoder: that of the ``level``, or
            of the ``next`` finer level.
        noise_embedding: ``fourier``, of ln σ with fixed random frequencies; ``positional``,
            sinusoids of σ or of the time step; ``log``, sinusoids of ¼ ln σ.
        fourier_scale: Standard deviation of the random frequencies.
        sine_first: Order and spacing of the sinusoids; see
            :class:`phire.networks.blocks.embeddings.Sinusoids`.
        time_embedding: Embedding of the covariates: ``class``, ``positional``, ``timestep`` or
            ``cyclical``. None is ``cyclical`` without tokens, and no embedding with tokens.
        periods: Period of each covariate; the default stands for the periods of the records, 24
            hours of a day and 365.2425 days of a year.
        interpolation: Interpolation of ``low``: ``nearest``, ``bilinear`` or ``bicubic``.
        cascade: Channels of the conditions that are concatenated again at every coarser level; 0
            for none.
        place: Channels that encode a point's position in the domain: ``sinusoidal`` or ``learned``;
            None for no such channels.
        place_channels: Number of these channels.
        context: Embed the array ``context``, the area means of the whole coarse field, by two dense
            layers, and add it to the embedding of noise level and covariates.

    Raises:
        InputError: An option is unknown or out of range, or needs an input that the records lack.
    """
    options = SimpleNamespace(**{k: v for k, v in locals().items() if k != "shapes"})
    refuse_window(shapes, "unet")
    _check_choices(options)
    return _assembled(shapes, options)


def _assembled(shapes: Shapes, options: SimpleNamespace) -> keras.Model:
    """Builds the model from checked options."""
    widths = _widths(options)
    stem = options.stem or widths[0]
    attention = _attention_levels(shapes, options, len(widths))
    inputs = inputs_of(shapes, options)
    fields, conditions = joined_on_fine_grid(inputs, shapes, options)
    multiple = 2 ** (len(widths) - 1)
    coarser = []
    if options.cascade:
        conditions = padded(conditions, multiple, "conditions_padded")
        coarser = coarser_conditions(conditions, len(widths), options.cascade)
    levels = Levels(
        options, widths, attention, embedding_of(inputs, shapes, options, stem),
        tokens_of(inputs, shapes, options),
    )  # fmt: skip
    x = levels(padded(fields, multiple, "padded"), stem, shapes.high[2], coarser)
    if multiple > 1:
        x = CropLike(name="cropped")(x, fields)
    # Group normalization has no finite halo either, but still works on tiles somewhat larger than
    # the training patches.
    patch_sized = bool(attention or options.middle_attention)
    local = options.normalization != "group" and not patch_sized
    halo = -(-levels.reach // shapes.scale) + REACH if local else None
    return keras.Model(inputs, Fine(halo, patch_sized=patch_sized)(x), name="unet")


def _widths(options: SimpleNamespace) -> list[int]:
    """Returns the channels of each level.

    Raises:
        InputError: ``widths`` is one number without ``multipliers``, or a list with them.
    """
    widths = options.widths
    if isinstance(widths, int) == (options.multipliers is not None):
        if isinstance(widths, int):
            return [widths * factor for factor in options.multipliers]
        return list(widths)
    raise OptionError(f"widths {widths} must be a list, or one number with the list multipliers.")


def _attention_levels(shapes: Shapes, options: SimpleNamespace, levels: int) -> frozenset[int]:
    """Returns the levels with attention, from ``attention`` and ``attention_sides``.

    Raises:
        InputError: A level or side does not exist, or sides are given for fields of any size.
    """
    chosen = set(options.attention)
    if not chosen <= set(range(levels)):
        raise OptionError(f"attention {sorted(chosen)} must be levels from 0 to {levels - 1}.")
    if options.attention_sides and None in shapes.high[:2]:
        raise FixedSizeError(
            f"attention_sides {list(options.attention_sides)} needs fields of fixed size: give "
            "levels as attention instead."
        )
    for side in options.attention_sides:
        matching = {
            level for level in range(levels) for n in shapes.high[:2] if -(-n // 2**level) == side
        }
        if not matching:
            sides = {-(-n // 2**level) for level in range(levels) for n in shapes.high[:2]}
            raise OptionError(
                f"attention_sides {side} is not the number of rows or columns of any level: choose "
                f"among {', '.join(map(str, sorted(sides)))}."
            )
        chosen |= matching
    return frozenset(chosen)


def _check_choices(options: SimpleNamespace) -> None:
    """Raises an OptionError for an unknown choice, or a list of the wrong length."""
    choices: dict[str, tuple[Any, tuple[str, ...]]] = {
        "normalization": (options.normalization, NORMALIZATIONS),
        "attention_norm": (options.attention_norm, ("all", "levels", "none")),
        "up_attention": (options.up_attention, ("all", "last")),
        "skips": (options.skips, ("all", "levels")),
        "up_widths": (options.up_widths, ("level", "next")),
        "downsampling": (options.downsampling, DOWNSAMPLING),
        "upsampling": (options.upsampling, UPSAMPLING),
    }
    check_counts(widths=options.widths, blocks=options.blocks, groups=options.groups,
                 heads=options.heads)  # fmt: skip
    check_counts(0, noise=options.noise, token_width=options.token_width, cascade=options.cascade)
    count = len(_widths(options)) - 1
    for name, (given, known) in choices.items():
        listed = [given] if isinstance(given, str) else given
        if not set(listed) <= set(known):
            raise OptionError(f"{name} {given!r} must be one of {', '.join(known)}.")
        if not isinstance(given, str) and len(listed) != count:
            raise OptionError(
                f"{name} {given!r} must have one choice for each of {count} resamplings."
            )
    check_share(dropout=options.dropout)
