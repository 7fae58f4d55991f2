"""Archives: what is damaged anywhere is refused, whatever the format; what is whole is read as it is."""

import bz2
import gzip
import io
import lzma
import tarfile
import time
import warnings
import zipfile

import pytest

from helpers.corpora import archives
from helpers.corpora.records import CorpusError

FILES = {f"d/{i}.gold_conll": f"file {i}\n".encode() * (50 + i) for i in range(5)}
OTHERS = {"d/readme.txt": b"About the files.\n" * 30}
PACK = {"tar": bytes, "tar.gz": gzip.compress, "tar.bz2": bz2.compress, "tar.xz": lzma.compress}


def tarred(files):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        for name, content in files:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return data.getvalue()


def zipped(files, method=zipfile.ZIP_DEFLATED):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", method) as archive:
        for name, content in files:
            with warnings.catch_warnings():  # of a name used twice
                warnings.simplefilter("ignore")
                archive.writestr(name, content)
    return data.getvalue()


def made(suffix, files=None):
    rows = list(({**FILES, **OTHERS} if files is None else files).items())
    return zipped(rows) if suffix == "zip" else PACK[suffix](tarred(rows))


@pytest.fixture
def read(tmp_path):
    """Function that writes bytes under a name and reads the archive."""

    def read(data, name="some.archive"):
        (tmp_path / name).write_bytes(data)
        return archives.members(tmp_path / name, ("gold_conll",))

    return read


@pytest.mark.parametrize("suffix", [*PACK, "zip"])
def test_whole_archives_whatever_their_names(read, suffix):
    assert read(made(suffix)) == read(made(suffix), f"a.{suffix}") == FILES


@pytest.mark.parametrize("suffix", ["tar.gz", "tar.bz2", "tar.xz", "zip"])
def test_no_flipped_bit_reads_as_other_files(read, suffix):
    whole = made(suffix)
    refused = 0
    for at in range(0, len(whole), 3):
        for bit in (1, 64):
            damaged = bytearray(whole)
            damaged[at] ^= bit
            try:
                assert read(bytes(damaged)) == FILES  # in a field that says nothing of the contents
            except CorpusError as error:
                assert "some.archive: " in str(error)
                refused += 1
    assert refused > len(whole) / 3


@pytest.mark.parametrize("suffix", [*PACK, "zip"])
def test_no_truncation_reads_as_fewer_files(read, suffix):
    whole = made(suffix)
    for length in range(0, len(whole) - (20 if suffix != "tar" else 10_240), 37):
        with pytest.raises(CorpusError, match="some.archive: expected a complete archive"):
            read(whole[:length])


def test_a_damaged_header_is_not_the_end(read):
    plain = bytearray(tarred(FILES.items()))
    plain[plain.index(b"d/3.gold_conll")] ^= 1
    for data in (bytes(plain), gzip.compress(bytes(plain))):
        with pytest.raises(CorpusError, match=r"found a damaged header after d/2\.gold_conll"):
            read(data)


def test_the_checksum_at_the_end_is_reached(read):
    packed = bytearray(gzip.compress(tarred(FILES.items())))
    packed[-6] ^= 1
    with pytest.raises(CorpusError, match="CRC check failed"):
        read(bytes(packed))


def patched(data, offset, value):
    """A zip with a 16-bit field of every header changed: (local offset, central offset) of the field."""
    out = bytearray(data)
    for magic, at in ((b"PK\3\4", offset[0]), (b"PK\1\2", offset[1])):
        place = out.find(magic)
        while place >= 0:
            out[place + at : place + at + 2] = value.to_bytes(2, "little")
            place = out.find(magic, place + 4)
    return bytes(out)


@pytest.mark.parametrize(
    "data, expectation",
    [
        pytest.param(patched(made("zip"), (6, 8), 1), "is encrypted", id="encrypted"),
        pytest.param(
            patched(made("zip"), (8, 10), 97), "compression method is not supported", id="other method"
        ),
        pytest.param(
            zipped([("a.gold_conll", b"a"), ("a.gold_conll", b"b")]), "a.gold_conll twice", id="zip, twice"
        ),
        pytest.param(
            tarred([("a.gold_conll", b"a"), ("a.gold_conll", b"b")]), "a.gold_conll twice", id="tar, twice"
        ),
        pytest.param(b"<html>Not found</html>", "expected a complete archive", id="a web page"),
        pytest.param(b"", "expected a complete archive", id="empty"),
    ],
)
def test_odd_archives(read, data, expectation):
    with pytest.raises(CorpusError, match=expectation):
        read(data)


@pytest.mark.parametrize("suffix", ["tar.gz", "tar.bz2", "zip"])
@pytest.mark.parametrize("name", ["a.gold_conll", "a.bin"])
def test_what_expands_beyond_all_proportion_is_refused_at_once(read, suffix, name):
    data = made(suffix, {name: bytes(40_000_000)})
    start = time.perf_counter()
    with pytest.raises(CorpusError, match="some.archive: .*expands to more than 250 times"):
        read(data)
    assert time.perf_counter() - start < 5


def test_more_than_fits_into_memory(read, monkeypatch):
    monkeypatch.setattr(archives, "MAX_BYTES", 1000)
    for suffix in ("tar", "zip"):
        with pytest.raises(CorpusError, match="expected at most 1,000 bytes within, found more"):
            read(made(suffix))
