"""The registry of probing tasks: every suite on files in official formats, and recounts of the real ones."""

import csv
import itertools
import re
import tarfile
from collections import Counter
from pathlib import Path

import pytest

from helpers import corpora, profiles, results
from helpers.corpora import edge_json, edges, uds
from helpers.corpora.records import LabelledSpans, Target

UD = """# newdoc id = {document}
# sent_id = {document}-0001
1\tDogs\tdog\tNOUN\tNNS\t_\t2\tnsubj\t_\t_
2\tbark\tbark\tVERB\tVBP\t_\t0\troot\t_\t_

"""
TREE = """
    Dogs dog NNS 2 nsubj
    bark bark VBP 0 root
"""
CONLL = """#begin document ({name}); part 000
{name} 0 0 {word} NNP (TOP(S(NP*) - - - - (PERSON) (ARG0*) (1)
{name} 0 1 barks VBZ (VP* bark 01 1 - * (V*) -
{name} 0 2 it PRP (NP*)))) - - - - * (ARG1*) (1)

#end document
"""
ROOM = {"train": "train", "dev": "development", "test": "test"}
SEMEVAL = '{0}\t"The <e1>cup</e1> of <e2>tea</e2> {0}."\n{1}\nComment:\n\n'
TINY_WHEEL = "decomp-0.3.2-py3-none-any.whl"


@pytest.fixture(scope="module")
def official(tmp_path_factory) -> dict[str, Path]:
    """Folders with small files in the official layouts, by corpus."""
    place = tmp_path_factory.mktemp("official")
    folders = {name: place / name for name in ("ud-ewt", "semeval-2010-task8", "ontonotes", "spr1", "edges")}
    for folder in folders.values():
        folder.mkdir()
    for split in edges.SPLITS:
        document = f"email-{split}"
        (folders["ud-ewt"] / f"en_ewt-ud-{split}.conllu").write_text(UD.format(document=document))
        for language, word in (("english", "Rex"), ("arabic", "Kalb")):
            name = f"nw/{split}/{language}_01"
            file = (
                folders["ontonotes"]
                / f"v4/data/{ROOM[split]}/data/{language}/annotations/{name}.v4_gold_conll"
            )
            file.parent.mkdir(parents=True)
            file.write_text(CONLL.format(name=name, word=word))
        record = LabelledSpans(
            f"spr-{split}",
            ("Rex", "barks", "loudly"),
            (Target((1, 2), (0, 1), ("sentient", "volition")), Target((1, 2), (2, 3), ())),
        )
        edge_json.write(folders["spr1"] / f"spr1.{split}.json", [record])
        for task, spelled in (("pos", "train-{}.json"), ("colours", "{}.json")):
            (folders["edges"] / task).mkdir(exist_ok=True)
            target = Target((0, 1), None, (f"{task}-{split}",))
            rows = [LabelledSpans(f"{i}", ("w", str(i)), (target,) if i % 2 else ()) for i in range(40)]
            edge_json.write(folders["edges"] / task / spelled.replace("train-", "x-").format(split), rows)
    train = "".join(SEMEVAL.format(i, "Content-Container(e2,e1)" if i % 2 else "Other") for i in range(1, 41))
    (folders["semeval-2010-task8"] / "TRAIN_FILE.TXT").write_text(train)
    (folders["semeval-2010-task8"] / "TEST_FILE_FULL.TXT").write_text(SEMEVAL.format(8001, "Other"))
    return folders


@pytest.fixture
def wheel(make_graph, make_wheel, own_home):
    """A folder with a tiny wheel in which each split has two sentences, one with an argument."""
    graphs = {
        split: {
            f"{split}-1": make_graph(
                f"{split}-1", TREE, {2: {"arguments": {1: {"volition": (1.2, 1)}}}},
                {1: {"wordsense": {"supersense-noun.animal": (1.5, 1)}}},
            ),
            f"{split}-2": make_graph(f"{split}-2", "Tea tea NN 0 root"),
        }
        for split in edges.SPLITS
    }  # fmt: skip
    return make_wheel(graphs, {key: f"email-{s}" for s in graphs for key in graphs[s]}, TINY_WHEEL).parent


def test_tasks_of_uds(wheel):
    paths = {"uds-dep": wheel}
    assert edges.tasks("uds", paths) == ("POS", "Constituents", "Dependencies", "Entities", "SRL", "SPR2")
    words = ("Dogs", "bark")
    expected = {
        "POS": (Target((0, 1), None, ("NNS",)), Target((1, 2), None, ("VBP",))),
        "Dependencies": (Target((0, 1), (1, 2), ("nsubj",)), Target((1, 2), (1, 2), ("root",))),
        "Entities": (Target((0, 1), None, ("animal",)),),
        "SRL": (Target((1, 2), (0, 1), ("subject",)),),
        "SPR2": (Target((1, 2), (0, 1), ("volition",)),),
    }
    for task, targets in expected.items():
        record = edges.load(task, "dev", "uds", paths=paths)[0]
        assert record == LabelledSpans("email-dev-0001", words, targets, "email-dev", "email")
    # Of the second sentence, "Tea", words and phrases are labelled; without targets it is left out.
    phrases = edges.load("Constituents", "dev", "uds", paths=paths)
    assert [target.labels for target in phrases[1].targets] == [("NP",)]
    for task, n in {"POS": 2, "Dependencies": 2, "Entities": 1, "SRL": 1, "SPR2": 1}.items():
        assert len(edges.load(task, "dev", "uds", paths=paths)) == n


def test_targets_are_made_once_and_anew_if_the_files_change(wheel, monkeypatch):
    paths = {"uds-dep": wheel}
    first = edges.load("Entities", "dev", "uds", paths=paths)
    with monkeypatch.context() as patch:
        patch.setattr(uds, "load", lambda *_, **__: pytest.fail("read again"))
        assert edges.load("Entities", "dev", "uds", paths=paths) == first
        # The targets of the wheel's other tasks were made along with these.
        for task, split in itertools.product(edges.tasks("uds", paths), edges.SPLITS):
            assert edges.load(task, split, "uds", paths=paths)
        with open(wheel / TINY_WHEEL, "ab") as file:
            file.write(b"\0")
        with pytest.raises(pytest.fail.Exception, match="read again"):
            edges.load("Entities", "dev", "uds", paths=paths)


def test_open_with_local_folders(own_home, official):
    paths = {name: official[name] for name in ("ud-ewt", "semeval-2010-task8")}
    assert edges.tasks("open", paths) == ("POS", "Dependencies", "SPR2", "Relations")
    (record,) = edges.load("Dependencies", "test", "open", paths=paths)
    assert record.targets == (Target((0, 1), (1, 2), ("nsubj",)), Target((1, 2), (1, 2), ("root",)))
    train, dev = (edges.load("Relations", split, "open", paths=paths) for split in ("train", "dev"))
    assert sorted(int(r.id) for r in train + dev) == list(range(1, 41))
    assert 0 < len(dev) < 15
    assert [r.id for r in edges.load("Relations", "test", "open", paths=paths)] == ["8001"]
    assert {r.targets[0].labels for r in train} == {("Content-Container(e2,e1)",), ("Other",)}


def test_the_ontonotes_suite(own_home, official):
    paths = {name: official[name] for name in ("ud-ewt", "semeval-2010-task8", "ontonotes", "spr1")}
    assert edges.missing("ontonotes", paths) == {}
    assert set(edges.tasks("ontonotes", paths)) == set(edges.TASKS) - {"SPR2"}

    def targets(task):
        (record,) = edges.load(task, "dev", "ontonotes", paths=paths)  # one file: the English one
        return record.targets

    assert [t.labels for t in targets("POS")] == [("NNP",), ("VBZ",), ("PRP",)]
    assert {(t.span1, t.labels) for t in targets("Constituents")} >= {((0, 3), ("S",)), ((1, 3), ("VP",))}
    assert targets("Entities") == (Target((0, 1), None, ("PERSON",)),)
    assert targets("SRL") == (Target((1, 2), (0, 1), ("ARG0",)), Target((1, 2), (2, 3), ("ARG1",)))
    assert targets("Coreference") == (Target((0, 1), (2, 3), ("1",)),)
    assert targets("SPR1") == (Target((1, 2), (0, 1), ("sentient", "volition")), Target((1, 2), (2, 3), ()))
    assert edges.load("POS", "train", "ontonotes", paths=paths)[0].words == ("Rex", "barks", "it")


def test_a_folder_of_jiants_files(own_home, official):
    paths = {"edges": official["edges"]}
    assert edges.tasks("json", paths) == ("POS", "colours")  # a task by another name is one as well
    labels = {t.labels for r in edges.load("POS", "train", "json", paths=paths) for t in r.targets}
    assert labels == {("pos-train",)}
    assert len(edges.load("colours", "dev", "json", paths=paths)) == 20  # those with targets
    assert edges.sources("json", paths) == {"POS": "pos", "colours": "colours"}


def test_a_sample_is_fixed_nested_and_in_order(own_home, official):
    paths = {"edges": official["edges"]}
    everything = edges.load("colours", "train", "json", paths=paths)
    five, ten = (edges.load("colours", "train", "json", paths=paths, limit=n) for n in (5, 10))
    assert len(five) == 5 and len(ten) == 10
    assert [r for r in ten if r in five] == five
    assert [r for r in everything if r in ten] == ten
    assert [int(r.id) for r in five] != [1, 3, 5, 7, 9]  # not the corpus's beginning
    assert edges.load("colours", "train", "json", paths=paths, limit=1000) == everything
    with pytest.raises(ValueError, match="limit must be at least 1"):
        edges.load("colours", "train", "json", paths=paths, limit=0)
    # The same sentences for every task that has them.
    assert [r.id for r in edges.load("POS", "train", "json", paths=paths, limit=5)] == [r.id for r in five]


def test_missing_folders_are_named():
    lacking = edges.missing("open")
    assert set(lacking) == {"Constituents", "Entities", "SRL", "Coreference", "Relations"}
    assert edges.tasks("open") == ("POS", "Dependencies", "SPR2")
    assert lacking["SRL"].startswith("SRL needs local folders (propbank-ewt with **/*.gold_skel")
    assert lacking["Entities"].endswith('paths={"gum": <folder>}')
    with pytest.raises(ValueError, match=r"Relations needs .*TRAIN_FILE.TXT, TEST_FILE_FULL.TXT\): paths="):
        edges.load("Relations", "dev", "open")
    assert edges.missing("uds") == {}


def test_unknown_names(official, tmp_path):
    paths = {"edges": official["edges"]}
    for call, message in (
        (lambda: edges.tasks("ptb"), "unknown suite 'ptb'; valid: uds, open, ontonotes, json"),
        (lambda: edges.load("NER", "dev", "uds"), "unknown task of the suite uds 'NER'; valid: POS, .*SPR2"),
        (lambda: edges.load("Coreference", "dev", "uds"), "unknown task of the suite uds 'Coreference'"),
        (
            lambda: edges.load("SRL", "dev", "json", paths=paths),
            "of the suite json 'SRL'; valid: POS, colours",
        ),
        (lambda: edges.load("POS", "valid", "uds"), "unknown split 'valid'; valid: train, dev, test"),
        (
            lambda: edges.tasks("uds", {"udsdep": "x"}),
            "unknown corpus 'udsdep' .did you mean 'uds-dep'.*; valid: ud-ewt, .*edges",
        ),
        (lambda: edges.tasks("json"), r"the suite json needs .*paths=\{\"edges\": <folder>\}"),
        (lambda: corpora.load("spr1", "dev"), "spr1 has labels to probe for; helpers.corpora.edges.load"),
        (
            lambda: corpora.files("spr1", "dev"),
            r"spr1 cannot be downloaded; .*: paths=\{\"spr1\": <folder>\}",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    with pytest.raises(FileNotFoundError, match="nowhere: no such folder"):
        edges.tasks("json", {"edges": tmp_path / "nowhere"})
    with pytest.raises(FileNotFoundError, match="no task in it"):
        edges.tasks("json", {"edges": tmp_path})
    (tmp_path / "colours").mkdir()
    (tmp_path / "colours" / "train.json").write_text("{}")
    with pytest.raises(FileNotFoundError, match=r"colours: edges \(dev\) expects dev.json"):
        edges.load("colours", "train", "json", paths={"edges": tmp_path})
    with pytest.raises(FileNotFoundError, match=r"ontonotes \(train\) expects .*gold_conll"):
        edges.load("POS", "dev", "ontonotes", paths={"ontonotes": tmp_path})


def test_labels_that_count_by_themselves():
    roles = edges.clean("SRL", "open")
    kept = {"ARG0", "ARG5", "ARGA", "ARGM-TMP"}
    assert {
        r for r in (*kept, "R-ARG0", "C-ARG1", "C-V", "R-ARGM-LOC", "ARGM", "V", "ARG6") if roles(r)
    } == kept
    assert edges.clean("SRL", "uds") is None
    assert [edges.clean("Coreference", "open")(label) for label in "01"] == [False, True]
    assert [edges.clean("Relations", "open")(r) for r in ("Other", "Cause-Effect(e1,e2)")] == [False, True]
    assert edges.clean("POS", "open") is edges.clean("SPR2", "uds") is None


def test_every_task_has_a_row_in_the_paper():
    with open(results.PAPER, encoding="utf-8") as file:
        rows = {row["inputs"] for row in csv.DictReader(file) if row["analysis"] == "edge_probing"}
    assert (
        set(edges.TASKS) - {"SPR2"} == set(edges.SUITES["ontonotes"]) == rows
    )  # the paper's suite is the paper's
    assert set(itertools.chain(*edges.SUITES.values())) == set(edges.TASKS)


# ---------------------------------------------------------------------------------------------------
# The real corpora


def test_uds_has_what_is_documented(real_wheel):
    tasks = edges.tasks("uds")
    rows = {task: {row["split"]: row for row in _rows(task, suite="uds")} for task in tasks}
    assert [row["sentences"] for row in rows["POS"].values()] == [12_543, 2_002, 2_077]
    assert [row["targets"] for row in rows["SPR2"].values()] == [5_669, 751, 670]
    assert len(rows["SPR2"]["train"]["labels"]) == 18
    for split in edges.SPLITS:
        assert rows["Dependencies"][split]["targets"] == rows["POS"][split]["targets"]
        for task in tasks:
            row = rows[task][split]
            assert row["targets"] >= row["sentences"] > 0 and len(row["labels"]) > 1
    assert edges.sources("uds") == dict.fromkeys(tasks, "UDS 2.0")


@pytest.fixture(scope="module")
def excerpts(real_data, tmp_path_factory) -> dict[str, Path]:
    """The first documents of each split of the real corpora, and PropBank's annotation of them."""
    place = tmp_path_factory.mktemp("excerpts")
    folders = {"semeval-2010-task8": real_data("semeval-2010-task8")}
    documents = set()
    for name, source, stem in (("ud-ewt", "ud-english-ewt", "en_ewt-ud"), ("gum", "gum", "en_gum")):
        folders[name] = place / name
        folders[name].mkdir()
        for split in edges.SPLITS:
            text = (real_data(source) / f"{stem}-{split}.conllu").read_text(encoding="utf-8")
            parts = text.split("# newdoc id = ")[:7]
            (folders[name] / f"{stem}-{split}.conllu").write_text(
                "# newdoc id = ".join(parts), encoding="utf-8"
            )
            documents.update(part.split("\n")[0].partition("-")[2] for part in parts[1:])
    folders["propbank-ewt"] = place / "propbank"
    with tarfile.open(real_data("propbank-ewt.tar.xz")) as archive:
        for member in archive:
            if Path(member.name).name.removesuffix(".xml.gold_skel") in documents:
                archive.extract(member, folders["propbank-ewt"], filter="data")
    return folders


def test_the_open_suite_recounted(excerpts, own_home):
    """Targets against plain counts in the files: lines, brackets and tags."""
    assert edges.missing("open", excerpts) == {}
    counts = {
        (row["task"], row["split"]): (row["sentences"], row["targets"])
        for task in ("POS", "SRL", "Entities", "Relations")
        for row in _rows(task, excerpts)
    }
    for split in edges.SPLITS:
        ewt = (excerpts["ud-ewt"] / f"en_ewt-ud-{split}.conllu").read_text(encoding="utf-8")
        assert counts["POS", split] == (ewt.count("# text = "), len(re.findall(r"(?m)^\d+\t", ewt)))
        gum = (excerpts["gum"] / f"en_gum-{split}.conllu").read_text(encoding="utf-8")
        opened = sum(cell.count("(") for cell in re.findall(r"Entity=([^|\n]*)", gum))
        opened -= len(re.findall(r"\[[2-9]/\d\]-", gum)) + len(re.findall(r"\(\d+\[1/\d\]-", gum))
        assert counts["Entities", split][1] == opened
    assert counts["Relations", "train"][0] + counts["Relations", "dev"][0] == 8_000
    assert counts["Relations", "test"] == (2_717, 2_717)
    # All sentences of the excerpt together, those that do not align excepted.
    cells = Counter()
    for file in excerpts["propbank-ewt"].rglob("*.gold_skel"):
        for line in file.read_text().splitlines():
            cells.update(label for cell in line.split()[8:] for label in re.findall(r"\(([^()*]+)", cell))
    arguments = cells.total() - cells["V"]
    found = sum(counts["SRL", split][1] for split in edges.SPLITS)
    assert 0.97 * arguments < found <= arguments


def _rows(task, paths=None, suite="open"):
    for split in edges.SPLITS:
        records = edges.load(task, split, suite, paths=paths)
        targets = [target for record in records for target in record.targets]
        labels = {label for target in targets for label in target.labels}
        counts = {"sentences": len(records), "targets": len(targets), "labels": labels}
        yield {"task": task, "split": split} | counts


def test_profiles_can_probe_what_they_name():
    for profile in profiles.PROFILES.values():
        assert edges.tasks(profile.suite, profile.paths)
