"""The U-Net by name: one builder, and the options of published ones."""

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
    """Builds a U-Net: a generator of fine fields, or a denoiser with inputs for it.

    The coarse field is interpolated to the fine grid and joined to the maps, the noisy field and
    what the options add. Sizes that the downsampling does not divide are continued by their edge
    and cropped again. A denoiser gives its raw output, without preconditioning. The halo is None
    with attention or group normalisation, whose outputs depend on the whole field.

    Presets have the trainable parameters of published networks: ``unet-adm`` of the U-Net of
    guided diffusion (Dhariwal and Nichol 2021, arXiv:2105.05233), ``unet2d`` and
    ``unet2d-condition`` of those of diffusers 0.20, ``unet-deepr`` of DeepR's, ``songunet`` of
    EDM's DDPM++ (Karras et al. 2022, arXiv:2206.00364) less its augmentation labels.

    Args:
        shapes: Shapes of a sample.
        denoiser: Take ``noisy`` (B, H, W, Ct) and ``noise_level`` (B,), too.
        noise: Channels of ``noise`` (B, H, W, N) that a stochastic generator takes.
        widths: Channels of each level, finest first; or one number that ``multipliers`` multiply.
        multipliers: Factors of each level to one width.
        stem: Channels of the first convolution, and a quarter of the embedding; widths[0] if None.
        blocks: Residual blocks of a level on the way down; on the way up one more with
            ``skips=all``.
        normalization: ``group``, ``rms`` (over the channels of a point) or ``none``.
        groups: Groups of channels, or their greatest common divisor where they do not divide them.
        epsilon: Added to the variance in normalisations.
        scale_shift: The embedding scales and shifts after a block's second normalisation; else it
            is added before.
        activation: Name of a Keras activation.
        dropout: Share of values dropped before each block's second convolution.
        zero_init: Begin the last convolution of each block, attention and network with zeros.
        half_variance: Divide the sums of blocks and attention by √2.
        attention: Levels with attention after every block, 0 the finest.
        attention_sides: Further such levels, by their number of rows or columns.
        middle_attention: Attention between the two middle blocks.
        up_attention: ``all`` blocks of these levels on the way up, or the ``last`` alone.
        attention_norm: Normalise before ``all`` attention, that of the ``levels`` without the
            middle's (as diffusers with ``scale_shift``), or ``none``.
        heads: Heads of attention.
        head_channels: Channels of a head, which then replace ``heads``.
        token_width: Length of the tokens for cross-attention: one for each covariate, and of the
            records' stations the first 64 that a patch has; 0 for none. Attention then becomes a
            transformer block. Without covariates and stations the one token is zeros.
        downsampling: ``conv`` (stride 2, zeros before the first row and column), ``conv-after``
            (zeros after the last ones), ``average`` or ``resnet`` (a residual block that pools),
            or a list of them, finest level first.
        upsampling: ``nearest`` (and a convolution), ``transposed`` or ``resnet``, or a list.
        resample_projection: Residual blocks that resample have a 1×1 convolution on the shortcut.
        skips: Join ``all`` results on the way down to blocks on the way up, or those of ``levels``:
            one of each level but the coarsest, which then has no blocks on the way up.
        up_widths: The last block of a level on the way up has the ``level``'s width, or the
            ``next`` finer one's.
        noise_embedding: ``fourier`` (frozen random frequencies of ln σ), ``positional``
            (sinusoids of σ or of the time step itself) or ``log`` (sinusoids of ¼ ln σ).
        fourier_scale: Standard deviation of the random frequencies.
        sine_first: Order and spacing of the sinusoids; see
            :class:`phire.networks.blocks.embeddings.Sinusoids`.
        time_embedding: ``class``, ``positional``, ``timestep`` or ``cyclical``; None is
            ``cyclical`` where there are covariates, and tokens alone where there are tokens.
        periods: Period of each covariate; by default those of the records, 24 hours of a day or
            365.2425 days of a year.
        interpolation: ``nearest``, ``bilinear`` or ``bicubic``.
        cascade: Channels of the conditions that every coarser level is given once more; 0 without.
        place: ``sinusoidal`` or ``learned`` channels of the patch's place in the domain.
        place_channels: Their number.
        context: Join the whole coarse field, margin included, stretched over the patch.

    Raises:
        InputError: An option is unknown, or needs an input that the records lack.
    """
    options = SimpleNamespace(**{k: v for k, v in locals().items() if k != "shapes"})
    refuse_window(shapes, "unet")
    _check_choices(options)
    return _assembled(shapes, options)


def _assembled(shapes: Shapes, options: SimpleNamespace) -> keras.Model:
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
    local = options.normalization != "group" and not (
        attention or options.middle_attention or options.context
    )
    halo = -(-levels.reach // shapes.scale) + REACH if local else None
    return keras.Model(inputs, Fine(halo)(x), name="unet")


def _widths(options: SimpleNamespace) -> list[int]:
    """Returns the channels of each level.

    Raises:
        InputError: Neither ``widths`` nor ``multipliers`` is a list, or both are.
    """
    widths = options.widths
    if isinstance(widths, int) == (options.multipliers is not None):
        if isinstance(widths, int):
            return [widths * factor for factor in options.multipliers]
        return list(widths)
    raise OptionError(f"widths {widths} must be a list, or one number beside the list multipliers.")


def _attention_levels(shapes: Shapes, options: SimpleNamespace, levels: int) -> frozenset[int]:
    """Returns the levels with attention, by number and by side.

    Raises:
        InputError: A level or side does not exist, or sides are given for fields of any size.
    """
    found = set(options.attention)
    if not found <= set(range(levels)):
        raise OptionError(f"attention {sorted(found)} must be levels from 0 to {levels - 1}.")
    if options.attention_sides and None in shapes.high[:2]:
        raise FixedSizeError(
            f"attention_sides {list(options.attention_sides)} needs fields of known rows and "
            "columns: name levels as attention instead."
        )
    for side in options.attention_sides:
        at = {
            level for level in range(levels) for n in shapes.high[:2] if -(-n // 2**level) == side
        }
        if not at:
            raise OptionError(
                f"attention_sides {side} must be the rows or columns of a level: fine fields are "
                f"{shapes.high[:2]} and there are {levels} levels."
            )
        found |= at
    return frozenset(found)


def _check_choices(options: SimpleNamespace) -> None:
    """Raises an InputError for an option that is not among its choices."""
    choices: dict[str, tuple[Any, tuple[str, ...]]] = {
        "normalization": (options.normalization, NORMALIZATIONS),
        "attention_norm": (options.attention_norm, ("all", "levels", "none")),
        "up_attention": (options.up_attention, ("all", "last")),
        "skips": (options.skips, ("all", "levels")),
        "up_widths": (options.up_widths, ("level", "next")),
        "downsampling": (options.downsampling, DOWNSAMPLING),
        "upsampling": (options.upsampling, UPSAMPLING),
    }
    count = len(_widths(options)) - 1
    for name, (given, known) in choices.items():
        listed = [given] if isinstance(given, str) else given
        if not set(listed) <= set(known):
            raise OptionError(f"{name} {given!r} must be one of {', '.join(known)}.")
        if not isinstance(given, str) and len(listed) != count:
            raise OptionError(f"{name} {given!r} must have one choice for each of {count} steps.")
    if options.blocks < 1:
        raise OptionError(f"blocks {options.blocks} must be 1 or more.")
