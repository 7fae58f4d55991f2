"""Points computed by other processes, one of which is killed: same tables, no point done twice."""

import dataclasses
import importlib
import os
import sys

import pytest
import submitit

from helpers import analyses, executors, progress, results
from helpers.analyses import runner
from helpers.analyses.points import Point

# A module that workers can import: fine-tuning, where the first worker at seed 1 is killed.
DOOMED = """
import os, signal
from pathlib import Path
from helpers.analyses.finetuning import fine_tuned

def tune(settings, model, seed, log, head):
    if os.getpid() != head:
        with open(log, "a") as file:
            file.write(f"{seed}\\n")
        if seed == 1 and Path(log).read_text().count("1") == 1:
            os.kill(os.getpid(), signal.SIGKILL)
    return fine_tuned(settings, model, seed)
"""


@pytest.fixture(scope="module")
def alone(settings, run, tables, tmp_path_factory):
    """The table as computed in one process."""
    home = tmp_path_factory.mktemp("alone")
    both = dataclasses.replace(settings, seeds=(0, 1))
    error, said = run(home, both, ["finetuning"]).end(120)
    assert error is None, "\n".join(said)
    return both, tables(home)


@pytest.mark.parametrize("choice", [pytest.param("processes=2", marks=pytest.mark.slow), "local=2"])
def test_a_killed_workers_point_is_redone(choice, alone, tables, tmp_path, monkeypatch, show):
    settings, expected = alone
    (tmp_path / "doomed.py").write_text(DOOMED)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setenv("FINETUNING_BOOK_HOME", str(tmp_path))
    monkeypatch.setattr(submitit.core.core.Job, "_results_timeout_s", 0)  # the disk is no network's
    monkeypatch.delitem(sys.modules, "doomed", raising=False)
    doomed = importlib.import_module("doomed")

    def points(settings):
        log, head = str(tmp_path / "log"), os.getpid()
        return [Point(f"seed {s}", "finetuned", doomed.tune, (settings, "Dep", s, log, head)) for s in (0, 1)]

    said = []
    monkeypatch.setattr(progress, "say", said.append)
    monkeypatch.setitem(runner.POINTS, "finetuning", points)
    analyses.run_all(settings, only=["finetuning"], workers=executors.workers(choice))
    assert tables(tmp_path) == expected
    assert sorted((tmp_path / "log").read_text().split()) == ["0", "1", "1"]
    assert sum("worker lost, retrying" in line for line in said) == 1
    assert sum(": done; " in line for line in said) == 2
    assert results.saved("finetuning", settings) is not None
    assert not list((tmp_path / "artifacts").glob("jobs/*"))
    show(f"{choice}: 2 points, 1 worker killed, 3 calls; the table is that of one process")
