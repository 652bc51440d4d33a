"""Figures of learned metrics and their evaluation, drawn from result files."""
