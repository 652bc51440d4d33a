"""Keras architectures by name: encoders, generators, denoisers and discriminators."""

from phire.networks.registry import build, discriminator, encoder, network
from phire.networks.shapes import Shapes

__all__ = ["Shapes", "build", "discriminator", "encoder", "network"]
