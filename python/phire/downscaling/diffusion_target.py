"""Diffusion target: the fine field or its residual, scaled to a unit root mean square."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from phire.downscaling.discrete_process import process_of
from phire.downscaling.preconditioning import check_sigma_range
from phire.downscaling.samplers import mode_variances, sigma_range
from phire.downscaling.samplers.discrete_levels import noise_to_signal
from phire.errors import InputError
from phire.networks.blocks.interpolation_layer import Interpolation
from phire.records.schema import SampleSchema

TARGETS = ("residual", "field")
SAMPLES = 256
"""Number of samples on which ``sigma_data``, ``sigma_min`` and ``sigma_max`` are measured.

They are taken at even intervals in the records' order.
"""


@dataclasses.dataclass(frozen=True, eq=False)
class DiffusionTarget:
    """Map from normalised fine fields to the scaled target to which noise is added.

    A base field is subtracted first: ``mean(batch)`` if ``mean`` is given; else, for ``residual``,
    the coarse field in the fine normalization, interpolated by cubic convolution. The base is 0 for
    channels that ``low`` lacks, and for all channels if the kind is ``field``. Then each channel is
    divided by its root mean square ``sigma_data``, so one noise level suits all channels.

    Attributes:
        schema: Schema of the records.
        kind: ``residual`` or ``field``.
        sigma_data: Root mean square of each channel's target.
        mean: Function of a batch that returns the normalised prediction of a trained run,
            (B, H, W, C); None for no such run.

    Raises:
        InputError: ``kind`` is unknown, ``sigma_data`` is not one positive number per channel,
            ``low`` has none of the targets' channels, ``mean`` is given for ``field``, or the
            samples are windows.
    """

    schema: SampleSchema
    kind: str
    sigma_data: tuple[float, ...]
    mean: Callable[[Mapping[str, Any]], Any] | None = None

    def __post_init__(self) -> None:
        if self.schema.window is not None:
            raise InputError(
                "a denoiser works on single fields, but the records have a window of "
                f"{self.schema.window} steps: make records without --window, or choose the "
                "objective energy, which trains recurrent networks, too."
            )
        if self.kind not in TARGETS:
            raise InputError(f"target={self.kind} must be one of {', '.join(TARGETS)}.")
        channels, sigma = self.schema.channels, self.sigma_data
        if np.shape(sigma) != (len(channels),) or not np.isfinite(sigma).all() or min(sigma) <= 0:
            raise InputError(
                f"sigma_data={np.ravel(sigma).tolist()} must be one positive number for each of "
                f"{', '.join(channels)}."
            )
        if self.mean is not None and self.kind == "field":
            raise InputError("residual=RUN and target=field exclude each other: leave one out.")
        if self.kind == "residual" and not self.shared and self.mean is None:
            low = self.schema.arrays["low"].channels
            raise InputError(
                f"target=residual: low ({', '.join(low)}) has none of the targets "
                f"({', '.join(channels)}) to subtract: choose target=field."
            )

    @property
    def shared(self) -> list[str]:
        """Names of the target channels that ``low`` also has."""
        low = self.schema.arrays["low"].channels
        return [name for name in self.schema.channels if name in low]

    def base(self, batch: Mapping[str, Any]) -> Any:
        """Returns the normalised base field to subtract, (B, H, W, C), or the number 0.

        Args:
            batch: Normalised arrays by name: ``low`` (B, h, w, Cl) with the schema's margin, and
                the inputs of the network behind ``mean``, if it is given.
        """
        if self.mean is not None:
            return self.mean(batch)
        low = batch["low"]
        ops, channels = keras.ops, self.schema.channels
        shared = self.shared if self.kind == "residual" else []
        if not shared:
            return 0.0
        array = self.schema.arrays["low"]
        places = [array.channels.index(name) for name in shared]
        coarse = ops.take(ops.cast(low, "float32"), places, axis=-1)
        fine_space = self.schema.normalization.select(shared)
        if array.normalization is not None:
            physical = array.normalization.select(shared)
            if physical != fine_space:
                coarse = fine_space.apply(physical.invert(coarse, xp=ops), xp=ops)
        scale, border = self.schema.scale, self.schema.margin * self.schema.scale
        fine = Interpolation(scale, dtype="float32")(coarse)
        if border:
            fine = fine[:, border:-border, border:-border]
        none = ops.zeros_like(fine[..., :1])
        return ops.concatenate(
            [
                fine[..., shared.index(c) : shared.index(c) + 1] if c in shared else none
                for c in channels
            ],
            axis=-1,
        )

    def scaled(self, high: Any, batch: Mapping[str, Any]) -> Any:
        """Returns the scaled target of normalised fields ``high``, (B, H, W, C)."""
        return (high - self.base(batch)) / np.float32(self.sigma_data)

    def fields(self, scaled: Any, batch: Mapping[str, Any]) -> Any:
        """Returns the normalised fields of scaled targets: the inverse of :meth:`scaled`."""
        return scaled * np.float32(self.sigma_data) + self.base(batch)


def with_measured_scales(
    options: Mapping[str, Any], schema: SampleSchema, records: Any, mean: Any = None
) -> dict[str, Any]:
    """Returns options with the scales of the target measured on the records where they are None.

    ``sigma_data`` becomes the root mean square of each channel's target over valid points.
    ``sigma_min`` and ``sigma_max`` come from the spectrum of the scaled target
    (:func:`phire.downscaling.samplers.sigma_range`). They are limited to the levels that the
    network is trained on: exp(``p_mean`` ± 4 ``p_std``), or those of the discrete times.

    Args:
        options: Options of the objective; returned unchanged if ``sigma_data`` is not among them.
        schema: Schema of the records.
        records: Records to measure on, with a method ``dataset``.
        mean: See :class:`DiffusionTarget`.

    Raises:
        InputError: As for :class:`DiffusionTarget`; or ``sigma_min`` is not below ``sigma_max``, or
            a target channel is zero everywhere.
    """
    found = dict(options)
    if "sigma_data" not in found:
        return found
    given = found["sigma_data"]
    if isinstance(given, int | float):
        given = [given] * len(schema.channels)
    target = DiffusionTarget(
        schema, found["target"], tuple(given or [1.0] * len(schema.channels)), mean
    )
    if None not in (found["sigma_min"], found["sigma_max"]):
        check_sigma_range(found["sigma_min"], found["sigma_max"])
    if given and None not in (found["sigma_min"], found["sigma_max"]):
        return found | {"sigma_data": list(given)}
    scaled, valid = _some_targets(target, records)
    if not given:
        squares = (scaled**2).sum((0, 1, 2)) / np.maximum(valid.sum((0, 1, 2)), 1)
        given = [float(f"{value:.6g}") for value in np.sqrt(squares)]
        if min(given) <= 0:
            zero = schema.channels[int(np.argmin(given))]
            raise InputError(f"the target {zero} is zero in the records: leave it out.")
        scaled = scaled / np.asarray(given)
    least, most = sigma_range(mode_variances(scaled))
    if "p_mean" in found and found["p_std"] > 0:  # the objective refuses other values
        ends = np.exp(found["p_mean"] + 4 * found["p_std"] * np.array([-1, 1]))
        least, most = max(least, ends[0]), min(most, ends[1])
    if "rates" in found:
        levels = noise_to_signal(process_of(found).signal)
        least, most = max(least, levels[0]), min(most, levels[np.isfinite(levels)][-1])
    for name, value in (("sigma_min", least), ("sigma_max", most)):
        if found[name] is None:
            found[name] = float(f"{value:.6g}")
    check_sigma_range(found["sigma_min"], found["sigma_max"])
    return found | {"sigma_data": list(given)}


def _some_targets(target: DiffusionTarget, records: Any) -> tuple[np.ndarray, np.ndarray]:
    """Returns scaled targets of some records, (n, H, W, C) float64, and the mask of valid values.

    Invalid values are 0.
    """
    size = min(16, records.count)
    stride = max(1, records.count // size // (SAMPLES // 16))
    fields, masks = [], []
    for number, batch in enumerate(records.dataset(size)):
        if number % stride:
            continue
        high = np.asarray(batch["high"])
        valid = np.asarray(batch["valid"]) > 0 if "valid" in batch else np.ones(high.shape, bool)
        scaled = np.asarray(target.scaled(np.where(valid, high, 0), batch), np.float64)
        fields.append(np.where(valid, scaled, 0))
        masks.append(valid)
        if len(fields) * size >= SAMPLES:
            break
    return np.concatenate(fields), np.concatenate(masks)
