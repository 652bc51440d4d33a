"""``phire-train``: train a super-resolution generator."""

import click

from phire.cli.common import Command, CommaSeparated, training_options


@click.command("phire-train", cls=Command, tensorflow=True)
@click.argument("records", type=click.Path())
@click.option("--out", required=True, type=click.Path(), help="The run directory to make.")
@click.option("--validation", type=click.Path(), help="Records to validate on after each epoch.")
@click.option("--network", default="srgan", help="srgan or srgan-small.")
@click.option(
    "--factors",
    type=CommaSeparated(int, name="R,..."),
    help="Upsampling factors.  [default: prime factors of the scale]",
)
@click.option(
    "--filters",
    type=click.IntRange(min=1),
    help="Width of the generator.  [default: the network's]",
)
@click.option(
    "--blocks", type=click.IntRange(min=0), help="Residual blocks of it.  [default: the network's]"
)
@click.option(
    "--upsampling",
    type=click.Choice(["subpixel", "resize"]),
    default="subpixel",
    help="How it upsamples.",
)
@click.option("--periodic", is_flag=True, help="Pad around the circle of longitude.")
@click.option("--conserve", is_flag=True, help="Keep the coarse input's block means exactly.")
@click.option(
    "--content",
    default="mse",
    help="mse, mae, a metric's directory, or a weighted sum such as 0.9*METRIC+0.1*mse.",
)
@click.option(
    "--layers",
    type=CommaSeparated(str, name="NAME,..."),
    help="Layers of the metric.  [default: its own]",
)
@click.option(
    "--adversarial-weight",
    type=float,
    default=1e-3,
    help="Weight of the adversarial loss; 0: none.",
)
@click.option(
    "--pretrain-epochs",
    type=click.IntRange(min=0),
    default=5,
    help="Epochs on the pixel MSE alone.",
)
@click.option("--pretrain-rate", type=float, default=1e-4, help="Their learning rate.")
@click.option(
    "--pretrained",
    type=click.Path(),
    help="A run whose generator to start from, with its Adam's state.",
)
@click.option(
    "--epochs",
    type=CommaSeparated(int, name="N,..."),
    default="15,5",
    help="Epochs of each phase that follows; 0, with one learning rate, pretrains alone.",
)
@click.option(
    "--learning-rates",
    type=CommaSeparated(float, name="RATE,..."),
    default="1e-4,1e-5",
    help="Learning rate of each of them.",
)
@click.option("--batch-size", type=click.IntRange(min=1), default=64, help="Patches of a batch.")
@click.option(
    "--average-decay", type=float, help="Keep a moving average of the generator's weights."
)
@click.option(
    "--select",
    type=click.Choice(["loss", "spectrum", "distance"]),
    default="loss",
    help="What the best epoch has the least of.",
)
@click.option(
    "--normalization",
    type=click.Choice(["z", "none"]),
    help="Bare TFRecord files: what they hold needs.",
)
@click.option("--statistics", type=click.Path(), help="Bare TFRecord files: a file of statistics.")
@training_options
def main(records, out, **options):
    """Train a generator on the downscaling records RECORDS."""
    from phire.downscaling import train_generator

    train_generator(records, out, **options)
