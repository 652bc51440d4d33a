"""Normalization of a run's input arrays and denormalization of its predictions."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from phire.downscaling.whole_fields import WholeFields
from phire.errors import InputError
from phire.fields.grid import Grid
from phire.fields.time_axis import TimeAxis
from phire.records.anomalies import Anomalies, read_anomalies
from phire.records.schema import SampleSchema


class ArrayNormalization:
    """Normalization of each array of a sample, including anomalies from a climatology.

    Args:
        path: Run directory, which holds the climatologies.
        schema: Schema of the samples.
    """

    def __init__(self, path: Path, schema: SampleSchema) -> None:
        self.path, self.schema = path, schema
        self._anomalies = read_anomalies(path, schema.arrays)
        self._placed: dict[str, tuple[Grid, Anomalies]] = {}

    @property
    def has_statistics_of_points(self) -> bool:
        """True if any array is an anomaly from a climatology with one value per grid point."""
        return any(
            part.grid is not None for found in self._anomalies.values() for part in found.parts
        )

    def check(self, time: TimeAxis, fine: Grid, name: str) -> None:
        """Checks that the run's climatologies cover all times and points of the fields.

        Args:
            time: Times of all fields.
            fine: Grid of the prediction.
            name: Name of the input in messages.

        Raises:
            InputError: A month or a grid point is not in the training data.
        """
        for array, anomalies in self._anomalies.items():
            try:
                anomalies.require(time)
                if array != "low":  # the grid of low becomes known when its fields are read
                    anomalies.on(fine, array)
            except InputError as error:
                raise InputError(f"{name} does not fit {self.path}: {error}") from None

    def check_coarse_values(self, fields: np.ndarray, what: str) -> None:
        """Checks that coarse fields can be in the units of the training data.

        Args:
            fields: Physical values, (…, Cl); missing values are ignored.
            what: Name of the fields in messages.

        Raises:
            InputError: Values are infinite, or their mean or standard deviation is far from the
                training data's.
        """
        from phire.rplearn.input_checks import check_values

        low = self.schema.arrays["low"]
        present = np.isfinite(fields).all(-1)
        if np.isinf(fields).any():
            raise InputError(f"{what} holds infinite values: mark them as missing (NaN) first.")
        if present.any():
            check_values(
                fields[present][None, None], low.normalization, low.units, what,
                trained=f"the training data of {self.path}",
            )  # fmt: skip

    def normalise(
        self, name: str, values: np.ndarray, fields: WholeFields, grid: Grid
    ) -> np.ndarray:
        """Returns the normalised values of an array, float32 of the same shape.

        Args:
            name: Name of the array in the schema, such as ``low``.
            values: Physical values, (n, [T,] h, w, C).
            fields: Samples that the values belong to; their times select the climatology.
            grid: Grid of the values.
        """
        values = self.schema.arrays[name].normalization.apply(values).astype(np.float32)
        anomalies = self._anomalies_on(name, grid)
        if anomalies is None:
            return values
        times = fields.times if fields.window_times is None else fields.window_times
        time = TimeAxis(times.ravel(), fields.calendar)
        flat = values.reshape(-1, *values.shape[-3:])
        return anomalies.apply(flat, time).reshape(values.shape)

    def physical_targets(self, outputs: np.ndarray, fields: WholeFields) -> np.ndarray:
        """Returns the physical values of normalised predictions, (n, H, W, C).

        Args:
            outputs: Normalised predictions, (n, H, W, C).
            fields: Samples that they belong to; their times select the climatology.
        """
        anomalies = self._anomalies_on("high", fields.fine)
        if anomalies is not None:
            outputs = anomalies.invert(outputs, TimeAxis(fields.times, fields.calendar))
        return self.schema.normalization.invert(outputs)

    def _anomalies_on(self, name: str, grid: Grid) -> Anomalies | None:
        """Returns an array's climatology at the points of a grid; None if it has no climatology."""
        if name not in self._anomalies:
            return None
        if name not in self._placed or self._placed[name][0] is not grid:
            self._placed[name] = grid, self._anomalies[name].on(grid, name)
        return self._placed[name][1]
