"""Ctrl-C and SIGTERM end every command with nothing half-written, even if they are swallowed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import click
import pytest
from click.testing import CliRunner

from phire import files, interruption, progress
from phire.cli.command import Command
from pipeline import start, write_hours

BOTH = pytest.mark.parametrize("number", interruption.SIGNALS)


@BOTH
def test_a_signal_raises_and_is_noted(number):
    before = signal.getsignal(number)
    with pytest.raises(interruption.Interrupted), interruption.signal_handling():
        try:
            signal.raise_signal(number)
        finally:
            assert interruption.received() == number
    assert interruption.received() is None
    assert signal.getsignal(number) == before


def swallowed():
    try:
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt:
        pass


def test_a_swallowed_signal_comes_back_at_the_next_step():
    with interruption.signal_handling(), progress.progress_bar("working", 3) as advance:
        advance()
        swallowed()
        with pytest.raises(KeyboardInterrupt):
            advance()


def test_an_output_gets_no_name_after_a_swallowed_signal(tmp_path):
    with interruption.signal_handling(), pytest.raises(KeyboardInterrupt):
        with files.replacing(tmp_path / "a") as partial:
            partial.write_text("whole")
            swallowed()
    assert not list(tmp_path.iterdir())


def test_a_deferred_signal_is_raised_at_the_end_of_the_block():
    done = []
    with interruption.signal_handling(), pytest.raises(KeyboardInterrupt):
        with interruption.deferred():
            signal.raise_signal(signal.SIGTERM)
            done.append("block")
        done.append("after")
    assert done == ["block"]


def test_other_threads_leave_signals_alone():
    before = signal.getsignal(signal.SIGINT)
    seen = []

    def work():
        with interruption.signal_handling():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]


@BOTH
@pytest.mark.parametrize("how", ["raised", "swallowed", "turned into another error"])
def test_a_command_ends_with_the_status_of_its_signal(number, how):
    @click.command("work", cls=Command, overwrites=False)
    def work():
        if how == "raised":
            signal.raise_signal(number)
        try:
            signal.raise_signal(number)
        except KeyboardInterrupt:
            if how != "swallowed":
                raise ImportError("half a module") from None

    result = CliRunner().invoke(work, [])
    assert result.exit_code == 128 + number
    assert result.output == f"work: {interruption.MESSAGE}\n"


@BOTH
def test_while_a_large_library_is_imported_the_process_just_ends(number, tmp_path):
    code = (
        "import os, signal, sys\n"
        "from phire import interruption\n"
        "with interruption.signal_handling(), interruption.exit_on_signal('interrupted\\n'):\n"
        f"    signal.raise_signal({int(number)})\n"
        "    print('went on')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (128 + number, "", "interrupted\n")


@BOTH
@pytest.mark.parametrize("suffix", ["h5", "nc", "zarr"])
def test_an_interrupted_conversion_leaves_nothing(tmp_path, number, suffix):
    write_hours(tmp_path / "source.nc")
    output = tmp_path / f"a.{suffix}"
    process = start("phire", "convert", tmp_path / "source.nc", output)
    while not files.partial_path(output).exists():
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.001)
    os.kill(process.pid, number)
    said, _ = process.communicate()
    assert process.returncode == 128 + number
    assert said == f"phire convert: {interruption.MESSAGE}\n"
    assert [path.name for path in tmp_path.iterdir()] == ["source.nc"]
