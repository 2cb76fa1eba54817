"""Measures the server time of the REST API over 30 days, for each role: the whole answer, and the 304 to whoever has it
already, for which the server makes the same answer and sends nothing.
"""

from django.test import Client

from benchmarks.pages import viewers
from benchmarks.setup import median, report

ADDRESSES = {
    "summary": "usage?range=30d",
    "summary with the period before": "usage?range=30d&compare=previous",
    "events page": "events?range=30d",
    "costs by day": "costs?range=30d",
    "costs by hour, 7 days": "costs?range=7d&group_by=hour",
    "breakdown by model and user": "breakdown?range=30d&by=model&then=user",
    "series by model": "series?range=30d",
    "top users by cost": "top-users?range=30d&by=cost",
    "performance": "performance?range=30d",
    "sessions page": "sessions?range=30d",
    "models": "models",
    "providers": "providers?range=30d",
    "prices": "prices",
    "me": "me",
}
GOALS_MS = {("summary", "Admin"): 40, ("events page", "Admin"): 30}
REPEAT = 11


def run() -> None:
    for who, user in viewers():
        client = Client()
        client.force_login(user, backend="accounts.backends.Backend")
        for name, address in ADDRESSES.items():
            goal = GOALS_MS.get((name, who))
            measure(client, f"API {name}, {who}", f"/api/v1/{address}", f"goal ≤ {goal} ms" if goal else "")


def measure(client: Client, what: str, url: str, goal: str) -> None:
    answer = client.get(url)
    if answer.status_code != 200:  # A User sees neither prices nor costs.
        report(what, str(answer.status_code))
        return
    known = {"If-None-Match": answer["ETag"]}
    whole = median(lambda: client.get(url), REPEAT)
    again = median(lambda: client.get(url, headers=known), REPEAT)
    report(what, f"{whole:.1f} ms, with ETag {again:.1f} ms", goal)
