"""Runs with different settings on one store at once: each has the tables that it has alone."""

import dataclasses
import json
import shutil
import time

import pytest

from helpers.probing.edge import EdgeProbes

NAMES = ["edge_probing"]


@pytest.fixture
def both(settings, treebank, tmp_path):
    """Settings that need the same hidden states, for two probing tasks each; and other settings."""
    for task, places in (("first", (0, 1)), ("second", (1, 2))):
        for split, n in (("train", 12), ("development", 6), ("test", 6)):
            path = tmp_path / "edges" / task / f"{split}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(path, "w", encoding="utf-8") as file:
                for i in range(n):
                    targets = [{"span1": [k, k + 1], "label": "ab"[(i + k) % 2]} for k in places]
                    file.write(json.dumps({"text": f"the cat {i} sat", "targets": targets}) + "\n")
    paths = {**settings.paths, "edges": str(tmp_path / "edges")}
    one = dataclasses.replace(settings, suite="json", paths=paths)
    return one, dataclasses.replace(one, edge=dataclasses.replace(one.edge, hidden=9))


def test_two_runs_with_different_settings_share_a_store(both, whole, run, tables, litter, tmp_path, show):
    """Each deletes the states when it is done. One still needs them when the other has finished."""

    def fresh(name):
        home = tmp_path / name
        # Fine-tuned models are there already: what is left are states and probes.
        shutil.copytree(whole / "artifacts" / "finetuned", home / "artifacts" / "finetuned")
        return home

    def ended(running):
        error, said = running.end()
        assert error is None, "\n".join(said)

    alone = fresh("alone")
    for settings in both:
        ended(run(alone, settings, NAMES))
    expected = tables(alone)
    assert len(expected) == 2
    home = fresh("shared")

    def wait_for_the_other():
        trained, calls = EdgeProbes.trained, []

        def slowly(*arguments, **options):
            calls.append(arguments)
            if len(calls) == 1:
                (home / "reading").touch()
            if len(calls) == 2:  # the states have been read once, and are needed again
                _wait(lambda: tables(home))
            return trained(*arguments, **options)

        EdgeProbes.trained = slowly

    slow = run(home, both[0], NAMES, before=wait_for_the_other)
    fast = run(home, both[1], NAMES, before=lambda: _wait((home / "reading").exists))
    for running in (fast, slow):
        ended(running)
    assert tables(home) == expected and not litter(home)
    together = fresh("together")
    for running in [run(together, settings, NAMES) for settings in both]:
        ended(running)
    assert tables(together) == expected and not litter(together)
    show("2 pairs of runs on one store: tables as alone, nothing left")


def _wait(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)
