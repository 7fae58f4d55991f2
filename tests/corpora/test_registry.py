"""Corpora by name: where files are looked for, what errors say, how samples are drawn."""

import bz2
import hashlib
import subprocess
import sys
from dataclasses import replace

import pytest

from helpers import corpora
from helpers.corpora import conllu, fetch, squad, wikipedia
from helpers.corpora.fetch import FetchError, File, Source
from helpers.corpora.records import Answer, Pair, Question, Sentence

SENTENCE = "# sent_id = {0}\n1\tw{0}\tw\tX\tX\t_\t0\troot\t_\t_\n\n"


@pytest.fixture(autouse=True)
def own_store(tmp_path, monkeypatch):
    monkeypatch.setenv("FINETUNING_BOOK_HOME", str(tmp_path / "home"))


@pytest.fixture
def folder(tmp_path):
    """A folder with official files of several corpora."""
    place = tmp_path / "official"
    place.mkdir()
    (place / "en_ewt-ud-dev.conllu").write_text("".join(SENTENCE.format(i) for i in range(100)))
    (place / "multinli_1.0_dev_matched.jsonl").write_text(
        '{"gold_label": "neutral", "sentence1": "P", "sentence2": "H", "pairID": "1"}\n'
    )
    squad.write([Question("q", "What?", "Tea.", (Answer("Tea", 0),), "T")], place / "train-v1.1.json")
    return place


def test_unknown_names_splits_and_limits(folder):
    with pytest.raises(ValueError, match="unknown corpus 'ptb'; valid: ud-ewt, gum, mnli, .*uds-qa"):
        corpora.load("ptb", "dev")
    with pytest.raises(ValueError, match="unknown split of mnli 'test'; valid: train, dev$"):
        corpora.load("mnli", "test", path=folder)
    with pytest.raises(ValueError, match="unknown split of wikipedia 'train'; valid: all"):
        corpora.load("wikipedia", "train")
    with pytest.raises(ValueError, match="limit must be at least 1"):
        corpora.load("ud-ewt", "dev", path=folder, limit=0)


def test_local_folders(folder):
    assert corpora.load("ud-ewt", "dev", path=folder) == conllu.read(folder / "en_ewt-ud-dev.conllu")
    for name in ("mnli", "mnli-reduced"):
        assert corpora.load(name, "dev", path=folder) == [Pair("1", "P", "H", "neutral")]
    for name in ("squad", "squad-reduced"):
        assert corpora.load(name, "train", path=str(folder))[0].answers == (Answer("Tea", 0),)


def test_the_file_itself_will_do_if_it_can_only_be_that_split(folder):
    file = folder / "en_ewt-ud-dev.conllu"
    assert len(corpora.load("ud-ewt", "dev", path=file)) == 100
    with pytest.raises(
        FileNotFoundError, match=r"dev\.conllu: ud-ewt \(train\) expects en_ewt-ud-train\.conllu"
    ):
        corpora.load("ud-ewt", "train", path=file)


def test_missing_files_are_named_with_what_is_there(folder, tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        corpora.load("gum", "train", path=folder)
    assert "gum (train) expects en_gum-train.conllu or en_gum-ud-train.conllu" in str(caught.value)
    assert "in the folder: en_ewt-ud-dev.conllu, multinli_1.0_dev_matched.jsonl, train-v1.1.json" in str(
        caught.value
    )
    with pytest.raises(
        FileNotFoundError, match=r"nowhere: no such file or folder; squad \(dev\) expects dev-v1\.1"
    ):
        corpora.load("squad", "dev", path=tmp_path / "nowhere")
    (tmp_path / "bare").mkdir()
    with pytest.raises(FileNotFoundError, match="in the folder: nothing"):
        corpora.load("squad", "dev", path=tmp_path / "bare")


@pytest.mark.parametrize("name", ["gum", "mnli-reduced", "squad-reduced", "wikitext-2", "text"])
def test_corpora_without_a_source_need_a_folder(name):
    split = next(iter(corpora.CORPORA[name].files))
    with pytest.raises(
        ValueError, match=f"{name} cannot be downloaded; give a local folder with .*path=<folder>"
    ):
        corpora.load(name, split)
    with pytest.raises(ValueError, match=f"{name} cannot be downloaded"):
        corpora.download(["wikipedia", name])


def test_a_sample_is_fixed_spread_nested_and_in_order(folder):
    everything = [s.id for s in corpora.load("ud-ewt", "dev", path=folder)]
    samples = {
        n: [s.id for s in corpora.load("ud-ewt", "dev", path=folder, limit=n)] for n in (10, 40, 100, 1000)
    }
    assert [len(samples[n]) for n in samples] == [10, 40, 100, 100]
    assert samples[1000] == samples[100] == everything
    assert set(samples[10]) < set(samples[40])
    for sample in samples.values():
        assert sample == sorted(sample, key=everything.index)
    assert len({int(i) // 25 for i in samples[10]}) > 1  # not one stretch of the corpus


def test_plain_text_folder_and_file(tmp_path):
    (tmp_path / "b.txt").write_text("Second.")
    (tmp_path / "a.txt").write_text("First.")
    (tmp_path / "readme.md").write_text("No.")
    assert [p.text for p in corpora.load("text", "all", path=tmp_path)] == ["First.", "Second."]
    (tmp_path / "story").write_text("Third.")
    assert [p.text for p in corpora.load("text", "all", path=tmp_path / "story")] == ["Third."]


def test_wikipedia_is_parsed_once(tmp_path, monkeypatch):
    dump = (
        "<mediawiki><page><title>Tea</title><id>1</id><revision><text>{}</text></revision></page></mediawiki>"
    )
    path = tmp_path / "dump.xml.bz2"
    path.write_bytes(bz2.compress(dump.format("Tea is a hot “drink” from China.").encode()))
    first = corpora.load("wikipedia", "all", path=tmp_path)
    assert [(p.id, p.text, p.document) for p in first] == [("1.1", "Tea is a hot “drink” from China.", "Tea")]

    path.write_bytes(bz2.compress(dump.format("Tea is a cold drink from China.").encode()))
    assert [p.text for p in corpora.load("wikipedia", "all", path=path)] == [
        "Tea is a cold drink from China."
    ]
    monkeypatch.setattr(wikipedia, "read", lambda path: pytest.fail("parsed again"))
    path.write_bytes(bz2.compress(dump.format("Tea is a hot “drink” from China.").encode()))
    assert corpora.load("wikipedia", "all", path=path) == first


def test_download_load_describe_verify(tmp_path, folder, monkeypatch):
    """The life of a corpus that is fetched from addresses, with files on disk for a server."""
    for split in ("train", "test"):
        (folder / f"en_ewt-ud-{split}.conllu").write_text(SENTENCE.format(1))
    files = [folder / f"en_ewt-ud-{split}.conllu" for split in ("train", "dev", "test")]
    content = [(p.name, p.stat().st_size, hashlib.sha256(p.read_bytes()).hexdigest()) for p in files]
    offered = (File(*of, url=p.as_uri()) for of, p in zip(content, files, strict=True))
    source = Source("ud-ewt", tuple(offered))
    monkeypatch.setitem(fetch.SOURCES, "ud-ewt", source)

    (before,) = corpora.describe(["ud-ewt"])
    assert before["present"] is False
    assert corpora.verify(["ud-ewt"]) == [{"name": "ud-ewt", "ok": None, "detail": "not downloaded"}]

    corpora.download(["ud-ewt"])
    (after,) = corpora.describe(["ud-ewt"])
    assert after["present"] is True
    assert after["bytes"] == sum(p.stat().st_size for p in files)
    assert [file.name for file in after["files"]] == [p.name for p in files]
    assert len(corpora.load("ud-ewt", "dev")) == 100
    assert corpora.verify(["ud-ewt"]) == [{"name": "ud-ewt", "ok": True, "detail": "as recorded"}]

    stored = fetch.folder("ud-ewt") / files[0].name
    stored.write_text(stored.read_text().upper())
    (row,) = corpora.verify(["ud-ewt"])
    assert row["ok"] is False and "en_ewt-ud-train.conllu: content differs" in row["detail"]


def test_download_through_the_hub(monkeypatch):
    asked = []
    monkeypatch.setitem(
        corpora.CORPORA,
        "squad",
        replace(corpora.CORPORA["squad"], hub=lambda *where: asked.append(where), hub_name="a/b"),
    )
    corpora.download(["squad"])
    assert asked == [("train", "a/b"), ("dev", "a/b")]


def test_describe_lists_every_corpus():
    rows = corpora.describe()
    assert [row["name"] for row in rows] == list(corpora.CORPORA)
    assert all(row["what"] and row["licence"] and row["source"] and row["splits"] for row in rows)
    by_name = {row["name"]: row for row in rows}
    assert by_name["uds-nli"]["bytes"] == 81_705_254
    assert by_name["uds-nli"]["files"][0].sha256.startswith("f93dd0e8")
    assert by_name["ud-ewt"]["bytes"] > 17e6 and by_name["squad"]["bytes"] is None
    assert by_name["squad"]["source"] == "Hugging Face Hub: rajpurkar/squad"
    assert by_name["gum"]["source"].startswith("local folder with en_gum-train.conllu")
    assert by_name["gum"]["present"] is None
    assert {row["ok"] for row in corpora.verify()} == {None}


def test_recast_corpora_need_no_wheel_of_ones_own(tmp_path, monkeypatch):
    calls = []
    for name in ("uds-dep", "uds-nli", "uds-qa"):

        def make(split, *, wheel, name=name):
            calls.append((name, split, wheel))
            return [Sentence(str(i), ("w",)) for i in range(5)]

        monkeypatch.setitem(corpora.CORPORA, name, replace(corpora.CORPORA[name], make=make))
    wheel = tmp_path / "decomp-0.3.2-py3-none-any.whl"
    wheel.touch()
    for name, split in (("uds-dep", "train"), ("uds-nli", "dev"), ("uds-qa", "test")):
        assert len(corpora.load(name, split, limit=3)) == 3
    corpora.load("uds-qa", "dev", path=tmp_path)
    made = [("uds-dep", "train", None), ("uds-nli", "dev", None), ("uds-qa", "test", None)]
    assert calls == [*made, ("uds-qa", "dev", wheel)]
    with pytest.raises(FileNotFoundError, match=r"expects decomp-0\.3\.2-py3-none-any\.whl"):
        corpora.load("uds-qa", "dev", path=tmp_path / "home")


def test_a_failed_download_says_what_to_do(tmp_path, monkeypatch):
    gone = (tmp_path / "gone" / "en_ewt-ud-dev.conllu").as_uri()
    source = Source("ud-ewt", (File("en_ewt-ud-dev.conllu", 3, "0" * 64, url=gone),))
    monkeypatch.setitem(fetch.SOURCES, "ud-ewt", source)
    with pytest.raises(
        FetchError, match=r"give a local folder instead: path=<folder with en_ewt-ud-dev\.conllu>"
    ):
        corpora.load("ud-ewt", "dev")


def test_every_entry_says_how_it_becomes_records_of_its_kind():
    for name, corpus in corpora.CORPORA.items():
        assert corpus.name == name
        assert (corpus.read or corpus.make) is None if corpus.only_probed else (corpus.read or corpus.make)
        assert not (corpus.read and corpus.make) and not (corpus.source and corpus.hub)


def test_importing_the_registry_is_light():
    heavy = "datasets", "torch", "numpy", "pandas", "matplotlib", "IPython", "mwparserfromhell", "syntok"
    code = f"import sys, helpers.corpora; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "name, split, folder_name, n",
    [
        ("ud-ewt", "dev", "ud-english-ewt", 2_001),
        ("gum", "test", "gum", 1_464),
        ("mnli-reduced", "dev", "mnli-reduced", 2_001),
        ("squad-reduced", "dev", "squad-reduced", 1_918),
        ("wikitext-2", "dev", "wikitext-2", 2_226),
    ],
)
def test_real_corpora_by_name(real_data, name, split, folder_name, n):
    assert len(corpora.load(name, split, path=real_data(folder_name))) == n
