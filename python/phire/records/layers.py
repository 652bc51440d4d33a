"""The fields that records are cut from, resolution by resolution."""

from __future__ import annotations

import dataclasses
import functools
import os
from pathlib import Path
from typing import Any

import numpy as np

from phire.fields.coarsening import block_weights, kept_window
from phire.fields.store import FieldStore
from phire.records.planes import BlockMeans, Planes, Resolution


@dataclasses.dataclass(frozen=True)
class Layer:
    """One resolution of the patches.

    Attributes:
        patch: (H, W) of the patches.
        step: Its points for each row and column that the plan counts.
    """

    patch: tuple[int, int]
    step: int = 1


class StoreReference:
    """A store that travels to workers as its path, and is opened once by each.

    Args:
        store: The open store.
    """

    def __init__(self, store: FieldStore) -> None:
        self._store: FieldStore | None = store
        status = os.stat(store.path)
        self._path = str(Path(store.path).resolve())
        self._stamp = (status.st_size, status.st_mtime_ns)

    def get(self) -> FieldStore:
        """The store."""
        return self._store or _opened(self._path, self._stamp)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_store": None}


@functools.lru_cache(maxsize=4)
def _opened(path: str, stamp: tuple[int, int]) -> FieldStore:
    # The stamp is part of the key: a worker may outlive a store that is made anew.
    return FieldStore(path)


class OneResolution:
    """Fields as they are in a store.

    Args:
        store: The store.
        patch: (H, W) of the patches to cut.

    Attributes:
        layers: The one resolution.
        field_bytes: Bytes of a field in memory.
    """

    def __init__(self, store: FieldStore, patch: tuple[int, int]) -> None:
        self.layers = (Layer(patch),)
        self.field_bytes = _field_bytes(store)
        self._store = StoreReference(store)

    def read(self, time: int, fill: np.ndarray | None = None) -> list[Resolution]:
        """Reads one field.

        Args:
            time: Its index.
            fill: (C,) values to put where one is missing; None leaves NaN.

        Returns:
            The values of each layer.
        """
        return [Planes(_filled(self._store.get().read_planes(time), fill))]


class TwoResolutions:
    """Fields at a low and a high resolution: block means, or from two stores.

    Args:
        store: The store of the high resolution.
        patch: (H, W) of its patches.
        scale: Ratio of the resolutions.
        low: The store of the low resolution; None takes block means.
        low_window: The rows and columns of ``low`` that lie on blocks.
        low_times: Index in ``low`` of each field of ``store``; -1 where there is none.

    Attributes:
        layers: The low and the high resolution.
        field_bytes: Bytes of a field of the high resolution in memory.
    """

    def __init__(
        self,
        store: FieldStore,
        patch: tuple[int, int],
        scale: int,
        *,
        low: FieldStore | None = None,
        low_window: tuple[slice, slice] | None = None,
        low_times: np.ndarray | None = None,
    ) -> None:
        low_patch = patch[0] // scale, patch[1] // scale
        self.layers = (Layer(low_patch), Layer(patch, scale))
        self.field_bytes = _field_bytes(store)
        self._kept = kept_window(store.grid, scale)
        self._weights = block_weights(store.grid, scale)
        self._high = StoreReference(store)
        self._low = None if low is None else StoreReference(low)
        self._low_window = low_window
        self._low_times = low_times

    def read(self, time: int, fill: np.ndarray | None = None) -> list[Resolution]:
        """Reads one field at both resolutions, low first; see :meth:`OneResolution.read`."""
        rows, columns = self._kept
        high = _filled(self._high.get().read_planes(time), fill)[:, rows, columns]
        if self._low is None:
            fine = Planes(high)
            return [BlockMeans(fine, self._weights), fine]
        low = self._low.get().read_planes(int(self._low_times[time]))
        low = _filled(low[:, self._low_window[0], self._low_window[1]], fill)
        # The low resolution may end a block earlier than the high one.
        height, width = (n * self._weights.shape[1] for n in low.shape[1:])
        return [Planes(low), Planes(high[:, :height, :width])]


Layers = OneResolution | TwoResolutions


def _field_bytes(store: FieldStore) -> int:
    return 4 * store.shape[0] * store.shape[2] * store.shape[3]


def _filled(planes: np.ndarray, fill: np.ndarray | None) -> np.ndarray:
    if fill is None:
        return planes
    return np.where(np.isnan(planes), np.asarray(fill, planes.dtype)[:, None, None], planes)
