"""Similarity measures against definitions written out, other libraries, closed forms and invariances."""

import tracemalloc
import warnings

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import pdist, squareform
from sklearn.metrics.pairwise import cosine_similarity

from helpers import similarity
from helpers.similarity import cka, procrustes, pwcca, rsa, rsa_resampled, rsa_weighted, svcca, transform

SHAPES = {"features": (300, 40, 25), "gram": (30, 60, 80), "mixed": (50, 70, 10), "square": (41, 40, 40)}


def related(n, d1, d2, seed=0, shift=0.0):
    """Two representations that share something, with a common offset of length ``shift`` per feature."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, d1)) * np.linspace(0.2, 2, d1)
    y = x @ rng.standard_normal((d1, d2)) / d1**0.5 + rng.standard_normal((n, d2))
    return x + shift * rng.standard_normal(d1), y + shift * rng.standard_normal(d2)


def rotation(d, seed):
    return scipy.stats.ortho_group.rvs(d, random_state=seed)


def condensed(x, kernel):
    """All pairs' similarities as scipy computes them, one at a time."""
    metric = {"cosine": "cosine", "correlation": "correlation", "euclidean": "euclidean"}[kernel]
    return -pdist(np.asarray(x, np.float64), metric)


def upper(matrix):
    return matrix[np.triu_indices(len(matrix), 1)]


# RSA against other libraries ------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("kernel", ["cosine", "correlation", "euclidean"])
def test_rsa_is_the_correlation_of_scipys_distances(shape, kernel):
    x, y = related(*shape)
    a, b = condensed(x, kernel), condensed(y, kernel)
    assert rsa(x, y, kernel=kernel) == pytest.approx(np.corrcoef(a, b)[0, 1], abs=1e-10)
    assert rsa(x, y, kernel=kernel, compare="spearman") == pytest.approx(
        scipy.stats.spearmanr(a, b).statistic, abs=1e-5
    )


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_rsa_is_the_correlation_of_sklearns_cosines(shape):
    x, y = related(*shape)
    expected = np.corrcoef(upper(cosine_similarity(x)), upper(cosine_similarity(y)))[0, 1]
    assert rsa(x, y) == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_dot_kernel_is_the_correlation_of_inner_products(shape):
    x, y = related(*shape)
    x *= np.random.default_rng(1).lognormal(0, 1, (len(x), 1))
    expected = np.corrcoef(upper(x @ x.T), upper(y @ y.T))[0, 1]
    assert rsa(x, y, kernel="dot") == pytest.approx(expected, abs=1e-10)


def test_several_blocks_of_rows():
    n = 2 * similarity._BLOCK + 37
    x, y = related(n, 12, 9)
    for kernel in ("cosine", "euclidean"):
        a, b = condensed(x, kernel), condensed(y, kernel)
        assert rsa(x, y, kernel=kernel) == pytest.approx(np.corrcoef(a, b)[0, 1], abs=1e-10)
        assert rsa(x, y, kernel=kernel, compare="spearman") == pytest.approx(
            scipy.stats.spearmanr(a, b).statistic, abs=1e-5
        )


@pytest.mark.parametrize(("shift", "lowest"), [(3, 0.6), (10, 0.95), (100, 0.9994)])
@pytest.mark.parametrize("shape", [(300, 40, 25), (30, 60, 80)], ids=["features", "gram"])
def test_nothing_is_lost_when_all_cosines_are_close_to_one(shape, shift, lowest):
    x, y = related(*shape, shift=shift)
    cosines_x, cosines_y = upper(cosine_similarity(x)), upper(cosine_similarity(y))
    assert cosines_x.min() > lowest  # the inputs are as anisotropic as this test says
    expected = np.corrcoef(cosines_x, cosines_y)[0, 1]
    assert rsa(x, y) == pytest.approx(expected, abs=1e-8)
    ranked = scipy.stats.spearmanr(cosines_x, cosines_y).statistic
    assert rsa(x, y, compare="spearman") == pytest.approx(ranked, abs=1e-5)


def test_three_tokens_by_hand():
    # Cosines of x: (1,2) 0, (1,3) 1/sqrt 2, (2,3) 1/sqrt 2; of y: (1,2) 0, (1,3) 1, (2,3) 0.
    x = [[1, 0], [0, 2], [3, 3]]
    y = [[1, 0], [0, 1], [5, 0]]
    assert rsa(x, y) == pytest.approx(0.5)
    assert rsa(x, y, compare="spearman") == pytest.approx(0.5)


def test_half_precision_and_whole_numbers_are_computed_in_double():
    rng = np.random.default_rng(0)
    x = (rng.standard_normal((500, 300)) * 100 + 900).astype(np.float16)  # squares overflow float16
    y = rng.integers(-100, 100, (500, 20)).astype(np.int8)
    expected = np.corrcoef(-condensed(x, "cosine"), -condensed(y, "cosine"))[0, 1]
    assert rsa(x, y) == pytest.approx(expected, abs=1e-10)
    assert cka(x, y) == pytest.approx(cka(x.astype(float), y.astype(float)), abs=1e-12)
    assert transform(x, "centred").dtype == np.float32


def test_inputs_are_left_as_they_were():
    x, y = related(30, 5, 6)
    copies = x.copy(), y.copy()
    for kernel in similarity.KERNELS:
        rsa(x, y, kernel=kernel)
    for how in similarity.TRANSFORMS:
        transform(x, how)
    for measure in (cka, procrustes):
        measure(x, y)
    np.testing.assert_array_equal(x, copies[0])
    np.testing.assert_array_equal(y, copies[1])


# RSA's invariances ----------------------------------------------------------------------------------

cases = given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(4, 60),
    d=st.integers(2, 40),
    shift=st.sampled_from([0.0, 1.0, 10.0]),
)


@settings(max_examples=60, deadline=None)
@cases
def test_rsa_invariances(seed, n, d, shift):
    x, y = related(n, d, d + 3, seed, shift)
    rng = np.random.default_rng(seed)
    value = rsa(x, y)
    close = dict(abs=1e-7)
    assert -1 <= value <= 1
    assert rsa(y, x) == pytest.approx(value, **close)
    assert rsa(x, x) == pytest.approx(1, **close)
    assert rsa(x @ rotation(d, seed), y) == pytest.approx(value, **close)
    assert rsa(1e3 * x, 1e-3 * y) == pytest.approx(value, **close)
    assert rsa(x * rng.lognormal(0, 2, (n, 1)), y) == pytest.approx(value, **close)
    order = rng.permutation(n)
    assert rsa(x[order], y[order]) == pytest.approx(value, **close)
    assert rsa(np.hstack([x, np.zeros((n, 2))]), y) == pytest.approx(value, **close)


@settings(max_examples=30, deadline=None)
@cases
def test_invariances_of_the_other_kernels(seed, n, d, shift):
    d += 2
    x, y = related(n, d, d + 3, seed, shift)
    rng = np.random.default_rng(seed)
    close = dict(abs=1e-6)
    per_row = rng.lognormal(0, 1, (n, 1)) * x + rng.standard_normal((n, 1))
    assert rsa(per_row, y, kernel="correlation") == pytest.approx(rsa(x, y, kernel="correlation"), **close)
    moved = 3 * x @ rotation(d, seed) + rng.standard_normal(d)
    assert rsa(moved, y, kernel="euclidean") == pytest.approx(rsa(x, y, kernel="euclidean"), **close)
    for kernel in similarity.KERNELS:
        for compare in similarity.COMPARISONS:
            assert -1 <= rsa(x, y, kernel=kernel, compare=compare) <= 1
            assert rsa(x, x, kernel=kernel, compare=compare) == pytest.approx(1, abs=1e-7)


def test_cosine_rsa_does_change_with_what_it_should_change_with():
    x, y = related(200, 20, 20)
    value = rsa(x, y)
    assert abs(rsa(x + 3, y) - value) > 0.01
    assert abs(rsa(x * np.linspace(0.1, 5, 20), y) - value) > 0.01
    assert abs(rsa(x[::-1], y)) < 0.1 < value


# What dominates RSA ---------------------------------------------------------------------------------


def test_one_large_shared_dimension_makes_independent_spaces_look_alike():
    """Closed form: with t_i the share of dimension 0 in token i's unit vector and E the mean of t^2,
    the cosines are t_i t_j + noise of variance (1 - E)^2 / (d - 1), and t_i t_j has variance E^2."""
    rng = np.random.default_rng(0)
    n, d, size = 1500, 768, 12.7
    x, y = rng.standard_normal((n, d)), rng.standard_normal((n, d))
    assert abs(rsa(x, y)) < 0.01
    x[:, 0] = y[:, 0] = size * rng.standard_normal(n)
    share = np.mean(x[:, 0] ** 2 / (x[:, 0] ** 2 + d - 1))
    predicted = share**2 / (share**2 + (1 - share) ** 2 / (d - 1))
    assert predicted == pytest.approx(0.957, abs=0.01)  # the size was chosen for this
    assert rsa(x, y) == pytest.approx(predicted, abs=0.01)
    assert abs(rsa(transform(x, "z-scored"), transform(y, "z-scored"))) < 0.02


def test_shared_token_types_make_independent_spaces_look_alike():
    rng = np.random.default_rng(0)
    types = rng.integers(20, size=1000)
    x = rng.standard_normal((20, 100))[types] + 0.5 * rng.standard_normal((1000, 100))
    y = rng.standard_normal((20, 100))[types] + 0.5 * rng.standard_normal((1000, 100))
    assert rsa(x, y) > 0.7
    one_each = np.unique(types, return_index=True)[1]
    assert abs(rsa(x[one_each], y[one_each])) < 0.25  # 190 pairs of 20 tokens


# Transforms -----------------------------------------------------------------------------------------


def test_transforms():
    x, _ = related(100, 6, 6, shift=5)
    x = x.astype(np.float32)
    x[:, 3] = 0.1
    raw, centred, z_scored = (transform(x, how) for how in ("raw", "centred", "z-scored"))
    assert raw is x
    np.testing.assert_allclose(centred, x - x.astype(float).mean(0), atol=1e-5)
    kept = np.arange(6) != 3
    np.testing.assert_allclose(z_scored[:, kept], scipy.stats.zscore(x[:, kept].astype(float)), atol=1e-4)
    np.testing.assert_array_equal(z_scored[:, 3], 0)
    assert centred.dtype == z_scored.dtype == np.float32
    assert transform(x.astype(float), "z-scored").dtype == np.float64
    np.testing.assert_allclose(transform(7 * x - 3, "z-scored")[:, kept], z_scored[:, kept], atol=1e-4)
    rounded = np.tile([0.1, 0.7, 1e9 / 3], (1001, 1))  # means that are not exactly the values
    assert rounded.mean(axis=0).tolist() != rounded[0].tolist()
    np.testing.assert_array_equal(transform(rounded, "z-scored"), 0)


# Weighted RSA ---------------------------------------------------------------------------------------


def materialised(x, y, groups, draw, kernel="cosine"):
    """RSA of a resample with its tokens written out, without pairs between copies of one sentence."""
    tokens, sentences, copies = [], [], []
    for copy, sentence in enumerate(draw):
        members = np.flatnonzero(groups == sentence)
        tokens.extend(members)
        sentences.extend([sentence] * len(members))
        copies.extend([copy] * len(members))
    tokens, sentences, copies = np.array(tokens), np.array(sentences), np.array(copies)
    i, j = np.triu_indices(len(tokens), 1)
    allowed = (sentences[i] != sentences[j]) | (copies[i] == copies[j])
    assert not (tokens[i] == tokens[j])[allowed].any()
    similarities = [squareform(pdist(z, kernel)) for z in (x, y)]
    a, b = (s[tokens[i[allowed]], tokens[j[allowed]]] for s in similarities)
    return np.corrcoef(a, b)[0, 1]


@pytest.mark.parametrize("kernel", ["cosine", "euclidean"])
@pytest.mark.parametrize("block", [7, 256])
def test_weighted_rsa_is_that_of_the_resample_written_out(kernel, block, monkeypatch):
    monkeypatch.setattr(similarity, "_BLOCK", block)  # 7: sentences are split between blocks
    rng = np.random.default_rng(3)
    x, y = related(60, 8, 5, shift=2)
    names = np.array([41, -7, 3, 19, 100, 55, 8, 2, 77, 60])
    groups = rng.choice(names, 60, p=rng.dirichlet(np.ones(10)) * 0.5 + 0.05)
    present = np.unique(groups)
    draws = rng.choice(present, (6, len(present)))
    weights = np.array([[np.sum(draw == name) for name in present] for draw in draws])
    expected = [materialised(x, y, groups, draw, kernel) for draw in draws]
    np.testing.assert_allclose(rsa_weighted(x, y, groups, weights, kernel=kernel), expected, atol=1e-10)


@pytest.mark.parametrize("kernel", ["cosine", "correlation", "dot"])
@pytest.mark.parametrize("shift", [0, 20])  # 20: all cosines close to 1
def test_resampled_rsa_has_weighted_rsas_value_and_slope(kernel, shift):
    rng = np.random.default_rng(5)
    x, y = related(120, 9, 6, shift=shift)
    groups = rng.integers(20, size=120)
    direction = rng.standard_normal((8, len(np.unique(groups))))

    def at(function, step):
        return function(x, y, groups, 1 + step * direction, kernel=kernel)

    np.testing.assert_allclose(at(rsa_resampled, 0), rsa(x, y, kernel=kernel), atol=1e-9)
    slope = (at(rsa_weighted, 1e-4) - at(rsa_weighted, -1e-4)) / 2e-4
    assert np.abs(slope).max() > 1e-3
    ours = (at(rsa_resampled, 1e-4) - at(rsa_resampled, -1e-4)) / 2e-4
    np.testing.assert_allclose(ours, slope, rtol=1e-4, atol=1e-7)


def test_resampled_rsa_spreads_as_weighted_rsa_does():
    rng = np.random.default_rng(6)
    centres = rng.standard_normal((150, 30))
    groups = np.repeat(np.arange(150), rng.integers(1, 12, 150))
    x = centres[groups] + rng.standard_normal((len(groups), 30)) + 1
    y = x + rng.gamma(1, 1, 150)[groups, None] * rng.standard_normal((len(groups), 30))
    weights = rng.multinomial(150, np.full(150, 1 / 150), size=400)
    fast, full = (f(x, y, groups, weights) for f in (rsa_resampled, rsa_weighted))
    assert np.corrcoef(fast, full)[0, 1] > 0.97
    assert fast.std() == pytest.approx(full.std(), rel=0.05)
    np.testing.assert_allclose(
        np.quantile(fast, [0.025, 0.975]), np.quantile(full, [0.025, 0.975]), atol=0.004
    )
    with pytest.raises(ValueError, match="'euclidean' is a distance"):
        rsa_resampled(x, y, groups, weights, kernel="euclidean")


@settings(max_examples=20, deadline=None)
@cases
def test_equal_weights_give_plain_rsa_and_zero_weights_drop_sentences(seed, n, d, shift):
    x, y = related(n + 4, d, d + 3, seed, shift)
    groups = np.r_[0, 0, 0, 1, np.random.default_rng(seed).integers(0, 6, n)]
    weights = np.ones((2, len(np.unique(groups))))
    weights[1, 1] = 0
    everything, without = rsa_weighted(x, y, groups, weights)
    assert everything == pytest.approx(rsa(x, y), abs=1e-8)
    assert without == pytest.approx(rsa(x[groups != 1], y[groups != 1]), abs=1e-8)


def test_more_resamples_than_are_weighted_at_once(monkeypatch):
    x, y = related(50, 5, 5)
    weights = np.random.default_rng(0).integers(0, 3, (11, 10))
    whole = rsa_weighted(x, y, np.arange(50) // 5, weights)
    monkeypatch.setattr(similarity, "_REPLICATES", 4)
    np.testing.assert_allclose(rsa_weighted(x, y, np.arange(50) // 5, weights), whole, atol=1e-12)


# CKA ------------------------------------------------------------------------------------------------


def unbiased_hsic(k, m):
    """Song et al. 2012, equation 5, on n x n kernel matrices."""
    n = len(k)
    k, m = k - np.diag(np.diag(k)), m - np.diag(np.diag(m))
    one = np.ones(n)
    trace = np.trace(k @ m)
    means = (one @ k @ one) * (one @ m @ one) / ((n - 1) * (n - 2))
    return (trace + means - 2 / (n - 2) * one @ k @ m @ one) / (n * (n - 3))


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("shift", [0, 5])
def test_cka_against_its_definition(shape, shift):
    x, y = related(*shape, shift=shift)
    k, m = x @ x.T, y @ y.T
    expected = unbiased_hsic(k, m) / np.sqrt(unbiased_hsic(k, k) * unbiased_hsic(m, m))
    assert cka(x, y) == pytest.approx(expected, abs=1e-9)
    centre = np.eye(len(x)) - 1 / len(x)
    k, m = centre @ k @ centre, centre @ m @ centre
    expected = np.sum(k * m) / np.sqrt(np.sum(k * k) * np.sum(m * m))
    assert cka(x, y, debiased=False) == pytest.approx(expected, abs=1e-10)


def test_cka_closed_forms():
    # Orthonormal, centred columns u1..u4: X = [u1 u2], Y = [u1 u3] share one of two directions: 1/2.
    # Weighting u1 by w in both gives w^4 / (w^4 + 1).
    basis = np.linalg.qr(np.c_[np.ones(30), np.random.default_rng(0).standard_normal((30, 4))])[0][:, 1:]
    assert cka(basis[:, [0, 1]], basis[:, [0, 2]], debiased=False) == pytest.approx(1 / 2)
    assert cka(basis[:, [0, 1]], basis[:, [2, 3]], debiased=False) == pytest.approx(0, abs=1e-12)
    x, y = basis[:, [0, 1]] * [2, 1], basis[:, [0, 2]] * [2, 1]
    assert cka(x, y, debiased=False) == pytest.approx(16 / 17)


def test_debiased_cka_of_independent_data_is_near_zero_where_the_plain_one_is_not():
    rng = np.random.default_rng(0)
    pairs = [rng.standard_normal((2, 200, 768)) for _ in range(5)]
    assert np.mean([cka(*pair, debiased=False) for pair in pairs]) == pytest.approx(0.79, abs=0.01)
    # Under independence the debiased one has mean 0 and variance about 2 / n^2 here.
    assert max(abs(cka(*pair)) for pair in pairs) < 4 * 2**0.5 / 200


# The other measures ---------------------------------------------------------------------------------


def cca_by_eigenvalues(x, y):
    """Canonical correlations from the covariance matrices (Hotelling), descending."""
    x, y = x - x.mean(0), y - y.mean(0)
    a = np.linalg.solve(x.T @ x, x.T @ y) @ np.linalg.solve(y.T @ y, y.T @ x)
    return np.sqrt(np.sort(np.linalg.eigvals(a).real.clip(0))[::-1])[: min(x.shape[1], y.shape[1])]


@pytest.mark.filterwarnings("ignore:.*tokens for")
def test_svcca_with_all_variance_is_the_mean_canonical_correlation():
    x, y = related(120, 6, 4, shift=3)
    assert svcca(x, y, variance=1) == pytest.approx(cca_by_eigenvalues(x, y).mean(), abs=1e-8)


@pytest.mark.filterwarnings("ignore:.*tokens for")
def test_svcca_keeps_the_components_that_hold_the_variance():
    # Variances 90, 9.5 and 0.5 %: at .99 the third direction goes, and it is all that y lacks.
    basis = np.linalg.qr(np.c_[np.ones(50), np.random.default_rng(0).standard_normal((50, 4))])[0][:, 1:]
    scales = np.sqrt([90, 9.5, 0.5])
    x, y = basis[:, :3] * scales, basis[:, [0, 1, 3]] * scales
    assert svcca(x, y) == pytest.approx(1)
    assert svcca(x, y, variance=1) == pytest.approx(2 / 3)
    assert svcca(x, y, variance=0.85) == pytest.approx(1)


def test_pwcca_against_canonical_directions_written_out():
    for d1, d2 in ((6, 4), (4, 6), (5, 5)):
        x, y = related(150, d1, d2, shift=1)
        xc, yc = x - x.mean(0), y - y.mean(0)
        whiten = [np.linalg.inv(scipy.linalg.sqrtm(z.T @ z).real) for z in (xc, yc)]
        u, rho, _ = np.linalg.svd(whiten[0] @ xc.T @ yc @ whiten[1])
        variates = xc @ whiten[0] @ u[:, : len(rho)]
        alpha = np.abs(variates.T @ xc).sum(1)
        assert pwcca(x, y) == pytest.approx(alpha @ rho / alpha.sum(), abs=1e-8)


def test_pwcca_weights_by_what_the_first_argument_holds():
    basis = np.linalg.qr(np.c_[np.ones(50), np.random.default_rng(0).standard_normal((50, 3))])[0][:, 1:]
    x, y = basis[:, [0, 1]] * [9, 1], basis[:, [0, 2]]
    assert pwcca(x, y) == pytest.approx(0.9)  # shared direction: nine parts of x's ten ...
    assert pwcca(y, x) == pytest.approx(0.5)  # ... and one of y's two


def test_mean_cca_of_independent_data_at_the_known_ratios():
    # 768 dimensions at n = 1,000, 5,000 and 20,000 give .82, .34 and .17; a tenth of both gives the same.
    rng = np.random.default_rng(0)
    for n, expected in ((100, 0.82), (500, 0.34), (2000, 0.17)):
        x, y = rng.standard_normal((n, 77)), rng.standard_normal((n, 77))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert svcca(x, y, variance=1) == pytest.approx(expected, abs=0.03)


def test_procrustes_against_the_best_rotation():
    x, y = related(50, 7, 7, shift=2)
    _, _, disparity = scipy.spatial.procrustes(x, y)  # 1 - |X'Y|_*^2, with its own rescaling
    assert procrustes(x, y) == pytest.approx((1 - disparity) ** 0.5)
    a, b = (z - z.mean(0) for z in (x, y))
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    turn, _ = scipy.linalg.orthogonal_procrustes(a, b)
    assert procrustes(x, y) == pytest.approx(1 - np.sum((a @ turn - b) ** 2) / 2)


def test_procrustes_with_unequal_dimensions_pads_with_zeros():
    x, y = related(50, 7, 4)
    assert procrustes(x, y) == pytest.approx(procrustes(x, np.hstack([y, np.zeros((50, 3))])))


MEASURES = {
    "cka": cka,
    "plain cka": lambda x, y: cka(x, y, debiased=False),
    "procrustes": procrustes,
    "svcca": svcca,
    "pwcca": pwcca,
}


@pytest.mark.parametrize("name", MEASURES)
@pytest.mark.filterwarnings("ignore:.*tokens for")
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), d=st.integers(2, 12), extra=st.integers(3, 50))
def test_invariances_of_the_other_measures(name, seed, d, extra):
    measure = MEASURES[name]
    x, y = related(2 * d + 3 + extra, d, d + 2, seed, shift=1)
    value = measure(x, y)
    assert -1 <= value <= 1
    assert measure(x, x) == pytest.approx(1, abs=1e-9)
    assert measure(-2 * x @ rotation(d, seed) + 5, x) == pytest.approx(1, abs=1e-9)
    # A weight of pwcca is an absolute projection on a feature, so it depends on the features' basis.
    moved = 0.1 * x + 4 if name == "pwcca" else 0.1 * x @ rotation(d, seed) + 4
    assert measure(moved, 30 * y - 2) == pytest.approx(value, abs=1e-8)
    order = np.random.default_rng(seed).permutation(len(x))
    assert measure(x[order], y[order]) == pytest.approx(value, abs=1e-8)
    if name != "pwcca":
        assert measure(y, x) == pytest.approx(value, abs=1e-9)
    if name in ("svcca", "pwcca"):  # canonical correlations outlast any invertible map of y
        mixed = y @ (rotation(d + 2, seed) + 0.1 * np.eye(d + 2))
        assert pwcca(x, mixed) == pytest.approx(pwcca(x, y), abs=1e-7)


def test_canonical_correlations_need_enough_tokens():
    x, y = related(60, 8, 8)
    for measure in (svcca, pwcca):
        with pytest.raises(ValueError, match="x: 8 tokens for 8 dimensions"):
            measure(x[:8], y[:8])
        with pytest.warns(UserWarning, match=r"60 tokens for \d dimensions.* about 0.3"):
            measure(x, y)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            measure(*related(80, 8, 8))


def test_directions_without_variance_do_not_count():
    x, y = related(200, 5, 4)
    for measure in (svcca, pwcca):
        assert measure(np.c_[x, x[:, 0] + x[:, 1], np.ones(200)], y) <= 1
    doubled = np.c_[y, y]
    assert svcca(x, doubled, variance=1) == pytest.approx(svcca(x, y, variance=1))
    assert pwcca(x, doubled) == pytest.approx(pwcca(x, y))


# Errors ---------------------------------------------------------------------------------------------


def unweighted(x, y):
    return rsa_weighted(x, y, np.arange(len(x)), np.ones((1, len(x))))


@pytest.mark.parametrize("measure", [rsa, unweighted, cka, procrustes, svcca, pwcca])
def test_bad_input_is_named(measure):
    x, y = related(20, 4, 4)
    broken = x.copy()
    broken[7, 2] = np.nan
    with pytest.raises(ValueError, match="x: row 7 holds NaN or infinity"):
        measure(broken, y)
    broken[7, 2] = np.inf
    with pytest.raises(ValueError, match="y: row 7 holds NaN or infinity"):
        measure(x, broken)
    with pytest.raises(ValueError, match="x has 20 rows and y 19"):
        measure(x, y[:19])
    with pytest.raises(ValueError, match="at least [34] tokens, got 2"):
        measure(x[:2], y[:2])
    with pytest.raises(ValueError, match=r"x: expected an array \(n_tokens, d\), got shape \(20,\)"):
        measure(x[:, 0], y)
    with pytest.raises(ValueError, match="y: expected real numbers, got complex128"):
        measure(x, y * 1j)


def test_unknown_names_list_the_valid_ones():
    x, y = related(10, 3, 3)
    with pytest.raises(ValueError, match="kernel 'cosin'; valid: cosine, correlation, dot, euclidean"):
        rsa(x, y, kernel="cosin")
    with pytest.raises(ValueError, match="unknown comparison 'kendall'; valid: pearson, spearman"):
        rsa(x, y, compare="kendall")
    with pytest.raises(ValueError, match="unknown transform 'whitened'; valid: raw, centred, z-scored"):
        transform(x, "whitened")
    with pytest.raises(ValueError, match="variance must lie in"):
        svcca(x, y, variance=99)


def test_undefined_similarities_are_refused():
    x, y = related(20, 4, 4)
    zero, constant = x.copy(), y.copy()
    zero[5] = 0
    constant[9] = 0.1
    with pytest.raises(ValueError, match="x: row 5 is all zeros"):
        rsa(zero, y)
    with pytest.raises(ValueError, match="y: row 9 is constant"):
        rsa(x, constant, kernel="correlation")
    assert -1 <= rsa(zero, constant, kernel="euclidean") <= 1


@pytest.mark.parametrize("kernel", ["cosine", "dot", "euclidean"])
@pytest.mark.parametrize(
    "alike",
    [np.tile([0.1, 0.7, 0.3], (20, 1)), np.eye(20), rotation(20, 0)],
    ids=["point", "simplex", "turned"],
)
def test_equal_similarities_are_refused(alike, kernel):
    _, y = related(20, 4, 4)
    for compare in similarity.COMPARISONS:
        with pytest.raises(ValueError, match="y: all tokens are equally similar"):
            rsa(y, alike, kernel=kernel, compare=compare)
    with pytest.raises(ValueError, match="x: all tokens"):
        cka(alike, y)


def test_tokens_that_coincide_have_no_cka_or_procrustes():
    _, y = related(20, 4, 4)
    for measure in (cka, procrustes, svcca, pwcca):
        with pytest.raises(ValueError, match="x: all tokens have the same representation"):
            measure(np.tile([0.1, 0.7, 0.3], (20, 1)), y)


def test_weighted_rsa_refuses_groups_and_weights_that_do_not_fit():
    x, y = related(20, 4, 4)
    groups = np.arange(20) // 2
    with pytest.raises(ValueError, match="groups: expected 20 whole numbers"):
        rsa_weighted(x, y, groups[:19], np.ones((1, 10)))
    with pytest.raises(ValueError, match="groups: expected 20 whole numbers"):
        rsa_weighted(x, y, groups + 0.5, np.ones((1, 10)))
    with pytest.raises(ValueError, match=r"weights: expected \(n_resamples, 10\)"):
        rsa_weighted(x, y, groups, np.ones((1, 9)))
    with pytest.raises(ValueError, match="finite and not negative"):
        rsa_weighted(x, y, groups, -np.ones((1, 10)))
    lonely = np.ones((2, 10))
    lonely[1, 1:] = 0
    with pytest.raises(ValueError, match="resample 1 leaves fewer than two pairs"):
        rsa_weighted(x, y, groups, lonely)


def test_memory_stays_small():
    """No n x n matrix: two float64 copies of the inputs, and at most a few blocks of rows."""
    n, d = 3000, 64
    x, y = (z.astype(np.float32) for z in related(n, d, d))
    copies = 2 * n * d * 8
    for call, allowed in (
        (lambda: rsa(x, y), copies + 2e6),
        (lambda: rsa(x, y, kernel="euclidean"), copies + 8 * similarity._BLOCK * n * 8),
        (lambda: rsa_weighted(x, y, np.arange(n), np.ones((20, n))), copies + 8 * similarity._BLOCK * n * 8),
    ):
        assert allowed < n * n * 8
        tracemalloc.start()
        call()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < allowed
