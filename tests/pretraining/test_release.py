"""Shipping a model: files, checksums, card and record."""

import json
import random

import pandas as pd
import pytest
import torch

from helpers import encoders, store
from helpers.pretraining import release, training


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    root = tmp_path_factory.mktemp("shipping")
    rng = random.Random(1)
    vocabulary = [a + b + c for a in "bdgk" for b in "aeiou" for c in "lmnr"]
    texts = ["\n".join(" ".join(rng.choices(vocabulary, k=30)) + "." for _ in range(4)) for _ in range(12)]
    (root / "corpus").mkdir()
    (root / "corpus" / "part.txt").write_text("\n\n".join(texts[:9]))
    (root / "corpus" / "heldout.txt").write_text("\n\n".join(texts[9:]))
    (root / "corpus" / "SOURCES.csv").write_text(
        "name,source,commit_or_version,licence,genre,documents,words,heldout_documents,heldout_words\n"
        "a,x,1,CC0,fiction,6,720,2,240\nb,y,1,CC BY-SA 4.0,web,3,360,1,120\n"
    )
    cache = store.Store(root / "store")
    settings = dict(layers=2, hidden=16, heads=2, intermediate=16, vocabulary=200, batch_tokens=256)
    settings |= dict(seed=7, warmup=20)
    options = dict(device="cpu", cache=cache)
    training.run(root / "corpus", root / "run", settings | {"tokens": 256 * 200}, **options)
    folder = release.ship(
        root / "run",
        root / "corpus",
        assets=root / "assets",
        recorded=root / "recorded",
        cache=cache,
    )
    return root, folder


def test_shipped_files_are_complete_and_checked(shipped, monkeypatch):
    root, folder = shipped
    names = {p.name for p in folder.iterdir()}
    assert names >= {
        "model.safetensors",
        "config.json",
        "tokenizer.json",
        "README.md",
        "LICENSE",
        "SHA256SUMS",
    }
    listed = dict(reversed(line.split()) for line in (folder / "SHA256SUMS").read_text().splitlines())
    assert listed == {p.name: store.sha256(p) for p in folder.iterdir() if p.name != "SHA256SUMS"}
    monkeypatch.setattr(encoders.registry, "ASSETS", root / "assets")
    encoder = encoders.load("minibert-seed7", device="cpu")
    [states] = encoders.hidden_states(encoder, [("bal", "dam")])
    assert states.shape == (2, 3, 16)
    from safetensors.torch import load_file

    weights = load_file(folder / "model.safetensors")
    assert {tensor.dtype for tensor in weights.values()} == {torch.float16}
    assert any(name.startswith("cls.seq_relationship") for name in weights)  # both heads are there


def test_a_damaged_shipment_is_refused(shipped, monkeypatch):
    root, folder = shipped
    monkeypatch.setattr(encoders.registry, "ASSETS", root / "assets")
    good = (folder / "config.json").read_bytes()
    (folder / "config.json").write_bytes(good + b" ")
    with pytest.raises(store.DamagedArtifact, match="config.json: missing or altered"):
        encoders.resolve("minibert-seed7")
    (folder / "config.json").write_bytes(good)
    encoders.resolve("minibert-seed7")


def test_card_states_the_recorded_figures(shipped):
    root, folder = shipped
    facts = json.loads((root / "recorded" / "provenance.json").read_text())["seed7"]
    card = (folder / "README.md").read_text()
    assert facts["tokens"] > 0 and f"{facts['tokens']:,}" in card
    assert f"{facts['heldout']['mlm']:.3f} nats" in card
    assert f"{facts['heldout']['whole_words_mlm']:.3f} nats" in card
    assert "stopped early" not in card and "$" not in card
    assert "| 128 wordpieces, 512 in the last 10% of the steps |" in card
    assert "| fiction | 720 | 66.7% |" in card and "| CC BY-SA 4.0 | 360 | 33.3% |" in card
    assert facts["finished"] and facts["hardware"] and facts["steps"] == 200


@pytest.mark.xfail(reason="the encoder shipped now has the earlier card, until the next one is ready")
def test_the_card_that_ships_is_that_of_the_record():
    facts = release.runs()
    assert facts
    for name, run in facts.items():
        shown = (encoders.ASSETS / f"minibert-{name}" / "README.md").read_text(encoding="utf-8")
        assert shown == release.card(f"minibert-{name}", run)


def test_recorded_curve(shipped):
    root, _ = shipped
    frame = release.curves(root / "recorded")
    assert set(frame["seed"]) == {7}
    held, seen = frame[frame["held_out"]], frame[~frame["held_out"]]
    assert seen["step"].tolist() == [100, 200] and held["step"].iloc[-1] == 200 and len(held) > 8
    assert held["mlm"].iloc[-1] < held["mlm"].iloc[0]
    with pytest.raises(FileNotFoundError, match="no recorded pre-training run"):
        release.curves(root)


def test_curves_are_thinned_by_averaging():
    log = [
        {"step": s, "tokens": s * 10, "seconds": s, "mlm": float(s), "nsp": 0.0, "mlm_accuracy": 0.0}
        | {"nsp_accuracy": 0.0, "tokens_per_s": 1.0}
        for s in range(1, 301)
    ]
    frame = release.curve(log, seed=0)
    assert len(frame) == 150 and frame["step"].tolist() == list(range(2, 301, 2))
    pd.testing.assert_series_equal(frame["mlm"], frame["step"] - 0.5, check_names=False)


def test_trials_are_recorded_with_their_recipes(shipped, tmp_path):
    root, _ = shipped
    frame = release.record_trials({"as shipped": root / "run", "again": root / "run"}, tmp_path)
    assert pd.read_csv(tmp_path / "trials.csv").shape == frame.shape
    assert frame.groupby("trial").size().nunique() == 1 and set(frame["trial"]) == {"as shipped", "again"}
    entry = json.loads((tmp_path / "provenance.json").read_text())["trials"]
    assert entry["runs"]["again"]["recipe"]["seed"] == 7 and entry["runs"]["again"]["machine"]


def test_a_folder_without_a_checkpoint_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="no checkpoint.pt; train with"):
        release.ship(tmp_path, tmp_path)
