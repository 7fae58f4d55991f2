"""Opening corpus files, with the checks that every text format needs."""

from pathlib import Path

from helpers.corpora.records import CorpusError


def read_text(path: str | Path) -> str:
    """A whole file as text, line ends as ``\\n``.

    Raises FileNotFoundError, and CorpusError for an empty file or one that is not UTF-8 (naming the
    first line that is not).
    """
    data = Path(path).read_bytes()
    if not data.strip():
        raise CorpusError(path, 1, "expected data, found an empty file")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise CorpusError(
            path, line, f"expected UTF-8 text, found the byte 0x{data[error.start]:02x} ({error.reason})"
        ) from error
    return text.replace("\r\n", "\n")


def quoted(text: str, longest: int = 60) -> str:
    """A piece of a file's text for an error message, cut to a readable length."""
    return repr(text if len(text) <= longest else text[:longest] + "...")
