"""The page on extending the book: its code is run as it stands, and does what the page says."""

import re
from pathlib import Path
from typing import Any

import pytest

from helpers.analyses import MEASURES
from helpers.claims.claims import CLAIMS
from helpers.corpora.edges import SUITES
from helpers.finetuning.tasks import TASKS

PAGE = Path(__file__).resolve().parents[1] / "book" / "extending.md"


@pytest.fixture
def registries():
    """Leave what can be extended as it was."""
    kept = dict(MEASURES), dict(SUITES["uds"]), dict(TASKS), list(CLAIMS)
    yield
    for registry, before in zip((MEASURES, SUITES["uds"], TASKS), kept, strict=False):
        registry.clear()
        registry.update(before)
    CLAIMS[:] = kept[3]


def sections() -> dict[str, str]:
    """The page's code by heading; "" for what comes before the first one."""
    parts = re.split(r"^## (.+)$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    texts = zip(["", *parts[1::2]], parts[::2], strict=True)
    return {name: "\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL)) for name, text in texts}


def test_the_page_does_what_it_says(registries, monkeypatch, tmp_path):
    monkeypatch.setenv("FINETUNING_BOOK_HOME", str(tmp_path))
    space: dict[str, Any] = {}
    code = sections()
    assert list(code) == [
        "", "A similarity measure", "A probing task", "A fine-tuning task", "An encoder", "A claim",
    ]  # fmt: skip
    exec(code[""], space)

    exec(code["A similarity measure"], space)
    own = space["own"]
    assert set(own["model"]) == {"Dep", "NLI", "QA", "Random"} and own["value"].between(-1, 1).all()
    tuned = own[own["model"] == "Dep"].set_index("layer")["value"]
    assert tuned[-1] > 0.99 > own[own["model"] == "Random"]["value"].max()

    exec(code["A probing task"], space)
    own = space["own"]
    assert {"Base", "Random", "Lexical"} <= set(own["model"]) and own["value"].notna().all()

    exec(code["A fine-tuning task"], space)
    scores = space["scores"]
    assert set(scores["metric"]) == {"tag_accuracy"} and set(scores["model"]) == {"POS"}
    assert set(space["frozen"]["inputs"].dropna()) >= {"one_rate", "tuned_head"}

    exec(code["A claim"], space)
    verdict = space["verdicts"].set_index("id").loc["first-block"]
    assert verdict["claim"] == "Fine-tuning leaves the first block as it was"
    assert verdict["verdict"] in ("supported", "inconclusive") and verdict["comparisons"] == 3
