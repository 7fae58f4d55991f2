"""Running the analyses: what is saved with a table, and what fails costs the others nothing."""

import pytest

from helpers import analyses, profiles, progress, provenance, results
from helpers.analyses import runner

SETTINGS = profiles.settings("smoke")


@pytest.fixture
def registry(tmp_path, monkeypatch):
    """An empty registry of analyses; yields the folder that runs are recorded into."""
    monkeypatch.setenv("FINETUNING_BOOK_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(results, "RECORDED", tmp_path / "recorded")
    monkeypatch.setattr(runner, "ANALYSES", {})
    return tmp_path / "recorded" / "smoke"


@pytest.fixture
def three(registry):
    """Three small analyses, the second of which fails after its first row."""

    def rows(name):
        yield dict(analysis=name, metric="las", value=0.5)
        if name == "second":
            raise FloatingPointError("loss is nan at step 3")

    for name in ("first", "second", "third"):
        runner.analysis(name)(lambda settings, name=name: rows(name))
    return registry


def test_a_failure_is_reported_and_the_others_are_recorded(three, monkeypatch):
    messages = []
    monkeypatch.setattr(progress, "say", messages.append)
    with pytest.raises(
        RuntimeError, match=r"1 of 3 analyses failed: second \(FloatingPointError: loss is nan"
    ):
        analyses.run_all(SETTINGS, record=True)
    assert sorted(p.stem for p in three.glob("*.csv")) == ["first", "third"]
    assert any("loss is nan at step 3" in message for message in messages)


def test_a_choice_of_analyses(three):
    analyses.run_all(SETTINGS, only=["third"], record=True)
    assert [p.stem for p in three.glob("*.csv")] == ["third"]
    with pytest.raises(ValueError, match="unknown analysis 'fourth'; valid: first, second, third"):
        analyses.run_all(SETTINGS, only=["fourth"])


def test_an_analysis_is_a_function_to_rows_and_details(registry):
    calls = []

    @runner.analysis("mine")
    def mine(settings):
        """What it shows."""
        calls.append(settings)
        rows = [dict(analysis="mine", metric="las", layer=3, value=0.25)]
        return rows, dict(data="hash", failed={} if len(calls) > 1 else {"a point": "why"})

    frame = mine(SETTINGS)
    assert list(frame.columns) == results.COLUMNS and frame["layer"].tolist() == [3]
    assert mine.__doc__ == "What it shows." and list(runner.ANALYSES) == ["mine"]
    entry = provenance.read(results.folder(SETTINGS))["mine"]
    assert entry["data"] == "hash" and entry["seconds"] >= 0
    # A table that lacks points is computed again, a whole one is not.
    for _ in range(2):
        assert analyses.tables(SETTINGS)["mine"]["value"].tolist() == [0.25]
    assert len(calls) == 2


def test_every_analysis_of_the_book_is_registered_under_its_tables_name():
    assert list(analyses.ANALYSES) == [
        "finetuning", "corpus_baselines", "pair_probe", "rsa", "rsa_by_rate", "out_of_domain",
        "structural_probe", "edge_probing", "control_task", "partial_freezing", "truncation",
        "reinitialisation",
    ]  # fmt: skip
