"""Shapes of the arrays that a network takes and gives, as plain numbers."""

from __future__ import annotations

import dataclasses
import math

from phire.errors import InputError, OptionError

Size = int | None


class FixedSizeError(InputError):
    """The shapes leave rows and columns open, but the network depends on them."""


@dataclasses.dataclass(frozen=True)
class Shapes:
    """Shapes of one sample's arrays, without the batch.

    Attributes:
        low: (h, w, channels) of the coarse input, its margin included; h and w are None where the
            network takes fields of any size.
        high: (H, W, channels) of the targets.
        scale: Fine points to a coarse one, along each axis.
        static: Channels of the fine-grid maps; 0 without.
        auxiliary: Channels of the predictors in time on the fine grid; 0 without.
        time: Numbers that state time covariates, sine and cosine of each; 0 without.
        window: Time steps of ``low``, ``high`` and ``auxiliary``; None for single fields.
        margin: Coarse points of context on each side of ``low``, cropped from the output.
        domain: (rows, columns) of the whole domain's fine grid, where weights belong to its points.
        periods: Period of each time covariate; empty where it is unknown.
        stations: Channels of ``auxiliary`` that hold the values of a station variable and its mask.
    """

    low: tuple[Size, Size, int]
    high: tuple[Size, Size, int]
    scale: int
    static: int = 0
    auxiliary: int = 0
    time: int = 0
    window: int | None = None
    margin: int = 0
    domain: tuple[int, int] | None = None
    periods: tuple[float, ...] = ()
    stations: tuple[tuple[int, int], ...] = ()

    def of_any_size(self) -> Shapes:
        """Returns the same shapes with rows and columns left open."""
        low, high = ((None, None, size[2]) for size in (self.low, self.high))
        return dataclasses.replace(self, low=low, high=high)

    @classmethod
    def of(
        cls,
        low: tuple[Size, Size, int],
        high: tuple[Size, Size, int],
        *,
        scale: int | None = None,
        margin: int = 0,
        **more: int | tuple[int, int] | None,
    ) -> Shapes:
        """Returns shapes; computes the scale from the sizes if it is not given.

        Args:
            low: Rows, columns (None: any) and channels of the coarse input, margin included.
            high: Rows, columns (None: any) and channels of the output.
            scale: Fine points for each coarse point along an axis.
            margin: Coarse points of context on each side.
            more: Further fields of :class:`Shapes`, such as ``static=2``.

        Raises:
            InputError: The sizes state no whole scale, or contradict ``scale``.
        """
        ratios = {
            fine / (coarse - 2 * margin)
            for coarse, fine in zip(low[:2], high[:2])
            if coarse is not None and fine is not None
        }
        if scale is None and len(ratios) != 1:
            raise OptionError(
                f"scale must be given: low {low[:2]} and high {high[:2]} do not state one."
            )
        scale = min(ratios) if scale is None else scale
        if scale != math.floor(scale) or scale < 1 or ratios - {scale}:
            raise OptionError(
                f"high {high[:2]} must be low {low[:2]} less a margin of {margin} on each side, "
                f"times one whole scale, not times {max(ratios, default=scale):g}."
            )
        return cls(tuple(low), tuple(high), int(scale), margin=margin, **more)
