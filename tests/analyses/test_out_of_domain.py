"""The comparison of domains: gaps and p-values of models of which it is known what they changed."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from helpers import encoders, profiles, statistics
from helpers.analyses import out_of_domain as domain
from helpers.corpora.records import Pair, Passage, Sentence

SHARED = "the a of in and cat dog house river road sun sea old new red".split()
OURS, THEIRS = "stone bird tree king ship".split(), "music paper city night school".split()


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("FINETUNING_BOOK_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def tiny(home):
    return encoders.load("tiny", device="cpu")


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

    def records(settings, name, split, limit=None):
        return (passages if name == "wikipedia" else genres)[:limit]

    monkeypatch.setattr(domain, "read_records", records)
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
    # What a model's gap is beyond that; here the interval is the yardstick's own.
    beyond = mine[mine["metric"] == "rsa_gap_minus_random"]
    assert len(beyond) == 4 * 5
    both = beyond.merge(random, on=["inputs", "layer"])
    np.testing.assert_allclose(both["value_x"], -both["value_y"], atol=1e-9)
    np.testing.assert_allclose(both["ci_low_x"], -both["ci_high_y"], atol=1e-9)


def test_changed_words_of_the_domain_make_a_gap_that_equal_types_take_away(settings, home, monkeypatch):
    def change(embeddings, tokenizer):
        rng = np.random.default_rng(1)
        for word in tokenizer.convert_tokens_to_ids(OURS):
            embeddings.word_embeddings.weight.data[word] = torch.tensor(0.1 * rng.normal(size=32))

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
        embeddings.token_type_embeddings.weight.data[1] += torch.tensor(0.03 * rng.normal(size=32))

    frame = run(settings, home, monkeypatch, change)
    assert value(frame, "rsa_gap", "raw") < -0.02 and value(frame, "p_value", "raw") < 0.05
    assert value(frame, "rsa_pearson", "wikipedia") == pytest.approx(1, abs=1e-4)  # single sentences
    assert abs(value(frame, "rsa_gap", "single")) < 1e-3
    assert abs(value(frame, "rsa_gap", "format")) < 0.4 * abs(value(frame, "rsa_gap", "raw"))
