"""Running the console commands as a user does; shared by the tests of the whole pipeline."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ENVIRONMENT = {
    **os.environ,
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}


def start(*command: object) -> subprocess.Popen:
    """Starts a console command in a process of its own."""
    arguments = [str(part) for part in command]
    assert shutil.which(arguments[0], path=ENVIRONMENT["PATH"]), f"{arguments[0]} is not installed"
    return subprocess.Popen(
        arguments, env=ENVIRONMENT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def run(*command: object, status: int = 0) -> str:
    """Runs a console command and returns what it printed; its exit status must be ``status``."""
    process = start(*command)
    printed, _ = process.communicate(timeout=900)
    line = " ".join(str(part) for part in command)
    assert process.returncode == status, f"{line} ended with {process.returncode}:\n{printed}"
    return printed
