"""All statistics, in the order in which they are listed and taken by default."""

from __future__ import annotations

from phire.evaluation import (
    city_statistics,
    distributions,
    ensembles,
    fractions_skill,
    high_pass,
    learned_distances,
    localized_spectra,
    point_maps,
    point_scores,
    projections,
    samples,
    semivariograms,
    spectra,
    zonal_spectra,
)
from phire.evaluation.accumulator import STATISTICS

MODULES = (
    spectra,
    semivariograms,
    point_scores,
    point_maps,
    distributions,
    city_statistics,
    fractions_skill,
    high_pass,
    zonal_spectra,
    localized_spectra,
    ensembles,
    learned_distances,
    projections,
    samples,
)

DEFAULT = tuple(name for name, statistic in STATISTICS.items() if statistic.by_default)
"""Those that are taken if none are named."""
