"""Survey of missing values: the fields that have any, and the patches that contain them.

A survey reads every field once. It is made only after the first missing value was found, or if
missing values are an error.
"""

from __future__ import annotations

import dataclasses
import hashlib
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from phire import progress
from phire.errors import InputError
from phire.fields.time_axis import TimeAxis
from phire.records.parallel_tasks import run_in_order
from phire.records.patch_sampling import Window
from phire.records.pixel_arrays import Layer, Layers


@dataclasses.dataclass(frozen=True)
class Found:
    """Kind of missing or infinite values in one field.

    Attributes:
        time: Index of the field.
        state: ``partly`` or ``wholly`` missing, or ``infinite``.
        blocked: Digest of the map of blocked patches, if partly missing.
        coarse: True if coarse inputs have missing values, if partly missing.
    """

    time: int
    state: str
    blocked: str = ""
    coarse: bool = False


def look(
    layers: Layers, place: Window, times: Sequence[int], least_valid: float | None = None
) -> tuple[list[Found], dict[str, bytes]]:
    """Finds missing and infinite values, and the patches that hold too many of them.

    Args:
        layers: The pixel arrays and their fields.
        place: Allowed positions of patches.
        times: Indices of the fields.
        least_valid: Least share of present target values in a patch; by default all values of all
            arrays must be present.

    Returns:
        The fields that are not complete, and the maps of blocked patches by digest. A map has one
        bit for each position in ``place``, 1 if the patch at it is blocked.
    """
    found, maps = [], {}
    for time in times:
        fields = layers.read(int(time))
        if all(field.finite for field in fields):
            continue
        planes = [f.whole()[: layer.strict] for f, layer in zip(fields, layers.layers)]
        if any(np.isinf(part).any() for part in planes):
            found.append(Found(int(time), "infinite"))
            continue
        if least_valid is None:
            parts = [(x, layer) for x, layer in zip(planes, layers.layers) if len(x)]
            allowed = dict.fromkeys((layer.name for _, layer in parts), 0)
        else:
            parts = [(x, layer) for x, layer in zip(planes, layers.layers) if layer.name == "high"]
            ((targets, layer),) = parts
            values = len(targets) * layer.patch[0] * layer.patch[1]
            allowed = {"high": int(np.floor((1 - least_valid) * values + 1e-6))}
        missing = [np.isnan(x) for x, _ in parts]
        if any(x.all() if least_valid else x.any(0).all() for x in missing):
            found.append(Found(int(time), "wholly"))
            continue
        blocked = np.logical_or.reduce(
            [
                too_many(x.sum(0), layer, place, allowed[layer.name])
                for x, (_, layer) in zip(missing, parts)
            ]
        )
        packed = np.packbits(blocked).tobytes()
        digest = hashlib.sha256(packed).hexdigest()
        maps[digest] = packed
        coarse = any(
            np.isnan(x).any() for x, layer in zip(planes, layers.layers) if layer.name == "low"
        )
        found.append(Found(int(time), "partly", digest, coarse))
    return found, maps


def too_many(counts: np.ndarray, layer: Layer, place: Window, allowed: int = 0) -> np.ndarray:
    """Finds the patches that hold more marked points than allowed.

    Args:
        counts: (H, W) number of marks at each point.
        layer: The pixel array.
        place: Allowed positions of patches.
        allowed: Largest number of marks in a patch.

    Returns:
        (rows of ``place``, columns of ``place``) bool.
    """
    height, width = layer.patch
    if place.wraps:
        # Patches may extend past the last column, or begin before the first, by up to their width.
        counts = np.concatenate([counts, counts[:, :width]], axis=1)
    # A summed-area table: four of its values give the sum over a patch.
    sums = np.zeros((counts.shape[0] + 1, counts.shape[1] + 1), np.int32)
    np.cumsum(np.cumsum(counts, 0, dtype=np.int32), 1, out=sums[1:, 1:])
    top = np.arange(place.rows[0], place.rows[1] + 1)[:, None] * layer.step + layer.origin[0]
    left = np.arange(place.first, place.first + place.columns)[None] * layer.step + layer.origin[1]
    if place.wraps:
        left %= counts.shape[1] - width
    bottom, right = top + height, left + width
    found = sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]
    return found > allowed


class Survey:
    """Missing values of all fields, and the patches that they block.

    Attributes:
        partly, wholly: Number of fields with some or all values missing.
        times: Indices of the fields with some values missing, ascending.
        absent: Indices of the fields with all values missing.
        coarse: True if a coarse input has missing values in a field that is not wholly missing.
    """

    def __init__(
        self, found: Sequence[Found], maps: np.ndarray, digests: Sequence[str], place: Window
    ) -> None:
        rank = {digest: i for i, digest in enumerate(digests)}
        self.absent = np.array([f.time for f in found if f.state == "wholly"], dtype=np.int64)
        partly = [f for f in found if f.state == "partly"]
        self.partly, self.wholly = len(partly), len(self.absent)
        self.coarse = any(f.coarse for f in partly)
        self.times = np.array([f.time for f in partly], dtype=np.int64)
        self._rank = np.array([rank[f.blocked] for f in partly], dtype=np.int64)
        self._maps = maps
        self._place = place

    def blocked(self, times: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Returns the mask of blocked patches; see :data:`phire.records.patch_sampling.Blocked`."""
        answer = np.zeros(len(times), bool)
        if not len(self.times):
            return answer
        where = np.minimum(np.searchsorted(self.times, times), len(self.times) - 1)
        mine = np.flatnonzero(self.times[where] == times)
        bit = (rows[mine] - self._place.rows[0]) * self._place.columns
        bit += columns[mine] - self._place.first
        byte = self._maps[self._rank[where[mine]], bit >> 3]
        answer[mine] = byte >> (7 - (bit & 7)).astype(np.uint8) & 1
        return answer

    def note(self, missing: str, count: int) -> dict[str, Any]:
        """Tells the user how missing values are treated; returns the entry for the manifest."""
        said = []
        if self.partly:
            what = {
                "skip": "patches that contain them are not drawn",
                "fill": "they are filled with the channel's mean",
                "mask": "they are masked, and patches with too few other values are not drawn",
            }[missing]
            said.append(f"{self.partly} of {count} fields have missing values: {what}.")
        if missing == "mask" and self.coarse:
            said.append("Coarse inputs are missing, too: low_valid marks the present ones.")
        if self.wholly:
            said.append(
                f"{self.wholly} of {count} fields have no values and count as gaps in time."
            )
        if said:
            progress.say(" ".join(said))
        return {"policy": missing, "fields": self.partly, "absent": self.wholly}


def survey(
    layers: Layers,
    chosen: np.ndarray,
    place: Window,
    *,
    time: TimeAxis,
    path: object,
    directory: Path,
    client: Any,
    least_valid: float | None = None,
) -> Survey:
    """Surveys all fields for missing and infinite values.

    Args:
        layers: The pixel arrays and their fields.
        chosen: Indices of the fields to survey.
        place: Allowed positions of patches.
        time: Times of the fields, for messages.
        path: Path of the store, for messages.
        directory: Directory of a temporary file for the maps of blocked patches.
        client: As :func:`phire.fields.cluster.cluster` yields it.
        least_valid: See :func:`look`.

    Raises:
        InputError: A value is infinite, or all values are missing.
    """
    parts = np.array_split(chosen, max(1, len(chosen) // 16))
    found: list[Found] = []
    digests: dict[str, None] = {}
    size = -(-(place.rows[1] - place.rows[0] + 1) * place.columns // 8)
    with tempfile.TemporaryFile(dir=directory) as file:
        # A land mask gives one map for all times, clouds one for each, which may exceed memory.
        for part, maps in run_in_order(
            look, [(layers, place, part, least_valid) for part in parts], client,
            description="looking for missing values", unit="fields", sizes=[len(p) for p in parts],
        ):  # fmt: skip
            found += part
            for digest, packed in maps.items():
                if digest not in digests:
                    digests[digest] = None
                    file.write(packed)
        file.flush()
        maps = np.zeros((0, size), np.uint8)
        if digests:
            maps = np.memmap(file, np.uint8, "r", shape=(len(digests), size))
    found.sort(key=lambda item: item.time)
    infinite = [item.time for item in found if item.state == "infinite"]
    if infinite:
        raise InputError(
            f"{path} holds infinite values at {time.format(infinite[0])}: set them to NaN or "
            "repair them."
        )
    result = Survey(found, maps, list(digests), place)
    if result.wholly == len(chosen):
        raise InputError(f"{path}: all values of the {len(chosen)} fields in range are missing.")
    return result


def refuse_missing(result: Survey, time: TimeAxis, path: object, count: int) -> None:
    """Raises an InputError if values are missing.

    Raises:
        InputError: A field has missing values.
    """
    if result.partly or result.wholly:
        first = time.format(int(min([*result.times, *result.absent])))
        raise InputError(
            f"{path} has missing values in {result.partly + result.wholly} of {count} fields (the "
            f"first at {first}): pass --missing skip or --missing fill, or repair them."
        )
