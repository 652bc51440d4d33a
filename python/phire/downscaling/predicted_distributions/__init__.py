"""Distributions of targets whose parameters a network predicts, registered by name."""
