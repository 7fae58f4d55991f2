"""Where numbers come from: commit, settings, encoder, and how pages say it."""

import functools
import json
import shutil
import subprocess

import pytest
import torch

from helpers import profiles, provenance

SETTINGS = profiles.settings("smoke")


def test_the_commit_is_that_of_the_code_a_process_began_with(tmp_path, monkeypatch):
    def git(*command):
        who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        subprocess.run(["git", *who, *command], cwd=tmp_path, check=True, capture_output=True)

    code, recorded = tmp_path / "helpers" / "results.py", tmp_path / "book" / "recorded" / "rsa.csv"
    monkeypatch.setattr(provenance, "__file__", str(code))
    monkeypatch.setattr(provenance, "commit", functools.cache(provenance.commit.__wrapped__))
    assert provenance.commit() == ""
    for path in (code, recorded):
        path.parent.mkdir(parents=True)
        path.write_text("one")
    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "--message", "one")
    recorded.write_text("two")
    provenance.commit.cache_clear()
    clean = provenance.commit()
    assert len(clean) == 40
    code.write_text("two")
    assert provenance.commit() == clean
    provenance.commit.cache_clear()
    assert provenance.commit() == clean + "+changes"


def test_overridden_settings_do_not_overwrite_the_profiles_results():
    changed = profiles.settings("smoke", n_tokens=100)
    assert provenance.run_name(SETTINGS) == "smoke"
    assert provenance.run_name(changed).startswith("smoke-")
    assert provenance.run_name(changed) != provenance.run_name(profiles.settings("smoke", n_tokens=101))


def test_local_folders_are_not_told_in_the_provenance():
    settings = profiles.settings("smoke", paths={"ud-ewt": "/home/someone/ewt"})
    assert "/home/someone" not in json.dumps(provenance.entry(settings))


@pytest.mark.parametrize("place", ["minilm-mlm", "minilm-mlm/model"])  # the latter is what pretrain writes
def test_of_an_encoders_folder_the_name_is_told(tmp_path, place):
    from helpers import encoders

    folder = tmp_path / place
    shutil.copytree(encoders.resolve("tiny"), folder)
    settings = profiles.settings("smoke", encoder=str(folder))
    saved = provenance.entry(settings)
    assert saved["settings"]["encoder"] == "minilm-mlm" and str(tmp_path) not in json.dumps(saved)
    assert provenance.encoder_name(saved) == "minilm-mlm"
    assert provenance.is_current(json.loads(json.dumps(saved)), settings)
    assert not provenance.is_current(json.loads(json.dumps(saved)), SETTINGS)


def test_the_number_of_threads_is_recorded_and_decides_nothing():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        entry = json.loads(json.dumps(provenance.entry(SETTINGS)))
        assert entry["threads"] == 3
        torch.set_num_threads(1)
        assert provenance.is_current(entry, SETTINGS)
    finally:
        torch.set_num_threads(before)


def test_numbers_of_a_minibert_that_was_trained_further_since_are_told_apart():
    source = provenance.entry(profiles.settings("quick"))
    assert provenance.encoder_name(source) == "minibert"
    assert (
        provenance.encoder_name(source | {"weights": "0" * 64})
        == "minibert as it was before it was trained further"
    )
    assert provenance.describe(source).startswith(f"minibert; {provenance.hardware()}; commit ")


def test_a_run_of_two_encoders_says_which_analyses_are_of_which(tmp_path):
    entry = provenance.entry(profiles.settings("quick")) | {"hardware": "a machine"}
    entry["settings"] = json.loads(json.dumps(entry["settings"]))
    old = entry | {"weights": "0" * 64, "commit": "1" * 40}
    for name, source in (("rsa", entry), ("edge_probing", old), ("finetuning", entry | {"commit": "2" * 40})):
        provenance.add_entry(tmp_path, name, source)
    rows = provenance.origins(tmp_path).set_index("analyses")
    assert rows.index.tolist() == ["rsa, finetuning", "edge probing"]
    assert rows["encoder"].tolist() == ["minibert", "minibert as it was before it was trained further"]
    assert rows.loc["edge probing", "commit"] == "1" * 10
    assert rows.loc["rsa, finetuning", "commit"].endswith(", " + "2" * 10)
    assert (rows["fine-tuning seeds"] == 2).all()
    first = "Dep on uds-dep, 1,000 records, 1 epoch, dropout 0; NLI on uds-nli, 800 records"
    assert rows["tuned"].str.startswith(first).all()


def test_analyses_of_models_that_were_tuned_otherwise_are_told_apart(tmp_path):
    entry = json.loads(json.dumps(provenance.entry(profiles.settings("quick"))))
    other = json.loads(json.dumps(entry))
    del other["settings"]["tasks"][0]["recipe"]["dropout"]
    for name, source in (("rsa", entry), ("edge_probing", other), ("truncation", entry)):
        provenance.add_entry(tmp_path, name, source)
    rows = provenance.origins(tmp_path).set_index("analyses")
    assert rows.index.tolist() == ["rsa", "edge probing", "truncation"]
    assert rows.loc["edge probing", "tuned"].startswith(
        "Dep on uds-dep, 1,000 records, 1 epoch, the encoder's dropout"
    )
    assert rows.loc["truncation", "tuned"].startswith("Dep on uds-dep, 200 records")  # the sweep's own sizes
    assert rows.loc["truncation", "fine-tuning seeds"] == 1
