"""Checkpoints from which killed work resumes."""

import zipfile
from pathlib import Path
from typing import Any

import torch

from helpers import progress, store


def save(path: Path, state: dict[str, Any]) -> None:
    """Save a state (tensors, numbers, strings), replacing the last one."""
    with store.atomic_write(path, "wb") as file:
        torch.save(state, file)


def read(path: Path, device: torch.device | str) -> dict[str, Any]:
    """The state last saved. Raises ValueError naming the file if it is damaged."""
    try:
        with zipfile.ZipFile(path) as archive:
            if damaged := archive.testzip():  # PyTorch does not compare the checksums that it writes
                raise ValueError(f"{damaged} is not as it was written")
        return torch.load(path, map_location=device, weights_only=True)
    except FileNotFoundError:
        raise
    except Exception as error:
        raise ValueError(f"{path}: damaged ({error})") from error


def load(path: Path, device: torch.device | str) -> dict[str, Any] | None:
    """The state last saved; None if there is none or, with a message, if the file is damaged."""
    try:
        return read(path, device)
    except FileNotFoundError:
        return None
    except ValueError as error:
        progress.say(f"{error}; starting over")
        return None
