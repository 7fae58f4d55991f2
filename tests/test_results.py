"""Tables of results: their columns, their provenance, and the join with the paper's numbers."""

import functools
import json
import subprocess

import pandas as pd
import pytest

from helpers import profiles, results

SETTINGS = profiles.settings("smoke")
ROW = dict(analysis="rsa", metric="rsa_pearson", model="Dep", task="ud-ewt", inputs="wikipedia", layer=3)


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("FINETUNING_BOOK_HOME", str(tmp_path))
    return tmp_path


def test_saved_tables_come_back_with_their_provenance(home):
    frame = results.table([ROW | dict(value=0.5, ci_low=0.4, ci_high=0.6, seed=0, n=200)])
    path = results.save("rsa", frame, SETTINGS, seconds=1.5)
    assert path == home / "results" / "smoke" / "rsa.csv"
    pd.testing.assert_frame_equal(results.read(path), frame)
    known = results.read_provenance(path.parent)["rsa"]
    assert known["seconds"] == 1.5 and known["settings"]["name"] == "smoke" and known["packages"]["torch"]
    results.save("finetuning", frame, SETTINGS)
    assert set(results.read_provenance(path.parent)) == {"rsa", "finetuning"}


def test_a_table_counts_as_saved_only_for_the_settings_and_the_code_it_was_made_with(home, monkeypatch):
    settings = profiles.settings("smoke")
    frame = results.table([dict(analysis="rsa", metric="rsa_pearson", model="NLI", layer=3, value=0.5)])
    assert results.saved("rsa", settings) is None
    results.save("rsa", frame, settings)
    assert results.saved("rsa", settings)["value"].tolist() == [0.5]
    assert results.saved("rsa", profiles.settings("smoke", n_tokens=150)) is None
    monkeypatch.setattr(results, "code", lambda: "b" * 64)
    assert results.saved("rsa", settings) is None


def test_a_table_that_lacks_points_or_is_of_other_data_is_made_anew(home, tmp_path):
    text = tmp_path / "my.txt"
    text.write_text("One sentence.")
    settings = profiles.settings("smoke", text="text", paths={"text": str(tmp_path)})
    frame = results.table([dict(analysis="rsa", metric="rsa_pearson", model="NLI", layer=3, value=0.5)])
    results.save("rsa", frame, settings, failed={"NLI, seed 0": "MemoryError"})
    assert results.saved("rsa", settings) is None
    results.save("rsa", frame, settings, failed={})
    assert results.saved("rsa", settings) is not None
    text.write_text("Another sentence.")
    assert results.saved("rsa", settings) is None


def test_the_commit_is_that_of_the_code_a_process_began_with(tmp_path, monkeypatch):
    def git(*command):
        who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        subprocess.run(["git", *who, *command], cwd=tmp_path, check=True, capture_output=True)

    code, recorded = tmp_path / "helpers" / "results.py", tmp_path / "book" / "recorded" / "rsa.csv"
    monkeypatch.setattr(results, "__file__", str(code))
    monkeypatch.setattr(results, "commit", functools.cache(results.commit.__wrapped__))
    assert results.commit() == ""
    for path in (code, recorded):
        path.parent.mkdir(parents=True)
        path.write_text("one")
    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "--message", "one")
    recorded.write_text("two")
    results.commit.cache_clear()
    clean = results.commit()
    assert len(clean) == 40
    code.write_text("two")
    assert results.commit() == clean
    results.commit.cache_clear()
    assert results.commit() == clean + "+changes"


def test_overridden_settings_do_not_overwrite_the_profiles_results():
    changed = profiles.settings("smoke", n_tokens=100)
    assert results.run_name(SETTINGS) == "smoke"
    assert results.run_name(changed).startswith("smoke-")
    assert results.run_name(changed) != results.run_name(profiles.settings("smoke", n_tokens=101))


def test_local_folders_are_not_told_in_the_provenance():
    settings = profiles.settings("smoke", paths={"ud-ewt": "/home/someone/ewt"})
    assert "/home/someone" not in json.dumps(results.provenance(settings))


def test_unknown_and_missing_columns_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"unknown columns \['score'\]; results have analysis, metric"):
        results.table([dict(score=1)])
    (tmp_path / "x.csv").write_text("analysis,value\nrsa,1\n")
    with pytest.raises(ValueError, match="lacks the columns metric, model"):
        results.read(tmp_path / "x.csv")


def test_recorded_runs_are_copied_and_listed(home, monkeypatch):
    monkeypatch.setattr(results, "RECORDED", home / "recorded")
    results.save("rsa", results.table([ROW | dict(value=0.5)]), SETTINGS)
    results.record("rsa", SETTINGS)
    frame, source = results.recorded("smoke", "rsa")
    assert frame["value"].tolist() == [0.5] and source["settings"]["name"] == "smoke"
    with pytest.raises(FileNotFoundError, match="no recorded run paper/rsa; there are: smoke/rsa"):
        results.recorded("paper", "rsa")


def test_the_papers_numbers_are_complete_and_join_ours():
    rsa = results.paper("rsa")
    assert len(rsa) == 36 and set(rsa["model"]) == {"Dep", "NLI", "QA"}
    assert set(rsa["metric"]) == {"rsa_pearson"} and sorted(set(rsa["layer"])) == list(range(12))
    # The one number of that figure that its text gives: MNLI's second-to-last layer, 0.84.
    told = rsa[(rsa["model"] == "NLI") & (rsa["layer"] == 10)]["value"].item()
    assert told == pytest.approx(0.84, abs=0.005)
    text = results.paper("finetuning").set_index("model")["value"]
    assert text.to_dict() == {"NLI": 0.833, "QA": 0.892, "Dep": 0.963}
    with pytest.raises(ValueError, match="the paper has no analysis 'cka'; it has edge_probing"):
        results.paper("cka")


def test_numbers_of_a_minibert_that_was_trained_further_since_are_told_apart():
    source = results.provenance(profiles.settings("quick"))
    assert results.encoder_of(source) == "minibert"
    assert (
        results.encoder_of(source | {"weights": "0" * 64})
        == "minibert as it was before it was trained further"
    )
    assert results.told(source).startswith(f"minibert; {results.hardware()}; commit ")


def test_a_run_of_two_encoders_says_which_analyses_are_of_which(tmp_path):
    entry = results.provenance(profiles.settings("quick")) | {"hardware": "a machine"}
    entry["settings"] = json.loads(json.dumps(entry["settings"]))
    old = entry | {"weights": "0" * 64, "commit": "1" * 40}
    for name, source in (("rsa", entry), ("edge_probing", old), ("finetuning", entry | {"commit": "2" * 40})):
        results.add_entry(tmp_path, name, source)
    rows = results.origins(tmp_path).set_index("analyses")
    assert rows.index.tolist() == ["rsa, finetuning", "edge probing"]
    assert rows["encoder"].tolist() == ["minibert", "minibert as it was before it was trained further"]
    assert rows.loc["edge probing", "commit"] == "1" * 10
    assert rows.loc["rsa, finetuning", "commit"].endswith(", " + "2" * 10)
    assert (rows["fine-tuning seeds"] == 2).all()
    told = "Dep on uds-dep, 1,000 records, 1 epoch, dropout 0; NLI on uds-nli, 800 records"
    assert rows["tuned"].str.startswith(told).all()


def test_analyses_of_models_that_were_tuned_otherwise_are_told_apart(tmp_path):
    entry = json.loads(json.dumps(results.provenance(profiles.settings("quick"))))
    other = json.loads(json.dumps(entry))
    del other["settings"]["tasks"][0]["recipe"]["dropout"]
    for name, source in (("rsa", entry), ("edge_probing", other), ("truncation", entry)):
        results.add_entry(tmp_path, name, source)
    rows = results.origins(tmp_path).set_index("analyses")
    assert rows.index.tolist() == ["rsa", "edge probing", "truncation"]
    assert rows.loc["edge probing", "tuned"].startswith(
        "Dep on uds-dep, 1,000 records, 1 epoch, the encoder's dropout"
    )
    assert rows.loc["truncation", "tuned"].startswith("Dep on uds-dep, 300 records")  # the sweep's own sizes
    assert rows.loc["truncation", "fine-tuning seeds"] == 1
