"""The comparison of domains: what is held equal is equal; gaps and p-values where the truth is known."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from scipy.spatial.distance import jensenshannon

from helpers import corpora, encoders, profiles, similarity, statistics
from helpers.analyses import out_of_domain as domain
from helpers.corpora.records import Pair, Passage, Question, Sentence

SHARED = "the a of in and cat dog house river road sun sea old new red".split()
OURS, THEIRS = "stone bird tree king ship".split(), "music paper city night school".split()


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("FINETUNING_BOOK_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def tiny(home):
    return encoders.load("tiny", device="cpu")


def two_models(rng, noise, n_sentences=25, per_sentence=3, d=6):
    """A text's states in two models, (x, y, groups): sentences have centres, y is x with noise."""
    groups = np.repeat(np.arange(n_sentences), per_sentence)
    x = rng.normal(size=(n_sentences, d))[groups] + rng.normal(size=(len(groups), d))
    return x, x + noise * rng.normal(size=x.shape), groups


# -- the gap and its test ----------------------------------------------------------------------------


def test_the_gap_is_of_the_two_texts_own_rsa_and_its_interval_of_their_bootstraps():
    rng = np.random.default_rng(0)
    a, b = two_models(rng, 0.3, 60), two_models(rng, 0.8, 50, d=6)
    found = statistics.rsa_gap(a, b, n_resamples=800, n_permutations=5, seed=1)
    for estimate, (x, y, groups) in ((found.a, a), (found.b, b)):
        assert estimate.value == pytest.approx(similarity.rsa(x, y), abs=1e-12)
        alone = statistics.rsa_bootstrap(x, y, groups, n_resamples=800, seed=estimate.draws[0])
        # The same draws; there the resampled values are kept to first order only.
        assert np.corrcoef(alone.samples, estimate.samples)[0, 1] > 0.97
    assert found.gap == found.a.value - found.b.value
    spread = np.hypot(found.a.samples.std(), found.b.samples.std())
    assert (found.ci_high - found.ci_low) == pytest.approx(2 * 1.96 * spread, rel=0.15)


def test_permutations_deal_whole_sentences_and_compare_all_pairs_of_tokens():
    rng = np.random.default_rng(1)
    a, b = two_models(rng, 0.3, 3, 4), two_models(rng, 0.5, 3, 2)
    found = statistics.rsa_gap(a, b, n_resamples=2, n_permutations=200, seed=0)
    x, y = (np.concatenate([a[i], b[i]]) for i in (0, 1))
    sentence = np.concatenate([a[2], b[2] + 3])
    possible = []
    for first in range(6):
        for second in range(first + 1, 6):
            for third in range(second + 1, 6):
                ours = np.isin(sentence, [first, second, third])
                possible.append(similarity.rsa(x[ours], y[ours]) - similarity.rsa(x[~ours], y[~ours]))
    distance = np.abs(found.permuted[:, None] - np.array(possible))
    assert distance.min(axis=1).max() < 1e-9
    assert len(set(distance.argmin(axis=1))) == 20  # all of them occur
    share = np.mean(np.abs(possible) >= abs(found.gap) - 1e-9)
    assert found.p_value == pytest.approx(share, abs=0.11)


def test_p_is_uniform_where_the_texts_are_alike_and_small_where_they_are_not():
    rng = np.random.default_rng(2)
    null = []
    for seed in range(120):
        a, b = two_models(rng, 0.7), two_models(rng, 0.7)
        null.append(statistics.rsa_gap(a, b, n_resamples=2, n_permutations=99, seed=seed).p_value)
    assert scipy.stats.kstest(null, "uniform").pvalue > 0.01
    assert 1 <= np.sum(np.array(null) <= 0.05) <= 14  # 6 expected
    planted = [
        statistics.rsa_gap(
            two_models(rng, 1.5), two_models(rng, 0.5), n_resamples=200, n_permutations=99, seed=s
        )
        for s in range(10)
    ]
    assert all(found.p_value <= 0.05 and found.ci_high < 0 for found in planted)


def test_the_gaps_interval_covers_the_true_gap():
    rng = np.random.default_rng(3)
    large = [similarity.rsa(*two_models(rng, noise, 3000)[:2]) for noise in (0.9, 0.4)]
    inside = 0
    for seed in range(60):
        a, b = two_models(rng, 0.9, 40), two_models(rng, 0.4, 40)
        found = statistics.rsa_gap(a, b, n_resamples=200, n_permutations=1, seed=seed)
        inside += found.ci_low <= large[0] - large[1] <= found.ci_high
    assert inside >= 51  # 57 expected


def test_over_layers_the_largest_gap_counts_against_the_largest_of_each_permutation():
    def gap(value, permuted):
        p = np.mean(np.abs([value, *permuted]) >= abs(value))
        return statistics.RsaGap(None, None, value, 0, 0, p, np.array(permuted, float))

    rng = np.random.default_rng(4)
    one = gap(1.9, rng.normal(size=999))
    assert domain.largest_gap_p([one]) == pytest.approx(one.p_value)
    assert domain.largest_gap_p([one, one]) == pytest.approx(one.p_value)
    small = gap(0.0019, one.permuted / 1000)  # the same in smaller units
    assert domain.largest_gap_p([one, small]) == pytest.approx(one.p_value)
    others = [gap(0.1, rng.normal(size=999)) for _ in range(9)]
    assert domain.largest_gap_p([one, *others]) > 3 * one.p_value  # ten chances to be large
    unchanged = gap(0.0, np.zeros(999))
    assert domain.largest_gap_p([one, unchanged]) == pytest.approx(one.p_value)
    assert domain.largest_gap_p([unchanged]) == 1


# -- what is held equal ------------------------------------------------------------------------------


def test_equal_types_draws_the_same_types_equally_often():
    rng = np.random.default_rng(0)
    a, b = rng.zipf(1.5, 3000) % 500, rng.zipf(1.8, 2000) % 700
    for n in (100, 10**6):
        rows_a, rows_b = domain.equal_types(a, b, n, rng)
        np.testing.assert_array_equal(np.sort(a[rows_a]), np.sort(b[rows_b]))
        assert (np.diff(rows_a) > 0).all() and (np.diff(rows_b) > 0).all()
    shared = sum(min(np.sum(a == t), np.sum(b == t)) for t in range(700))
    assert len(rows_a) == shared
    drawn = [domain.equal_types(np.zeros(10, int), np.zeros(40, int), 5, rng)[1] for _ in range(400)]
    assert np.abs(np.bincount(np.concatenate(drawn), minlength=40) - 50).max() < 30  # any row as often
    with pytest.raises(ValueError, match="share 1 wordpieces"):
        domain.equal_types(np.array([1, 2, 3]), np.array([3, 4, 5]), 5, rng)


def test_one_record_of_each_premise_or_context():
    rng = np.random.default_rng(0)
    pairs = [Pair(str(i), f"premise {i // 3}", str(i), "x") for i in range(30)]
    found = domain.one_a_source(pairs, 8, rng)
    assert len(found) == len({p.premise for p in found}) == 8
    assert [int(p.id) for p in found] == sorted(int(p.id) for p in found)
    questions = [Question(str(i), f"q{i}", f"context {i % 4}", ()) for i in range(9)]
    assert len(domain.one_a_source(questions, 8, rng)) == 4
    sentences = [Sentence(str(i), ("same", "words")) for i in range(9)]
    assert len(domain.one_a_source(sentences, 8, rng)) == 8


def test_matched_records_have_the_lengths_and_use_no_sentence_twice(tiny, real_data):
    sentences = corpora.load("ud-ewt", "dev", path=real_data("ud-english-ewt"))
    passages = [Passage(s.id, " ".join(s.words), s.document) for s in sentences]
    rng = np.random.default_rng(0)
    wanted = [
        (int(a), int(b)) for a, b in zip(rng.integers(4, 15, 60), rng.integers(10, 90, 60), strict=True)
    ]
    records = domain.matched_records(wanted, passages, tiny, np.random.default_rng(1))
    found = [record for record in records if record is not None]
    assert len(found) >= 55 and all(isinstance(record, Pair) for record in found)
    lengths = [domain.segment_lengths(tiny, record) if record else None for record in records]
    off = np.array(
        [
            w - g
            for want, got in zip(wanted, lengths, strict=True)
            if got
            for w, g in zip(want, got, strict=True)
        ]
    )
    assert (off >= 0).all() and off.mean() < 0.2  # cut after the last whole word within the length
    documents = {}
    for passage in passages:
        documents[passage.document] = f"{documents.get(passage.document, '')} {passage.text}"
    for record in found:
        for segment in (record.premise, record.hypothesis):
            assert any(f" {segment}" in text for text in documents.values())  # running text
    # Every sentence is long enough to tell where it is from; none may begin two segments or be in two.
    pieces = [segment for record in found for segment in (record.premise, record.hypothesis)]
    long = [p.text for p in passages if len(p.text.split()) > 8]
    assert all(sum(text in segment for segment in pieces) <= 1 for text in set(long))
    again = domain.matched_records(wanted, passages, tiny, np.random.default_rng(1))
    assert again == records
    single = domain.matched_records([(12,)], passages, tiny, np.random.default_rng(1))
    assert isinstance(single[0], Passage)
    assert domain.matched_records([(10**6,)], passages, tiny, np.random.default_rng(1)) == [None]


def test_divergence_is_that_of_jensen_and_shannon():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 20, 500), rng.integers(5, 40, 300)
    p, q = (np.bincount(x, minlength=40) / len(x) for x in (a, b))
    assert domain.divergence(a, b) == pytest.approx(jensenshannon(p, q, base=2) ** 2)
    assert domain.divergence(a, a) == 0
    assert domain.divergence(np.array([1, 2]), np.array([3, 4, 4])) == pytest.approx(1)


# -- the analysis, with a model of which it is known what it changed ---------------------------------


def corpus(rng, words, n, length=(8, 14)):
    return [" ".join(rng.choice(words, rng.integers(*length))) for _ in range(n)]


@pytest.fixture
def settings(home, tiny, monkeypatch):
    """Settings of an NLI task on made-up text; its words and those of the running text differ in part."""
    rng = np.random.default_rng(0)
    parts = [corpus(rng, SHARED + OURS, 40) for _ in range(2)]
    pairs = [Pair(str(i), *texts, "x") for i, texts in enumerate(zip(*parts, strict=True))]
    passages = [Passage(str(i), t, f"d{i // 20}") for i, t in enumerate(corpus(rng, SHARED + THEIRS, 600))]
    genres = [
        Sentence(str(i), tuple(text.split()), genre=domain.GENRES[i % 5])
        for i, text in enumerate(corpus(rng, SHARED, 100))
    ]

    def records(name, split, path, limit):
        return (passages if name == "wikipedia" else genres)[:limit]

    monkeypatch.setattr(domain, "load_records", records)
    monkeypatch.setattr(domain, "task_records", lambda settings, model, part: pairs)
    quick = profiles.settings("smoke", n_sentences=40, n_tokens=300, seeds=[0])
    return profiles.replace(quick, tasks=(quick.task("NLI"),))


def run(settings, home, monkeypatch, change) -> pd.DataFrame:
    """The analysis of an encoder that ``change`` has altered."""
    tuned = encoders.load("tiny", device="cpu")
    change(tuned.model.embeddings, tuned.tokenizer)
    tuned.model.save_pretrained(home / "tuned")
    tuned.tokenizer.save_pretrained(home / "tuned")
    monkeypatch.setattr(domain, "fine_tuned", lambda *_: SimpleNamespace(encoder=home / "tuned"))
    return domain.out_of_domain_rsa(settings)


def value(frame, metric, inputs, layer=-1, model="NLI"):
    rows = frame[(frame["metric"] == metric) & (frame["inputs"] == inputs) & (frame["model"] == model)]
    rows = rows[rows["layer"].isna()] if layer is None else rows[rows["layer"] == layer]
    assert len(rows) == 1
    return rows["value"].item()


def test_a_model_that_changed_nothing_has_no_gap(settings, home, monkeypatch):
    frame = run(settings, home, monkeypatch, lambda embeddings, tokenizer: None)
    mine = frame[frame["model"] == "NLI"]
    own = mine[mine["metric"] == "rsa_pearson"]
    names = {"in_domain", "wikipedia", "wikipedia_matched", "in_domain_types", "wikipedia_types"}
    assert set(own["inputs"]) == names | {"in_domain_single", *domain.GENRES}
    np.testing.assert_allclose(own["value"], 1, atol=1e-9)
    gaps = mine[mine["metric"] == "rsa_gap"]
    assert set(gaps["inputs"]) == {"raw", "single", "format", "types"} and (gaps["value"].abs() < 1e-9).all()
    assert (mine.loc[mine["metric"] == "p_value", "value"] > 0.3).all()
    rows = frame[frame["analysis"] == "out_of_domain_rsa"]
    assert not rows.duplicated(["metric", "model", "task", "inputs", "layer", "seed"]).any()
    joined = domain.tested_gaps(frame)
    assert len(joined) == 8 * 5 and (joined.groupby(["model", "inputs"])["p_any"].nunique() == 1).all()
    row = joined[(joined["model"] == "Random") & (joined["inputs"] == "raw") & (joined["layer"] == 2)]
    assert row["p_value"].item() == value(frame, "p_value", "raw", 2, "Random")
    assert row["p_any"].item() == value(frame, "p_value", "raw", None, "Random")
    # The yardstick: texts differ for untuned encoders too, most where their format does.
    random = frame[(frame["model"] == "Random") & (frame["metric"] == "rsa_gap")]
    assert set(random["task"]) == {"uds-nli"} and len(random) == 4 * 5
    assert abs(value(frame, "rsa_gap", "raw", model="Random")) > 0.1


def test_changed_words_of_the_domain_make_a_gap_that_equal_types_take_away(settings, home, monkeypatch):
    def change(embeddings, tokenizer):
        rng = np.random.default_rng(1)
        for word in tokenizer.convert_tokens_to_ids(OURS):
            embeddings.word_embeddings.weight.data[word] = encoders.torch.tensor(0.1 * rng.normal(size=32))

    frame = run(settings, home, monkeypatch, change)
    for control in ("raw", "single", "format"):
        assert value(frame, "rsa_gap", control) < -0.02
        assert value(frame, "p_value", control) < 0.05 and value(frame, "p_value", control, None) < 0.05
    assert abs(value(frame, "rsa_gap", "types")) < 1e-6
    found = value(frame, "rsa_pearson", "in_domain") - value(frame, "rsa_pearson", "wikipedia")
    assert found == pytest.approx(value(frame, "rsa_gap", "raw"))


def test_a_changed_second_segment_makes_a_gap_that_equal_format_takes_away(settings, home, monkeypatch):
    def change(embeddings, tokenizer):
        rng = np.random.default_rng(1)
        embeddings.token_type_embeddings.weight.data[1] += encoders.torch.tensor(0.03 * rng.normal(size=32))

    frame = run(settings, home, monkeypatch, change)
    assert value(frame, "rsa_gap", "raw") < -0.02 and value(frame, "p_value", "raw") < 0.05
    assert value(frame, "rsa_pearson", "wikipedia") == pytest.approx(1, abs=1e-4)  # single sentences
    assert abs(value(frame, "rsa_gap", "single")) < 1e-3
    assert abs(value(frame, "rsa_gap", "format")) < 0.4 * abs(value(frame, "rsa_gap", "raw"))
