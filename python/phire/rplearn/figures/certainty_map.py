"""Maps of a network's certainty about the lag."""

from __future__ import annotations

import xarray as xr
from matplotlib.figure import Figure

from phire.errors import InputError
from phire.evaluation.figures.style import SEQUENTIAL, new_figure, styled

NAMES = {
    "probability": "probability of the true lag",
    "accuracy": "accuracy",
    "top_3_accuracy": "top-3 accuracy",
    "entropy": "entropy (nats)",
}

VARIABLES = ("group", "latitude", "longitude", "count", *NAMES)
"""Variables and coordinates of a file of ``rplearn-certainty``."""


@styled
def certainty_figure(results: xr.Dataset, group: str = "all") -> Figure:
    """Draws maps of probability, accuracy, top-3 accuracy and entropy.

    Args:
        results: File of ``rplearn-certainty``.
        group: ``all``, a season such as ``JJA``, or an hour such as ``00 UTC``.

    Raises:
        InputError: The results do not have the group.
    """
    groups = [str(name) for name in results["group"].values]
    if group not in groups:
        raise InputError(f"group {group}: the results hold {', '.join(groups)}.")
    chosen = results.sel(group=group)
    figure = new_figure(9.0, 5.0)
    for axes, (name, title) in zip(figure.subplots(2, 2).flat, NAMES.items()):
        image = axes.pcolormesh(
            results["longitude"], results["latitude"], chosen[name], cmap=SEQUENTIAL,
            shading="auto", vmin=0, vmax=float(chosen[name].max()) or 1.0,
        )  # fmt: skip
        axes.set_title(title)
        axes.grid(False)
        figure.colorbar(image, ax=axes, pad=0.02)
        axes.set(xlabel="longitude (° east)", ylabel="latitude (° north)")
        axes.label_outer()
    lag, count = results.attrs["lag"], int(chosen["count"])
    span = "all times" if group == "all" else group
    steps, pairs = ("step" if lag == 1 else "steps"), ("pair" if count == 1 else "pairs")
    figure.suptitle(f"lag of {lag} {steps}, {span}, {count} {pairs} of fields", size=10)
    return figure
