"""Artifacts on disk: content-addressed, atomic, checksummed, resumable.

An artifact is a folder whose name is the hash of the specification it was computed from. It is built
in a ``.partial`` folder beside its final place and renamed when complete, so a killed run never
leaves something that looks finished, and a builder that keeps checkpoints in its folder resumes.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

MANIFEST = "artifact.json"


class DamagedArtifact(ValueError):
    """An artifact's files are not those its manifest lists; the message names the file."""


def home() -> Path:
    """Folder under which the store, results and built book live.

    ``FINETUNING_BOOK_HOME`` if set, else the repository this package is installed from.
    """
    return Path(os.environ.get("FINETUNING_BOOK_HOME") or Path(__file__).resolve().parents[1])


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file, read in blocks."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(value: Any) -> str:
    """Hexadecimal SHA-256 of a JSON-able value in canonical form."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def number(value: Any) -> int:
    """A number of 63 bits that stands for a JSON-able value: a seed of its own for each."""
    return int(digest(value)[:16], 16) >> 1


@contextlib.contextmanager
def atomic_write(path: Path, mode: str = "w") -> Iterator[Any]:
    """Open a temporary file beside ``path`` and move it there only if the block succeeds."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, mode, **({} if "b" in mode else {"encoding": "utf-8"})) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes private files; give this one the rights a plain open() would have given.
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep other processes that ask for the same lock file waiting until the block ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


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
        is missing, cut short or altered.
        """
        final = self.path(kind, spec)
        if not final.exists():
            with locked(final.with_name(f".{final.name}.lock")):
                if not final.exists():
                    self._build(kind, spec, build, final)
        self.verify(final)
        return final

    def _build(self, kind: str, spec: dict, build: Callable[[Path], None], final: Path) -> None:
        work = final.with_name(final.name + ".partial")
        work.mkdir(exist_ok=True)
        start = time.time()
        build(work)
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
        os.rename(work, final)
        self._verified.add(final)

    def verify(self, folder: Path) -> dict:
        """Check an artifact against its manifest, once for each Store, and return the manifest."""
        try:
            manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
            files = manifest["files"]
        except (OSError, ValueError, KeyError) as error:
            raise DamagedArtifact(
                f"{folder / MANIFEST}: no readable manifest ({error}); {_mend(folder)}"
            ) from None
        if folder in self._verified:
            return manifest
        for name, expected in files.items():
            path = folder / name
            if not path.is_file():
                raise DamagedArtifact(f"{path}: missing; {_mend(folder)}")
            if path.stat().st_size != expected["bytes"]:
                raise DamagedArtifact(
                    f"{path}: {path.stat().st_size} bytes, {expected['bytes']} expected; {_mend(folder)}"
                )
            if sha256(path) != expected["sha256"]:
                raise DamagedArtifact(f"{path}: content differs from its checksum; {_mend(folder)}")
        self._verified.add(folder)
        return manifest


def _mend(folder: Path) -> str:
    return f"delete the folder {folder} and run again to recompute it"
