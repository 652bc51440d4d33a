"""Base class of the console commands: options from a file, and errors in one sentence."""

from __future__ import annotations

import contextlib
import importlib
import os
import platform
import signal
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import click

from phire import interruption
from phire.errors import InputError, WorkError, naming_options

CONFIG = "phire.config"
"""Key of a context's ``--config`` path."""


class Interruptible(click.Command):
    """A click command that ends with status 130 or 143 whenever SIGINT or SIGTERM comes."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        with interruption.noticed():
            try:
                made = super().main(*args, **kwargs)
                interruption.check()
                return made
            except BaseException:
                # The signal may have broken off anything: an import, click's own clean-up.
                if interruption.received() is None:
                    raise
                sys.exit(128 + interruption.received())


class CommandGroup(Interruptible, click.Group):
    """A click group whose mistakes of usage end in one sentence."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args:
            return super().parse_args(ctx, args)  # prints the help
        with usage_in_one_sentence(ctx):
            return super().parse_args(ctx, args)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        with usage_in_one_sentence(ctx):
            return super().resolve_command(ctx, args)


class Command(Interruptible):
    """A click command with ``--config``, ``--overwrite``, ``--quiet`` and errors in one sentence.

    Args:
        overwrites: Whether the command has an output, and so ``--overwrite``.
        tensorflow: Whether it needs TensorFlow, which is then imported without its greetings.
    """

    def __init__(
        self, *args: Any, overwrites: bool = True, tensorflow: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.tensorflow = tensorflow
        self.context_settings.setdefault("show_default", True)
        self.params.append(
            click.Option(
                ["--config"],
                type=click.Path(dir_okay=False),
                is_eager=True,
                expose_value=False,
                callback=_read_config,
                help="YAML file whose keys are the option names; the command line wins.",
            )
        )
        if overwrites:
            self.params.append(
                click.Option(["--overwrite"], is_flag=True, help="Replace an existing output.")
            )
        self.params.append(click.Option(["--quiet", "-q"], is_flag=True, help="Print errors only."))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        with usage_in_one_sentence(ctx):
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        # Imported here because rich costs a tenth of a second that --help need not pay.
        from phire import progress

        if self.tensorflow:
            import_tensorflow()
        quiet = progress.quiet(ctx.params.pop("quiet"))
        with quiet, _warnings_in_one_line(ctx), naming_options():
            try:
                made = super().invoke(ctx)
                interruption.check()
                return made
            except BaseException as error:
                _end_in_words(ctx, error)
                raise


def _end_in_words(ctx: click.Context, error: BaseException) -> None:
    """Ends the command with one sentence; returns if the error is a bug of phire's."""
    from phire import files

    number = interruption.received()
    if number is not None or isinstance(error, KeyboardInterrupt):
        # An exception that a library made of the interruption says less than that.
        _end(ctx, interruption.MESSAGE, 128 + (number or signal.SIGINT))
    if isinstance(error, InputError):
        _end(ctx, error, 2)
    if isinstance(error, WorkError):
        _end(ctx, error, getattr(error, "status", 1))
    if isinstance(error, BrokenPipeError):
        return  # whoever reads has enough, such as head; click ends quietly
    if isinstance(error, OSError) and error.filename is not None:
        _end(ctx, error, 1)
    if files.disk_is_full(error):
        _end(ctx, files.DiskFull("the output"), 1)
    if isinstance(error, OSError):
        _end(ctx, error, 1)


@contextlib.contextmanager
def usage_in_one_sentence(ctx: click.Context) -> Iterator[None]:
    """Ends the command at a mistake of usage, without click's three lines around it."""
    try:
        yield
    except click.UsageError as error:
        _end(
            ctx, f"{_origin(ctx, error)}{error.format_message()} See {ctx.command_path} --help.", 2
        )


def _origin(ctx: click.Context, error: click.UsageError) -> str:
    """The file that a refused value comes from, where that is not the command line."""
    parameter = getattr(error, "param", None)
    source = None if parameter is None else ctx.get_parameter_source(parameter.name)
    if source is not click.core.ParameterSource.DEFAULT_MAP:
        return ""
    return f"--config {ctx.meta[CONFIG]}: "


@contextlib.contextmanager
def _warnings_in_one_line(ctx: click.Context) -> Iterator[None]:
    """Shows warnings as a command does, without the line of code that they come from."""

    def show(message: Warning | str, category: type[Warning], *where: object) -> None:
        click.echo(f"{ctx.command_path}: warning: {' '.join(str(message).split())}", err=True)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


def choose_kernels() -> None:
    """Selects oneDNN's convolutions; call it before TensorFlow is imported.

    TensorFlow selects them by itself on x86 processors with AVX-512 only. On others they train
    resnet-small twice as fast (docs/performance.md).
    """
    if platform.machine().lower() in ("x86_64", "amd64"):
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")


def import_tensorflow() -> None:
    """Imports TensorFlow without the lines that it writes to standard error from C++."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    choose_kernels()
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        # It aborts where an exception passes through its C++; nothing is there yet to clean up.
        with interruption.leaving(f"{interruption.MESSAGE}\n", kept):
            tensorflow = importlib.import_module("tensorflow")
            tensorflow.config.list_physical_devices("GPU")  # CUDA says what it lacks
        # Retracing is meant where shapes differ; nothing else of it is for users.
        tensorflow.get_logger().setLevel("ERROR")
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _end(ctx: click.Context, message: object, status: int) -> NoReturn:
    click.echo(f"{ctx.command_path}: {' '.join(str(message).split())}", err=True)
    sys.exit(status)


def _read_config(ctx: click.Context, parameter: click.Parameter, path: str | None) -> None:
    if path is None:
        return
    import yaml

    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
    except OSError as error:
        raise click.UsageError(f"--config {path}: {error.strerror}.") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = "" if mark is None else f", line {mark.line + 1}"
        problem = getattr(error, "problem", None) or "it cannot be read"
        raise click.UsageError(f"--config {path}{where} is not YAML: {problem}.") from None
    if not isinstance(values, dict):
        raise click.UsageError(f"--config {path} must hold `option: value` lines.")
    names = {}
    for option in ctx.command.params:
        if isinstance(option, click.Option) and option.name not in ("config", "help"):
            for written in option.opts:
                if written.startswith("--"):
                    names[written[2:]] = option
            names[option.name] = option
    known = sorted({o.opts[0][2:] for o in names.values() if o.opts[0].startswith("--")})
    defaults = {}
    for key, value in values.items():
        option = names.get(str(key))
        if option is None:
            raise click.UsageError(
                f"--config {path}: unknown option {key!r}; the options are {', '.join(known)}."
            )
        defaults[option.name] = _as_given(option, value)
    ctx.meta[CONFIG] = path
    ctx.default_map = {**(ctx.default_map or {}), **defaults}


def _as_given(option: click.Option, value: Any) -> Any:
    """A YAML value in the form that the command line would have given it.

    A list stands for a repeated option, or for the commas of an option such as ``--patch``.
    """
    if isinstance(value, dict):
        return value  # a part and its options
    if isinstance(value, list) and not option.multiple and option.nargs == 1:
        return ",".join(str(item) for item in value)
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, list):
        return [str(item) for item in value]
    return str(value)
