"""The image, built once for all tests of this folder that need one."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.container import Root, build
from tests.running_demo import ROOT


@pytest.fixture(scope="module")
def image() -> Iterator[Root]:
    """What the Dockerfile makes."""
    if os.geteuid() != 0 or subprocess.run(["unshare", "--mount", "--net", "true"], check=False).returncode:
        pytest.skip("Mounts and networks of one's own need root.")
    directory = ROOT / "var" / "image"  # beside what uv has downloaded, so that it can link
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    yield build(directory)
    shutil.rmtree(directory)


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What deploy/make-secrets.sh makes, in a place of its own."""
    checkout = tmp_path_factory.mktemp("checkout")
    (checkout / "deploy").mkdir()
    shutil.copy2(ROOT / "deploy" / "make-secrets.sh", checkout / "deploy")
    subprocess.run(["sh", "deploy/make-secrets.sh"], cwd=checkout, check=True)
    return checkout / "secrets"
