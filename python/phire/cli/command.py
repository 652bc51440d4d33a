"""Base classes of the console commands: options from a file, and errors as one sentence."""

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
"""Key of the path of ``--config`` in ``Context.meta``."""


class Interruptible(click.Command):
    """Click command that ends with status 130 on SIGINT and 143 on SIGTERM, whatever it does."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        with interruption.signal_handling():
            try:
                result = super().main(*args, **kwargs)
                interruption.check()
                return result
            except BaseException:
                # The signal may interrupt anything, such as an import or the clean-up of click.
                if interruption.received() is None:
                    raise
                sys.exit(128 + interruption.received())


class CommandGroup(Interruptible, click.Group):
    """Click group that reports usage errors in one sentence."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args:
            return super().parse_args(ctx, args)  # prints the help
        with usage_in_one_sentence(ctx):
            return super().parse_args(ctx, args)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        with usage_in_one_sentence(ctx):
            return super().resolve_command(ctx, args)


class Command(Interruptible):
    """Click command with ``--config``, ``--overwrite`` and ``--quiet``, and errors as one sentence.

    Args:
        overwrites: True adds ``--overwrite``, for commands with an output.
        tensorflow: True imports TensorFlow, without its start-up messages.
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
                help="YAML file of options by name; those on the command line take precedence.",
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
        # Imported late, because importing rich would add a tenth of a second to --help.
        from phire import progress

        if self.tensorflow:
            import_tensorflow()
        quiet = progress.quiet(ctx.params.pop("quiet"))
        with quiet, _warnings_in_one_line(ctx), naming_options():
            try:
                result = super().invoke(ctx)
                interruption.check()
                return result
            except BaseException as error:
                _end_in_words(ctx, error)
                raise


def _end_in_words(ctx: click.Context, error: BaseException) -> None:
    """Ends the command with one sentence; returns if the error is a bug in phire."""
    from phire import files

    number = interruption.received()
    if number is not None or isinstance(error, KeyboardInterrupt):
        # After a signal, the error is a consequence of the interruption and not reported.
        _end(ctx, interruption.MESSAGE, 128 + (number or signal.SIGINT))
    if isinstance(error, InputError):
        _end(ctx, error, 2)
    if isinstance(error, WorkError):
        _end(ctx, error, getattr(error, "status", 1))
    if isinstance(error, BrokenPipeError):
        return  # the reader, such as `head`, has closed the pipe; click then ends quietly
    if isinstance(error, OSError) and error.filename is not None:
        _end(ctx, error, 1)
    if files.disk_is_full(error):
        _end(ctx, files.DiskFull("the output"), 1)
    if isinstance(error, OSError):
        _end(ctx, error, 1)


@contextlib.contextmanager
def usage_in_one_sentence(ctx: click.Context) -> Iterator[None]:
    """Ends the command at a usage error, without the three lines that click adds."""
    try:
        yield
    except click.UsageError as error:
        _end(
            ctx, f"{_origin(ctx, error)}{error.format_message()} See {ctx.command_path} --help.", 2
        )


def _origin(ctx: click.Context, error: click.UsageError) -> str:
    """Returns the ``--config`` file that a refused value comes from, as a prefix of the message."""
    parameter = getattr(error, "param", None)
    source = None if parameter is None else ctx.get_parameter_source(parameter.name)
    if source is not click.core.ParameterSource.DEFAULT_MAP:
        return ""
    return f"--config {ctx.meta[CONFIG]}: "


@contextlib.contextmanager
def _warnings_in_one_line(ctx: click.Context) -> Iterator[None]:
    """Prints warnings like messages of the command, without the line of code that caused them."""

    def show(message: Warning | str, category: type[Warning], *where: object) -> None:
        click.echo(f"{ctx.command_path}: warning: {' '.join(str(message).split())}", err=True)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


def choose_kernels() -> None:
    """Selects the convolutions of oneDNN; must be called before TensorFlow is imported.

    By default TensorFlow selects them only on x86 processors with AVX-512. On other processors they
    train resnet-small twice as fast (docs/performance.md).
    """
    if platform.machine().lower() in ("x86_64", "amd64"):
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")


def import_tensorflow() -> None:
    """Imports TensorFlow, and suppresses the messages that it prints to standard error."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    choose_kernels()
    sys.stderr.flush()
    saved = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        # TensorFlow aborts if an exception passes through its C++ code. At this point nothing needs
        # cleaning up, so a signal may end the process directly.
        with interruption.exit_on_signal(f"{interruption.MESSAGE}\n", saved):
            tensorflow = importlib.import_module("tensorflow")
            tensorflow.config.list_physical_devices("GPU")  # prints CUDA's messages now
        # Retracing for new shapes is intended, so its warnings would only mislead users.
        tensorflow.get_logger().setLevel("ERROR")
    finally:
        os.dup2(saved, 2)
        os.close(saved)
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
    """Returns a YAML value in the form of the command line.

    A list becomes a repeated option, or the comma-separated value of an option such as ``--patch``.
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
