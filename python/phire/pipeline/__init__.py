"""Pipelines: a YAML file of commands and their options, run as a graph of stages."""

from phire.pipeline.execution import plan_pipeline, run_pipeline

__all__ = ["plan_pipeline", "run_pipeline"]
