"""Channels that encode the position of a patch's points in the domain."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from phire.errors import OptionError

KINDS = ("sinusoidal", "learned")
"""Kinds of position channels; see :class:`PlaceChannels`."""


@keras.saving.register_keras_serializable(package="phire")
class PlaceChannels(keras.layers.Layer):
    """Position channels of the domain's points, cut out for each patch, (B, 2) → (B, H, W, N).

    Columns beyond the domain wrap around; rows beyond it repeat its first or last row.

    Args:
        domain: Rows and columns of the fine domain.
        channels: Number N of channels.
        kind: ``sinusoidal``, sine and cosine of 2π·k·row/rows and 2π·k·column/columns for
            k = 1 … N/4, as in CorrDiff for k = 1 (Mardani et al. 2025,
            doi:10.1038/s43247-025-02042-5); or ``learned``, weights for each point.

    Raises:
        InputError: ``kind`` is unknown, or N is not a multiple of 4 for ``sinusoidal``.
    """

    def __init__(
        self, domain: tuple[int, int], channels: int = 4, kind: str = "sinusoidal", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if kind not in KINDS:
            raise OptionError(f"place {kind!r} must be one of {', '.join(KINDS)}.")
        if kind == "sinusoidal" and channels % 4:
            raise OptionError(f"place_channels {channels} must be a multiple of 4 for sinusoids.")
        self.domain = tuple(domain)
        self.channels = channels
        self.kind = kind

    def build(self, position_shape: tuple, like_shape: tuple) -> None:
        """Creates the table of ``learned`` channels, initialized from N(0, 0.02²)."""
        self.table = None
        if self.kind == "learned":
            self.table = self.add_weight(
                shape=(self.domain[0] * self.domain[1], self.channels), name="table",
                initializer=keras.initializers.RandomNormal(stddev=0.02),
            )  # fmt: skip

    def call(self, position: Any, like: Any) -> Any:
        """Returns the channels of patches, (B, H, W, N).

        Args:
            position: Row and column of each patch's first point in the domain, (B, 2).
            like: Field with the rows H and columns W of the patches, (B, H, W, ·).
        """
        _, height, width, _ = ops.shape(like)
        first = ops.cast(position, "int32")
        rows = ops.clip(first[:, :1] + ops.arange(height), 0, self.domain[0] - 1)
        columns = ops.mod(first[:, 1:] + ops.arange(width), self.domain[1])
        if self.table is not None:
            points = rows[:, :, None] * self.domain[1] + columns[:, None, :]
            return ops.cast(ops.take(self.table, points, axis=0), self.compute_dtype)
        waves = [self._waves(rows, 0)[:, :, None], self._waves(columns, 1)[:, None]]
        waves = [w + ops.zeros_like(waves[1 - k][..., :1]) for k, w in enumerate(waves)]
        return ops.cast(ops.concatenate(waves, axis=-1), self.compute_dtype)

    def _waves(self, index: Any, axis: int) -> Any:
        """Returns sines and cosines of row or column indices, (B, n) → (B, n, N/2)."""
        numbers = np.arange(1, self.channels // 4 + 1, dtype="float32")
        angles = ops.cast(index, "float32")[..., None] * (2 * math.pi / self.domain[axis]) * numbers
        return ops.concatenate([ops.sin(angles), ops.cos(angles)], axis=-1)

    def compute_output_shape(self, position_shape: tuple, like_shape: tuple) -> tuple:
        """Returns (B, H, W, N)."""
        return (*like_shape[:3], self.channels)

    def get_config(self) -> dict[str, Any]:
        """Returns the layer's arguments, for saving."""
        return {
            **super().get_config(), "domain": self.domain, "channels": self.channels,
            "kind": self.kind,
        }  # fmt: skip
