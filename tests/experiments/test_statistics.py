"""Statistics against published examples and against scipy's own answers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bonelift.errors import InputError
from bonelift.experiments.results.statistics import (
    hedges_g,
    holm,
    one_way_anova,
    paired_comparisons,
    repeated_measures_anova,
    summarise,
    tukey_kramer,
)

# Headache relief times of three drugs: the example of SAS, MATLAB and scipy for Tukey's HSD.
RELIEF = {
    "A": [24.5, 23.5, 26.4, 27.1, 29.9],
    "B": [28.4, 34.2, 29.5, 32.2, 30.1],
    "C": [26.1, 28.3, 24.3, 26.2, 27.8],
}
# Fitness of six people at three times (Lund & Lund, repeated-measures ANOVA tutorial): F(2, 10) = 12.53, p = 0.002;
# with Greenhouse-Geisser's epsilon of 0.638, p = 0.009.
FITNESS = {
    "before": [45, 42, 36, 39, 51, 44],
    "three months": [50, 42, 41, 35, 55, 49],
    "six months": [55, 45, 43, 40, 59, 56],
}


def test_tukey_matches_the_published_example():
    first, second, third = tukey_kramer(RELIEF)
    # As printed: difference, lower, upper, p.
    assert (first.difference, first.ci_low, first.ci_high) == pytest.approx((-4.600, -8.249, -0.951), abs=5e-4)
    assert first.p == pytest.approx(0.014, abs=5e-4)
    assert (second.difference, second.p) == pytest.approx((-0.260, 0.980), abs=5e-4)
    assert (third.difference, third.p) == pytest.approx((4.340, 0.020), abs=5e-4)


def test_tukey_takes_unequal_sizes_and_leaves_failures_out():
    groups = {**RELIEF, "B": [*RELIEF["B"][:3], np.nan]}
    ours = tukey_kramer(groups)[0]
    theirs = stats.tukey_hsd(RELIEF["A"], RELIEF["B"][:3], RELIEF["C"])
    assert ours.p == pytest.approx(float(theirs.pvalue[0, 1]))
    # Kramer: the half width grows with sqrt(1/n + 1/m).
    wide, narrow = ours.ci_high - ours.ci_low, tukey_kramer(groups)[1].ci_high - tukey_kramer(groups)[1].ci_low
    assert wide / narrow == pytest.approx(np.sqrt((1 / 5 + 1 / 3) / (1 / 5 + 1 / 5)))


def test_anova_agrees_with_scipy():
    ours = one_way_anova(RELIEF)
    theirs = stats.f_oneway(*RELIEF.values())
    assert ours is not None
    assert (ours.statistic, ours.p) == pytest.approx((theirs.statistic, theirs.pvalue))


def test_repeated_measures_match_the_published_example():
    ours = repeated_measures_anova(FITNESS)
    assert ours is not None
    assert ours.statistic == pytest.approx(12.534, abs=1e-3)
    assert ours.epsilon == pytest.approx(0.638, abs=1e-3)
    assert (ours.df_between, ours.df_within) == pytest.approx((2 * ours.epsilon, 10 * ours.epsilon))
    assert ours.p == pytest.approx(0.009, abs=1e-3)
    # Without the correction, as published: p = 0.002.
    assert stats.f.sf(ours.statistic, 2, 10) == pytest.approx(0.002, abs=5e-4)


def test_holm_matches_the_published_example():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


def test_paired_tests_agree_with_scipy_and_sort_out_incomplete_patients():
    groups = {name: [*map(float, values), np.nan if name == "before" else 50.0] for name, values in FITNESS.items()}
    rows = {(row.first, row.second): row for row in paired_comparisons(groups)}
    raw = stats.ttest_rel(FITNESS["before"], FITNESS["six months"]).pvalue
    # The second smallest p of three is multiplied by two.
    assert rows["before", "six months"].p == pytest.approx(2 * raw)
    assert rows["before", "six months"].difference == pytest.approx(-41 / 6)


def test_hedges_g_by_hand():
    # Means 2 and 4, pooled SD 1, n = m = 3: d = -2, J = 1 - 3 / (4 * 4 - 1) = 0.8.
    g, low, high = hedges_g([1, 2, 3], [3, 4, 5])
    assert g == pytest.approx(-1.6)
    assert low < g < high


def test_failures_are_counted_and_enter_nothing():
    summary = summarise("x", [1.0, 2.0, np.nan, 3.0])
    assert (summary.count, summary.failed, summary.mean, summary.sd) == (3, 1, 2.0, 1.0)
    assert summary.ci_high - 2.0 == pytest.approx(4.302653 / np.sqrt(3), abs=1e-5)
    assert summary.shapiro_p == pytest.approx(float(stats.shapiro([1, 2, 3]).pvalue))
    empty = summarise("x", [np.nan])
    assert empty.count == 0
    assert np.isnan(empty.mean)


def test_lengths_that_differ_are_refused():
    with pytest.raises(InputError, match="different lengths"):
        repeated_measures_anova({"a": [1, 2], "b": [1, 2, 3]})


def test_constant_groups_give_no_test():
    assert tukey_kramer({"a": [1, 1], "b": [1, 1]}) == []
    assert one_way_anova({"a": [1, 1], "b": [1, 1]}) is None
    assert paired_comparisons({"a": [1, 1], "b": [2, 2]}) == []


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_lies_between_the_raw_p_and_bonferroni(p_values):
    for raw, adjusted in zip(p_values, holm(p_values), strict=True):
        assert raw <= adjusted + 1e-15
        assert adjusted <= min(1.0, len(p_values) * raw) or np.isclose(adjusted, max(holm(p_values)))
