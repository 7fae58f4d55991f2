"""Runs with different settings on one store at once: each has the tables that it has alone."""

import dataclasses
import shutil
import time

N_TRIALS = 2


def test_two_runs_with_different_settings_share_a_store(settings, whole, run, tables, litter, tmp_path, show):
    """Both need the same hidden states, which each deletes when it is done; one starts later every time."""
    names = ["structural_probe"]
    other = dataclasses.replace(settings, probe_rank=3, n_bootstrap=40)
    alone = tmp_path / "alone"
    # Fine-tuned models are there already: what is left are states and probes.
    shutil.copytree(whole / "artifacts" / "finetuned", alone / "artifacts" / "finetuned")
    error, said = run(alone, other, names).end()
    assert error is None, "\n".join(said)
    mine = {name: table for name, table in tables(whole).items() if name.endswith("structural_probe.csv")}
    expected = tables(alone) | mine
    assert len(expected) == 2
    for trial in range(N_TRIALS):
        home = tmp_path / f"trial-{trial}"
        shutil.copytree(whole / "artifacts" / "finetuned", home / "artifacts" / "finetuned")
        began = time.monotonic()
        first = run(home, settings, names)
        second = run(home, other, names, before=lambda trial=trial: time.sleep(0.5 * trial))
        for running in (first, second):
            error, said = running.end()
            assert error is None, "\n".join(said)
        assert tables(home) == expected
        assert not litter(home)
        took = time.monotonic() - began
    show(f"{N_TRIALS} trials of two runs on one store: tables as alone, nothing left; {took:.0f} s the last")
