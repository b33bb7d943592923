# SPDX-License-Identifier: GPL-3.0-or-later
"""Small file systems for tests of full and read-only disks."""

import contextlib
import os
import shutil
import subprocess

import pytest


@contextlib.contextmanager
def small_disk(folder, size="2m"):
    """A file system of its own in the folder; skips where none can be mounted."""
    if os.geteuid() != 0:
        pytest.skip("mounting a file system takes root")
    folder.mkdir()
    mounted = subprocess.run([shutil.which("mount"), "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=False)
    if mounted.returncode:
        pytest.skip("no tmpfs can be mounted here")
    try:
        yield folder
    finally:
        subprocess.run([shutil.which("umount"), "--lazy", folder], check=True)


def remount(folder, option):
    """With another option: "size=8m", "ro", "rw"."""
    subprocess.run([shutil.which("mount"), "-o", f"remount,{option}", folder], check=True)
