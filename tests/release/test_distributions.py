"""What is in the wheels, that all versions are the same, and the texts that a release has beside it.

``make release-check`` does more: it installs both distributions in fresh environments and runs them.
"""

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from django.test import Client

from accounts.models import User
from tests.cast import signed_in
from tests.running_demo import ROOT
from usage_dashboard.version import version

BUILDER = ROOT / "var" / "client" / "bin" / "python"
"""It has hatchling, so that no registry is asked (make pytest installs it)."""
PACKED = {"templates/": "usage_dashboard/files/templates/", "static/": "usage_dashboard/files/static/"}
INSTALLED = """
import django
from django.conf import settings
django.setup()
from django.contrib.staticfiles import finders
from django.template.loader import get_template
from groq_client.vocabularies import Library
from usage_dashboard.version import version
get_template("usage_dashboard/health.html")
assert finders.find("css/app.css").startswith({place!r})
assert settings.VAR_DIR.name == "groq-usage-dashboard" and settings.VAR_DIR.parent.name == "state", settings.VAR_DIR
assert Library().o200k.count("Hello world") == 2
print(version())
"""


def tracked(*folders: str) -> set[str]:
    """The files of the checkout that git keeps, or would keep."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *folders]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    return {name for name in listed if (ROOT / name).is_file()}


def build(project: str, directory: Path) -> zipfile.ZipFile:
    assert BUILDER.exists(), "make pytest installs it, from tests/groq_client/over_http/wheel.txt"
    command = [str(BUILDER), "-m", "hatchling", "build", "--target", "wheel", "--directory", str(directory)]
    subprocess.run(command, cwd=ROOT / project, check=True, capture_output=True)
    (wheel,) = directory.glob("*.whl")
    return zipfile.ZipFile(wheel)


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    return build(".", tmp_path_factory.mktemp("ledger"))


def settings_of(project: str) -> dict[str, object]:
    return dict(tomllib.loads((ROOT / project / "pyproject.toml").read_text())["project"])


def test_the_wheel_of_the_ledger_has_every_file_of_its_rooms(ledger: zipfile.ZipFile) -> None:
    rooms = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"][
        "packages"
    ]
    wanted = {name for name in tracked(*rooms) if name.count("/") > 1 or name.endswith((".py", ".typed"))}
    for before, after in PACKED.items():
        wanted |= {name.replace(before, after, 1) for name in tracked(before)}
    assert wanted - set(ledger.namelist()) == set()
    assert {f"{name.partition('.')[0]}/__init__.py" for name in _installed_rooms()} <= set(ledger.namelist())
    assert {name.partition("/")[0] for name in ledger.namelist()} - set(rooms) == {
        f"groq_usage_dashboard-{version()}.dist-info"
    }


def _installed_rooms() -> set[str]:
    """The rooms that have Python, whether they are in INSTALLED_APPS or not."""
    others = {"tests", "benchmarks", "var", "deploy", "docs"}
    return {path.parent.name for path in ROOT.glob("*/__init__.py")} - others


def test_the_wheel_of_the_ledger_works_without_the_checkout(ledger: zipfile.ZipFile, tmp_path: Path) -> None:
    place = tmp_path / "site"
    ledger.extractall(place)
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(place), "HOME": str(tmp_path)}
    environment |= {
        "DJANGO_SETTINGS_MODULE": "usage_dashboard.settings",
        "DATABASE_URL": "postgresql://127.0.0.1:1/none",
    }
    script = INSTALLED.format(place=str(place))
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, version()), done.stderr
    entry = (place / f"groq_usage_dashboard-{version()}.dist-info" / "entry_points.txt").read_text()
    assert "groq-usage-dashboard = usage_dashboard.__main__:main" in entry


def test_both_distributions_have_one_version_and_the_licence(ledger: zipfile.ZipFile, tmp_path: Path) -> None:
    client = build("groq_client", tmp_path)
    assert settings_of(".")["version"] == settings_of("groq_client")["version"] == version()
    assert f"## {version()}" in (ROOT / "CHANGELOG.md").read_text()
    licence = (ROOT / "LICENSE").read_bytes()
    for wheel in (ledger, client):
        (metadata,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
        assert "License-Expression: Apache-2.0" in wheel.read(metadata).decode()
        assert wheel.read(metadata.replace("METADATA", "licenses/LICENSE")) == licence
    for page, name in {"client": "groq_usage_client", "deploy": "groq_usage_dashboard"}.items():
        assert f"{name}-{version()}-py3-none-any.whl" in (ROOT / "docs" / f"{page}.md").read_text()


@pytest.mark.parametrize("words", ["--version", "version"])
def test_the_command_line_tells_the_version(words: str) -> None:
    command = [sys.executable, "manage.py", words]
    told = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert told.startswith(f"groq-usage-dashboard {version()} (Django 5.2")


def test_the_health_page_tells_super_admins_the_version(super_admin: User, client: Client) -> None:
    assert f"Version {version()}." in signed_in(super_admin).get("/health/details/").text
    assert version() not in client.get("/health/").text


def test_everything_of_others_has_its_licence_beside_it() -> None:
    """And the page beside them names each with its version."""
    vendor = ROOT / "static" / "vendor"
    folders = [path for path in vendor.iterdir() if path.is_dir()]
    assert folders
    readme = (vendor / "README.md").read_text().lower()
    for folder in folders:
        (licence,) = folder.glob("LICENSE*")
        assert len(licence.read_text()) > 300, licence
        assert folder.name in readme
    elsewhere = [name for name in tracked("static") if re.search(r"\.min\.|\.woff2?$", name)]
    assert [name for name in elsewhere if not name.startswith("static/vendor/")] == []


def test_the_texts_of_a_project_that_others_may_use_are_there() -> None:
    licence = (ROOT / "LICENSE").read_text()
    assert licence.strip().startswith("Apache License\n                           Version 2.0, January 2004")
    assert "END OF TERMS AND CONDITIONS" in licence
    for name, word in {
        "CHANGELOG": "## 1.0.0", "CONTRIBUTING": "make test", "SECURITY": "report", "CODE_OF_CONDUCT": "harass",
    }.items():  # fmt: skip
        assert word in (ROOT / f"{name}.md").read_text()
