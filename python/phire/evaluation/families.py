"""All statistics, in the order in which they are listed and taken by default."""

from __future__ import annotations

from phire.evaluation import (
    distributions,
    point_maps,
    point_scores,
    samples,
    semivariograms,
    spectra,
)
from phire.evaluation.accumulator import STATISTICS

MODULES = (spectra, semivariograms, point_scores, point_maps, distributions, samples)

DEFAULT = tuple(name for name, statistic in STATISTICS.items() if statistic.by_default)
"""Those that are taken if none are named."""
