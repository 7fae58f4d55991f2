"""Text for pre-training: documents, their encoding, windows; errors name file and line."""

import lzma
import random

import numpy as np
import pytest

from helpers.pretraining import text


def test_documents_are_paragraphs_between_blank_lines(tmp_path):
    (tmp_path / "a.txt").write_text("\n\nOne.\n two \n\n\n\nThree.", encoding="utf-8")
    with lzma.open(tmp_path / "b.txt.xz", "wt", encoding="utf-8") as file:
        file.write("Four.\n")
    files = text.text_files(tmp_path)
    assert list(text.documents(files)) == [["One.", "two"], ["Three."], ["Four."]]


def test_text_that_is_not_utf8_is_refused_with_its_line(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"fine\nbad \xff here\n")
    with pytest.raises(ValueError, match=r"a\.txt:2: not UTF-8"):
        list(text.documents(text.text_files(tmp_path)))


def test_damaged_compression_is_refused(tmp_path):
    whole = lzma.compress("\n".join(f"line {random.Random(n).random()}" for n in range(5000)).encode())
    (tmp_path / "a.txt.xz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"a\.txt\.xz: damaged xz stream after line \d+"):
        list(text.documents(text.text_files(tmp_path)))


def test_a_folder_without_text_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="no file matches"):
        text.text_files(tmp_path)


def test_empty_text_is_refused(prepared, tmp_path):
    (tmp_path / "a.txt").write_text("\n\n \n")
    with pytest.raises(ValueError, match="no text in"):
        text.encode([tmp_path / "a.txt"], prepared[0], tmp_path)


def test_encoded_corpus_holds_the_text(folder, prepared):
    tokenizer, corpus, _ = prepared
    texts = list(text.documents([folder / "train.txt"]))
    assert corpus.n_documents == len(texts) == 40
    for number, paragraphs in enumerate(texts):
        ids = corpus.tokens[corpus.starts[number] : corpus.starts[number + 1]]
        assert ids.tolist() == [
            i for p in paragraphs for i in tokenizer(p, add_special_tokens=False).input_ids
        ]
    # Every sentence is announced by its document's own word, so a unit begins where that word does.
    begins = {tokenizer.decode(corpus.tokens[u : u + 4]).split()[0][:2] for u in corpus.units}
    assert begins <= {p[0][:2].lower() for p in texts}


def test_windows_stay_within_documents_and_cover_them(prepared):
    corpus = prepared[1]
    for length in (13, 29, 10_000):
        for shift in (0, 5, -6):
            windows = corpus.windows(length, shift)
            first = np.searchsorted(corpus.starts, windows[:, 0], side="right") - 1
            last = np.searchsorted(corpus.starts, windows[:, 1] - 1, side="right") - 1
            sizes = np.diff(corpus.starts)
            np.testing.assert_array_equal(first, last)
            np.testing.assert_array_equal(np.diff(windows)[:, 0], np.minimum(length, sizes[first]))
            np.testing.assert_array_equal(np.bincount(first), -(-sizes // length))
    seen = np.zeros(len(corpus.tokens), bool)
    for shift in range(-14, 15):
        for begin, end in corpus.windows(29, shift):
            seen[begin:end] = True
    assert seen.all()


def test_hub_data_sets_become_documents(tmp_path):
    import pandas

    rows = ["First line.\nSecond line.\n", " = A title = \n", "", "One.\n", " = = Part = = \n", "Two.\n"]
    rows += [" = Another title = \n", "Three.\n"]
    pandas.DataFrame({"text": rows}).to_parquet(tmp_path / "train-00000-of-00001.parquet")
    assert list(text.hub_documents(str(tmp_path))) == [
        ["First line.", "Second line."],
        ["= A title =", "One.", "= = Part = =", "Two."],
        ["= Another title =", "Three."],
    ]
    pandas.DataFrame({"words": rows}).to_parquet(tmp_path / "train-00000-of-00001.parquet")
    with pytest.raises(ValueError, match="no text column, but words"):
        list(text.hub_documents(str(tmp_path)))
