"""When the rules were fixed."""

import datetime

from helpers.claims import changelog
from helpers.claims.claims import CLAIMS


def test_rules_change_only_with_an_entry():
    """If this fails, a rule or its text was changed: add a row to helpers/assets/rules_changelog.csv."""
    changes = changelog.changes()
    assert changes["rules"].iloc[-1] == changelog.digest()
    dates = [datetime.date.fromisoformat(date) for date in changes["date"]]
    assert dates == sorted(dates) and changes["change"].str.len().gt(20).all()


def test_any_rule_counts(monkeypatch):
    before = changelog.digest()
    monkeypatch.setattr("helpers.claims.__doc__", "Other rules.")
    assert changelog.digest() != before
    monkeypatch.undo()
    monkeypatch.setattr(changelog, "CLAIMS", CLAIMS[:-1])
    assert changelog.digest() != before


def test_what_moved_is_known_for_every_claim():
    moved = changelog.moved()
    assert list(moved.index) == [claim.id for claim in CLAIMS]
    first, then, now = (moved[column].value_counts().to_dict() for column in moved)
    assert first == {"✓ supported": 7, "✗ contradicted": 7, "? inconclusive": 10, "": 1}  # one is younger
    assert then == {"✓ supported": 2, "✗ contradicted": 12, "? inconclusive": 11}
    assert sum(now.values()) == len(CLAIMS)
