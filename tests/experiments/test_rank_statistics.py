"""Intervals, rank tests and thirds against published tables, scipy and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bonelift.errors import InputError
from bonelift.experiments.results.statistics import (
    _walsh_left_out,
    friedman,
    greenhouse_geisser,
    hedges_g,
    normal_differences,
    paired_comparisons,
    paired_ranks,
    summarise,
    terciles,
)

# Hollander & Wolfe 1973, table 1: depression scale factors of nine patients at the first and the second visit. The
# signed ranks of the differences sum to 40 for it and 5 against it, p = 0.039 on two sides.
FIRST = [1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30]
SECOND = [0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29]
# Hollander & Wolfe 1973, p. 140: times of 22 baseball players by three ways of rounding first base: Friedman's
# statistic is 11.1429 with ties, p = 0.0038.
ROUNDING = np.array([
    5.40, 5.50, 5.55, 5.85, 5.70, 5.75, 5.20, 5.60, 5.50, 5.55, 5.50, 5.40, 5.90, 5.85, 5.70, 5.45, 5.55, 5.60, 5.40,
    5.40, 5.35, 5.45, 5.50, 5.35, 5.25, 5.15, 5.00, 5.85, 5.80, 5.70, 5.25, 5.20, 5.10, 5.65, 5.55, 5.45, 5.60, 5.35,
    5.45, 5.05, 5.00, 4.95, 5.50, 5.50, 5.40, 5.45, 5.55, 5.50, 5.55, 5.55, 5.35, 5.45, 5.50, 5.55, 5.50, 5.45, 5.25,
    5.65, 5.60, 5.40, 5.70, 5.65, 5.55, 6.30, 6.30, 6.25,
]).reshape(22, 3)  # fmt: skip


def test_friedman_matches_the_published_example_and_kendalls_w_is_its_share_of_the_most():
    ways = {"round out": ROUNDING[:, 0], "narrow angle": ROUNDING[:, 1], "wide angle": ROUNDING[:, 2]}
    ours = friedman(ways)
    assert ours is not None
    assert (ours.statistic, ours.p) == pytest.approx((11.1429, 0.0038), abs=5e-5)
    assert ours.df_between == 2
    assert ours.effect == pytest.approx(11.1429 / (22 * 2), abs=1e-5)
    # All patients in the same order: the most there can be, whose W is 1. A patient with a failure is left out.
    alike = {"a": [1.0, 5.0, 2.0, 9.0], "b": [2.0, 6.0, 3.0, 1.0], "c": [3.0, 7.0, 4.0, np.nan]}
    most = friedman(alike)
    assert most is not None
    assert (most.statistic, most.effect) == pytest.approx((6.0, 1.0))


def test_friedman_needs_three_patients_three_groups_and_a_difference():
    three = {"a": [1.0, 2.0, 3.0], "b": [2.0, 3.0, 1.0], "c": [3.0, 1.0, 2.0]}
    assert friedman(three) is not None
    assert friedman({name: three[name] for name in "ab"}) is None
    assert friedman({name: values[:2] for name, values in three.items()}) is None
    assert friedman({name: [1.0, 2.0, 3.0] for name in "abc"}) is None
    with pytest.raises(InputError, match="different lengths"):
        friedman({"a": [1.0, 2.0], "b": [1.0]})


def test_signed_ranks_match_the_published_example():
    # A tenth patient without a second visit counts for nothing.
    (row,) = paired_ranks({"first": [*FIRST, 1.0], "second": [*SECOND, np.nan]})
    assert (row.first, row.second) == ("first", "second")
    assert row.p == pytest.approx(0.0391, abs=5e-5)
    assert row.effect == pytest.approx((40 - 5) / 45)
    assert row.difference == pytest.approx(0.490)  # the fifth largest of the nine
    # Five averages lie outside of the interval at each end: the table of nine patients says 5, the normal law 5.9.
    differences = np.subtract(FIRST, SECOND)
    averages = sorted((a + b) / 2 for n, a in enumerate(differences) for b in differences[n:])
    assert (row.ci_low, row.ci_high) == pytest.approx((averages[5], averages[-6]))


def test_signed_ranks_of_several_pairs_are_adjusted_by_holm_and_pairs_without_a_difference_left_out():
    rng = np.random.default_rng(4)
    base = rng.normal(size=12)
    groups = {
        "a": base,
        "b": base + rng.normal(1.0, 0.5, 12),
        "c": base + rng.normal(0.4, 0.5, 12),
        "same": base.copy(),
    }
    rows = {(row.first, row.second): row for row in paired_ranks(groups)}
    assert ("a", "same") not in rows
    raw = {pair: stats.wilcoxon(groups[pair[0]], groups[pair[1]]).pvalue for pair in rows}
    assert len(raw) == 5
    least = min(raw, key=raw.__getitem__)
    assert rows[least].p == pytest.approx(min(1.0, 5 * raw[least]))
    assert paired_ranks({"a": [1.0, 2.0], "b": [2.0, 4.0]}) == []


@pytest.mark.parametrize(
    ("count", "critical"), [(10, 8), (15, 25), (20, 52), (25, 89), (30, 137), (40, 264), (50, 434)]
)
def test_as_many_averages_are_left_out_as_the_table_of_wilcoxon_says(count, critical):
    """Wilcoxon 1945 and later tables: the largest sum of ranks that is significant at 5 % on two sides."""
    assert _walsh_left_out(count) == critical


def test_a_paired_interval_and_effect_are_those_of_the_differences():
    (row,) = paired_comparisons({"first": [*FIRST, 1.0], "second": [*SECOND, np.nan]})
    theirs = stats.ttest_rel(FIRST, SECOND)
    interval = theirs.confidence_interval(0.95)
    assert (row.ci_low, row.ci_high) == pytest.approx((interval.low, interval.high), rel=1e-9)
    assert row.p == pytest.approx(theirs.pvalue)
    # d_z is t over the root of n; its interval by the usual normal approximation.
    effect = theirs.statistic / 3
    half = 1.96 * np.sqrt(1 / 9 + effect**2 / 18)
    assert (row.effect, row.effect_low, row.effect_high) == pytest.approx((effect, effect - half, effect + half))


def test_hedges_interval_of_unequal_groups_by_hand():
    # n = 2, m = 4: means 2 and 5; variances 2 and 20 / 3; pooled (1 * 2 + 3 * 20 / 3) / 4 = 5.5. J = 1 - 3 / 15 = 0.8.
    g = 0.8 * -3 / np.sqrt(5.5)
    half = 1.96 * np.sqrt(6 / 8 + g**2 / 12)
    assert hedges_g([1, 3], [2, 4, 6, 8]) == pytest.approx((g, g - half, g + half))
    assert np.isnan(hedges_g([1, 1], [2, 2])).all()


def test_epsilon_is_one_where_differences_vary_alike_and_least_where_one_alone_does():
    rng = np.random.default_rng(5)
    own = rng.normal(size=(200, 1))
    # Patients differ by an offset alone, of which the covariance is even; the noise is made even as well.
    noise = rng.normal(size=(200, 4))
    noise = (noise - noise.mean(axis=0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(noise, rowvar=False))).T
    assert greenhouse_geisser(own + noise) == pytest.approx(1.0, abs=1e-9)
    one = np.zeros((200, 4))
    one[:, 2] = own[:, 0]
    assert greenhouse_geisser(one) == pytest.approx(1 / 3, abs=1e-12)
    assert greenhouse_geisser(np.zeros((5, 3))) == 1.0


def test_one_value_and_equal_values_have_no_interval_or_no_shape():
    single = summarise("x", [4.0, np.nan])
    assert (single.count, single.failed, single.mean) == (1, 1, 4.0)
    assert np.isnan([single.sd, single.ci_low, single.ci_high, single.shapiro_p]).all()
    equal = summarise("x", [2.0] * 4)
    assert (equal.sd, equal.ci_low, equal.ci_high) == (0.0, 2.0, 2.0)
    assert np.isnan([equal.shapiro_w, equal.shapiro_p]).all()


def test_normal_differences_are_told_from_skewed_ones():
    quantiles = (np.arange(40) + 0.5) / 40
    base = np.linspace(0, 3, 40) ** 2  # far from normal itself, which does not matter
    normal, skewed = base + stats.norm.ppf(quantiles), base + stats.expon.ppf(quantiles)
    assert normal_differences({"a": base, "b": normal})
    assert not normal_differences({"a": base, "b": skewed})
    assert not normal_differences({"a": base, "b": normal, "c": skewed})


def test_thirds_are_even_ordered_and_without_failures():
    difficulty = {"g": 7.0, "a": 1.0, "x": np.nan, "c": 3.0, "b": 2.0, "f": 6.0, "e": 5.0, "d": 4.0}
    assert terciles(difficulty) == {"easy": ("a", "b", "c"), "middle": ("d", "e"), "hard": ("f", "g")}
