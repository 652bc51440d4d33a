"""Text of figures and reports: names as words, units with superscripts, numbers."""

from __future__ import annotations

import math

RAISED = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
"""Translation of digits and minus to superscripts."""


def pretty_units(units: str) -> str:
    """Returns units for a label with superscripts, ``m2 s-2`` → ``m² s⁻²``.

    Dimensionless units become an empty text.
    """
    text = str(units or "").strip().replace("**", "").replace("^", "")
    if text in ("1", "-", "dimensionless"):
        return ""
    written, power = [], False
    for i, letter in enumerate(text):
        before = text[i - 1] if i else " "
        starts_power = letter in "-0123456789" and (before.isalpha() or before == ")" or power)
        if letter == "-" and not (i + 1 < len(text) and text[i + 1].isdigit()):
            starts_power = False
        power = starts_power
        written.append(letter.translate(RAISED) if power else letter)
    return "".join(written)


def labelled(quantity: str, units: str) -> str:
    """Returns ``quantity (units)``, or only the quantity if there are no units."""
    units = pretty_units(units)
    return f"{quantity} ({units})" if units else quantity


def readable(name: str) -> str:
    """Returns a variable's name as words: ``relative_vorticity`` → ``relative vorticity``."""
    return str(name).replace("_", " ")


def heading(channel: str) -> str:
    """Returns a channel's name for the beginning of a line: words are capitalised, symbols not.

    ``relative_vorticity`` → ``Relative vorticity``, but ``u500`` and ``slp`` are unchanged.
    """
    text = readable(channel)
    is_word = text.replace(" ", "").isalpha() and len(text) > 5 and text.islower()
    return text[:1].upper() + text[1:] if is_word else text


def number_text(value: float, _: object = None) -> str:
    """Returns the text of a round number, with a power of ten below 10⁻³ and from 10⁶ on."""
    if value == 0 or 1e-3 <= abs(value) < 1e6:
        return f"{value:,.10g}"
    mantissa, exponent = f"{value:.1e}".split("e")
    mantissa = mantissa.removesuffix(".0")
    factor = "" if mantissa == "1" else f"{mantissa}·"
    return f"{factor}10{str(int(exponent)).translate(RAISED)}"


def number_digits(value: float, digits: int = 4) -> str:
    """Returns the text of a number: ``12.35``, ``1.2·10⁻⁵``; NaN is ``–``, infinity ``∞``.

    Args:
        value: The number.
        digits: Number of significant digits.
    """
    if not math.isfinite(value):
        return "–" if math.isnan(value) else "∞" if value > 0 else "−∞"
    if value == 0 or 1e-3 <= abs(value) < 1e6:
        decimals = digits - 1 - math.floor(math.log10(abs(value))) if value else digits - 1
        return f"{value:,.{max(0, min(decimals, 6))}f}".replace("-", "−")
    mantissa, exponent = f"{value:.{digits - 2}e}".split("e")
    return f"{mantissa}·10{str(int(exponent)).translate(RAISED)}".replace("-", "−")
