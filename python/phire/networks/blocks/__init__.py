"""Layers and blocks shared by several architectures."""
