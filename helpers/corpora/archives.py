"""Archives and compressed files, read to the end, so that checksums are verified; damaged files are refused.

The format is recognised by a file's first bytes, whatever its name. Errors are CorpusErrors that name the
file.
"""

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from helpers.corpora.files import MAX_BYTES
from helpers.corpora.records import CorpusError

# Text is compressed to a third, PropBank's columns to a nineteenth; what expands further is no corpus.
MAX_RATIO = 250
FREE = 2**24  # bytes that any file may expand to

_OPENERS: dict[bytes, Callable[[BinaryIO], BinaryIO]] = {
    b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file),  # type: ignore[dict-item,return-value]
    b"BZh": bz2.BZ2File,  # type: ignore[dict-item]
    b"\xfd7zXZ\x00": lzma.LZMAFile,  # type: ignore[dict-item]
}
# What the libraries raise for damaged, encrypted or unknown contents.
ERRORS = (
    tarfile.TarError, zipfile.BadZipFile, lzma.LZMAError, zlib.error, struct.error, EOFError, OSError,
    RuntimeError, ValueError, KeyError, IndexError, OverflowError,
)  # fmt: skip


def is_archive(path: Path) -> bool:
    """Whether a file is a zip or, by its name, a tar archive, compressed or not."""
    with open(path, "rb") as file:
        start = file.read(4)
    return start in (b"PK\3\4", b"PK\5\6") or path.suffix in (".zip", ".tgz") or ".tar" in path.suffixes


def members(path: Path, endings: tuple[str, ...]) -> dict[str, bytes]:
    """The files of a zip or tar archive whose names end in one of the given ways.

    The whole archive is read, so that its checksums vouch for every member. Raises FileNotFoundError, and
    CorpusError, naming the archive, if it is damaged, cut short, encrypted or compressed in an unknown
    way; if a name comes twice; and if it would expand beyond MAX_BYTES or by more than MAX_RATIO.
    """
    with open(path, "rb") as file, named(path):
        if file.read(2) == b"PK":
            return dict(_unzipped(path, file, endings))
    with opened(path) as stream:
        return dict(_untarred(path, stream, endings))


@contextmanager
def opened(path: str | Path) -> Iterator["Bounded"]:
    """A file to read from, decompressed if it is compressed (gzip, bzip2, xz). Errors as :func:`members`."""
    with open(path, "rb") as file, named(path):
        start = file.read(6)
        file.seek(0)
        opener = next((make for magic, make in _OPENERS.items() if start.startswith(magic)), None)
        if opener is None:
            yield Bounded(path, file, None)
        else:
            yield Bounded(path, opener(file), Path(path).stat().st_size)


class Bounded(io.RawIOBase):
    """A stream that refuses to expand beyond all proportion."""

    def __init__(self, path: str | Path, stream: BinaryIO, compressed: int | None):
        self._path, self._stream, self._compressed = path, stream, compressed

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        """As of any stream; forwards by reading, so that nothing expands unseen."""
        while whence == 0 and offset > self.tell() and self.read(min(offset - self.tell(), 2**20)):
            pass
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def read(self, size: int | None = -1) -> bytes:
        """At most ``size`` bytes, or all; CorpusError if there are far too many for the file's size."""
        if size is None or size < 0:
            return b"".join(iter(lambda: self.read(2**20), b""))
        data = self._stream.read(size)
        if self._compressed is not None:
            check_size(self._path, self._stream.tell(), self._compressed)
        return data


def check_size(path: str | Path, size: int, compressed: int) -> None:
    """Raise CorpusError if so many bytes cannot be what a corpus was compressed from."""
    if size > FREE and size > MAX_RATIO * compressed:
        ratio = f"more than {MAX_RATIO} times the file's {compressed:,} bytes"
        raise CorpusError(path, None, f"expected a compressed corpus, found one that expands to {ratio}")


@contextmanager
def named(path: str | Path) -> Iterator[None]:
    """What goes wrong with an archive, as a CorpusError that names it."""
    try:
        yield
    except CorpusError:
        raise
    except ERRORS as error:
        kind = type(error).__name__
        raise CorpusError(
            path, None, f"expected a complete archive, found it unreadable ({kind}: {error})"
        ) from error


def _unzipped(path: Path, file: BinaryIO, endings: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
        if _counted(file) not in (len(entries), 0xFFFF):  # a damaged length swallows the entry after it
            raise zipfile.BadZipFile("entries missing in the directory")
        _unique(path, [entry.filename for entry in entries])
        for entry in entries:
            check_size(path, entry.file_size, entry.compress_size)
        _check_total(path, sum(entry.file_size for entry in entries))
        for entry in entries:
            data = archive.read(entry)  # all are read: a damaged name could hide a file we need
            if entry.filename.endswith(endings) and not entry.is_dir():
                yield entry.filename, data


def _counted(file: BinaryIO) -> int:
    """How many entries a zip says it has, in the record at its end; 65,535 if there are more."""
    file.seek(0, io.SEEK_END)
    file.seek(max(0, file.tell() - 2**16 - 22))
    end = file.read()
    at = end.rfind(b"PK\5\6")
    return int.from_bytes(end[at + 10 : at + 12], "little")


def _untarred(path: Path, stream: Bounded, endings: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    names, total = [], 0
    with tarfile.open(fileobj=stream, mode="r:") as archive:
        for member in archive:  # in the archive's order: its compression allows no other
            names.append(member.name)
            if member.isfile() and member.name.endswith(endings):
                total += member.size
                _check_total(path, total)
                contents = archive.extractfile(member)
                data = contents.read() if contents else b""
                if len(data) != member.size:
                    raise CorpusError(
                        path, None, f"expected {member.size:,} bytes of {member.name}, found fewer"
                    )
                yield member.name, data
        # tarfile takes a damaged header for the end, and leaves what follows, with the checksum, unread.
        stream.seek(archive.offset)
    blocks = 0
    while block := stream.read(2**20):
        blocks += len(block)
        if block.strip(b"\0"):
            raise CorpusError(
                path, None, f"expected a complete archive, found a damaged header after {names[-1]}"
            )
    if blocks < tarfile.BLOCKSIZE:
        raise CorpusError(path, None, "expected a complete archive, found no end (file cut short?)")
    _unique(path, names)


def _unique(path: Path, names: list[str]) -> None:
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise CorpusError(path, None, f"expected each file once, found {twice} twice")


def _check_total(path: Path, total: int) -> None:
    if total > MAX_BYTES:
        raise CorpusError(path, None, f"expected at most {MAX_BYTES:,} bytes within, found more")
