"""The benchmarks take too long for a test, so this only checks that their imports of the product work, and that the
load of the gateway's benchmark gets answers and streams from its upstream."""

import json
import re
from importlib import import_module
from pathlib import Path

import pytest

from benchmarks import gateways, uploads
from benchmarks.gateway import Figures, Gateway, compare, load

OTHERS = Path(gateways.__file__).parent / "others"


@pytest.mark.parametrize(
    "name",
    [
        "api",
        "client",
        "doors",
        "export",
        "gateway",
        "generate",
        "ingestion",
        "metrics",
        "pages",
        "paint",
        "parquet",
        "recording",
        "slow_streams",
        "sustained",
        "tokens",
        "turns",
        "uploads",
        "viewers",
        "writers",
    ],
)
def test_a_part_can_be_loaded(name: str) -> None:
    import_module(f"benchmarks.{name}")


def test_the_load_of_the_gateways_benchmark_reads_whole_answers_and_streams() -> None:
    with gateways.upstream() as port:
        gateway = Gateway("straight", port, headers={"x-portkey-provider": "groq"})
        for stream in (False, True):
            done = load(gateway, 2, 0.05, stream=stream)
            assert done["answers"] >= 2
            assert 0 < done["p50"] <= done["p99"]


def test_gateways_that_cannot_run_here_are_left_out_with_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gateways, "OTHERS", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    missing = gateways.missing_parts()
    assert set(missing) == {"LiteLLM", "Portkey"}
    assert missing["Portkey"] == "there is no Node on this machine"
    slow, quick = Figures([100.0], [1.0], [2.0], 50), Figures([300.0], [0.5], [1.0], 40)
    compare("answers", 16, {"straight": quick, "bare": quick, "ours": slow})
    told = capsys.readouterr().out
    assert "0.33 ×" in told
    assert "LiteLLM" not in told


def test_other_gateways_are_pinned_with_hashes_and_name_no_registry() -> None:
    locks = (OTHERS / "litellm.txt").read_text()
    pinned = [line for line in locks.splitlines() if line and not line.startswith((" ", "#"))]
    assert any(line.startswith("litellm==") for line in pinned)
    assert all("==" in line for line in pinned)
    assert locks.count("--hash=sha256:") >= len(pinned)
    assert "://" not in locks
    packages = json.loads((OTHERS / "portkey" / "package-lock.json").read_text())["packages"]
    assert all(about.get("integrity") for name, about in packages.items() if name)
    assert not any("resolved" in about for about in packages.values())


def test_the_file_that_is_uploaded_says_how_long_it_is() -> None:
    from groq_client.audio import length_of

    header = uploads.wave_header(32_000 * 3)
    length = length_of(header + bytes(32_000 * 3))
    assert length is not None
    assert length.seconds == 3
    assert re.match(rb"RIFF....WAVEfmt ", header, re.DOTALL)
