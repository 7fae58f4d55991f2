"""Shipping a model: files, checksums, card and record; overlap found where it was planted."""

import json
import random

import pandas as pd
import pytest
import torch

from helpers import encoders, pretraining, shipping, store


def test_words_are_the_same_however_tokenised():
    assert shipping.words("I don't know; it's Ann's, isn\u2019t it?") == shipping.words(
        "I do n't know ; it 's Ann 's , is n't it ?"
    )
    assert shipping.words("Caf\u00e9 No. 3-b_c") == ["caf\u00e9", "no", "3", "b", "c"]


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """Training text of random words in which runs of 8, 11 and 30 test words were planted."""
    rng = random.Random(0)
    vocabulary = [f"w{i}" for i in range(400)]
    test = [" ".join(rng.choices(vocabulary, k=40)) for _ in range(50)]
    lines = [" ".join(rng.choices(vocabulary, k=60)) for _ in range(300)]
    pieces = [" ".join(test[i].split()[4 : 4 + n]).upper() for i, n in ((3, 8), (7, 11), (20, 30), (9, 7))]
    for place, piece in zip((10, 100, 250, 40), pieces, strict=True):
        lines[place] = f"{lines[place]}, {piece}! {lines[place]}"
    # A run must not be found across paragraphs.
    halves = test[30].split()
    lines[200], lines[201] = " ".join(halves[:6]), " ".join(halves[6:12])
    folder = tmp_path_factory.mktemp("planted")
    (folder / "a.txt").write_text("\n".join(lines[:150]) + "\n\n")
    (folder / "b.txt").write_text("\n".join(lines[150:]))
    return [folder / "a.txt", folder / "b.txt"], test


def test_planted_overlap_is_found(planted):
    files, test = planted
    frame = shipping.overlap(files, {"planted": test, "other": ["nothing of this is there at all"] * 3})
    rows = frame.set_index(["corpus", "n"]).to_dict("index")
    eight, twelve = rows["planted", 8], rows["planted", 12]
    assert (eight["sentences"], eight["ngrams"]) == (50, 50 * 33)
    assert (eight["found"], eight["sentences_hit"]) == (1 + 4 + 23, 3)
    assert (twelve["ngrams"], twelve["found"], twelve["sentences_hit"]) == (50 * 29, 19, 1)
    assert eight["longest"] == 30 and eight["example"] == " ".join(test[20].split()[4:34])
    assert eight["share"] == pytest.approx(28 / 1650) and eight["share_hit"] == pytest.approx(3 / 50)
    assert rows["other", 8]["found"] == rows["other", 8]["longest"] == 0


def test_overlap_against_sets_of_strings(planted):
    files, test = planted
    for n in (2, 3):
        seen = set()
        for document in pretraining.documents(files):
            for line in map(shipping.words, document):
                seen |= {tuple(line[i : i + n]) for i in range(len(line) - n + 1)}
        grams = [tuple(t.split()[i : i + n]) for t in test for i in range(40 - n + 1)]
        [row] = shipping.overlap(files, {"planted": test}, sizes=(n,)).to_dict("records")
        assert row["found"] == sum(gram in seen for gram in grams)


def test_overlap_of_corpora_is_recorded(planted, tmp_path):
    files, test = planted
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "train.txt").write_text(" ".join(test[0].split()[:9]))
    (tmp_path / "corpus" / "heldout.txt").write_text("\n".join(test))
    tree = "\n".join(f"{i}\t{w}\t_\tX\t_\t_\t{i - 1}\troot\t_\t_" for i, w in enumerate(test[0].split(), 1))
    for split in ("dev", "test"):
        (tmp_path / f"en_ewt-ud-{split}.conllu").write_text(
            tree.replace("\troot", "\tdep").replace("\t0\tdep", "\t0\troot") + "\n\n"
        )
    options = dict(recorded=tmp_path / "recorded", report=lambda line: None)
    shipping.record_overlap(tmp_path / "corpus", {"ud-ewt": tmp_path}, **options)
    frame = pd.read_csv(tmp_path / "recorded" / "overlap.csv").set_index(["corpus", "n"])
    assert frame.loc[("ud-ewt dev", 8), "found"] == 2 and frame.loc[("ud-ewt test", 12), "found"] == 0
    assert set(json.loads((tmp_path / "recorded" / "provenance.json").read_text())) == {"overlap"}


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
    settings = dict(layers=2, hidden=16, heads=2, intermediate=16, vocabulary=200, batch_tokens=256, seed=7)
    options = dict(device="cpu", cache=cache, report=lambda line: None)
    pretraining.run(root / "corpus", root / "run", settings | {"tokens": 256 * 200}, **options)
    folder = shipping.ship(
        root / "run",
        root / "corpus",
        assets=root / "assets",
        recorded=root / "recorded",
        cache=cache,
        report=lambda line: None,
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
    monkeypatch.setattr(encoders, "ASSETS", root / "assets")
    encoder = encoders.load("minibert-seed7", device="cpu")
    [states] = encoders.hidden_states(encoder, [("bal", "dam")])
    assert states.shape == (2, 3, 16)
    from safetensors.torch import load_file

    weights = load_file(folder / "model.safetensors")
    assert {tensor.dtype for tensor in weights.values()} == {torch.float16}
    assert any(name.startswith("cls.seq_relationship") for name in weights)  # both heads are there


def test_a_damaged_shipment_is_refused(shipped, monkeypatch):
    root, folder = shipped
    monkeypatch.setattr(encoders, "ASSETS", root / "assets")
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
    assert "An early checkpoint" in card and "not run to its end" not in card
    assert "| 2 blocks, 128 pieces, 0.0005; 2 blocks, 512 pieces, 0.0005 (from step 180) |" in card
    assert "| fiction | 720 | 66.7% |" in card and "| CC BY-SA 4.0 | 360 | 33.3% |" in card
    assert facts["finished"] and facts["hardware"] and facts["steps"] == 200


def test_the_card_that_ships_is_that_of_the_record():
    facts = shipping.runs()
    assert facts
    for name, run in facts.items():
        shown = (encoders.ASSETS / f"minibert-{name}" / "README.md").read_text(encoding="utf-8")
        assert shown == shipping.card(f"minibert-{name}", run)


def test_recorded_curve(shipped):
    root, _ = shipped
    frame = shipping.curves(root / "recorded")
    assert set(frame["seed"]) == {7}
    held, seen = frame[frame["held_out"]], frame[~frame["held_out"]]
    assert seen["step"].tolist() == [100, 200] and held["step"].iloc[-1] == 200 and len(held) > 8
    assert held["mlm"].iloc[-1] < held["mlm"].iloc[0]
    with pytest.raises(FileNotFoundError, match="no recorded pre-training run"):
        shipping.curves(root)


def test_curves_are_thinned_by_averaging():
    log = [
        {"step": s, "tokens": s * 10, "seconds": s, "mlm": float(s), "nsp": 0.0, "mlm_accuracy": 0.0}
        | {"nsp_accuracy": 0.0, "tokens_per_s": 1.0}
        for s in range(1, 301)
    ]
    frame = shipping.curve(log, seed=0)
    assert len(frame) == 150 and frame["step"].tolist() == list(range(2, 301, 2))
    pd.testing.assert_series_equal(frame["mlm"], frame["step"] - 0.5, check_names=False)


def test_a_shipped_model_is_trained_on(shipped, tmp_path):
    root, folder = shipped
    places = dict(assets=root / "assets", recorded=root / "recorded")
    with pytest.raises(ValueError, match="unknown model 'minibert-seed8'; shipped: minibert-seed7"):
        shipping.reopen("minibert-seed8", tmp_path / "run", {}, **places)
    with pytest.raises(ValueError, match="step 200 of 210 .* ask for more tokens than 53,760"):
        shipping.reopen("minibert-seed7", tmp_path / "run", {"tokens": 256 * 210}, **places)
    more = {"tokens": 256 * 400, "decay": 0.2}
    shipping.reopen("minibert-seed7", tmp_path / "run", more, **places)
    with pytest.raises(FileExistsError, match="there is a run already"):
        shipping.reopen("minibert-seed7", tmp_path / "run", more, **places)
    options = dict(device="cpu", cache=store.Store(root / "store"), report=lambda line: None)
    pretraining.run(
        root / "corpus", tmp_path / "run", {"vocabulary": str(tmp_path / "run" / "tokenizer")}, **options
    )
    log = pretraining.read_log(tmp_path / "run")
    held = {row["step"]: row["heldout"]["mlm"] for row in log if "heldout" in row}
    assert held[400] < held[200] < held[0]
    before = [row for row in pretraining.read_log(root / "run") if "heldout" in row]
    assert {row["step"] for row in before} <= set(held)
    # Its first steps do not undo what it knows, and it begins where the shipped weights are.
    first = next(row for row in log if row.get("mlm") and row["step"] > 200)
    last = [row for row in pretraining.read_log(root / "run") if "mlm" in row][-1]
    assert first["mlm"] < last["mlm"] + 0.1 and first["seconds"] > last["seconds"]
    assert first["tokens"] > last["tokens"]
    again = shipping.ship(
        tmp_path / "run", root / "corpus", assets=tmp_path / "assets", recorded=tmp_path / "recorded",
        cache=options["cache"], report=options["report"],
    )  # fmt: skip
    facts = shipping.runs(tmp_path / "recorded")["seed7"]
    assert facts["restarts"] == [200] and facts["steps"] == 400
    assert "The optimiser started afresh at step 200." in (again / "README.md").read_text()
    # And once more, from the record of a run that was itself continued.
    shipping.reopen(
        "minibert-seed7", tmp_path / "third", {"tokens": 256 * 900, "decay": 0.2},
        assets=tmp_path / "assets", recorded=tmp_path / "recorded",
    )  # fmt: skip
    kept = pretraining.read_log(tmp_path / "third")
    assert [row["step"] for row in kept if row.get("restart")] == [200, 400]
    # Short inputs, then long ones, twice: both turns are told, by the card and by what the next run is told.
    turns = [(0, 128), (180, 512), (200, 128), (360, 512)]
    assert [(stage["step"], stage["length"]) for stage in facts["stages"]] == turns
    told = shipping.summary({"seed7": facts}).loc["input length", "seed7"]
    assert told == "128, then 512, then 128, then 512"
    last = pretraining.Recipe(**facts["recipe"])
    assert shipping._stages(kept, last, 400) == facts["stages"]
