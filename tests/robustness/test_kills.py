"""Kills at random moments: the same tables after resuming, nothing left behind."""

import numpy as np

from helpers import results, store

N_KILLS = 6


def test_killed_anywhere_the_analyses_resume_to_the_same_tables(
    whole, settings, run, tables, litter, tmp_path, show, monkeypatch
):
    rng, kills, homes = np.random.default_rng(0), 0, []
    longest = float((whole / "seconds").read_text()) / 3
    while kills < N_KILLS:
        homes.append(tmp_path / f"home-{len(homes)}")
        running = run(homes[-1], settings)
        while kills < N_KILLS:
            running.process.join(rng.uniform(0, longest))
            if not running.process.is_alive():
                break
            running.kill()
            kills += 1
            running = run(homes[-1], settings)
        error, said = running.end()
        assert error is None, "\n".join(said)
        assert tables(homes[-1]) == tables(whole)
    left = cleaned = 0
    for home in homes:
        monkeypatch.setenv("FINETUNING_BOOK_HOME", str(home))
        left += len(litter(home))
        cleaned += store.Store().clean(age=0) + store.remove_temporary(results.folder(settings), age=0)
        assert not [path for path in litter(home) if not path.endswith(".lock")]
    show(f"{kills} kills of {len(homes)} runs; same tables; of {left} things left {cleaned} were cleaned")
