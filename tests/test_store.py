"""The store: nothing half-made looks finished, nothing damaged is used, nothing finished is redone."""

import contextlib
import errno
import json
import multiprocessing
import os
import time
from pathlib import Path

import pytest

from helpers import store
from helpers.store import (
    MANIFEST,
    DamagedArtifact,
    DiskFull,
    NotStored,
    Store,
    allocate,
    atomic_write,
    digest,
    refusing,
    remove_temporary,
)


def write(text):
    return lambda folder: (folder / "value.txt").write_text(text)


def test_built_once_and_found_again(tmp_path):
    built = []

    def build(folder):
        built.append(folder)
        write("a")(folder)

    first = Store(tmp_path).get("kind", {"n": 1}, build)
    again = Store(tmp_path).get("kind", {"n": 1}, build)
    assert first == again and len(built) == 1
    assert (first / "value.txt").read_text() == "a"
    assert json.loads((first / MANIFEST).read_text())["spec"] == {"n": 1}


def test_other_specifications_and_kinds_are_other_artifacts(tmp_path):
    store = Store(tmp_path)
    assert len({store.path("a", {"n": 1}), store.path("a", {"n": 2}), store.path("b", {"n": 1})}) == 3
    assert store.path("a", {"x": 1, "y": 2}) == store.path("a", {"y": 2, "x": 1})


def test_a_failed_build_leaves_its_work_for_the_next_try(tmp_path):
    store = Store(tmp_path)

    def half(folder):
        (folder / "checkpoint").write_text("half")
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        store.get("kind", {}, half)
    assert not store.path("kind", {}).exists()

    def rest(folder):
        assert (folder / "checkpoint").read_text() == "half"
        write("whole")(folder)

    assert (store.get("kind", {}, rest) / "value.txt").read_text() == "whole"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda p: p.write_text("longer than it was"), r"value\.txt: 18 bytes, 4 expected"),
        (lambda p: p.write_text("othr"), r"value\.txt: content differs from its checksum"),
        (lambda p: p.unlink(), r"value\.txt: missing"),
        (lambda p: (p.parent / MANIFEST).write_text('{"files"'), "no readable manifest"),
        (lambda p: (p.parent / MANIFEST).unlink(), "no readable manifest"),
    ],
)
def test_damage_is_named_and_the_way_out_told(tmp_path, spoil, message):
    folder = Store(tmp_path).get("kind", {}, write("text"))
    spoil(folder / "value.txt")
    with pytest.raises(DamagedArtifact, match=message) as caught:
        Store(tmp_path).get("kind", {}, write("text"))
    assert f"delete the folder {folder}" in str(caught.value)


def _slow_build(root, log):
    def build(folder):
        with open(log, "a") as file:
            file.write("built\n")
        import time

        time.sleep(0.3)
        write("x")(folder)

    Store(root).get("kind", {}, build)


def test_two_processes_build_once(tmp_path):
    log = tmp_path / "log"
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_slow_build, args=(tmp_path / "store", log)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [w.exitcode for w in workers] == [0, 0, 0]
    assert log.read_text() == "built\n"


def _use_scratch(root, name, events, leave):
    """Hold scratch, writing a file if there is none, until told to leave; then report what is left."""
    with Store(root).scratch("states", {}) as folder:
        file = folder / "states"
        fresh = not file.exists()
        if fresh:
            file.write_text("states")
        events.put((name, "in", fresh))
        leave.wait(30)
        assert file.read_text() == "states"
    events.put((name, "out", folder.exists()))


def test_scratch_is_shared_and_deleted_by_the_last_to_leave(tmp_path):
    context = multiprocessing.get_context("fork")
    events, gates, seen = context.Queue(), [context.Event() for _ in range(2)], []
    workers = []
    for name, gate in enumerate(gates):
        workers.append(context.Process(target=_use_scratch, args=(tmp_path, name, events, gate)))
        workers[-1].start()
        seen.append(events.get(timeout=30))
    for gate in gates:
        gate.set()
        seen.append(events.get(timeout=30))
    assert seen == [(0, "in", True), (1, "in", False), (0, "out", True), (1, "out", False)]
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    assert not list(tmp_path.rglob("*.lock"))


def test_interrupted_scratch_is_kept_for_the_next_try(tmp_path):
    with pytest.raises(KeyboardInterrupt), Store(tmp_path).scratch("states", {}) as folder:
        (folder / "states").write_text("half")
        raise KeyboardInterrupt
    with Store(tmp_path).scratch("states", {}) as again:
        assert (again / "states").read_text() == "half"
    assert not folder.exists()


def test_what_killed_processes_left_is_cleaned_when_old_and_not_in_use(tmp_path):
    store = Store(tmp_path)
    store.get("kind", {"n": "whole"}, write("a"))

    def stop(folder):
        (folder / "checkpoint").write_text("half")
        raise KeyboardInterrupt

    for n in ("old", "new", "used"):
        with pytest.raises(KeyboardInterrupt):
            store.get("kind", {"n": n}, stop)
    partial = {n: store.path("kind", {"n": n}).with_suffix(".partial") for n in ("old", "new", "used")}
    with contextlib.suppress(KeyboardInterrupt), store.scratch("states", {}) as scratch:
        raise KeyboardInterrupt
    left = tmp_path / "kind" / ".table.csv.abcd1234.tmp"
    left.write_text("half")
    long_ago = time.time() - 8 * 24 * 3600
    for path in (partial["old"], partial["used"], scratch, left):
        for file in [*path.rglob("*"), path]:
            os.utime(file, (long_ago, long_ago))

    def clean_meanwhile(folder):
        assert Store(tmp_path).clean() == 3  # the old half, the scratch, the temporary file
        assert (folder / "checkpoint").read_text() == "half"
        write("b")(folder)

    store.get("kind", {"n": "used"}, clean_meanwhile)
    assert not partial["old"].exists() and not scratch.exists() and not left.exists()
    assert partial["new"].exists() and store.clean() == 0
    assert (store.get("kind", {"n": "whole"}, None) / "value.txt").read_text() == "a"


def test_temporary_files_in_use_are_left_alone(tmp_path):
    with atomic_write(tmp_path / "table.csv") as file:
        assert remove_temporary(tmp_path, age=0) == 0
        file.write("x")
    assert (tmp_path / "table.csv").read_text() == "x"
    (tmp_path / ".table.csv.abcd.tmp").write_text("half")
    assert remove_temporary(tmp_path) == 0 and remove_temporary(tmp_path, age=0) == 1


def test_a_killed_builders_temporary_files_are_no_part_of_the_artifact(tmp_path):
    store = Store(tmp_path)
    work = store.path("kind", {}).with_suffix(".partial") / "run"
    work.mkdir(parents=True)
    (work / ".checkpoint.pt.abcd.tmp").write_text("half")
    (work / "checkpoint.pt").write_text("whole")
    folder = store.get("kind", {}, write("a"))
    assert set(store.verify(folder)["files"]) == {"run/checkpoint.pt", "value.txt"}


def test_what_is_refused_is_not_built(tmp_path):
    store = Store(tmp_path)
    with refusing(lambda kind, path: "its worker was lost" if kind == "kind" else ""):
        with pytest.raises(NotStored, match="its worker was lost") as caught:
            store.get("kind", {}, write("a"))
        assert caught.value.path == store.path("kind", {})
        assert store.get("other", {}, write("a")).exists()
    folder = store.get("kind", {}, write("a"))
    with refusing(lambda kind, path: "whatever"):
        assert store.get("kind", {}, None) == folder


def test_a_full_disk_is_named_with_what_was_needed(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with (
        open(tmp_path / "file", "wb") as file,
        pytest.raises(DiskFull, match=r": 1,234 bytes needed, [\d,]+ free"),
    ):
        allocate(file, 1234, tmp_path)
    with pytest.raises(
        DiskFull, match=r"partial: no space to write, [\d,]+ bytes free \(OSError: .*No space"
    ):
        Store(tmp_path).get("kind", {}, full)
    with pytest.raises(OSError, match="^other$"):
        Store(tmp_path).get("kind", {}, lambda folder: (_ for _ in ()).throw(OSError("other")))


def test_atomic_write_keeps_the_old_file_when_the_block_fails(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), atomic_write(path) as file:
        file.write("new")
        raise ZeroDivisionError
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
    with atomic_write(path) as file:
        file.write("new")
    assert path.read_text() == "new" and path.stat().st_mode & 0o444 == 0o444


def test_digest_is_that_of_canonical_json():
    import hashlib

    assert digest({"b": 1, "a": "é"}) == hashlib.sha256('{"a": "é", "b": 1}'.encode()).hexdigest()


def test_home_is_the_given_folder_the_clone_or_the_users_cache(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for given, expected in (("here", "here"), ("~/there", "there"), (str(tmp_path / "x"), "x")):
        monkeypatch.setenv("FINETUNING_BOOK_HOME", given)
        assert store.home() == tmp_path / expected
    monkeypatch.delenv("FINETUNING_BOOK_HOME")
    assert store.home() == Path(__file__).resolve().parents[1]
    monkeypatch.setattr(store, "__file__", str(tmp_path / "site-packages" / "helpers" / "store.py"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert store.home() == tmp_path / "cache" / "what-happens-to-bert"
