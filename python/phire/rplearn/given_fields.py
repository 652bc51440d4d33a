"""Fields in the forms that the metric accepts, checked and handed out in batches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import xarray as xr

from phire.errors import InputError
from phire.fields.normalization import Normalization
from phire.rplearn.input_checks import check_channels, check_units, check_values

if TYPE_CHECKING:
    from phire.rplearn.metric import LearnedMetric

# Pixels of one channel that go through the encoder at once: about 80 patches of 160×160.
PIXELS_AT_ONCE = 2_000_000


class Fields:
    """Fields given in any of the accepted forms.

    Attributes:
        shape: (n, H, W, C).
        single: Whether one field was given, without the first axis.
        times: The coordinate that the result is given over, for xarray.
    """

    def __init__(self, given: Any, metric: LearnedMetric, what: str) -> None:
        self.metric, self.what = metric, what
        self.times: xr.DataArray | None = None
        if isinstance(given, (xr.Dataset, xr.DataArray)):
            given = self._of_xarray(given)
        elif not hasattr(given, "shape"):
            given = np.asarray(given)
        check_channels(given.shape, metric.channels, what)
        self.single = len(given.shape) == 3
        if len(given.shape) > 4:
            raise InputError(
                f"{what} has {len(given.shape)} axes: pass fields of the shape (n, H, W, C)."
            )
        self.fields = given[None] if self.single else given
        self.shape = tuple(self.fields.shape)

    def _of_xarray(self, given: xr.Dataset | xr.DataArray) -> Any:
        # A store that xarray opened is read only now, and is Blosc-compressed.
        import phire.fields.compression  # noqa: F401

        channels = self.metric.channels
        if isinstance(given, xr.Dataset):
            missing = [name for name in channels if name not in given]
            if missing:
                raise InputError(
                    f"{self.what} has no variable {missing[0]!r}: the metric needs "
                    f"{', '.join(channels)}, the dataset holds {', '.join(map(str, given))}."
                )
            found = [given[name].attrs.get("units") for name in channels]
            given = xr.concat(
                [given[name].drop_vars("channel", errors="ignore") for name in channels],
                dim="channel",
                coords="minimal",
                compat="override",
            )
        else:
            if "channel" not in given.dims:
                if len(channels) != 1:
                    raise InputError(
                        f"{self.what} has no dimension 'channel': pass a Dataset with the "
                        f"variables {', '.join(channels)}, or stack them along it."
                    )
                given = given.expand_dims("channel")
            elif "channel" in given.coords and given["channel"].dtype.kind in "UO":
                missing = [name for name in channels if name not in given["channel"].values]
                if missing:
                    raise InputError(
                        f"{self.what} has no channel {missing[0]!r}: the metric needs "
                        f"{', '.join(channels)}."
                    )
                given = given.sel(channel=list(channels))
            units = given.attrs.get("units")
            found = [units] * len(channels)
        check_units(found, self.metric.units, channels, self.what)
        rows = [name for name in given.dims if name in ("latitude", "lat", "y")]
        columns = [name for name in given.dims if name in ("longitude", "lon", "x")]
        others = [name for name in given.dims if name not in (*rows, *columns, "channel")]
        if len(rows) != 1 or len(columns) != 1 or len(others) > 1:
            raise InputError(
                f"{self.what} has the dimensions {', '.join(map(str, given.dims))}: it needs "
                "latitude, longitude and at most one more beside channel."
            )
        if others:
            self.times = given[others[0]]
        return given.transpose(*others, rows[0], columns[0], "channel")

    def batches(
        self, normalization: Normalization | None, batch_size: int | None
    ) -> Iterator[np.ndarray]:
        """Yields normalised float32 batches; checks what each holds before it is used."""
        metric = self.metric
        n, height, width, _ = self.shape
        size = batch_size or max(1, PIXELS_AT_ONCE // (height * width))
        # What lies in memory is judged as a whole, what is read from disk, batch by batch.
        whole = isinstance(self.fields, np.ndarray)
        if whole:
            check_values(
                _physical(self.fields, normalization),
                metric.normalization,
                metric.units,
                self.what,
            )
        for start in range(0, n, size):
            part = _as_numpy(self.fields[start : start + size])
            if not whole:
                check_values(
                    _physical(part, normalization), metric.normalization, metric.units, self.what
                )
            normalised = metric.normalise(part, normalization=normalization, xp=np)
            yield np.asarray(normalised, dtype=np.float32)

    def dressed(self, values: np.ndarray) -> Any:
        """Values in the form that the fields came in."""
        if self.times is not None:
            name = self.times.dims[0]
            return xr.DataArray(
                values,
                dims=(name, "row", "column")[: values.ndim],
                coords={name: self.times} if name in self.times.coords else None,
                name="learned_distance",
            )
        return values[0] if self.single else values


def _as_numpy(part: Any) -> np.ndarray:
    if isinstance(part, xr.DataArray):
        return part.to_numpy()
    return part if isinstance(part, np.ndarray) else np.asarray(keras.ops.convert_to_numpy(part))


def _physical(fields: np.ndarray, normalization: Normalization | None) -> np.ndarray:
    if normalization is None or normalization.kind == "none":
        return fields
    return normalization.invert(np.asarray(fields, np.float64), xp=np)
