"""Sampling options that pair records and downscaling records share."""

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
"""Policies for missing values that both kinds of records allow."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SamplingOptions:
    """Keyword arguments of both record writers, with their defaults.

    Attributes:
        time: Half-open range of times to sample, ``START,STOP`` or a pair; all by default. All
            fields of a sample lie inside it.
        shards: Number of TFRecord files; each holds samples from the whole period.
        compression: ``none``, ``zlib`` or ``gzip``.
        dtype: Type of the stored pixels, ``float32`` or ``float16``.
        normalization: Kind for all channels, then channels that differ: ``z,pr=log:0.1``; see
            :class:`phire.fields.normalization.Normalization`. By default that of ``statistics``,
            else log1p.
        statistics: File of statistics, or directory of records, to use instead of fitting.
        missing: ``skip`` draws no patch that contains missing values, ``fill`` replaces them with
            the channel's mean, ``error`` raises an error.
        seed: Seed of the draw; the same seed and options give the same bytes.
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
        """Builds the options from the keyword arguments of a public function.

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
        """Returns the options in the form of the manifest, with the path of the store.

        Args:
            store: The (high-resolution) fields.
            policies: Allowed policies for missing values.

        Raises:
            InputError: An option has a value that is not allowed.
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
            raise InputError(f"--seed {self.seed} must be 0 or a positive whole number.")
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
