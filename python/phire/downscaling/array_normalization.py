"""Normalization of the arrays of a run's samples, and its inverse for the predicted targets."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from phire.downscaling.whole_fields import WholeFields
from phire.errors import InputError
from phire.fields.grid import Grid
from phire.fields.time import TimeAxis
from phire.records.anomalies import Anomalies, read_anomalies
from phire.records.schema import SampleSchema


class ArrayNormalization:
    """Normalization of each array of the samples, with its climatology where it has one.

    Args:
        path: The run, which holds the climatologies.
        schema: Schema of the samples.
    """

    def __init__(self, path: Path, schema: SampleSchema) -> None:
        self.path, self.schema = path, schema
        self._anomalies = read_anomalies(path, schema.arrays)
        self._placed: dict[str, tuple[Grid, Anomalies]] = {}

    @property
    def has_statistics_of_points(self) -> bool:
        """True where fields are anomalies from climatologies of each point of the domain."""
        return any(
            part.grid is not None for found in self._anomalies.values() for part in found.parts
        )

    def check(self, time: TimeAxis, fine: Grid, name: str) -> None:
        """Refuses fields at times or points whose climatology the run does not hold.

        Args:
            time: Times of all fields.
            fine: The grid to predict.
            name: Name of the input in messages.

        Raises:
            InputError: A month or point is not among those of the training data.
        """
        for array, anomalies in self._anomalies.items():
            try:
                anomalies.require(time)
                if array != "low":
                    anomalies.on(fine, array)
            except InputError as error:
                raise InputError(f"{name} does not suit {self.path}: {error}") from None

    def check_coarse_values(self, fields: np.ndarray, what: str) -> None:
        """Refuses coarse fields that cannot be in the units of the training data.

        Args:
            fields: (…, Cl) physical values; missing ones are ignored.
            what: Name of the fields in the message.

        Raises:
            InputError: Their mean or spread is far off the training data's.
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
        """Returns normalised values of an array, float32.

        Args:
            name: Name of the array, such as ``low``.
            values: Physical values, (n, [T,] h, w, C).
            fields: The samples, for their times.
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
        """Returns the physical values of a network's normalised outputs, (n, H, W, C)."""
        anomalies = self._anomalies_on("high", fields.fine)
        if anomalies is not None:
            outputs = anomalies.invert(outputs, TimeAxis(fields.times, fields.calendar))
        return self.schema.normalization.invert(outputs)

    def _anomalies_on(self, name: str, grid: Grid) -> Anomalies | None:
        """Returns the climatologies of an array at a grid's points; None where it has none."""
        if name not in self._anomalies:
            return None
        if name not in self._placed or self._placed[name][0] is not grid:
            self._placed[name] = grid, self._anomalies[name].on(grid, name)
        return self._placed[name][1]
