"""Figures of an evaluation, drawn from its results on disk alone."""

from phire.evaluation.figures.figure_files import draw_all, figure_names

__all__ = ["draw_all", "figure_names"]
