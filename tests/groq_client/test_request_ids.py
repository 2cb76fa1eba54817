"""Request ids are unique in all processes, whatever the program does to Python's random numbers."""

import os
import random
import re

from groq_client.call import new_request_id


def test_ids_are_uuids_of_version_7_in_order_of_time() -> None:
    ids = [new_request_id() for _ in range(1_000)]
    assert len(set(ids)) == 1_000
    assert all(re.fullmatch(r"[0-9a-f]{12}7[0-9a-f]{3}[89ab][0-9a-f]{15}", name) for name in ids)
    times = [name[:12] for name in ids]
    assert times == sorted(times)


def test_a_program_that_seeds_its_random_numbers_gets_no_id_twice() -> None:
    found = []
    for _ in range(2):
        random.seed(1)
        found.append(new_request_id()[13:])
    assert found[0] != found[1]


def test_a_forked_child_does_not_go_on_with_the_ids_of_its_parent() -> None:
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.write(writing, new_request_id()[13:].encode())
        os._exit(0)
    os.waitpid(child, 0)
    told = os.read(reading, 100).decode()
    os.close(reading)
    os.close(writing)
    assert told
    assert told != new_request_id()[13:]
