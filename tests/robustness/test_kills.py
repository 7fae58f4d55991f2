"""Kills at random moments: the same tables after resuming, nothing left behind."""

import time

import numpy as np

from helpers import store

N_KILLS = 6


def test_killed_anywhere_the_analyses_resume_to_the_same_tables(
    whole, settings, run, tables, litter, tmp_path, show, monkeypatch
):
    rng, home, kills, finished = np.random.default_rng(0), tmp_path / "home", 0, 0
    began = time.monotonic()
    longest = float((whole / "seconds").read_text()) / 3
    while kills < N_KILLS:
        running = run(home, settings)
        time.sleep(rng.uniform(0, longest))
        if running.process.is_alive():
            running.kill()
            kills += 1
        else:
            finished += 1
            assert running.end()[0] is None
    error, said = run(home, settings).end()
    assert error is None, "\n".join(said)
    assert tables(home) == tables(whole)
    left = litter(home)
    monkeypatch.setenv("FINETUNING_BOOK_HOME", str(home))
    cleaned = store.Store().clean(age=0) + store.remove_temporary(next((home / "results").iterdir()), age=0)
    show(
        f"{kills} kills, {finished} runs that were done before; same tables; "
        f"{cleaned} of {len(left)} things left were cleaned; {time.monotonic() - began:.0f} s"
    )
    assert not [path for path in litter(home) if not path.endswith(".lock")]
