"""An organization's time zone decides which day an event belongs to. When it changes, its past days are rebuilt in the
background: ``analytics.tasks`` has the task, known here by its name alone."""

from procrastinate.contrib.django import app
from procrastinate.contrib.django.models import ProcrastinateJob

CHANGE_DAYS = "change_days"
SETTLE_SECONDS = 30
"""So long after a change of the zone everybody who placed calls by the old one has written them, or given up."""


def defer_change_of_days(organization_id: int) -> None:
    """Have the days rebuilt. Call it in the transaction that changes the zone. Jobs of one organization run in turn,
    and each goes by the zone of its time, so that the last one wins. The second one moves what was still being written
    by the old zone while the first one ran."""
    lock = f"{CHANGE_DAYS}:{organization_id}"
    for seconds in (0, SETTLE_SECONDS):
        job = app.configure_task(CHANGE_DAYS, lock=lock, schedule_in={"seconds": seconds})
        job.defer(organization_id=organization_id)


def days_are_changing(organization_id: int) -> bool:
    """Whether such a job waits or runs."""
    jobs = ProcrastinateJob.objects.filter(task_name=CHANGE_DAYS, status__in=("todo", "doing"))
    return jobs.filter(args__organization_id=organization_id).exists()
