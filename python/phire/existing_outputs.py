"""Existing outputs of a command: finished, to be continued, or made with other options.

The same command again continues its output, or skips it if it is finished. A command with other
options is refused, and the message names the options that differ. The options are recorded by
:mod:`phire.provenance`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from phire import progress
from phire.errors import InputError
from phire.files import plain

_INPUTS = ("sources", "stores", "folder", "records", "store", "path", "metric", "truth", "source",
           "candidates", "run")  # fmt: skip
"""Options that can name a command's main inputs; the option ``fingerprint`` belongs to them."""
_CONTENT = "the content of "


def differences(recorded: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """Returns the differences between the options of two runs, as ``name was 1, now 2``.

    Paths that lead to the same file are equal. A changed fingerprint is reported as a changed
    file: the option ``X_fingerprint`` belongs to ``X``, and ``fingerprint`` to the main inputs.

    Args:
        recorded: Options of the earlier run.
        wanted: Options of this run.

    Returns:
        One text for each difference; empty if the options are equal.
    """
    recorded, wanted = _canonical(plain(recorded)), _canonical(plain(wanted))
    found = []
    for name in sorted({*recorded, *wanted}):
        was, now = recorded.get(name, "not set"), wanted.get(name, "not set")
        if was == now:
            continue
        if "fingerprint" in name:
            found += _changed(name, recorded, wanted)
            continue
        inside = []
        # A nested difference is reported as a whole, unless only contents of files differ.
        if isinstance(was, dict) and isinstance(now, dict):
            inside = differences(was, now)
        only_content = inside and all(text.startswith(_CONTENT) for text in inside)
        found += inside if only_content else [f"{name} was {was!r}, now {now!r}"]
    if not found and recorded != wanted:
        found.append(f"{_CONTENT}an input has changed")
    return found


def _canonical(value: Any) -> Any:
    """Returns a plain value in which absolute paths have no ``..`` and no links."""
    if isinstance(value, dict):
        return {_canonical(key): _canonical(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_canonical(item) for item in value]
    if isinstance(value, str) and os.path.isabs(value) and "\n" not in value:
        return os.path.realpath(value)
    return value


def _changed(name: str, recorded: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """Returns one text for each file whose fingerprint differs.

    Returns no text if the paths themselves differ: that difference is reported already.
    """
    was, now = recorded.get(name), wanted.get(name)
    if isinstance(was, dict) and isinstance(now, dict) and "digest" not in now:
        paths = [path for path in now if was.get(path, now[path]) != now[path]]
    else:
        of = re.sub("_?fingerprints?$", "", name)
        owners = [owner for owner in ([of] if of in wanted else _INPUTS) if owner in wanted]
        if any(recorded.get(owner) != wanted[owner] for owner in owners):
            return []
        paths = _texts([wanted[owner] for owner in owners])
        if isinstance(was, list) and isinstance(now, list) and len(was) == len(now) == len(paths):
            paths = [path for path, a, b in zip(paths, was, now) if a != b]
    return [f"{_CONTENT}{path} has changed" for path in paths]


def _texts(value: Any) -> list[str]:
    """Returns all texts in nested lists and dictionaries, in order."""
    # A long list of files is recorded as its count, first and last path, and one digest.
    if isinstance(value, dict) and "digest" in value:
        return [f"one of {value['count']} files ({value['first']} … {value['last']})"]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [text for item in value for text in _texts(item)]
    return [str(value)]


def already_made(
    path: str | os.PathLike,
    recorded: Mapping[str, Any] | None,
    options: Mapping[str, Any],
    overwrite: bool = False,
    announce: bool = True,
) -> bool:
    """Returns True if an output exists and was made with the same options.

    Args:
        path: The output, with its final name.
        recorded: Options stored with the existing output; None if this kind of command did not
            write it. Ignored if ``path`` does not exist.
        options: Options of this run.
        overwrite: Replace an existing output.
        announce: Print a line if the output is finished.

    Returns:
        True if the output exists and its options are equal. False if it has to be made: it does
        not exist, or ``overwrite`` is set. The function itself removes nothing.

    Raises:
        InputError: The output exists and was made by another command or with other options; the
            message lists the differences.
    """
    path = Path(path)
    if overwrite or not os.path.lexists(path):
        return False
    if recorded is None:
        raise InputError(
            f"{path} exists and was not made by this command: name another output, or pass "
            "--overwrite to replace it."
        )
    found = differences(recorded, options)
    if found:
        raise InputError(
            f"{path} was made with other options ({'; '.join(found)}): name another output, or "
            "pass --overwrite to replace it."
        )
    if announce:
        announce_finished(path)
    return True


def announce_finished(path: str | os.PathLike) -> None:
    """Prints that an output is finished, so that the command has nothing to do."""
    progress.say(f"{path} is already made by this command.")
