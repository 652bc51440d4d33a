"""Shapes of a network's inputs and output, as plain numbers."""

from __future__ import annotations

import dataclasses
import math

from phire.errors import InputError, OptionError

Size = int | None


class FixedSizeError(InputError):
    """Error of a network that needs fixed numbers of rows and columns, but gets None."""


@dataclasses.dataclass(frozen=True)
class Shapes:
    """Shapes of the arrays of one sample, without the batch axis.

    Attributes:
        low: Shape of the coarse input with its margin, (h, w, channels); h and w are None if the
            network takes fields of any size.
        high: Shape of the targets, (H, W, channels).
        scale: Fine points per coarse point, along each axis.
        static: Number of static maps on the fine grid.
        auxiliary: Number of time-dependent predictors on the fine grid.
        time: Length of the time covariates, twice their number: sine and cosine of each.
        window: Time steps of ``low``, ``high`` and ``auxiliary``; None for single fields.
        margin: Coarse points of context on each side of ``low``; the output does not cover them.
        domain: Rows and columns of the whole fine domain, for networks with weights for its points;
            None if unknown.
        periods: Period of each time covariate; empty if unknown.
        stations: For each station variable, the channels of ``auxiliary`` with its values and its
            mask.
        context_size: Rows and columns of ``context``, the area means of the whole coarse field with
            the channels of ``low``; None if the samples have no such array.
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
    context_size: tuple[int, int] | None = None

    def of_any_size(self) -> Shapes:
        """Returns the same shapes with None for rows and columns."""
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
        """Creates shapes, and computes the scale from the sizes if it is None.

        Args:
            low: Rows, columns and channels of the coarse input with its margin; None for any size.
            high: Rows, columns and channels of the targets; None for any size.
            scale: Fine points per coarse point, along each axis.
            margin: Coarse points around the patch on each side.
            more: Further attributes of :class:`Shapes`, such as ``static=2``.

        Raises:
            InputError: The scale is unknown or not a whole number, or contradicts the sizes.
        """
        ratios = {
            fine / (coarse - 2 * margin)
            for coarse, fine in zip(low[:2], high[:2])
            if coarse is not None and fine is not None
        }
        if scale is None and len(ratios) != 1:
            raise OptionError(
                f"scale must be given, as low {low[:2]} and high {high[:2]} do not determine it."
            )
        scale = min(ratios) if scale is None else scale
        if scale != math.floor(scale) or scale < 1 or ratios - {scale}:
            raise OptionError(
                f"high {high[:2]} must be low {low[:2]} without its margin of {margin} on each "
                f"side, times one whole scale, not times {max(ratios, default=scale):g}."
            )
        return cls(tuple(low), tuple(high), int(scale), margin=margin, **more)
