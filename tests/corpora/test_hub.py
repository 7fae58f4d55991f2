"""The Hub's format, from local folders written by the ``datasets`` library itself."""

import json
import re

import datasets
import pytest

from helpers import corpora
from helpers.corpora import hub, nli, squad
from helpers.corpora.fetch import FetchError
from helpers.corpora.records import CorpusError, Pair

LABELS = ("entailment", "neutral", "contradiction")
# Not in the order in which we list them, so that numbers cannot be taken for names.
CLASSES = ("neutral", "contradiction", "entailment")


@pytest.fixture(autouse=True)
def private_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def write(folder, split, rows, features=None):
    (folder / "data").mkdir(parents=True, exist_ok=True)
    table = datasets.Dataset.from_list(rows, features=features)
    table.to_parquet(folder / "data" / f"{split}-00000-of-00001.parquet")


def mnli_rows(labels):
    return [
        {
            "promptID": i // 3,
            "pairID": f"{i}x",
            "premise": f"P {i}",
            "premise_parse": "( P )",
            "hypothesis": f"H {i}",
            "genre": "fiction",
            "label": label,
        }
        for i, label in enumerate(labels)
    ]


def mnli_features(label):
    text = datasets.Value("string")
    return datasets.Features(
        {
            "promptID": datasets.Value("int32"),
            "pairID": text,
            "premise": text,
            "premise_parse": text,
            "hypothesis": text,
            "genre": text,
            "label": label,
        }
    )


@pytest.fixture
def mnli_folder(tmp_path):
    features = mnli_features(datasets.ClassLabel(names=list(CLASSES)))
    write(tmp_path / "mnli", "train", mnli_rows([0, 1, 2, -1, 2]), features)
    write(tmp_path / "mnli", "validation_matched", mnli_rows([2, 2]), features)
    write(tmp_path / "mnli", "validation_mismatched", mnli_rows([0]), features)
    return tmp_path / "mnli"


def test_labels_become_names_and_undecided_pairs_go(mnli_folder, said):
    train = hub.pairs("train", mnli_folder)
    assert [pair.label for pair in train] == ["neutral", "contradiction", "entailment", "entailment"]
    assert train[-1] == Pair("4x", "P 4", "H 4", "entailment", document="1", genre="fiction")
    assert said == [f"{mnli_folder} (train): 4 pairs, 1 more without a gold label left out"]
    assert [pair.label for pair in hub.pairs("dev", mnli_folder)] == ["entailment", "entailment"]
    assert len(said) == 1  # none left out, nothing to say


def test_the_same_pairs_as_from_the_official_file(mnli_folder, tmp_path):
    names = dict(enumerate(CLASSES)) | {-1: "-"}
    rows = [
        {
            "gold_label": names[row["label"]],
            "sentence1": row["premise"],
            "sentence2": row["hypothesis"],
            "pairID": row["pairID"],
            "promptID": str(row["promptID"]),
            "genre": row["genre"],
        }
        for row in mnli_rows([0, 1, 2, -1, 2])
    ]
    path = tmp_path / "multinli_1.0_train.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert hub.pairs("train", mnli_folder) == nli.read(path)
    assert corpora.load("mnli", "train", path=mnli_folder) == corpora.load("mnli", "train", path=tmp_path)


def squad_rows(start=12):
    context = "Zoë 😀 sells tea in Łódź."
    return [
        {
            "id": "q1",
            "title": "Tea",
            "context": context,
            "question": "What?",
            "answers": {"text": ["tea", "tea"], "answer_start": [12, start]},
        },
        {
            "id": "q2",
            "title": "Tea",
            "context": context,
            "question": "Where?",
            "answers": {"text": ["Łódź"], "answer_start": [19]},
        },
    ]


def test_squad_is_the_same_as_from_the_official_file(tmp_path):
    write(tmp_path / "squad", "train", squad_rows())
    write(tmp_path / "squad", "validation", squad_rows()[1:])
    train, dev = hub.questions("train", tmp_path / "squad"), hub.questions("dev", tmp_path / "squad")
    squad.write(train, tmp_path / "official" / "train-v1.1.json")
    assert corpora.load("squad", "train", path=tmp_path / "official") == train
    assert corpora.load("squad", "dev", path=tmp_path / "squad") == dev == train[1:]


def test_wrong_data_sets_are_refused(tmp_path):
    write(tmp_path / "offset", "train", squad_rows(start=13))
    with pytest.raises(CorpusError, match=r"offset \(train\): question q1: expected the answer 'tea'"):
        hub.questions("train", tmp_path / "offset")
    unanswerable = squad_rows()
    unanswerable[1]["answers"] = {"text": [], "answer_start": []}
    write(tmp_path / "v2", "train", unanswerable)
    with pytest.raises(CorpusError, match="question q2: expected at least one answer"):
        hub.questions("train", tmp_path / "v2")
    write(tmp_path / "other", "train", [{"text": "a", "label": 1}])
    with pytest.raises(CorpusError, match="expected the columns pairID, premise.*found text, label"):
        hub.pairs("train", tmp_path / "other")
    write(tmp_path / "plain", "train", mnli_rows([0, 1]), mnli_features(datasets.Value("int64")))
    with pytest.raises(CorpusError, match="expected a label feature with the classes entailment"):
        hub.pairs("train", tmp_path / "plain")
    write(
        tmp_path / "classes", "train", mnli_rows([0, 1]), mnli_features(datasets.ClassLabel(names=["a", "b"]))
    )
    with pytest.raises(CorpusError, match="expected a label feature with the classes entailment"):
        hub.pairs("train", tmp_path / "classes")


def test_a_split_the_folder_lacks(tmp_path):
    write(tmp_path / "mnli", "train", mnli_rows([0]), mnli_features(datasets.ClassLabel(names=list(CLASSES))))
    with pytest.raises(FetchError, match=r"could not load .*mnli \(validation_matched\).*path=<folder>"):
        hub.pairs("dev", tmp_path / "mnli")


def test_no_connection_and_no_code_of_others(monkeypatch):
    calls = []

    def refuse(*args, **options):
        calls.append((args, options))
        raise ConnectionError("Couldn't reach the Hub\nand so on")

    monkeypatch.setattr(datasets, "load_dataset", refuse)
    for name, split in (("mnli", "dev"), ("squad", "train")):
        with pytest.raises(
            FetchError, match="ConnectionError: Couldn't reach the Hub. Without a connection, give"
        ):
            corpora.load(name, split)
    assert calls == [
        ((name,), {"split": split, "revision": hub.REVISIONS[name]})
        for name, split in (("nyu-mll/multi_nli", "validation_matched"), ("rajpurkar/squad", "train"))
    ]
    assert all(re.fullmatch("[0-9a-f]{40}", commit) for commit in hub.REVISIONS.values())
