"""Processes that record over HTTP until they are killed: ``python -m tests.groq_client.over_http.doomed_clients
BASE_URL TRIALS SEED FILE DIRECTORY``. The ledger comes from the environment. At last a process that is not killed sends
the rest."""

import random
import sys
import time
from pathlib import Path

import groq_client
from groq_client.journal.journal import SUFFIX
from tests.doomed import LIFE, Children, doomed, time_of_a_call
from tests.running_demo import wait_until

SECONDS = 60


def main() -> None:
    base_url, trials, seed, path, directory = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], sys.argv[5]
    groq_client.connect(directory=directory)  # before the fork, as in a server that loads the program first
    children = Children(base_url, path)
    dice = random.Random(seed)
    moment = time_of_a_call(children, path)
    for _ in range(trials):
        with doomed(children):
            time.sleep(dice.uniform(*LIFE) * moment)
    with groq_client.usage_context(request_id="last"):
        children.client.chat.completions.create(model="openai/gpt-oss-20b", messages=[{"role": "user", "content": "?"}])
    wait_until(lambda: groq_client.flush(1) and len(journals(directory)) < 2, SECONDS)  # its own journal stays


def journals(directory: str) -> list[Path]:
    return list(Path(directory).glob(f"*{SUFFIX}"))


if __name__ == "__main__":
    main()
