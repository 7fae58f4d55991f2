"""Fixtures shared by all tests."""

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def real_data():
    """Function from a corpus folder's name to its path; skips where the real corpora are absent.

    They are looked for in the folder that the environment variable REAL_DATA names, or in
    ``shared/data`` beside the repository.
    """
    root = Path(os.environ.get("REAL_DATA") or REPOSITORY.parent / "shared" / "data")

    def find(name: str) -> Path:
        if not (root / name).exists():
            pytest.skip(f"real corpus {name!r} not found in {root} (set REAL_DATA to the folder that has it)")
        return root / name

    return find
