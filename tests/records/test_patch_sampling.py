"""What is drawn: uniform lags and places, exact distances in time, nothing that is missing."""

import numpy as np
import pytest
from scipy import stats

from phire.errors import InputError
from phire.fields.grid import Grid
from phire.fields.time_axis import TimeAxis
from phire.records.missing_value_survey import too_many
from phire.records.patch_sampling import Window, plan_pairs, plan_patches, window, windows
from phire.records.pixel_arrays import Layer


def axis(steps):
    return TimeAxis(np.asarray(steps) * 3600, "standard")


PLACE = Window((3, 12), 32, True)


def draw(time, **options):
    chosen = options.pop("chosen", np.arange(len(time)))
    options = {"patches_per_field": 40, "classes": 6, "seed": 3, **options}
    return plan_pairs(time, chosen, options.pop("place", PLACE), **options)


def test_lags_rows_and_columns_are_uniform():
    time = axis([t for t in range(80) if t not in (13, 14, 40, 61)])
    plan = draw(time)
    assert len(plan.label) == 40 * (len(time) - 1)
    for values, expected in (
        (plan.label, np.arange(1, 7)),
        (plan.row, np.arange(3, 13)),
        (plan.column, np.arange(32)),
    ):
        found, counts = np.unique(values, return_counts=True)
        assert np.array_equal(found, expected)
        assert stats.chisquare(counts).pvalue > 0.01


def test_lags_do_not_depend_on_places():
    plan = draw(axis(range(80)))
    table = np.zeros((6, 10))
    np.add.at(table, (plan.label - 1, plan.row - 3), 1)
    assert stats.chi2_contingency(table).pvalue > 0.01


def test_fields_of_a_lag_are_used_equally_often():
    plan = draw(axis(range(50)), patches_per_field=60)
    for lag in range(1, 7):
        counts = np.bincount(plan.start[plan.label == lag], minlength=50)[: 50 - lag]
        assert np.ptp(counts) <= 1


def test_both_fields_lie_exactly_the_lag_apart_across_gaps_and_repetitions():
    steps = [0, 1, 2, 3, 7, 8, 9, 9, 10, 11, 15, 16, 18, 20, 21, 22]
    plan = draw(axis(steps), classes=5)
    steps = np.array(steps)
    assert np.array_equal(steps[plan.end] - steps[plan.start], plan.label)
    assert 9 not in steps[plan.start]
    assert 9 not in steps[plan.end]


def test_both_fields_lie_in_the_range_of_time():
    plan = draw(axis(range(60)), chosen=np.arange(20, 40))
    assert plan.start.min() == 20
    assert plan.end.max() == 39
    assert plan.end.min() > 20


def test_absent_fields_take_part_in_no_pair():
    plan = draw(axis(range(30)), absent=np.array([11, 20]))
    assert not np.isin([11, 20], np.concatenate([plan.start, plan.end])).any()


def test_blocked_patches_are_replaced_by_others_of_their_lag():
    def blocked(times, rows, columns):
        return (times % 3 == 0) & (columns < 28)

    whole = draw(axis(range(60)))
    plan = draw(axis(range(60)), blocked=blocked)
    assert len(plan.label) == len(whole.label)
    assert not blocked(plan.start, plan.row, plan.column).any()
    assert not blocked(plan.end, plan.row, plan.column).any()
    assert np.array_equal(np.bincount(plan.label), np.bincount(whole.label))
    assert stats.chisquare(np.bincount(plan.row)[3:]).pvalue > 0.01


def test_the_seed_decides():
    first, again, other = (draw(axis(range(30)), seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first.column, again.column)
    assert not np.array_equal(first.column, other.column)


@pytest.mark.parametrize(
    "time, options, said",
    [
        (axis(range(6)), {}, "--classes 6"),
        (axis([0, 1, 2, 3] * 2), {}, "gaps, repeated times or missing fields"),
        (axis(range(9)), {"absent": np.arange(1, 9)}, "missing fields"),
        (axis(range(9)), {"blocked": lambda t, r, c: np.ones(len(t), bool)}, "--missing fill"),
    ],
)
def test_it_is_said_why_nothing_can_be_drawn(time, options, said):
    with pytest.raises(InputError, match=said):
        draw(time, **options)


def test_patches_of_each_field_lie_uniformly_where_nothing_is_missing():
    def blocked(times, rows, columns):
        return columns == 5

    plan = plan_patches(
        TimeAxis.steps(50), np.arange(4, 44), PLACE, patches_per_field=60, seed=0, blocked=blocked,
        absent=np.array([7]),
    )  # fmt: skip
    found, counts = np.unique(plan.time, return_counts=True)
    assert np.array_equal(found, np.setdiff1d(np.arange(4, 44), 7))
    assert (counts == 60).all()
    columns = np.bincount(plan.column)
    assert columns[5] == 0
    assert stats.chisquare(np.delete(columns, 5)).pvalue > 0.01


def test_centres_lie_between_the_latitudes_on_either_order_of_rows():
    for grid in (
        Grid.cell_centred(18, 36),
        Grid("regional", -85 + 10 * np.arange(18.0), range(36)),
    ):
        found = window(grid, (4, 4), (-30, 40))
        centres = [
            grid.latitudes[r : r + 4].mean() for r in range(found.rows[0], found.rows[1] + 1)
        ]
        assert min(centres) == -30
        assert max(centres) == 40


def test_regional_fields_do_not_wrap(region, sphere):
    assert window(region, (4, 6), None) == Window((0, 16), 19, False)
    assert window(sphere, (4, 6), None) == Window((0, 12), 32, True)
    assert window(Grid.pixels(10, 20), (4, 6), (-5, 5)) == Window((0, 6), 15, False)


@pytest.mark.parametrize("patch, said", [((17, 4), "--patch 17,4"), ((4, 33), "16 × 32")])
def test_a_patch_larger_than_the_field(sphere, patch, said):
    with pytest.raises(InputError, match=said):
        window(sphere, patch, None)


@pytest.mark.parametrize("latitudes, said", [((88, 90), "88,90 holds"), ((60, -60), "-60,60")])
def test_latitudes_that_hold_no_patch(sphere, latitudes, said):
    with pytest.raises(InputError, match=f"--latitudes .*{said}"):
        window(sphere, (4, 4), latitudes)


@pytest.mark.parametrize(
    "place, layer",
    [
        (PLACE, Layer("high", (4, 6))),
        (Window((1, 5), 12, False), Layer("high", (4, 6), 2)),
        (Window((2, 10), 32, True), Layer("low", (4, 6), 1, (-2, -2))),
        (Window((1, 7), 9, False, 2), Layer("high", (4, 6), 2, (1, -1))),
    ],
)
@pytest.mark.parametrize("allowed", [0, 2])
def test_patches_with_too_many_marks_are_those_of_brute_force(place, layer, allowed):
    mask = np.random.default_rng(0).random((20, 32)) < (0.1 if allowed else 0.01)
    answer = too_many(mask, layer, place, allowed)
    assert answer.shape == (place.rows[1] - place.rows[0] + 1, place.columns)
    for row in range(place.rows[0], place.rows[1] + 1):
        for i in range(place.columns):
            ((first, left),) = layer.places(np.array([[row, place.first + i]]), 32, place.wraps)
            part = mask[first : first + 4][:, (left + np.arange(6)) % 32]
            assert answer[row - place.rows[0], i] == (part.sum() > allowed)
    assert 0 < answer.mean() < 1


def test_windows_never_cross_a_gap():
    time = TimeAxis(np.array([0, 1, 2, 3, 6, 7, 8, 20]))
    usable = np.ones(8, bool)
    usable[1] = False
    assert windows(time, usable, 1)[:, 0].tolist() == [0, 2, 3, 4, 5, 6, 7]
    assert windows(time, usable, 2).tolist() == [[2, 3], [4, 5], [5, 6]]
    assert windows(time, usable, 3).tolist() == [[4, 5, 6]]
    with pytest.raises(InputError, match=r"--window 4 .* the longest has 3 fields"):
        windows(time, usable, 4)
