"""Reading of the whole fields of every array that a trained generator needs."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from phire import progress
from phire.downscaling.sample_parts import (
    Asked,
    Further,
    Given,
    Part,
    find_parts,
    indices_of_times,
)
from phire.downscaling.time_windows import windows
from phire.downscaling.trained_generator import TrainedGenerator
from phire.downscaling.whole_fields import WholeFields
from phire.errors import InputError
from phire.fields import units
from phire.fields.covariates import check_covariates, covariates, patch_longitudes
from phire.fields.ensemble import as_source
from phire.fields.grid import Grid
from phire.fields.padding import padded_grid, padding
from phire.fields.source import ArraySource, Source
from phire.records.coarse_grid import CoarseGrid, coarse_grid, coarse_part
from phire.records.fine_static_maps import load_statics, read_static
from phire.records.grid_points import Points, fine_points, matching_points
from phire.records.input_files import split_names
from phire.records.station_gridding import PREFIX, read_stations


class SampleSources:
    """Reader of the whole fields of every array that a generator needs.

    Args:
        generator: Trained generator.
        first: Main input, which determines the times to predict.
        parts: Sources of all channels of ``low``; see :func:`find_parts`.
        fine: Fine grid to predict; its last blocks may be incomplete.
        further: Inputs in addition to the main input.

    Attributes:
        fine: Fine grid, extended to complete blocks and limited to those with coarse input.
        asked: Part of ``fine`` that was to be predicted.
        points: Rows and columns of ``asked`` in ``fine``.
        low_name: Names of the coarse inputs, for messages.

    Raises:
        InputError: An input does not fit the run.
    """

    def __init__(
        self,
        generator: TrainedGenerator,
        first: Part,
        parts: Sequence[Part],
        fine: Grid,
        further: Further,
    ) -> None:
        schema = generator.schema
        self.generator, self.time = generator, first.time
        self.low_name = " and ".join(part.name.rstrip(",") for part in parts)
        complete = padded_grid(fine, padding(fine, generator.scale))
        asked = Asked(complete, first.time, str(generator.path))
        self.blocks: CoarseGrid = coarse_grid(
            parts, asked, generator.scale, generator.alignment, schema.margin, False
        )
        height, width = self.blocks.blocks
        size = height * generator.scale, width * generator.scale
        self.fine = complete.subgrid(*(slice(0, n) for n in size))
        self.asked = fine.subgrid(*(slice(0, n) for n in size))
        self.points = tuple(np.arange(n) for n in self.asked.shape)
        method = generator.inputs.get("regrid") or "bilinear"
        self._low = [
            (
                coarse_part(part, self.blocks, method, generator.scale),
                indices_of_times(part, first.time),
                part,
            )
            for part in parts
        ]
        self.position = self._position()
        self._note_other_context()
        self._static = self._read_static(further.static)
        self._auxiliary, self._stations = self._open_auxiliary(further)
        self._names = self._covariates()

    def _fine_points(self, grid: Grid) -> Points | None:
        """Returns a grid's rows and columns at the points of :attr:`fine`; None if it lacks any."""
        height, width = self.fine.shape
        return fine_points(grid, self.asked, (slice(0, height), slice(0, width)))

    def _note_other_context(self) -> None:
        """Prints a note if the context covers another domain than in training."""
        domain = self.generator.schema.unpadded_domain
        if "context" not in self.generator.network.input or domain is None:
            return
        if not domain.equals(self.asked):
            progress.say(
                f"Note: {self.generator.path} reads the whole coarse field as context. In training "
                f"it covered the {domain.describe()}, here it covers the {self.asked.describe()}."
            )

    def _position(self) -> tuple[int, int]:
        """Returns the row and column of the first fine point in the training domain.

        Raises:
            InputError: The fine points lie outside the domain of a localized network.
        """
        domain = self.generator.schema.domain
        points = None if domain is None else matching_points(domain, self.fine)
        if points is not None:
            return int(points[0][0]), int(points[1][0])
        if self.generator.localized:
            raise InputError(
                f"{self.generator.path} has weights for each point of its training domain, the "
                f"{domain.describe()}, but the input covers the {self.fine.describe()}: give input "
                "on that domain."
            )
        return 0, 0

    def _read_static(self, given: Sequence[Given]) -> np.ndarray | None:
        """Returns the static maps in the order of the schema, (H, W, Cs).

        Maps come from ``given``, else from the run.

        Raises:
            InputError: A map is missing, has other units or lies on other points.
        """
        generator = self.generator
        if "static" not in generator.network.input:
            if given:
                raise InputError(f"{generator.path} reads no maps: leave out --static.")
            return None
        array = generator.schema.arrays["static"]
        maps: dict[str, np.ndarray] = {}
        for one in given:
            source = self._map_source(one)
            foreign = [name for name in source.channels if name not in array.channels]
            both = [name for name in source.channels if name in array.channels]
            if not both or (foreign and isinstance(one, str) and split_names(one)[1]):
                raise InputError(
                    f"--static {one} gives {', '.join(source.channels)}, but {generator.path} "
                    f"reads {', '.join(array.channels)}: name these as FILE:NAMES."
                )
            has = [source.units[source.channels.index(name)] for name in both]
            found = units.difference(
                both, has, [array.units[array.channels.index(name)] for name in both]
            )
            if found:
                raise InputError(
                    f"--static {one} holds {found} as in the training data of {generator.path}: "
                    "convert the units first."
                )
            field = source.read([0])[0]
            maps |= {name: field[..., source.channels.index(name)] for name in both}
        lacking = [name for name in array.channels if name not in maps]
        if lacking:
            maps |= self._recorded_maps(lacking)
        return np.stack([maps[name] for name in array.channels], axis=-1)

    def _map_source(self, one: Given) -> Source:
        """Opens a file or dataset of static maps at the points of the fine grid."""
        if isinstance(one, (str, os.PathLike)):
            return read_static(
                os.fspath(one), self._fine_points, self.fine, fine="the prediction",
            )  # fmt: skip
        source = as_source(one, name="the dataset of static")
        points = self._fine_points(source.grid)
        if points is None:
            raise InputError(
                f"the dataset of static lies on {source.grid.in_words()}, not on the points of "
                f"the prediction ({self.fine.describe()}): regrid it to these first."
            )
        part = Part(source, "static", tuple(source.channels))
        fields = part.read([0])[:, points[0][:, None], points[1]]
        return ArraySource(fields, channels=source.channels, units=source.units, grid=self.fine)

    def _recorded_maps(self, names: Sequence[str]) -> dict[str, np.ndarray]:
        """Returns static maps that are stored in the run, at the points of the fine grid."""
        generator = self.generator
        domain = generator.schema.domain
        points = matching_points(domain, self.fine)
        if points is None:
            raise InputError(
                f"{generator.path} holds {', '.join(names)} on its training domain, the "
                f"{domain.describe()}, but the input covers the {self.fine.describe()}: give "
                f"--static FILE:{','.join(names)} on the grid of the prediction."
            )
        try:
            maps = load_statics(generator.path, names)
        except InputError:
            raise InputError(
                f"{generator.path} reads the maps {', '.join(names)}, but does not hold them: give "
                f"--static FILE:{','.join(names)}."
            ) from None
        maps = maps[points[0][:, None], points[1]]
        return {name: maps[..., i] for i, name in enumerate(names)}

    def _open_auxiliary(self, further: Further) -> tuple[list[tuple], Any]:
        """Opens the auxiliary predictors.

        Returns:
            (part, its points on the fine grid, its indices of time) for each part, and the station
            observations or None.
        """
        generator = self.generator
        if "auxiliary" not in generator.network.input:
            if further.auxiliary or further.stations:
                raise InputError(
                    f"{generator.path} reads no auxiliary fields: leave out --auxiliary and "
                    "--stations."
                )
            return [], None
        parts = find_parts(
            generator, "auxiliary", None, further.auxiliary, "--auxiliary", self.time
        )
        opened = []
        for part in parts:
            points = self._fine_points(part.grid)
            if points is None:
                raise InputError(
                    f"{part.name} lies on {part.grid.in_words()}, not on the points of the "
                    f"prediction ({self.fine.describe()}): regrid it to these first."
                )
            opened.append((part, points, indices_of_times(part, self.time)))
        channels = generator.schema.arrays["auxiliary"].channels
        if not any(name.startswith(PREFIX) for name in channels):
            return opened, None
        recorded = generator.inputs.get("stations")
        path = further.stations or recorded
        if path is None or not os.path.exists(path):
            raise InputError(
                f"{generator.path} reads observations of stations: give --stations FILE.csv."
            )
        # Stations that training withheld for scoring must stay withheld from the network's input.
        same = recorded is not None and os.path.realpath(path) == os.path.realpath(recorded)
        share = generator.inputs.get("withhold_stations") or 0.0
        stations = read_stations(
            os.fspath(path), self.fine, self.time,
            withhold=share if same else 0.0, seed=generator.inputs.get("seed") or 0,
        )  # fmt: skip
        return opened, dataclasses.replace(stations, hidden=0.0)

    def _covariates(self) -> list[str]:
        """Returns the names of the time covariates, of which the schema holds sine and cosine."""
        if "time" not in self.generator.network.input:
            return []
        channels = self.generator.schema.arrays["time"].channels
        names = [name.removesuffix("_sine") for name in channels[::2]]
        check_covariates(names, self.time)
        return names

    def read(self, chosen: np.ndarray) -> WholeFields:
        """Reads the whole fields of n samples.

        Args:
            chosen: Indices of the times to predict, (n,).
        """
        start, step = windows(
            self.time, chosen, self.generator.schema.window, self.generator.schema.step,
            from_first=self.generator.predicts_first_step,
        )  # fmt: skip
        needed = start[:, None] + np.arange(self.generator.schema.window or 1)
        low = self._gathered(needed, self._read_low)
        auxiliary = None
        if "auxiliary" in self.generator.network.input:
            auxiliary = self._gathered(needed, self._read_auxiliary)
        if self.generator.schema.window is None:
            low, step = low[:, 0], None
            auxiliary = None if auxiliary is None else auxiliary[:, 0]
        before, after = self.blocks.before, self.blocks.after
        last = self.time.values[needed[:, -1]]
        return WholeFields(
            low, self.blocks.inner, self.fine, self.time.values[chosen],
            around=((before[0], after[0]), (before[1], after[1])),
            static=self._static, auxiliary=auxiliary, time=self._read_time(last), step=step,
            position=self.position, calendar=self.time.calendar,
            window_times=None if step is None else self.time.values[needed],
            outer=self.blocks.grid,
        )  # fmt: skip

    @staticmethod
    def _gathered(needed: np.ndarray, read: Any) -> np.ndarray:
        """Returns the fields of windows, (n, T, …), and reads each time only once."""
        unique, places = np.unique(needed, return_inverse=True)
        return read(unique)[places.reshape(needed.shape)]

    def _read_low(self, times: np.ndarray) -> np.ndarray:
        """Reads coarse fields at indices of time, with channels in the order of the schema."""
        by_channel: dict[str, np.ndarray] = {}
        for part, indices, origin in self._low:
            fields = part.read(indices[times])
            by_channel |= {name: fields[..., i] for i, name in enumerate(origin.wanted)}
        channels = self.generator.low.channels
        return np.stack([by_channel[name] for name in channels], axis=-1)

    def _read_auxiliary(self, times: np.ndarray) -> np.ndarray:
        """Reads auxiliary fields at indices of time, with channels in the order of the schema."""
        by_channel: dict[str, np.ndarray] = {}
        for part, points, indices in self._auxiliary:
            fields = part.read(indices[times])[:, points[0][:, None], points[1]]
            by_channel |= {name: fields[..., i] for i, name in enumerate(part.wanted)}
        if self._stations is not None:
            planes = np.stack([self._stations.read_planes(int(t)) for t in times])
            by_channel |= {name: planes[:, i] for i, name in enumerate(self._stations.channels)}
        channels = self.generator.schema.arrays["auxiliary"].channels
        return np.stack([by_channel[name] for name in channels], axis=-1)

    def _read_time(self, values: np.ndarray) -> np.ndarray | None:
        """Computes the covariates of times, (n, K); None if the network reads none."""
        if not self._names:
            return None
        longitudes = None
        if self.fine.has_coordinates:
            longitudes = patch_longitudes(self.fine, np.zeros(len(values), int), self.fine.shape[1])
        return covariates(values, self.time.calendar, self._names, longitudes)
