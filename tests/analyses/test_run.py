"""Running the analyses: what fails is told at the end and costs the others nothing."""

import pytest

from helpers import analyses, profiles, results

SETTINGS = profiles.settings("smoke")


@pytest.fixture
def three(tmp_path, monkeypatch):
    """Three small analyses, the second of which fails; yields the folder that runs are recorded into."""
    monkeypatch.setenv("FINETUNING_BOOK_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(results, "RECORDED", tmp_path / "recorded")

    def one(name):
        def analysis(settings, report):
            if name == "second":
                raise FloatingPointError("loss is nan at step 3")
            frame = results.table([dict(analysis=name, metric="las", value=0.5)])
            results.save(name, frame, settings)
            return frame

        return analysis

    monkeypatch.setattr(analyses, "ANALYSES", {name: one(name) for name in ("first", "second", "third")})
    return tmp_path / "recorded" / "smoke"


def test_a_failure_is_told_and_the_others_are_recorded(three):
    said = []
    with pytest.raises(
        RuntimeError, match=r"1 of 3 analyses failed: second \(FloatingPointError: loss is nan"
    ):
        analyses.run_all(SETTINGS, record=True, report=said.append)
    assert sorted(p.stem for p in three.glob("*.csv")) == ["first", "third"]
    assert any("loss is nan at step 3" in line for line in said)


def test_a_choice_of_analyses(three):
    analyses.run_all(SETTINGS, only=["third"], record=True, report=lambda _: None)
    assert [p.stem for p in three.glob("*.csv")] == ["third"]
    with pytest.raises(ValueError, match="unknown analysis 'fourth'; valid: first, second, third"):
        analyses.run_all(SETTINGS, only=["fourth"])
