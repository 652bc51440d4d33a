"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable

import click

from phire.cli.comma_separated import CommaSeparated
from phire.cli.part_choice import PartChoice
from phire.cli.paths import RECORDS

Decorator = Callable[[Callable], Callable]

time_option = click.option(
    "--time", metavar="START,STOP", help="Half-open range of times to use.  [default: all]"
)
level_option = click.option(
    "--level", type=float, help="Vertical level to read, for variables with several."
)
variables_option = click.option(
    "--variables",
    type=CommaSeparated(str, name="NAME,..."),
    help="Variables to read.  [default: all]",
)
layer_option = click.option(
    "--layer", help="Encoder layer, such as stage3.  [default: that of the metric]"
)
validation_option = click.option(
    "--validation", type=RECORDS, help="Held-out records, for validation during training."
)


def schedule_option(default: str) -> Decorator:
    """Returns the option ``--schedule`` with a default."""
    return click.option(
        "--schedule",
        type=PartChoice("schedule"),
        default=default,
        help="Learning-rate schedule with options: phire parts schedule.",
    )


def option_list(*options: Decorator) -> Decorator:
    """Combines several options into one decorator; the help lists them in this order."""

    def decorate(function: Callable) -> Callable:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


regridding_options = option_list(
    click.option("--like", type=click.Path(), help="File whose grid to regrid all channels to."),
    click.option(
        "--grid",
        metavar="SPEC",
        help="Grid to regrid all channels to: a global grid KIND:ROWS of the kind gaussian, "
        "driscoll-healy, pole-to-pole or cell-centred (needed for spherical-harmonic "
        "coefficients), degrees:STEP over the extent of the fields, or degrees:STEP:N,W,S,E.",
    ),
    click.option(
        "--method",
        type=click.Choice(["conservative", "bilinear", "nearest", "bicubic"]),
        default="conservative",
        help="Regridding method: conservative (area-weighted means), or an interpolation.",
    ),
    click.option(
        "--least-valid",
        type=float,
        default=0.5,
        help="Regridding: smallest fraction of weights on present values; below it the output is "
        "NaN.",
    ),
    click.option(
        "--weights",
        type=click.Path(),
        help="Regridding: .npz file to read the weights from, or to write them to if it does not "
        "exist; a folder for several grids.",
    ),
)

cluster_options = option_list(
    click.option(
        "--workers",
        type=click.IntRange(1),
        help="Number of processes on this machine.  [default: threads of this process]",
    ),
    click.option("--scheduler", help="Address of a running dask cluster that does the work."),
)


def patch_options(patch: str, patches_per_field: int, latitudes: str | None = None) -> Decorator:
    """Returns the options on patches, with the defaults of a command."""
    everywhere = "" if latitudes else "  [default: everywhere]"
    return option_list(
        click.option(
            "--patch",
            type=CommaSeparated(int, 2, "H,W"),
            default=patch,
            help="Height and width of the patches, grid points of the (fine) fields.",
        ),
        click.option(
            "--patches-per-field",
            type=int,
            default=patches_per_field,
            help="Mean number of samples drawn from each field.",
        ),
        click.option(
            "--latitudes",
            type=CommaSeparated(float, 2, "SOUTH,NORTH"),
            default=latitudes,
            help=f"Southern and northern limit of the patch centres, degrees.{everywhere}",
        ),
    )


def sampling_options(masks: bool = False) -> Decorator:
    """Returns the options of the commands that write records.

    Args:
        masks: True if the records can mask missing values.
    """
    return option_list(
        time_option,
        click.option("--shards", type=int, default=8, help="Number of TFRecord files."),
        click.option(
            "--compression",
            type=click.Choice(["none", "zlib", "gzip"]),
            default="none",
            help="Compression of the TFRecord files.",
        ),
        click.option(
            "--dtype",
            type=click.Choice(["float32", "float16"]),
            default="float32",
            help="Type of the stored pixels.",
        ),
        click.option(
            "--normalization",
            metavar="KIND,NAME=KIND...",
            help="Normalization: log1p, z, minmax, log:EPS, sqrt, none, or a chain such as "
            "sqrt+minmax or z+scale:0.2; then channels that differ.  [default: that of "
            "--statistics, else log1p]",
        ),
        click.option(
            "--statistics",
            type=click.Path(),
            help="Statistics to use instead of fitting: a JSON file or other records.",
        ),
        click.option(
            "--missing",
            type=click.Choice(["skip", "fill", "error", *(["mask"] if masks else [])]),
            default="skip",
            help="Patches with missing values: skip draws none, fill uses the channel's mean, "
            "error stops" + (", mask stores a mask." if masks else "."),
        ),
        click.option("--seed", type=int, default=0, help="Seed of the draw."),
        cluster_options,
    )


training_options = option_list(
    click.option(
        "--patience",
        type=int,
        help="End a phase after this many epochs without improvement of the monitored score.",
    ),
    click.option(
        "--min-delta",
        type=float,
        default=0.0,
        help="Smallest decrease that counts as an improvement.",
    ),
    click.option(
        "--restore-best",
        is_flag=True,
        help="Restore the weights of the best epoch at the end of each phase.",
    ),
    click.option(
        "--ema",
        type=float,
        help="Decay of the exponential moving average of the weights, such as 0.999.  [default: "
        "0.999 for phire-train's edm, flow, vp, ddpm and energy, otherwise no average]",
    ),
    click.option(
        "--clip-norm", type=float, help="Largest global norm of the gradients.  [default: none]"
    ),
    click.option(
        "--clip-value", type=float, help="Largest absolute value in a gradient.  [default: none]"
    ),
    click.option(
        "--weight-decay",
        type=float,
        help="Decoupled weight decay (AdamW): each step subtracts learning rate · this · weights.  "
        "[default: none]",
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
        help="Devices to train on; multiworker uses the machines in TF_CONFIG.",
    ),
    click.option(
        "--precision",
        type=click.Choice(["float32", "bfloat16", "float16"]),
        default="float32",
        help="Type of the computation; bfloat16 and float16 are mixed precision.",
    ),
    click.option("--jit", is_flag=True, help="Compile the training steps with XLA."),
    click.option(
        "--deterministic",
        is_flag=True,
        help="Bitwise reproducible training, also when resumed (CPU).",
    ),
    click.option(
        "--checkpoint-minutes", type=float, default=10.0, help="Minutes between checkpoints."
    ),
    click.option(
        "--checkpoint-steps", type=int, help="Steps between checkpoints, in place of minutes."
    ),
)
