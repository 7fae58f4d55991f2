"""Artifacts on disk: content-addressed, atomic, checksummed, resumable.

An artifact is a folder whose name is the hash of the specification it was computed from. It is built
in a ``.partial`` folder beside its final place and renamed when complete, so a killed run never
leaves something that looks finished, and a builder that keeps checkpoints in its folder resumes.

Any number of processes may use one store at once, also on several machines if they share a file system
with working ``flock`` locks. Nothing that a process holds is deleted by another.
"""

import contextlib
import contextvars
import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

MANIFEST = "artifact.json"
SCRATCH = "scratch"  # kind of artifacts deleted after use
TEMPORARY = ".tmp"
KEPT_FOR = 7 * 24 * 3600.0  # seconds that a killed process's leftovers are kept for resuming


class DamagedArtifact(ValueError):
    """An artifact's files are not those its manifest lists; the message names the file."""


class DiskFull(OSError):
    """A disk cannot take what has to be written; the message says where, and how much is free."""


class NotStored(LookupError):
    """An artifact is not in the store, at ``path``, and is not to be built; the message says why."""

    def __init__(self, reason: str, path: Path):
        super().__init__(reason)
        self.path = path


Refuse = Callable[[str, Path], str]  # from an artifact's kind and folder to why it is not to be built, or ""
_refuse: contextvars.ContextVar[Refuse] = contextvars.ContextVar("_refuse", default=lambda kind, path: "")


@contextlib.contextmanager
def refusing(refuse: Refuse) -> Iterator[None]:
    """Within the block, artifacts that are not stored and that are refused raise :class:`NotStored`."""
    token = _refuse.set(refuse)
    try:
        yield
    finally:
        _refuse.reset(token)


def home() -> Path:
    """Folder under which the store, results and built book live.

    ``FINETUNING_BOOK_HOME`` if set (a relative one is in the working folder), else the clone of the
    repository that this package is in, else a folder in the user's cache.
    """
    if given := os.environ.get("FINETUNING_BOOK_HOME"):
        return Path(given).expanduser().absolute()
    clone = Path(__file__).resolve().parents[1]
    if (clone / "pyproject.toml").is_file():
        return clone
    cache = os.environ.get("XDG_CACHE_HOME") or (
        "~/Library/Caches" if sys.platform == "darwin" else "~/.cache"
    )
    return Path(cache).expanduser() / "what-happens-to-bert"


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file, read in blocks."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(value: Any) -> str:
    """Hexadecimal SHA-256 of a JSON-able value in canonical form."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def number(value: Any) -> int:
    """A 63-bit seed derived from a JSON-able value."""
    return int(digest(value)[:16], 16) >> 1


@contextlib.contextmanager
def atomic_write(path: Path, mode: str = "w") -> Iterator[Any]:
    """Open a temporary file beside ``path`` and move it there only if the block succeeds."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=TEMPORARY)
    try:
        with os.fdopen(handle, mode, encoding=None if "b" in mode else "utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # in use: not to be cleaned away
            yield file
            file.flush()
            os.fsync(file.fileno())
            # mkstemp makes private files; give this one the rights a plain open() would have given.
            umask = os.umask(0)
            os.umask(umask)
            os.chmod(name, 0o666 & ~umask)
            os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def locked(path: Path, *, shared: bool = False, wait: bool = True) -> Iterator[bool]:
    """Hold a lock file until the block ends: alone, or ``shared`` with others that ask for it so.

    Yields True when it is held. Others are waited for or, without ``wait``, the block gets False. An
    exclusive holder deletes the file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    how = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB)
    while True:
        with open(path, "a+") as lock:
            try:
                fcntl.flock(lock, how)
            except BlockingIOError:
                yield False
                return
            if not _is_open_file(path, lock):  # its last holder deleted it while this one waited
                continue
            try:
                yield True
            finally:
                if not shared:
                    path.unlink(missing_ok=True)
            return


def _is_open_file(path: Path, file: IO[str]) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def allocate(file: IO[bytes], n_bytes: int, folder: Path) -> None:
    """Reserve space for a file in ``folder`` that is going to be written through a memory map.

    A full disk ends a process that writes to a map with a signal. Raises :class:`DiskFull` instead.
    """
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, max(1, n_bytes))
        else:  # macOS
            for start in range(0, n_bytes, 2**20):
                file.write(bytes(min(2**20, n_bytes - start)))
            file.flush()
    except OSError as error:
        if error.errno not in _NO_SPACE:
            raise
        free = shutil.disk_usage(folder).free
        raise DiskFull(f"{folder}: {n_bytes:,} bytes needed, {free:,} free") from None


_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def _found_no_space(error: Exception, folder: Path) -> bool:
    """Whether an error comes from writing to a disk that is full."""
    if isinstance(error, OSError) and error.errno in _NO_SPACE:
        return True
    # NumPy, PyTorch and safetensors do not pass the error's number on.
    return bool(re.search(r"\d+ requested and \d+ written", str(error))) or (
        shutil.disk_usage(folder).free < 2**20
    )


def remove_temporary(folder: Path, age: float = KEPT_FOR) -> int:
    """Delete temporary files of :func:`atomic_write` that killed processes left, ``age`` seconds ago or more.

    Returns their number.
    """
    removed = 0
    for path in folder.glob(f".*{TEMPORARY}"):
        with contextlib.suppress(OSError), open(path, "rb+") as file:  # locked, or gone meanwhile
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if time.time() - path.stat().st_mtime >= age:
                path.unlink()
                removed += 1
    return removed


class Store:
    """A folder of artifacts, ``<root>/<kind>/<first 16 digits of the specification's hash>``."""

    def __init__(self, root: str | Path | None = None):
        self.root = Path(root) if root else home() / "artifacts"
        self._verified: set[Path] = set()

    def path(self, kind: str, spec: dict) -> Path:
        """Where the artifact of this kind and specification lies, whether or not it exists yet."""
        return self.root / kind / digest({"kind": kind, "spec": spec})[:16]

    def get(self, kind: str, spec: dict, build: Callable[[Path], None]) -> Path:
        """Folder of the artifact; ``build(folder)`` fills it if the store lacks it.

        ``spec`` is a JSON-able dict of everything the content depends on. Processes that ask for the
        same artifact at once wait for one another. Raises :class:`DamagedArtifact` if a stored file
        is missing, cut short or altered, and :class:`DiskFull` if there is no space for it.
        """
        final = self.path(kind, spec)
        if not final.exists():
            if reason := _refuse.get()(kind, final):
                raise NotStored(reason, final)
            with locked(_lock_of(final)):
                if not final.exists():
                    self._build(kind, spec, build, final)
        self.verify(final)
        return final

    @contextlib.contextmanager
    def scratch(self, kind: str, spec: dict) -> Iterator[Path]:
        """A folder for what is needed only within the block, shared by all processes that ask for the same.

        The last of them to leave the block deletes it, unless by an error: a run that was interrupted goes
        on with what it finds there.
        """
        folder = self.root / SCRATCH / self.path(kind, spec).name
        with locked(_lock_of(folder), shared=True):
            folder.mkdir(parents=True, exist_ok=True)
            yield folder
        with locked(_lock_of(folder), wait=False) as alone:
            if alone:
                shutil.rmtree(folder, ignore_errors=True)

    def clean(self, age: float = KEPT_FOR) -> int:
        """Delete what killed processes left ``age`` seconds ago or more and no process holds.

        That is half-built artifacts, scratch and temporary files. Returns how many of these there were.
        """
        removed = 0
        for left in [*self.root.glob("*/*.partial"), *self.root.glob(f"{SCRATCH}/[!.]*")]:
            with locked(_lock_of(left), wait=False) as alone:
                if alone and left.exists() and _unchanged_for(left) >= age:
                    shutil.rmtree(left, ignore_errors=True)
                    removed += 1
        return removed + sum(remove_temporary(kind, age) for kind in self.root.glob("*/"))

    def _build(self, kind: str, spec: dict, build: Callable[[Path], None], final: Path) -> None:
        work = final.with_name(final.name + ".partial")
        work.mkdir(exist_ok=True)
        for folder in [work, *work.rglob("*/")]:
            remove_temporary(folder, age=0)  # the lock is held: they are of a killed process
        start = time.time()
        try:
            build(work)
            self._describe(kind, spec, work, start)
        except DiskFull:
            raise
        except Exception as error:
            if not _found_no_space(error, work):
                raise
            free = shutil.disk_usage(work).free
            reason = f"{type(error).__name__}: {error}"
            raise DiskFull(f"{work}: no space to write, {free:,} bytes free ({reason})") from error
        os.rename(work, final)
        self._verified.add(final)

    def _describe(self, kind: str, spec: dict, work: Path, start: float) -> None:
        """Write the manifest of a folder that is complete."""
        files = sorted(p for p in work.rglob("*") if p.is_file() and p.name != MANIFEST)
        manifest = {
            "kind": kind,
            "spec": spec,
            "files": {
                str(p.relative_to(work)): {"bytes": p.stat().st_size, "sha256": sha256(p)} for p in files
            },
            "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "seconds": round(time.time() - start, 1),
        }
        with atomic_write(work / MANIFEST) as file:
            json.dump(manifest, file, indent=1, ensure_ascii=False)

    def verify(self, folder: Path) -> dict:
        """Check an artifact against its manifest, once for each Store, and return the manifest."""
        try:
            manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
            files = {n: (e["bytes"], e["sha256"]) for n, e in manifest["files"].items()}
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise DamagedArtifact(
                f"{folder / MANIFEST}: no readable manifest ({error}); {_mend(folder)}"
            ) from None
        if folder in self._verified:
            return manifest
        for name, (n_bytes, content) in files.items():
            path = folder / name
            if not path.is_file():
                raise DamagedArtifact(f"{path}: missing; {_mend(folder)}")
            if path.stat().st_size != n_bytes:
                raise DamagedArtifact(
                    f"{path}: {path.stat().st_size} bytes, {n_bytes} expected; {_mend(folder)}"
                )
            if sha256(path) != content:
                raise DamagedArtifact(f"{path}: content differs from its checksum; {_mend(folder)}")
        self._verified.add(folder)
        return manifest


def _mend(folder: Path) -> str:
    return f"delete the folder {folder} and run again to recompute it"


def _lock_of(folder: Path) -> Path:
    """The lock file of an artifact, half-built or not, or of a scratch folder."""
    return folder.with_name(f".{folder.name.removesuffix('.partial')}.lock")


def _unchanged_for(path: Path) -> float:
    """Seconds since anything in a folder was written."""
    return time.time() - max(p.stat().st_mtime for p in [path, *path.rglob("*")])
