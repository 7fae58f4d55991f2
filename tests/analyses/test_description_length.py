"""Codes of every layer as a table: what the numbers are of, and how they hang together."""

import dataclasses

import numpy as np
import pytest

from helpers import analyses, encoders, profiles
from helpers.analyses import edge
from helpers.analyses.description_length import SENT, word_labels

METRICS = {"codelength", "compression", "control_codelength", "control_compression", "codelength_gap"}


pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture(scope="module")
def settings():
    changes = {"structural.epochs": 2, "probe_seeds": [0, 4], "seeds": [3]}
    smoke = profiles.settings("smoke", **changes)
    return dataclasses.replace(smoke, tasks=(smoke.task("Dep"),))


@pytest.fixture(scope="module")
def frame(settings):
    return analyses.description_lengths(settings)


def test_words_have_their_tags_and_their_relations(settings):
    made = word_labels(settings)
    records = edge.probing_records(settings)
    assert list(made) == ["POS", "Dependencies"]
    for name, splits in made.items():
        assert {split: len(own) for split, own in splits.items()} == {"train": 24, "dev": 12, "test": 12}
        for old, new in zip(records[name]["dev"], splits["dev"], strict=True):
            assert [(t.span1, t.labels) for t in new.targets] == [(t.span1, t.labels) for t in old.targets]
            assert all(t.span2 is None for t in new.targets)


def test_every_layer_of_every_model_has_its_codes(frame, settings):
    layers = list(encoders.load("tiny").layers)
    for model, seeds in (("Base", []), ("Dep", [3]), ("Random", [1000])):
        own = frame[(frame["analysis"] == "description_length") & (frame["model"] == model)]
        assert own["seed"].dropna().unique().tolist() == seeds and set(own["inputs"]) == {SENT}
        for metric in METRICS:
            assert own.loc[own["metric"] == metric, "layer"].tolist() == layers
    assert (frame["n"] == settings.probe_train).all()
    assert frame["value"].between(frame["ci_low"], frame["ci_high"]).all()
    others = frame[frame["analysis"] == "description_length_probe_seeds"]
    assert set(others["model"]) == {"Base"} and set(others["seed"]) == {4} and len(others) == 5 * len(layers)


def test_numbers_hang_together(frame, settings):
    """Compression times bits per label is log2 of the number of labels; differences are those of the rows."""
    wide = frame[frame["analysis"] == "description_length"].pivot(
        index=["model", "layer"], columns="metric", values="value"
    )
    splits = word_labels(settings)[SENT]
    possible = len({t.labels for r in splits["train"] for t in r.targets})
    uniform = wide["codelength"] * wide["compression"]
    np.testing.assert_allclose(uniform, np.log2(possible), rtol=1e-9)
    np.testing.assert_allclose(wide["codelength_gap"], wide["control_codelength"] - wide["codelength"])
    delta = frame[frame["analysis"] == "description_length_delta"]
    delta = delta.pivot(index=["model", "layer"], columns="metric", values="value")
    assert set(delta.index.get_level_values("model")) == {"Dep", "Random"}
    for model in ("Dep", "Random"):
        np.testing.assert_allclose(delta.loc[model], (wide.loc[model] - wide.loc["Base"])[delta.columns])


def test_a_suite_without_parts_of_speech_is_refused(settings, monkeypatch):
    monkeypatch.setattr("helpers.analyses.description_length.probing_records", lambda s: {"SRL": {}})
    with pytest.raises(ValueError, match="the suite uds has no task that labels words: POS, Dependencies"):
        analyses.description_lengths(settings)
    splits = word_labels.__globals__["probing_records"]
    assert splits(settings) == {"SRL": {}}
