"""Files of a model folder of the original AtmoDist, read without TensorFlow."""

from __future__ import annotations

import os
import re
from pathlib import Path

from phire.errors import InputError


def read_scales(folder: str | os.PathLike) -> dict[int, float]:
    """Reads the scales in ``layerN_scale.txt``, by N.

    Raises:
        InputError: The folder or one of its files is missing, or a scale is not a number.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder} is not a directory: name a model folder of AtmoDist.")
    for name in ("encoder.json", "encoder_weights.hdf5"):
        if not (folder / name).is_file():
            raise InputError(f"{folder} has no {name}: name a model folder of AtmoDist.")
    scales = {}
    for path in sorted(folder.glob("layer*_scale.txt")):
        match = re.fullmatch(r"layer(\d+)_scale\.txt", path.name)
        if match:
            try:
                scales[int(match[1])] = float(path.read_text(encoding="utf-8").split()[0])
            except (ValueError, IndexError):
                raise InputError(f"{path} must hold one number, the layer's scale.") from None
    if not scales:
        raise InputError(
            f"{folder} has no layerN_scale.txt, such as layer196_scale.txt: write the scale of "
            "the layer to this file."
        )
    return scales
