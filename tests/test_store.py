"""The store: nothing half-made looks finished, nothing damaged is used, nothing finished is redone."""

import json
import multiprocessing

import pytest

from helpers.store import MANIFEST, DamagedArtifact, Store, atomic_write, digest


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
