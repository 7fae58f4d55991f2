"""A small disk: every run ends with an error that says so, and goes on when there is space."""

import contextlib
import os
import resource
import subprocess

import numpy as np
import pytest

from helpers import encoders
from helpers.finetuning import blocks
from helpers.finetuning.batches import Inputs

NAMES = ["partial_freezing"]
SIZES = 0.3, 5, 64  # MB; a whole run needs about 8


@pytest.fixture
def disk(tmp_path):
    """A folder, and a function from megabytes to what a process does to have no more of them there."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=300k", "none", str(folder)]
    mounted = os.geteuid() == 0 and subprocess.run(mount, capture_output=True).returncode == 0

    def resize(megabytes):
        size = int(megabytes * 1e6)
        if mounted:
            options = f"remount,size={size}"
            subprocess.run(["mount", "-o", options, str(folder)], check=True)
            return lambda: None
        # Without the right to mount: no file may be larger.
        return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size // 4, resource.RLIM_INFINITY))

    with contextlib.ExitStack() as stack:
        if mounted:
            stack.callback(subprocess.run, ["umount", "--lazy", str(folder)], check=True)
        yield folder, resize, "tmpfs" if mounted else "limit on files"


def test_a_full_disk_costs_nothing_but_the_way_to_go_on(disk, settings, whole, run, tables, show):
    home, resize, kind = disk
    outcomes = []
    for megabytes in SIZES:
        error, said = run(home, settings, NAMES, before=resize(megabytes)).end()
        outcomes.append(error is None)
        if error:
            message = "\n".join([error, *said])
            reasons = "no space to write", "bytes needed", "No space left", "File too large"
            assert any(reason in message for reason in reasons), message
        # What is there is whole.
        for name, content in tables(home).items():
            assert content == tables(whole)[name], name
    assert outcomes[-1] and not outcomes[0]
    assert len(tables(home)) == 1
    show(
        f"{kind} of {SIZES} MB: {outcomes.count(False)} runs refused for want of space, then the same tables"
    )


def test_freezing_on_a_full_disk_is_an_error_and_no_signal(disk, run, settings, whole, show, monkeypatch):
    """States of frozen blocks are written through a memory map, where a full disk ends a process."""
    folder, resize, kind = disk
    limit = resize(0.3)
    monkeypatch.setenv("FINETUNING_BOOK_HOME", str(whole))
    width = encoders.load("tiny").width

    def freeze():
        prefix = blocks.Prefix("tiny", folder)
        limit()
        features = [{"ids": np.arange(60), "second": 60} for _ in range(200)]
        prefix.states(Inputs(features), 1)

    error, _ = run(whole, settings, NAMES, before=freeze).end()
    needed = 200 * 60 * 2 * width
    assert error.startswith(f"DiskFull: {folder}: {needed:,} bytes needed, ")
    show(f"{kind}: freezing refused, {needed:,} bytes needed")
