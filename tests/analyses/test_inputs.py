"""What a run reads is checked before it begins."""

import json
from pathlib import Path

import pytest

from helpers import analyses, corpora, profiles
from helpers.analyses import finetuning, inputs
from helpers.corpora import edges


def given(tmp_path, name, *files):
    folder = tmp_path / name
    folder.mkdir()
    for file in files:
        (folder / file).touch()
    return {name: str(folder)}


GUM = [f"en_gum-{split}.conllu" for split in ("train", "dev", "test")]


def test_every_analysis_says_what_it_reads():
    assert list(inputs.READS) == list(analyses.ANALYSES)


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("gum", {}, "this run does not read gum; these do: edge_probing, .*amnesic with suite=open"),
        ("wikitext-2", {}, "this run does not read wikitext-2; no analysis does$"),
        ("text", {}, "not read text; these do: rsa, .*similarity_measures with text=text$"),
        ("mnli", {}, "not read mnli; these do: finetuning, .* with tasks.NLI.corpus=mnli$"),
        ("ud:mine.v2", {}, "these do: .* with suite=ud:mine.v2; .* with tasks.Dep.corpus=ud:mine.v2$"),
        ("edges", {}, "not read edges; these do: edge_probing, .*amnesic with suite=json$"),
    ],
)
def test_a_folder_that_is_not_read_is_refused_with_the_analyses_that_would(name, changes, message, tmp_path):
    settings = profiles.settings("quick", paths=given(tmp_path, name), **changes)
    with pytest.raises(ValueError, match=message):
        inputs.check_corpora(settings)


def test_a_folder_that_another_analysis_reads_is_refused(tmp_path):
    settings = profiles.settings("quick", suite="open", paths=given(tmp_path, "gum", *GUM))
    inputs.check_corpora(settings)
    inputs.check_corpora(settings, ["control_task"])
    others = "edge_probing, control_task, description_length, amnesic"
    with pytest.raises(ValueError, match=f"not read gum; these do: {others}$"):
        inputs.check_corpora(settings, ["rsa", "finetuning"])
    with pytest.raises(ValueError, match=r"unknown analysis 'ras' \(did you mean 'rsa'\?\); valid: finetun"):
        inputs.check_corpora(settings, ["ras"])


def test_folders_and_their_files_are_there(tmp_path):
    absent = profiles.settings("quick", suite="open", paths={"gum": str(tmp_path / "absent")})
    with pytest.raises(FileNotFoundError, match="absent: no such file or folder; it was given for gum"):
        inputs.check_corpora(absent)
    half = profiles.settings("quick", suite="open", paths=given(tmp_path, "gum", *GUM[:2]))
    with pytest.raises(FileNotFoundError, match=r"gum \(test\) expects en_gum-test.conllu"):
        inputs.check_corpora(half)
    mnli = given(tmp_path, "mnli", "data.parquet")
    inputs.check_corpora(profiles.settings("laptop", paths=mnli))
    squad = given(tmp_path, "squad", "train-v1.1.json")
    with pytest.raises(FileNotFoundError, match=r"squad \(dev\) expects dev-v1.1.json"):
        inputs.check_corpora(profiles.settings("laptop", paths=squad))
    with pytest.raises(FileNotFoundError, match="no task in it"):
        inputs.check_corpora(profiles.settings("quick", suite="json", paths=given(tmp_path, "edges")))


def test_corpora_suit_their_tasks():
    with pytest.raises(ValueError, match="NLI cannot be tuned on squad; it can be on mnli, mnli-red"):
        inputs.check_corpora(profiles.settings("quick", **{"tasks.NLI.corpus": "squad"}))
    for name in profiles.PROFILES:
        inputs.check_corpora(profiles.settings(name))


def test_the_encoder_loads_before_anything_is_computed(tmp_path):
    inputs.check(profiles.settings("smoke"))
    (tmp_path / "model").mkdir()
    with pytest.raises(ValueError, match="model: not an encoder's folder, it has no config.json"):
        inputs.check(profiles.settings("smoke", encoder=str(tmp_path / "model")))
    (tmp_path / "model" / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(ValueError, match="model") as caught:
        inputs.check(profiles.settings("smoke", encoder=str(tmp_path / "model")))
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_what_analyses_are_said_to_read_is_what_they_read(monkeypatch):
    """Each analysis at the smoke profile, with every corpus that it loads noted."""
    # The store of the book's own test, in which corpora are fetched and models tuned.
    monkeypatch.setenv("FINETUNING_BOOK_HOME", str(Path(__file__).resolve().parents[2] / "_build" / "tests"))
    seen = set()
    load, load_edges = corpora.load, edges.load

    def noting(name, *rest, **options):
        seen.add(name)
        return load(name, *rest, **options)

    def noting_edges(task, split, suite, **options):
        seen.update(edges.SUITES[suite][task].corpora)
        return load_edges(task, split, suite, **options)

    monkeypatch.setattr(corpora, "load", noting)
    monkeypatch.setattr(edges, "load", noting_edges)
    settings = profiles.settings("smoke")
    for name, run in analyses.ANALYSES.items():
        finetuning.load_records.cache_clear()
        analyses.edge._records.cache_clear()
        seen.clear()
        run(settings)
        assert seen == inputs.READS[name](settings), name
