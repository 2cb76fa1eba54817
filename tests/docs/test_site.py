"""docs/ as a site: it builds without a warning, has every page, and loads nothing from elsewhere."""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml

from tests.running_demo import ROOT

RESOURCES = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src", "video": "src"}


class Parts(HTMLParser):
    """The addresses of what a page loads by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        if tag in RESOURCES and given.get("rel") not in ("canonical", "next", "prev") and given.get(RESOURCES[tag]):
            self.loaded.append(str(given[RESOURCES[tag]]))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(directory)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return directory


def pages_of(entry: object) -> set[str]:
    """The files in a part of the navigation."""
    if isinstance(entry, str):
        return {entry}
    if isinstance(entry, dict):
        return pages_of(list(entry.values()))
    assert isinstance(entry, list)
    return {page for part in entry for page in pages_of(part)}


def test_the_navigation_has_every_page_and_no_other() -> None:
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]
    there = {path.name for path in (ROOT / "docs").glob("*.md")}
    assert pages_of(nav) == there


def test_it_loads_nothing_from_elsewhere(site: Path) -> None:
    found = []
    for page in site.rglob("*.html"):
        parts = Parts()
        parts.feed(page.read_text())
        assert parts.loaded, page
        for address in parts.loaded:
            if re.match(r"\w+:|//", address):
                found.append((page.name, address))
            elif page.name != "404.html":
                assert (page.parent / address.partition("?")[0].partition("#")[0]).exists(), (page.name, address)
    assert found == []
    styles = "".join(path.read_text() for path in site.rglob("*.css"))
    assert re.findall(r"(?:url\(|@import )[\"']?(?:https?:)?//[^)\s]*", styles) == []


def test_every_picture_says_in_words_what_it_shows() -> None:
    for path in (ROOT / "docs").glob("*.md"):
        assert re.findall(r"!\[\]\(", path.read_text()) == [], path.name


def test_the_readme_leads_to_files_that_are_there() -> None:
    for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"):
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", (ROOT / name).read_text()):
            assert (ROOT / target).exists(), (name, target)
