"""Values by channel, given as text: ``VALUE,NAME=VALUE,…``."""

from __future__ import annotations

from collections.abc import Sequence

from phire.errors import InputError


def values_by_channel(
    option: str, text: object, channels: Sequence[str], default: str, what: str = "VALUE"
) -> dict[str, str]:
    """Returns the value of each channel that a text such as ``2,pr=0`` states.

    Args:
        option: Name of the option, for messages.
        text: A value for all channels, then ``NAME=VALUE`` for those that differ.
        channels: Names of the channels.
        default: Value of the channels that the text does not state.
        what: Word for a value in messages.

    Raises:
        InputError: A name is no channel, or a value without a name does not come first.
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
                f"{option} {text}: {part.strip()!r} names no channel; these are "
                f"{', '.join(channels)}, each given as NAME={what} after a "
                f"{what.lower()} for all."
            )
    return found
