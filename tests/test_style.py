"""The tokens of static/css/app.css, and the font beside it."""

import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest
from django.conf import settings

CSS = (settings.BASE_DIR / "static" / "css" / "app.css").read_text()
AA = 4.5
Rgb = tuple[float, ...]


def tokens(theme: str) -> dict[str, str]:
    """The custom properties of :root whose value is one colour, in a theme."""
    pairs = re.findall(r"(--[\w-]+): (?:light-dark\((#\w+), (#\w+)\)|(#\w+));", CSS)
    return {name: single or (light if theme == "light" else dark) for name, light, dark, single in pairs}


def rgb(color: str) -> Rgb:
    digits = color[1:] if len(color) > 4 else "".join(2 * digit for digit in color[1:])
    return tuple(int(digits[n : n + 2], 16) for n in (0, 2, 4))


def over(color: str, share: float, ground: str) -> Rgb:
    """A translucent colour over another."""
    return tuple(share * top + (1 - share) * below for top, below in zip(rgb(color), rgb(ground), strict=True))


def luminance(color: Rgb) -> float:
    linear = [part / 3294.6 if part <= 10.31 else ((part / 255 + 0.055) / 1.055) ** 2.4 for part in color]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: Rgb, other: Rgb) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def grounds(look: dict[str, str]) -> Iterator[tuple[str, Rgb]]:
    """Where the gradients are strongest: in the light behind the page, and in the corner of each card."""
    sheen = re.search(r"--sheen: (\d+)%", CSS)
    assert sheen
    for name in ("--glow-violet", "--glow-pink", "--glow-blue"):
        yield name, rgb(look[name])
    for number in range(1, 7):
        yield f"card {number}", over(look[f"--color-{number}"], int(sheen[1]) / 100, look["--surface-1"])


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_can_be_read_where_gradients_are_strongest(theme: str) -> None:
    """axe-core does not judge text over gradients."""
    look = tokens(theme)
    texts = ("--on-surface", "--on-surface-variant", "--primary", "--good", "--bad")
    found = {
        (text, ground): round(contrast(rgb(look[text]), color), 2)
        for text, (ground, color) in product(texts, grounds(look))
    }
    assert len(found) == 45
    assert {pair: ratio for pair, ratio in found.items() if ratio < AA} == {}


def test_white_text_can_be_read_on_the_gradient_of_the_first_card() -> None:
    stops = re.search(r"--gradient: linear-gradient\(120deg, (#\w+), (#\w+) 60%, (#\w+)\)", CSS)
    shine = re.findall(r"(#\w{6})(\w\w), transparent 70%", CSS)
    assert stops
    assert len(shine) == 2
    for stop, (color, alpha) in product(stops.groups(), shine):
        assert contrast(rgb("#fff"), over(color, int(alpha, 16) / 255, stop)) >= AA, (stop, color)


def test_the_font_is_there_with_its_licence_and_preloaded() -> None:
    folder = settings.BASE_DIR / "static" / "vendor" / "geist"
    files = re.findall(r'url\("\.\./vendor/geist/([\w.-]+)"\)', CSS)
    assert sorted(files) == sorted(path.name for path in folder.glob("*.woff2"))
    assert "SIL Open Font License, Version 1.1" in (folder / "LICENSE").read_text()
    base = Path(settings.BASE_DIR / "templates" / "base.html").read_text()
    assert f'static("vendor/geist/{files[0]}")' in base
    assert (folder / files[0]).stat().st_size < 30_000


def test_all_motion_has_the_length_that_readers_can_turn_off() -> None:
    """Each transition and animation uses the tokens, which are nothing for those who ask for less motion, stands
    where these readers do not come, or follows their own scrolling (``detach``, a fade)."""
    others = set()
    for path in (settings.BASE_DIR / "static" / "css").glob("*.css"):
        for rule in re.findall(r"(?:transition|animation): ([^;]*);", path.read_text()):
            others |= {part.strip() for part in rule.split(",") if "var(--" not in part}
    lasting = {"busy 1.2s ease-out infinite", "pulse 1.6s ease-in-out infinite"}
    assert others == {"none", "detach linear both", *lasting}  # "detach" goes with the scroll, not with the time
    assert "@media (prefers-reduced-motion: reduce) { :root { --quick: 0s; --calm: 0s; } }" in CSS
