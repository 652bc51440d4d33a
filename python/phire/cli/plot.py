"""``phire plot``: redraws figures of an evaluation from its results alone."""

from __future__ import annotations

import click

from phire.cli.command import Command


@click.command("plot", cls=Command, overwrites=False)
@click.argument("results", type=click.Path())
@click.argument("names", nargs=-1)
@click.option("--list", "listing", is_flag=True, help="List the figures' names and stop.")
@click.option(
    "--out", type=click.Path(), help="Folder for the figures.  [default: RESULTS/figures]"
)
@click.option(
    "--format",
    "formats",
    multiple=True,
    type=click.Choice(["png", "pdf", "svg"]),
    default=["png", "pdf"],
    help="File format; may be repeated.",
)
@click.option("--dpi", type=click.IntRange(30, 1200), default=160, help="Dots per inch of pixels.")
@click.option("--report", is_flag=True, help="Write RESULTS/report.html anew afterwards.")
def main(results, names, listing, out, formats, dpi, report):
    """Redraw the figures NAMES (patterns such as 'spectrum-*'; all if none) of RESULTS."""
    from phire.evaluation.figures import draw_all, figure_names
    from phire.evaluation.report import write_report

    if listing:
        for name, title in figure_names(results):
            click.echo(f"{name:44} {title}")
        return
    for path in draw_all(results, names=names or None, formats=formats, dpi=dpi, output=out):
        click.echo(path)
    if report:
        click.echo(write_report(results))


if __name__ == "__main__":
    main()
