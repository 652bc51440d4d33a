"""Learned distances of ensemble members, and energy score of their learned features.

scoringrules needs the features of all times; here each time is scored when it is read.
``tests/evaluation/test_learned_ensembles.py`` checks the energy score against scoringrules.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

from phire.evaluation.accumulator import State, Statistic
from phire.evaluation.batches import Batch, Ensemble
from phire.evaluation.definitions import LOWER, Definition
from phire.evaluation.feature_distances import (
    LearnedDistances,
    feature_moments,
    join_moments,
    whole_fields,
)
from phire.evaluation.frechet_distance import frechet_distance
from phire.evaluation.multivariate_scores import energy_scores
from phire.evaluation.nan_statistics import mean_of_present
from phire.evaluation.registry import statistic
from phire.evaluation.setting import Setting

VARIABLES = (
    Definition(
        "learned_energy_score", "Learned energy score",
        "E|φ(X) − φ(y)| − ½ E|φ(X) − φ(X′)|, φ the learned features of a field, X, X′ members, y "
        "the truth; half the generalised energy distance of the ensemble from the truth", "1",
        LOWER, "Gneiting & Raftery (2007), doi:10.1198/016214506000001437; Székely & Rizzo (2013), "
        "doi:10.1016/j.jspi.2013.03.018",
    ),
    Definition(
        "learned_energy_score_fair", "Fair learned energy score",
        "as the learned energy score, with X′ a member other than X", "1", LOWER,
        "Ferro (2014), doi:10.1002/qj.2270",
    ),
    Definition(
        "member_learned_distance", "Learned distance of members",
        "learned distance of each member from the truth; mean, minimum and maximum over members",
        "1", LOWER,
        "Hoffmann & Lessig (2023), arXiv:2202.01897",
    ),
    Definition(
        "member_frechet_distance", "Fréchet distance of members",
        "Fréchet distance of the features of each member from the truth's over all times; mean, "
        "minimum and maximum over members", "1", LOWER, "Heusel et al. (2017), arXiv:1706.08500",
    ),
)  # fmt: skip
"""Definitions of the variables of the result."""

SPREAD = (("", np.mean), ("_low", np.min), ("_high", np.max))
"""Suffixes of the variables of each score of members, and the reductions that give them."""


@statistic("learned_ensemble", function="learned_ensemble_scores")
class LearnedEnsembles(Statistic):
    """Learned energy score by time; learned and Fréchet distances of each member.

    The learned distance of members rewards a lack of spread. The energy score is proper: its
    expectation is smallest if truth and members have the same distribution of learned features.
    """

    order = 121
    title = "Learned energy score"
    definitions = VARIABLES
    summary = (
        ("learned_energy_score_fair_mean", "learned_energy_score_fair"),
        *(
            (f"{name}{mean}{ending}", f"{name}{ending}")
            for name, mean in (
                ("member_learned_distance", "_mean"),
                ("member_frechet_distance", ""),
            )
            for ending, _ in SPREAD
        ),
    )
    series = ("times", "distance", "energy")
    of_truth = False
    ensemble = "all"
    in_main_process = True

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.learned = LearnedDistances(setting)

    @classmethod
    def applies_to(cls, setting: Setting) -> bool:
        """Applies to whole fields only, as the learned distance does."""
        return LearnedDistances.applies_to(setting)

    @classmethod
    def refusal(cls, setting: Setting) -> str | None:
        """Requires a learned metric."""
        return LearnedDistances.refusal(setting)

    def measure(self, truth: Batch, candidate: Batch | None) -> State:
        """Returns distances (n, M), energy scores (n, 2), and moments of each member's features."""
        if not isinstance(candidate, Ensemble):
            return {}
        whole, members = whole_fields(truth, candidate), candidate.each()
        if not whole.any():
            return {}
        distances = [self.learned.distances(truth, member, whole) for member in members]
        energy = np.full((len(truth), 2), np.nan)
        state: State = {"times": truth.times, "distance": np.stack(distances, 1), "energy": energy}
        if "features" in self.setting.learned:
            reference = self.learned.features(truth, whole)
            features = np.stack([self.learned.features(member, whole) for member in members])
            energy[whole] = np.stack(
                energy_scores(reference, features, np.ones_like(reference)), -1
            )
            state["truth_mean"], state["truth_scatter"] = feature_moments(reference)
            state["own_mean"], state["own_scatter"] = feature_moments(features)
            state["count"] = np.asarray(float(whole.sum()))
        return state

    def join(self, first: State, second: State, in_place: bool) -> State:
        joined = super().join(first, second, in_place=False)
        return join_moments(joined, first, second)

    def result(self, state: State) -> xr.Dataset:
        """Returns scores over time, and distances as mean, minimum and maximum over members."""
        times, ordered = self.ordered(state)
        dataset = xr.Dataset(attrs={"members": ordered["distance"].shape[1]})
        dataset["time"] = self.time_coordinate(times)
        units = {"units": "1"}
        names = ("learned_energy_score", "learned_energy_score_fair")
        for name, values in zip(names, ordered["energy"].T):
            if np.isfinite(values).any():
                dataset[name] = ("time", values, units)
                dataset[f"{name}_mean"] = ((), mean_of_present(values), units)
        distance = ordered["distance"]
        if np.isfinite(distance).any():
            means = mean_of_present(distance, 0)
            for ending, pick in SPREAD:
                name = "member_learned_distance"
                dataset[f"{name}{ending}"] = ("time", pick(distance, axis=1), units)
                dataset[f"{name}_mean{ending}"] = ((), pick(means), units)
        if state.get("count", 0) >= 2:
            degrees = float(state["count"]) - 1
            truth = state["truth_mean"], state["truth_scatter"] / degrees
            found = [
                frechet_distance(*truth, mean, scatter / degrees)
                for mean, scatter in zip(state["own_mean"], state["own_scatter"])
            ]
            for ending, pick in SPREAD:
                dataset[f"member_frechet_distance{ending}"] = ((), pick(found), units)
        return dataset
