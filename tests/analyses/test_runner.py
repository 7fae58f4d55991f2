"""Running the analyses: what is saved with a table, and what fails costs the others nothing."""

from pathlib import Path

import pytest

from helpers import analyses, profiles, progress, provenance, results, vocabulary
from helpers.analyses import runner
from helpers.corpora import CorpusError

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
        analyses.run_all(SETTINGS, record="smoke")
    assert sorted(p.stem for p in three.glob("*.csv")) == ["first", "third"]
    assert any("loss is nan at step 3" in message for message in messages)


def test_what_a_user_can_mend_is_said_once_and_not_traced(registry, monkeypatch):
    def rows(settings):
        raise CorpusError(Path("mnli.jsonl"), 3, "no gold label")
        yield

    for name in ("first", "second"):
        runner.analysis(name)(rows)
    messages = []
    monkeypatch.setattr(progress, "say", messages.append)
    with pytest.raises(
        runner.AnalysesFailed, match=r"2 of 2 analyses failed: first, second \(mnli"
    ) as caught:
        analyses.run_all(SETTINGS)
    assert caught.value.mendable
    assert sum("no gold label" in message for message in messages) == 1
    assert not any("Traceback" in message for message in messages)


def test_points_that_failed_fail_the_run_once_the_table_is_recorded(registry):
    row = dict(analysis="swept", metric="las", value=0.25)
    runner.analysis("swept")(lambda settings: ([row], dict(failed={"layer 3": "loss is nan"})))
    with pytest.raises(runner.AnalysesFailed, match=r"swept \(lacks 1 points that failed\)") as caught:
        analyses.run_all(SETTINGS, record="smoke")
    assert not caught.value.mendable and (registry / "swept.csv").exists()


def test_time_left_is_that_of_the_last_run_or_of_the_recorded_one(three, monkeypatch):
    messages = []
    monkeypatch.setattr(progress, "say", messages.append)
    provenance.add_entry(three, "third", {"seconds": 4000})
    analyses.run_all(SETTINGS, only=["first", "third"])
    assert "analysis 1 of 2, about 1 h 06 min left" in messages
    messages.clear()
    analyses.run_all(SETTINGS, only=["first", "third"])
    assert [m for m in messages if m.startswith("analysis")] == ["analysis 1 of 2", "analysis 2 of 2"]


def test_a_choice_of_analyses(three):
    analyses.run_all(SETTINGS, only=["third"], record="smoke")
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
        assert analyses.tables(SETTINGS, ["mine"])["mine"]["value"].tolist() == [0.25]
    assert len(calls) == 2


def test_every_analysis_of_the_book_is_registered_under_its_tables_name():
    assert list(analyses.ANALYSES) == list(vocabulary.ANALYSES)
