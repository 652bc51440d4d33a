"""Figures as images within the report: small, and as legible as the files they are taken from."""

from __future__ import annotations

import base64
import dataclasses
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, features

BUDGET = 4_000_000
"""Bytes of all images, before they are written as text, which adds a third."""

STEPS = ((75, 1.0), (65, 1.0), (60, 0.75), (50, 0.6), (40, 0.5))
"""Quality of WebP and size relative to the file, in the order in which they are tried."""

COLOURS = 64
"""Of line drawings, whose few colours and their blends along edges they hold."""

VISIBLE = 20
"""Difference of a colour in one of its three parts, of 255, from which on it is seen."""

SHOWN = 115
"""Dots an inch at which figures are shown: their labels are then as large as text."""


@dataclasses.dataclass(frozen=True)
class EmbeddedImage:
    """Image within the report.

    Attributes:
        source: Data URI.
        width, height: In pixels.
        shown: Width at which labels are as large as text, in CSS pixels.
    """

    source: str
    width: int
    height: int
    shown: int


def embedded_images(
    paths: Mapping[str, Path], budget: int = BUDGET, first: Sequence[str] = ()
) -> dict[str, EmbeddedImage]:
    """Returns figures as data URIs; the heaviest are made lighter until all fit a budget.

    Args:
        paths: PNG files by name.
        budget: Bytes of all images.
        first: Names of figures that stay at the first step.

    Returns:
        The images by name. Where the last of :data:`STEPS` does not fit either, it is taken.
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
    """Returns format, content and size in pixels of the smallest way to write a figure.

    Line drawings have few colours: without loss but for these, they take half of a photograph's
    format. Fields and maps are the other way round.

    Args:
        path: A PNG file.
        quality: Of lossy WebP, 0 … 100.
        size: Of the image relative to the file's.
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
    """Tells whether less than 1 % of the pixels differ visibly: of fields and maps, more do."""
    error = np.abs(np.asarray(image, np.int16) - np.asarray(other, np.int16)).max(-1)
    return bool((error > VISIBLE).mean() < 0.01)


def _written(image: Image.Image, form: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def _embedded(path: Path, form: str, content: bytes, size: tuple[int, int]) -> EmbeddedImage:
    with Image.open(path) as image:
        density = float(image.info.get("dpi", (160, 160))[0])
        shown = round(image.width / density * SHOWN)
    source = f"data:image/{form};base64,{base64.b64encode(content).decode()}"
    return EmbeddedImage(source, *size, shown)
