"""``phire run``: execution of a pipeline of commands from one file."""

from __future__ import annotations

import shlex

import click

from phire.cli.command import Command


@click.command("run", cls=Command, overwrites=False)
@click.argument("pipeline", metavar="PIPELINE.yaml", type=click.Path())
@click.option("--dry-run", is_flag=True, help="Print the graph and the stages to run, and stop.")
@click.option(
    "--set",
    "overrides",
    metavar="A.B=VALUE",
    multiple=True,
    help="Override a value of the file, such as variables.days=20; may be repeated.",
)
@click.option(
    "--only",
    metavar="STAGE",
    multiple=True,
    help="Run only this stage and those that it needs; may be repeated.  [default: all]",
)
@click.option("--jobs", type=click.IntRange(1), default=1, help="Number of stages run in parallel.")
@click.option("--scheduler", help="Address of a running dask cluster to run the stages on.")
@click.option(
    "--report", is_flag=True, help="Write report.html, a page that compares all evaluations."
)
def main(pipeline, dry_run, **options):
    """Run the stages of PIPELINE.yaml that are not up to date, each after those that it needs."""
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
