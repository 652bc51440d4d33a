"""Distributions of a target whose parameters a network gives. One file each, found by name."""
