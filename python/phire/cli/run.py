"""``phire run``: a pipeline of commands from one file."""

from __future__ import annotations

import shlex

import click

from phire.cli.command import Command


@click.command("run", cls=Command, overwrites=False)
@click.argument("pipeline", metavar="PIPELINE.yaml", type=click.Path())
@click.option("--dry-run", is_flag=True, help="Print the graph and the stages to run; run nothing.")
@click.option(
    "--set",
    "overrides",
    metavar="A.B=VALUE",
    multiple=True,
    help="Change a value of the file, such as variables.days=20; may be repeated.",
)
@click.option(
    "--only",
    metavar="STAGE",
    multiple=True,
    help="Run this stage and those it needs; may be repeated.  [default: all]",
)
@click.option("--jobs", type=click.IntRange(1), default=1, help="Stages to run side by side.")
@click.option("--scheduler", help="Address of a running dask cluster to run the stages on.")
@click.option(
    "--report", is_flag=True, help="Write a page that compares all evaluations, report.html."
)
def main(pipeline, dry_run, **options):
    """Run the stages of PIPELINE.yaml that are not done, each after those it needs."""
    from phire.pipeline import plan_pipeline, run_pipeline

    if not dry_run:
        run_pipeline(pipeline, **options)
        return
    for name, planned in plan_pipeline(
        pipeline, options["overrides"], only=options["only"]
    ).items():
        stage = planned.stage
        needs = f" ← {', '.join(stage.needs)}" if stage.needs else ""
        reason = f" ({planned.reason})" if planned.reason else ""
        click.echo(f"{name}{needs}: {planned.state}{reason}")
        if planned.state != "done":
            click.echo(f"    {shlex.join(stage.command_line)}")
