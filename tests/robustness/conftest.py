"""What the harnesses share: a small corpus, settings that take seconds, runs in processes of their own."""

import dataclasses
import multiprocessing
import os
import time
import traceback
from pathlib import Path

import numpy as np
import pytest
import torch

from helpers import analyses, profiles, progress, store
from helpers.profiles import Profile, StructuralRecipe, Task, TuningRecipe

ANALYSES = ("structural_probe", "partial_freezing")
WORDS = "the cats sat on a mat and dogs ran far".split()


@pytest.fixture(scope="session")
def treebank(tmp_path_factory) -> Path:
    """Random trees in CoNLL-U."""
    folder, rng = tmp_path_factory.mktemp("treebank"), np.random.default_rng(0)
    for split, n_sentences in (("train", 24), ("dev", 12), ("test", 12)):
        with open(folder / f"en_ewt-ud-{split}.conllu", "w", encoding="utf-8") as file:
            for i in range(n_sentences):
                file.write(f"# sent_id = {split}-{i}\n")
                for k in range(1, int(rng.integers(5, 9))):
                    head = 0 if k == 1 else int(rng.integers(1, k))
                    relation = "dep" if head else "root"
                    file.write(f"{k}\t{rng.choice(WORDS)}\t_\tNOUN\t_\t_\t{head}\t{relation}\t_\t_\n")
                file.write("\n")
    return folder


@pytest.fixture(scope="session")
def settings(treebank) -> Profile:
    smoke = profiles.settings(
        "smoke", paths={"ud-ewt": str(treebank)}, probe_rank=4, seeds=[0], sweep_layers=[1],
        head_rates=[1e-3],
    )  # fmt: skip
    dep = Task("Dep", "ud-ewt", TuningRecipe(epochs=1, batch_size=8), 16, 8)
    return dataclasses.replace(smoke, tasks=(dep,), structural=StructuralRecipe(epochs=2))


class Run:
    """The analyses, in a process of their own."""

    def __init__(self, home: Path, settings: Profile, names=ANALYSES, before=lambda: None):
        self.messages = multiprocessing.get_context("fork").Queue()
        arguments = home, settings, names, before
        self.process = multiprocessing.get_context("fork").Process(target=self._run, args=arguments)
        self.process.start()

    def _run(self, home, settings, names, before):
        torch.set_num_threads(1)  # threads do not survive a fork
        os.environ["FINETUNING_BOOK_HOME"] = str(home)
        said = []
        progress.say = said.append
        error = None
        try:
            before()
            analyses.run_all(settings, only=names)
        except BaseException as caught:
            error = f"{type(caught).__name__}: {caught}"
            said.append(traceback.format_exc())
        self.messages.put((error, said))

    def end(self, seconds=60):
        """Wait for its end: what it failed with, and what it said; fails if a signal ended it."""
        outcome = self.messages.get(timeout=seconds)
        self.process.join(seconds)
        assert self.process.exitcode == 0, f"ended by signal {-self.process.exitcode}"
        return outcome

    def kill(self):
        self.process.kill()
        self.process.join()


@pytest.fixture(scope="session")
def run():
    """Function that starts the analyses under a home: see :class:`Run`."""
    return Run


@pytest.fixture(scope="session")
def tables():
    """Function from a home to the content of its tables, by the run's folder and the analysis."""

    def read(home: Path) -> dict[str, bytes]:
        results = home / "results"
        return {str(path.relative_to(results)): path.read_bytes() for path in results.glob("*/*.csv")}

    return read


@pytest.fixture(scope="session")
def whole(tmp_path_factory, settings, run) -> Path:
    """The home of a run that nothing disturbed; ``seconds`` says what it took."""
    home, began = tmp_path_factory.mktemp("whole"), time.monotonic()
    error, said = run(home, settings).end(120)
    assert error is None, "\n".join(said)
    (home / "seconds").write_text(str(time.monotonic() - began))
    return home


@pytest.fixture
def litter():
    """Function from a home to what is left there that is neither an artifact, a table nor its provenance."""

    def find(home: Path) -> list[str]:
        root = home / "artifacts"
        left = [
            *root.glob("*/*.partial"),
            *root.glob(f"{store.SCRATCH}/*"),
            *home.rglob(f"*{store.TEMPORARY}"),
        ]
        return [str(path) for path in [*left, *home.rglob("*.lock")]]

    return find


@pytest.fixture
def show(capsys):
    """Function that prints a line of counts, seen without ``-s`` too."""

    def print_line(line: str) -> None:
        with capsys.disabled():
            print(f"\n  {line}", end="", flush=True)

    return print_line
