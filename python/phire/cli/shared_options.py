"""Options that several commands share; each is declared here once."""

from __future__ import annotations

from collections.abc import Callable

import click

from phire.cli.comma_separated import CommaSeparated
from phire.cli.part_choice import PartChoice
from phire.cli.paths import RECORDS

Decorator = Callable[[Callable], Callable]

time_option = click.option("--time", metavar="START,STOP", help="Times to use, half-open.")
level_option = click.option(
    "--level", type=float, help="Level to take, where variables have several."
)
variables_option = click.option(
    "--variables",
    type=CommaSeparated(str, name="NAME,..."),
    help="Variables to take.  [default: all]",
)
layer_option = click.option("--layer", help="A layer other than the metric's, such as stage3.")
validation_option = click.option(
    "--validation", type=RECORDS, help="Held-out records to validate on during training."
)


def schedule_option(default: str) -> Decorator:
    """Returns ``--schedule``."""
    return click.option(
        "--schedule",
        type=PartChoice("schedule"),
        default=default,
        help="Schedule of the learning rates: phire parts schedule.",
    )


def option_list(*options: Decorator) -> Decorator:
    """Returns one decorator for several options; help lists them in this order."""

    def decorate(function: Callable) -> Callable:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


regridding_options = option_list(
    click.option("--like", type=click.Path(), help="File whose grid to bring all channels to."),
    click.option(
        "--grid",
        metavar="SPEC",
        help="Grid to bring all channels to: KIND:ROWS such as gaussian:320 (all that "
        "spherical-harmonic coefficients can be brought to), degrees:STEP over the extent of the "
        "fields, or degrees:STEP:N,W,S,E.",
    ),
    click.option(
        "--method",
        type=click.Choice(["conservative", "bilinear", "nearest", "bicubic"]),
        default="conservative",
        help="Regridding: means by shared areas, or interpolation.",
    ),
    click.option(
        "--least-valid",
        type=float,
        default=0.5,
        help="Regridding: least share of the weights on values that are not missing; below it NaN "
        "is written.",
    ),
    click.option(
        "--weights",
        type=click.Path(),
        help="Regridding: file (.npz) to read the weights from, or to write them to where it does "
        "not exist; a folder for several grids.",
    ),
)

cluster_options = option_list(
    click.option("--workers", type=click.IntRange(1), help="Processes to spread the work over."),
    click.option("--scheduler", help="Address of a running dask cluster to spread the work over."),
)


def patch_options(patch: str, patches_per_field: int, latitudes: str | None = None) -> Decorator:
    """Returns the options of patches, with the command's defaults."""
    everywhere = "" if latitudes else "  [default: everywhere]"
    return option_list(
        click.option(
            "--patch", type=CommaSeparated(int, 2, "H,W"), default=patch, help="Patch size."
        ),
        click.option(
            "--patches-per-field",
            type=int,
            default=patches_per_field,
            help="Patches, or pairs of patches, that begin at each field.",
        ),
        click.option(
            "--latitudes",
            type=CommaSeparated(float, 2, "SOUTH,NORTH"),
            default=latitudes,
            help=f"Southern and northern bound of the patches' centres, degrees.{everywhere}",
        ),
    )


def sampling_options(masks: bool = False) -> Decorator:
    """Returns the options of the commands that sample records.

    Args:
        masks: The records can mark missing values.
    """
    return option_list(
        time_option,
        click.option("--shards", type=int, default=8, help="Number of TFRecord files."),
        click.option(
            "--compression",
            type=click.Choice(["none", "zlib", "gzip"]),
            default="none",
            help="Compression of the files.",
        ),
        click.option(
            "--dtype",
            type=click.Choice(["float32", "float16"]),
            default="float32",
            help="Type of the pixels.",
        ),
        click.option(
            "--normalization",
            metavar="KIND,NAME=KIND...",
            help="Of log1p, z, minmax, log:EPS, sqrt, none, for all and for channels by name; "
            "chains such as sqrt+minmax, z+scale:0.2.  [default: that of --statistics, else log1p]",
        ),
        click.option(
            "--statistics",
            type=click.Path(),
            help="Statistics to take (a JSON file or other records) instead of fitting them.",
        ),
        click.option(
            "--missing",
            type=click.Choice(["skip", "fill", "error", *(["mask"] if masks else [])]),
            default="skip",
            help="Patches with missing values: not drawn, filled with the mean, or refused"
            + (", or drawn with a mask." if masks else "."),
        ),
        click.option("--seed", type=int, default=0, help="Seed of the draw."),
        cluster_options,
    )


training_options = option_list(
    click.option(
        "--patience",
        type=int,
        help="Epochs without a fall of the monitored score that end a phase.",
    ),
    click.option(
        "--min-delta", type=float, default=0.0, help="Least fall that counts for --patience."
    ),
    click.option(
        "--restore-best",
        is_flag=True,
        help="End each phase with the weights of its best epoch instead of the last.",
    ),
    click.option("--ema", type=float, help="Decay of a moving average of the weights."),
    click.option("--clip-norm", type=float, help="Largest norm of all gradients together."),
    click.option("--clip-value", type=float, help="Largest component of a gradient."),
    click.option(
        "--weight-decay",
        type=float,
        help="AdamW: share of the weights, times the learning rate, subtracted in each step.",
    ),
    click.option(
        "--seed",
        type=int,
        default=0,
        help="Seed of the initial weights and of the order of samples.",
    ),
    click.option(
        "--devices",
        type=click.Choice(["auto", "cpu", "gpu", "multiworker"]),
        default="auto",
        help="Devices to train on; TF_CONFIG names several machines.",
    ),
    click.option(
        "--precision",
        type=click.Choice(["float32", "bfloat16", "float16"]),
        default="float32",
        help="Type that the networks compute in.",
    ),
    click.option("--jit", is_flag=True, help="Compile the steps with XLA."),
    click.option(
        "--deterministic", is_flag=True, help="Bitwise reproducible training, resumed or not (CPU)."
    ),
    click.option(
        "--checkpoint-minutes", type=float, default=10.0, help="Time between checkpoints."
    ),
    click.option(
        "--checkpoint-steps", type=int, help="Steps between checkpoints, instead of a time."
    ),
)
