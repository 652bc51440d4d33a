"""Figures of an evaluation, drawn from the files of a results folder."""

from phire.evaluation.figures.figure_files import draw_all, figure_names

__all__ = ["draw_all", "figure_names"]
