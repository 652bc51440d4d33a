"""Whole fields as inputs of a trained network: filling, margin, normalization, context."""

from __future__ import annotations

import dataclasses

import numpy as np

from phire.downscaling.array_normalization import ArrayNormalization
from phire.downscaling.halo_tiles import with_margin
from phire.downscaling.missing_input import Filler
from phire.downscaling.whole_fields import WholeFields
from phire.fields.area_mean import AreaMean
from phire.records.schema import SampleSchema


@dataclasses.dataclass(frozen=True)
class WholeFieldInputs:
    """Preparation of whole fields as inputs of a network, without tiles.

    Attributes:
        schema: Schema of the training samples.
        arrays: Normalization of the samples' arrays.
        names: Names of the network's inputs.
    """

    schema: SampleSchema
    arrays: ArrayNormalization
    names: frozenset[str]

    def filled(self, fields: WholeFields, fill: str) -> tuple[np.ndarray, np.ndarray]:
        """Fills missing coarse values; returns the fields and the mask of filled points (n, h, w).

        With a time window, the mask is that of the predicted step.
        """
        filler = Filler(fill, self.schema.arrays["low"].normalization.mean)
        flat = fields.low.reshape(-1, *fields.low.shape[-3:])
        filled, missing = filler(flat, fields.coarse)
        filled = filled.reshape(fields.low.shape)
        missing = missing.reshape(*fields.low.shape[:-1], 1)
        return filled, fields.inner(fields.asked(missing))[..., 0]

    def present(self, fields: WholeFields) -> np.ndarray:
        """Returns the mask of coarse values that are not missing (1 or 0), with its margin."""
        return self.with_margin(np.isfinite(fields.low).astype(np.float32), fields)

    def with_margin(self, low: np.ndarray, fields: WholeFields) -> np.ndarray:
        """Adds the schema's margin: values from around the input if read, else edge values."""
        margin = self.schema.margin
        if not margin:
            return fields.inner(low)
        if not any(map(any, fields.around)):
            return with_margin(low, fields.coarse, margin)
        lacking = [(margin - before, margin - after) for before, after in fields.around]
        return np.pad(low, [(0, 0)] * (low.ndim - 3) + [*lacking, (0, 0)], mode="edge")

    def further_arrays(
        self, fields: WholeFields
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Returns the further inputs by name: normalised maps, and covariates and window steps."""
        fine, constant = {}, {}
        names = self.names
        for name in names & {"static", "auxiliary"}:
            array = getattr(fields, name)
            values = self.arrays.normalise(name, array, fields, fields.fine)
            values = np.nan_to_num(values, copy=False)  # records also hold 0 for missing values
            if name == "static":
                values = np.broadcast_to(values, (len(fields.low), *values.shape))
            fine[name] = values
        if "time" in names:
            constant["time"] = fields.time
        if "context" in names:
            constant["context"] = self._context(fields)
        if fields.step is not None:
            constant["step"] = fields.step
        return fine, constant

    def _context(self, fields: WholeFields) -> np.ndarray:
        """Returns the area means of the whole normalised coarse fields, (n, [T,] h', w', Cl)."""
        low = self.arrays.normalise("low", fields.low, fields, fields.outer or fields.coarse)
        return AreaMean.of(fields.coarse, self.schema.context)(fields.inner(low))
