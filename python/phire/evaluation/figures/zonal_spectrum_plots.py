"""Figure of spectra along circles of latitude."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.figure import Figure

from phire.errors import InputError
from phire.evaluation.figures.images import latitude_text
from phire.evaluation.figures.label_text import labelled, readable
from phire.evaluation.figures.legend import legend_below
from phire.evaluation.figures.results_reading import Datasets, opened, units_of
from phire.evaluation.figures.spectrum_axes import axis_limits, draw_curves, spectra_of
from phire.evaluation.figures.style import Style, candidate_styles, panel_grid, styled


@styled
def zonal_figure(
    spectra: Datasets,
    *,
    channel: str,
    styles: Mapping[str, Style] | None = None,
) -> Figure:
    """Draws spectra along circles of latitude, with a panel for each band of latitude.

    Args:
        spectra: Data sets or paths by candidate, with ``variance`` over ``channel``, ``band``
            (degrees north) and ``wavenumber``.
        channel: The channel.
        styles: Styles by candidate; None means styles in the order of the candidates.

    Raises:
        InputError: No data set has bands.
    """
    datasets = opened(spectra)
    styles = styles or candidate_styles(datasets)
    datasets = {name: dataset for name, dataset in datasets.items() if "band" in dataset.dims}
    if not datasets:
        raise InputError("none of the data sets holds spectra by latitude band: nothing to draw.")
    some = next(iter(datasets.values()))
    bands = sorted(some["band"].values.tolist(), reverse=True)
    columns = 3
    figure, panels = panel_grid(
        len(bands), panel=(3.3, 2.7), margin=(1, 1), most_columns=columns,
        title=f"Zonal spectra of {readable(channel)}",
    )  # fmt: skip
    for i, (axes, band) in enumerate(zip(panels, bands)):
        of_band = {name: dataset.sel(band=band) for name, dataset in datasets.items()}
        spectra = spectra_of(of_band, "variance", channel)
        draw_curves(axes, spectra, axis_limits(spectra.axis), styles)
        axes.set_title(f"around {latitude_text(band)}")
        if i + columns >= len(bands):
            axes.set_xlabel(spectra.axis.label)
        if i % columns == 0:
            axes.set_ylabel(labelled("Variance", units_of(some, "variance", channel)))
    legend_below(figure, list(datasets), styles)
    return figure
