"""Parsing of option values that may differ by channel: ``VALUE,NAME=VALUE,…``."""

from __future__ import annotations

from collections.abc import Sequence

from phire.errors import InputError


def values_by_channel(
    option: str, text: object, channels: Sequence[str], default: str, what: str = "VALUE"
) -> dict[str, str]:
    """Parses a text such as ``2,pr=0`` into one value for each channel.

    Args:
        option: Name of the option, for messages.
        text: A value for all channels, then ``NAME=VALUE`` for single channels; either part may
            be left out.
        channels: Names of the channels.
        default: Value of the channels without one in the text.
        what: Placeholder of a value in messages.

    Returns:
        Values as text by channel.

    Raises:
        InputError: A name is not a channel, or a value without a name is not the first.
    """
    found = dict.fromkeys(channels, default)
    for place, part in enumerate(str(text).split(",")):
        name, equals, value = (piece.strip() for piece in part.rpartition("="))
        if not equals and not place:
            found = dict.fromkeys(channels, value)
        elif name in found:
            found[name] = value
        else:
            raise InputError(
                f"{option} {text}: {part.strip()!r} names no channel; give {what} for all "
                f"channels, then NAME={what} for any of {', '.join(channels)}."
            )
    return found
