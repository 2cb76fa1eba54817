"""Measures the counting of tokens: milliseconds per 1,000 tokens, beside tiktoken alone on the same text.

Run it with ``python benchmarks/tokens.py``. The goal is 0.5 ms per 1,000 tokens, loading excluded, for every text.
"""

import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from groq_client import tokens

ENGLISH = "The committee will meet on Thursday to discuss the new budget, and everyone in the building is invited. "
CODE = 'def main(argv: list[str]) -> int:\n    for name in argv[1:]:\n        print(f"hello {name}")\n    return 0\n\n'
RUSSIAN = "Комитет соберётся в четверг, чтобы обсудить новый бюджет, и все, кто работает в здании, приглашены. "
CHINESE = "委员会将于星期四开会讨论新的预算，所有在大楼里工作的人都被邀请参加。"
MODELS = ["openai/gpt-oss-120b", "qwen/qwen3-32b", "llama-3.3-70b-versatile", "meta-llama/llama-4-scout", "kimi-k2"]


def best_ms(work: Callable[[], object], repeats: int) -> float:
    """The milliseconds of the fastest of several runs, which has the least noise of the machine."""
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times) * 1000


def load() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    took = best_ms(tokens.warm_up, 1)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(f"loading all vocabularies: {took:.0f} ms, {grown:.0f} MiB at most\n")


def throughput() -> None:
    print(f"{'text':<10}{'model':<28}{'tokens':>8}{'ms / 1k tokens':>16}{'x tiktoken':>12}")
    for name, line in {"english": ENGLISH, "code": CODE, "russian": RUSSIAN, "chinese": CHINESE}.items():
        for size, repeats in ((4_000, 50), (40_000, 10)):
            # The lines are numbered so that all pieces differ, because equal pieces are counted only once.
            text = "".join(f"{number} {line}" for number in range(size // len(line) + 1))[:size]
            for model in MODELS:
                report(name, text, model, repeats)


def report(name: str, text: str, model: str, repeats: int) -> None:
    vocabulary = tokens._base(tokens._library(), tokens.family_of(model))
    encoding = vocabulary._encoding
    assert encoding is not None
    counted = tokens.count_text(text, model)
    ours = best_ms(lambda: tokens.count_text(text, model), repeats)
    plain = best_ms(lambda: len(encoding.encode_ordinary(text)), repeats)
    print(f"{name:<10}{model:<28}{counted:>8}{ours * 1000 / counted:>16.3f}{ours / plain:>12.2f}")


def extremes() -> None:
    print("\nextremes (ms)")
    body = {"messages": [{"role": "user", "content": ENGLISH}] * 10}
    texts = {
        "1 MB of spaces": " " * 2**20,
        "1 MB of one letter": "a" * 2**20,
        "1 MB of English": "".join(f"{n} {ENGLISH}" for n in range(9_500)),
    }
    for name, text in texts.items():
        print(f"  {name:<24}{best_ms(lambda text=text: tokens.count_text(text, MODELS[0]), 3):>8.1f}")  # type: ignore[misc]
    print(f"  {'prompt of 10 messages':<24}{best_ms(lambda: tokens.estimate_prompt(body, MODELS[2]), 50):>8.3f}")


if __name__ == "__main__":
    load()
    throughput()
    extremes()
