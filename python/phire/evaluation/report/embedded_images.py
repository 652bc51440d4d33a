"""Figures embedded in the report as compressed images."""

from __future__ import annotations

import base64
import dataclasses
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, features

BUDGET = 4_000_000
"""Largest number of bytes of all images; encoding them as text (base64) adds a third."""

STEPS = ((75, 1.0), (65, 1.0), (60, 0.75), (50, 0.6), (40, 0.5))
"""Quality of WebP and relative size of the image, in the order in which they are tried."""

COLOURS = 64
"""Number of colours of a line drawing, including the blends along edges."""

VISIBLE = 20
"""Difference of red, green or blue, of 255, from which on two colours can be told apart."""

SHOWN = 115
"""Dots per inch at which figures are shown, so that their labels are as large as the text."""


@dataclasses.dataclass(frozen=True)
class EmbeddedImage:
    """Image embedded in the report.

    Attributes:
        source: Data URI.
        width, height: Size in pixels.
        shown: Width in CSS pixels at which labels are as large as the text.
    """

    source: str
    width: int
    height: int
    shown: int


def embedded_images(
    paths: Mapping[str, Path], budget: int = BUDGET, first: Sequence[str] = ()
) -> dict[str, EmbeddedImage]:
    """Returns figures as data URIs, compressed such that their total size is within a budget.

    The largest image is compressed further, by one of :data:`STEPS`, until the budget suffices or
    all images have the last step.

    Args:
        paths: PNG files by name.
        budget: Largest number of bytes of all images.
        first: Names of figures that are not compressed beyond the first step.
    """
    encoded = {name: encoded_image(path, *STEPS[0]) for name, path in paths.items()}
    steps = dict.fromkeys((name for name in paths if name not in first), 0)
    total = sum(len(content) for _, content, _ in encoded.values())
    while total > budget and steps:
        heaviest = max(steps, key=lambda name: len(encoded[name][1]))
        steps[heaviest] += 1
        total -= len(encoded[heaviest][1])
        encoded[heaviest] = encoded_image(paths[heaviest], *STEPS[steps[heaviest]])
        total += len(encoded[heaviest][1])
        if steps[heaviest] == len(STEPS) - 1:
            del steps[heaviest]
    return {name: _embedded(paths[name], *one) for name, one in encoded.items()}


def encoded_image(
    path: Path, quality: int, size: float = 1.0
) -> tuple[str, bytes, tuple[int, int]]:
    """Returns format, content and size in pixels of the smallest encoding of a figure.

    Line drawings have few colours: with a palette and lossless compression they take half of the
    bytes of lossy compression. For images of fields and maps it is the other way round.

    Args:
        path: PNG file.
        quality: Quality of lossy WebP, 0 … 100.
        size: Size of the image relative to that of the file.
    """
    with Image.open(path) as opened:
        image = opened.convert("RGB")
    if size < 1:
        shape = (round(image.width * size), round(image.height * size))
        image = image.resize(shape, Image.Resampling.LANCZOS)
    few = image.quantize(COLOURS, dither=Image.Dither.NONE)
    true = _same_colours(image, few.convert("RGB"))
    if not features.check("webp"):
        return "png", _written(few if true else image, "PNG", optimize=True), image.size
    content = _written(image, "WEBP", quality=quality, method=3)
    if true:
        exact = _written(few.convert("RGB"), "WEBP", lossless=True, quality=60, method=3)
        content = min(content, exact, key=len)
    return "webp", content, image.size


def _same_colours(image: Image.Image, other: Image.Image) -> bool:
    """Returns True if less than 1 % of the pixels differ visibly, as is so for line drawings."""
    error = np.abs(np.asarray(image, np.int16) - np.asarray(other, np.int16)).max(-1)
    return bool((error > VISIBLE).mean() < 0.01)


def _written(image: Image.Image, form: str, **options: object) -> bytes:
    """Returns the content of an image file."""
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def _embedded(path: Path, form: str, content: bytes, size: tuple[int, int]) -> EmbeddedImage:
    """Returns an encoded image as a data URI, with the width at which to show it."""
    with Image.open(path) as image:
        density = float(image.info.get("dpi", (160, 160))[0])
        shown = round(image.width / density * SHOWN)
    source = f"data:image/{form};base64,{base64.b64encode(content).decode()}"
    return EmbeddedImage(source, *size, shown)
