"""The statistics of the study, as pure functions of numbers. Groups are inputs, observations are patients.

Shiode et al. 2021 use Shapiro-Wilk, mean and SD, and Tukey-Kramer over the inputs. Their inputs come from the same
patients, which Tukey-Kramer ignores, so the paired tests stand beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from bonelift.errors import InputError

Float = NDArray[np.float64]


@dataclass(frozen=True)
class GroupSummary:
    """count: finite observations. failed: NaN ones. sd: with n - 1. ci_*: 95 % t-interval of the mean.

    shapiro_p: of normality; NaN for fewer than three observations or when all are equal.
    """

    name: str
    count: int
    failed: int
    mean: float
    sd: float
    ci_low: float
    ci_high: float
    shapiro_w: float
    shapiro_p: float


@dataclass(frozen=True)
class Comparison:
    """first minus second. effect: Hedges' g (unpaired) or Cohen's d_z (paired), with its 95 % interval.

    p: adjusted for all comparisons of the family. ci_*: of the difference, simultaneous for Tukey-Kramer.
    """

    first: str
    second: str
    difference: float
    ci_low: float
    ci_high: float
    p: float
    effect: float
    effect_low: float
    effect_high: float


@dataclass(frozen=True)
class Omnibus:
    """One test over all groups. epsilon: Greenhouse-Geisser's, 1 where it does not apply. effect: (partial) eta^2."""

    test: str
    statistic: float
    df_between: float
    df_within: float
    p: float
    effect: float
    epsilon: float = 1.0


def finite(values: ArrayLike) -> Float:
    numbers = np.asarray(values, dtype=np.float64).ravel()
    return numbers[np.isfinite(numbers)]


def summarise(name: str, values: ArrayLike) -> GroupSummary:
    """Count, mean, SD, interval and Shapiro-Wilk of one group; NaN counts as failed and enters nothing else."""
    numbers = finite(values)
    n = len(numbers)
    failed = int(np.size(values)) - n
    nan = float("nan")
    mean = float(numbers.mean()) if n else nan
    sd = float(numbers.std(ddof=1)) if n > 1 else nan
    half = float(stats.t.ppf(0.975, n - 1)) * sd / np.sqrt(n) if n > 1 else nan
    w, p = nan, nan
    if n >= 3 and np.ptp(numbers) > 0:
        result = stats.shapiro(numbers)
        w, p = float(result.statistic), float(result.pvalue)
    return GroupSummary(name, n, failed, mean, sd, mean - half, mean + half, w, p)


def tukey_kramer(groups: Mapping[str, ArrayLike]) -> list[Comparison]:
    """All pairs by Tukey's HSD with Kramer's correction for unequal sizes. Groups of fewer than two are left out.

    Source: Tukey 1949 (doi:10.2307/3001913), Kramer 1956 (doi:10.2307/3001469); computed by scipy.
    """
    usable = {name: numbers for name, values in groups.items() if len(numbers := finite(values)) > 1}
    if len(usable) < 2 or all(np.ptp(numbers) == 0 for numbers in usable.values()):
        return []
    result = stats.tukey_hsd(*usable.values())
    interval = result.confidence_interval(0.95)
    names = list(usable)
    return [
        Comparison(
            names[i],
            names[j],
            float(result.statistic[i, j]),
            float(interval.low[i, j]),
            float(interval.high[i, j]),
            float(result.pvalue[i, j]),
            *hedges_g(usable[names[i]], usable[names[j]]),
        )
        for i, j in combinations(range(len(names)), 2)
    ]


def one_way_anova(groups: Mapping[str, ArrayLike]) -> Omnibus | None:
    """F test of equal means, groups taken as independent; None where there is nothing to test."""
    usable = [numbers for values in groups.values() if len(numbers := finite(values)) > 1]
    if len(usable) < 2:
        return None
    total = np.concatenate(usable)
    between = sum(len(g) * (g.mean() - total.mean()) ** 2 for g in usable)
    within = sum(((g - g.mean()) ** 2).sum() for g in usable)
    if within <= 0:
        return None
    df_between, df_within = len(usable) - 1, len(total) - len(usable)
    result = stats.f_oneway(*usable)
    f, p = float(result.statistic), float(result.pvalue)
    return Omnibus("one-way ANOVA", f, df_between, df_within, p, float(between / (between + within)))


def repeated_measures_anova(groups: Mapping[str, ArrayLike]) -> Omnibus | None:
    """F test of equal means within patients, corrected for lacking sphericity. Rows with a NaN are left out.

    groups: name -> (patients,), the same patients in the same order. Source: Greenhouse and Geisser 1959
    (doi:10.1007/BF02289823).
    """
    table = complete_rows(groups)
    n, k = table.shape
    if n < 2 or k < 2:
        return None
    total = ((table - table.mean()) ** 2).sum()
    between = n * ((table.mean(axis=0) - table.mean()) ** 2).sum()
    subjects = k * ((table.mean(axis=1) - table.mean()) ** 2).sum()
    error = total - between - subjects
    if error <= 1e-12 * max(total, 1e-300):
        return None
    epsilon = greenhouse_geisser(table)
    f = (between / (k - 1)) / (error / ((k - 1) * (n - 1)))
    df_between, df_within = epsilon * (k - 1), epsilon * (k - 1) * (n - 1)
    p = float(stats.f.sf(f, df_between, df_within))
    return Omnibus(
        "repeated-measures ANOVA", float(f), df_between, df_within, p, float(between / (between + error)), epsilon
    )


def greenhouse_geisser(table: Float) -> float:
    """Epsilon, 1 / (k - 1) to 1, of an (n, k) table: 1 where all differences vary alike."""
    k = table.shape[1]
    centring = np.eye(k) - 1 / k
    covariance = centring @ np.cov(table, rowvar=False) @ centring
    spread = (covariance**2).sum()
    return float(np.trace(covariance) ** 2 / ((k - 1) * spread)) if spread > 0 else 1.0


def paired_comparisons(groups: Mapping[str, ArrayLike]) -> list[Comparison]:
    """All pairs by the paired t-test, p adjusted by Holm; each pair uses the patients that have both.

    ci_*: the pair's own 95 % interval. effect: d_z, mean difference over the SD of the differences.
    """
    names = list(groups)
    rows = []
    for first, second in combinations(names, 2):
        difference = finite(np.asarray(groups[first], float) - np.asarray(groups[second], float))
        n = len(difference)
        if n < 2 or difference.std(ddof=1) == 0:
            continue
        sd = float(difference.std(ddof=1))
        half = float(stats.t.ppf(0.975, n - 1)) * sd / np.sqrt(n)
        p = float(np.asarray(stats.ttest_1samp(difference, 0.0))[1])
        effect = difference.mean() / sd
        error = np.sqrt(1 / n + effect**2 / (2 * n))
        mean = float(difference.mean())
        rows.append((first, second, mean, mean - half, mean + half, p, effect, effect - 1.96 * error,
                     effect + 1.96 * error))  # fmt: skip
    adjusted = holm([row[5] for row in rows])
    return [
        Comparison(row[0], row[1], *(float(v) for v in (*row[2:5], p, *row[6:])))
        for row, p in zip(rows, adjusted, strict=True)
    ]


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p in the given order. Source: Holm 1979, Scand J Stat 6:65-70."""
    order = np.argsort(p_values)
    adjusted = np.empty(len(p_values))
    highest = 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted.tolist()


def hedges_g(first: ArrayLike, second: ArrayLike) -> tuple[float, float, float]:
    """(g, low, high): standardised difference of means, corrected for small samples, with its 95 % interval.

    Source: Hedges 1981 (doi:10.3102/10769986006002107), normal approximation of the interval.
    """
    x, y = finite(first), finite(second)
    n, m = len(x), len(y)
    freedom = n + m - 2
    pooled = np.sqrt(((n - 1) * x.var(ddof=1) + (m - 1) * y.var(ddof=1)) / freedom)
    if pooled == 0:
        return float("nan"), float("nan"), float("nan")
    g = (1 - 3 / (4 * freedom - 1)) * (x.mean() - y.mean()) / pooled
    half = 1.96 * np.sqrt((n + m) / (n * m) + g**2 / (2 * (n + m)))
    return float(g), float(g - half), float(g + half)


def complete_rows(groups: Mapping[str, ArrayLike]) -> Float:
    """(patients, groups) of the patients without a NaN. Raises InputError where the lengths differ."""
    columns = [np.asarray(values, dtype=np.float64) for values in groups.values()]
    if len({len(column) for column in columns}) > 1:
        raise InputError("statistics: paired groups have different lengths; expected one value a patient in each")
    table = np.column_stack(columns) if columns else np.zeros((0, 0))
    return table[np.isfinite(table).all(axis=1)]


def friedman(groups: Mapping[str, ArrayLike]) -> Omnibus | None:
    """Rank test of equal places within patients, for what is not normal; None where there is nothing to test.

    groups: name -> (patients,), three or more. effect: Kendall's W, 0 to 1. Source: Friedman 1937
    (doi:10.1080/01621459.1937.10503522); computed by scipy.
    """
    table = complete_rows(groups)
    n, k = table.shape
    if n < 3 or k < 3 or np.ptp(table, axis=1).max() == 0:
        return None
    result = stats.friedmanchisquare(*table.T)
    statistic = float(result.statistic)
    return Omnibus("Friedman", statistic, k - 1, float("nan"), float(result.pvalue), statistic / (n * (k - 1)))


def paired_ranks(groups: Mapping[str, ArrayLike]) -> list[Comparison]:
    """All pairs by Wilcoxon's signed ranks, p adjusted by Holm; each pair uses the patients that have both.

    difference: median of the differences; ci_*: of the Hodges-Lehmann shift, by the quantiles of the Walsh averages.
    effect: matched-pairs rank biserial correlation, -1 to 1, without an interval. Source: Wilcoxon 1945
    (doi:10.2307/3001968); computed by scipy.
    """
    rows = []
    for first, second in combinations(groups, 2):
        difference = finite(np.asarray(groups[first], float) - np.asarray(groups[second], float))
        n = len(difference)
        if n < 3 or not difference.any():
            continue
        p = float(np.asarray(stats.wilcoxon(difference))[1])
        ranks = stats.rankdata(np.abs(difference[difference != 0]))
        signs = np.sign(difference[difference != 0])
        walsh = np.sort((difference[:, None] + difference)[np.triu_indices(n)] / 2)
        out = _walsh_left_out(n)
        nan = float("nan")
        rows.append((first, second, float(np.median(difference)), float(walsh[out]), float(walsh[-1 - out]), p,
                     float((signs * ranks).sum() / ranks.sum()), nan, nan))  # fmt: skip
    adjusted = holm([row[5] for row in rows])
    return [
        Comparison(row[0], row[1], *(float(v) for v in (*row[2:5], p, *row[6:])))
        for row, p in zip(rows, adjusted, strict=True)
    ]


def _walsh_left_out(count: int) -> int:
    """Walsh averages that lie outside of the 95 % interval at each end, by the normal approximation."""
    mean = count * (count + 1) / 4
    sd = np.sqrt(count * (count + 1) * (2 * count + 1) / 24)
    return max(0, int(np.floor(mean - 1.96 * sd)))


def normal_differences(groups: Mapping[str, ArrayLike], level: float = 0.05) -> bool:
    """Whether Shapiro-Wilk rejects for none of the paired differences: what a paired t-test supposes."""
    for first, second in combinations(groups, 2):
        summary = summarise("", np.asarray(groups[first], float) - np.asarray(groups[second], float))
        if summary.shapiro_p < level:
            return False
    return True


def terciles(difficulty: Mapping[str, float]) -> dict[str, tuple[str, ...]]:
    """Patients by how hard they are: "easy", "middle" and "hard" thirds, as even as can be. NaN is left out."""
    ordered = sorted((name for name, value in difficulty.items() if np.isfinite(value)), key=difficulty.__getitem__)
    parts = np.array_split(np.arange(len(ordered)), 3)
    return {
        name: tuple(ordered[index] for index in part)
        for name, part in zip(("easy", "middle", "hard"), parts, strict=True)
    }
