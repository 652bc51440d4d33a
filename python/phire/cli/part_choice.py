"""Type of options that choose a part by name, such as ``--network NAME,key=value``."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from phire.errors import InputError

if TYPE_CHECKING:
    from phire.part_registry import Registry

REGISTRIES = {
    "network": ("phire.networks.registry", "network"),
    "encoder": ("phire.networks.registry", "encoder"),
    "discriminator": ("phire.networks.registry", "discriminator"),
    "objective": ("phire.training.registry", "objective"),
    "content": ("phire.downscaling.contents.registry", "content"),
    "distribution": ("phire.downscaling.predicted_distributions.registry", "distribution"),
    "schedule": ("phire.training.registry", "schedule"),
    "sampler": ("phire.downscaling.samplers.registry", "sampler"),
    "noise-schedule": ("phire.downscaling.samplers.registry", "schedule"),
    "statistic": ("phire.evaluation.registry", "registry"),
}
"""Module and variable of the registry of each kind of part."""


def registry_of(kind: str) -> Registry:
    """Returns the registry of a kind of parts, without importing the parts."""
    module, name = REGISTRIES[kind]
    return getattr(importlib.import_module(module), name)


class PartChoice(click.ParamType):
    """Type of a part with options: ``NAME,key=value,flag``, or a mapping in a ``--config`` file.

    An unknown name or option is refused before anything heavy is imported.

    Args:
        kind: Kind of the part.
        package: Only parts that this package defines.
        checks: Types by the name of an option; a type refuses a value of it, such as a path that
            is not there.
    """

    name = "NAME,key=value,..."

    def __init__(
        self, kind: str, package: str | None = None,
        checks: Mapping[str, click.ParamType] | None = None,
    ) -> None:  # fmt: skip
        self.kind = kind
        self.package = package
        self.checks = dict(checks or {})

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from phire.part_registry import parse

        registry = registry_of(self.kind)
        if self.package is not None:
            registry = registry.within(self.package)
        try:
            registry.resolve(value)
            name, options = parse(value)
        except InputError as error:
            self.fail(str(error), param, ctx)
        for option, check in self.checks.items():
            if options.get(option):
                check.convert(options[option], param, ctx)
        return {"name": name, **options}
