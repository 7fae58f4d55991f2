"""Opening corpus files, with the checks that every text format needs."""

from pathlib import Path

from helpers.corpora.records import CorpusError


def read_text(path: str | Path) -> str:
    """A whole file as text, line ends as ``\\n``. Raises FileNotFoundError, and as :func:`decode`."""
    return decode(path, Path(path).read_bytes())


def decode(name: str | Path, data: bytes) -> str:
    """The text of a file, or of an archive's member, with line ends as ``\\n``.

    Raises CorpusError if it is empty or not UTF-8 (naming the first line that is not).
    """
    if not data.strip():
        raise CorpusError(name, 1, "expected data, found an empty file")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise CorpusError(
            name, line, f"expected UTF-8 text, found the byte 0x{data[error.start]:02x} ({error.reason})"
        ) from error
    return text.replace("\r\n", "\n")


def quoted(text: str, longest: int = 60) -> str:
    """A piece of a file's text for an error message, cut to a readable length."""
    return repr(text if len(text) <= longest else text[:longest] + "...")
