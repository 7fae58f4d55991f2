"""Overlap of test texts with training text, found where it was planted."""

import json
import random

import pandas as pd
import pytest

from helpers.pretraining import overlap, text


def test_words_are_the_same_however_tokenised():
    assert overlap.words("I don't know; it's Ann's, isn\u2019t it?") == overlap.words(
        "I do n't know ; it 's Ann 's , is n't it ?"
    )
    assert overlap.words("Caf\u00e9 No. 3-b_c") == ["caf\u00e9", "no", "3", "b", "c"]


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
    frame = overlap.overlap(files, {"planted": test, "other": ["nothing of this is there at all"] * 3})
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
        for document in text.documents(files):
            for line in map(overlap.words, document):
                seen |= {tuple(line[i : i + n]) for i in range(len(line) - n + 1)}
        grams = [tuple(t.split()[i : i + n]) for t in test for i in range(40 - n + 1)]
        [row] = overlap.overlap(files, {"planted": test}, sizes=(n,)).to_dict("records")
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
    options = dict(recorded=tmp_path / "recorded")
    overlap.record_overlap(tmp_path / "corpus", {"ud-ewt": tmp_path}, **options)
    frame = pd.read_csv(tmp_path / "recorded" / "overlap.csv").set_index(["corpus", "n"])
    assert frame.loc[("ud-ewt dev", 8), "found"] == 2 and frame.loc[("ud-ewt test", 12), "found"] == 0
    assert set(json.loads((tmp_path / "recorded" / "provenance.json").read_text())) == {"overlap"}
