"""Report of an evaluation: one self-contained HTML file."""

from phire.evaluation.report.page import write_report

__all__ = ["write_report"]
