"""Options that pair records and downscaling records share, with their defaults."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from phire.errors import InputError
from phire.records.input_files import InputFile

COMPRESSIONS = ("none", "zlib", "gzip")
DTYPES = ("float32", "float16")
MISSING = ("skip", "fill", "error")
"""Policies for missing values in records of either kind."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SamplingOptions:
    """Keyword arguments that both writers of records take.

    Attributes:
        time: Times to sample, ``START,STOP`` or a pair of them, half-open; all by default. All
            fields of a sample lie inside.
        shards: Number of TFRecord files; each holds samples of the whole period.
        compression: ``none``, ``zlib`` or ``gzip``.
        dtype: Type of the stored pixels, ``float32`` or ``float16``.
        normalization: Kind for all channels, and others by name: ``z,pr=log:0.1``; see
            :class:`phire.fields.normalization.Normalization`. By default that of ``statistics``,
            else log1p.
        statistics: File of statistics, or directory of records, whose statistics are used instead
            of fitted ones.
        missing: ``skip`` draws no patch that touches missing values, ``fill`` fills them with the
            channel's mean, ``error`` refuses them.
        seed: Seed of the draw: the same seed and options give the same bytes.
    """

    time: str | Sequence[str | None] | None = None
    shards: int = 8
    compression: str = "none"
    dtype: str = "float32"
    normalization: str | None = None
    statistics: str | os.PathLike | None = None
    missing: str = "skip"
    seed: int = 0

    @classmethod
    def from_keywords(cls, keywords: Mapping[str, Any], function: str) -> SamplingOptions:
        """Returns the options of a public function's further keyword arguments.

        Args:
            keywords: The arguments.
            function: Name of the function, for the error.

        Raises:
            TypeError: The function has no such argument.
        """
        known = {field.name for field in dataclasses.fields(cls)}
        unknown = [name for name in keywords if name not in known]
        if unknown:
            raise TypeError(f"{function}() got an unexpected keyword argument {unknown[0]!r}")
        return cls(**keywords)

    def recorded(self, store: InputFile, policies: Sequence[str] = MISSING) -> dict[str, Any]:
        """Returns the options as the manifest holds them, with the store that they sample.

        Args:
            store: The (high-resolution) fields.
            policies: Policies for missing values that these records allow.

        Raises:
            InputError: An option has an impossible value.
        """
        for name, allowed in (
            ("compression", COMPRESSIONS), ("dtype", DTYPES), ("missing", policies),
        ):  # fmt: skip
            if getattr(self, name) not in allowed:
                raise InputError(
                    f"--{name} {getattr(self, name)} must be one of {', '.join(allowed)}."
                )
        if self.shards < 1:
            raise InputError(f"--shards {self.shards} must be at least 1.")
        if self.seed < 0:
            raise InputError(f"--seed {self.seed} must be a whole number from 0 on.")
        fitted = self.statistics is None
        return {
            "store": store.recorded,
            "fingerprint": store.fingerprint,
            "shards": self.shards,
            "compression": self.compression,
            "dtype": self.dtype,
            "normalization": self.normalization or ("log1p" if fitted else None),
            "missing": self.missing,
            "statistics": None if fitted else str(Path(self.statistics).resolve()),
            "seed": self.seed,
            "time": ",".join(bound or "" for bound in self.time)
            if isinstance(self.time, (tuple, list))
            else self.time,
        }
