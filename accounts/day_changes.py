"""An organization's time zone decides which day an event belongs to. When the zone changes, a task of ``ledger.tasks``
rebuilds the past days in the background; accounts only know the task's name."""

from procrastinate.contrib.django import app
from procrastinate.contrib.django.models import ProcrastinateJob

CHANGE_DAYS = "change_days"
SETTLE_SECONDS = 30
"""After this time, every process that computed a call's day with the old zone has written the call or given up."""


def defer_change_of_days(organization_id: int) -> None:
    """Defer two jobs that rebuild the days. Call this in the transaction that changes the zone. The second job, after
    SETTLE_SECONDS, moves events that were still written with the old zone. Jobs of one organization run one after the
    other, and each uses the zone at its time, so that the last change wins."""
    lock = f"{CHANGE_DAYS}:{organization_id}"
    for seconds in (0, SETTLE_SECONDS):
        job = app.configure_task(CHANGE_DAYS, lock=lock, schedule_in={"seconds": seconds})
        job.defer(organization_id=organization_id)


def days_are_changing(organization_id: int) -> bool:
    """Whether a job that rebuilds the organization's days waits or runs."""
    jobs = ProcrastinateJob.objects.filter(task_name=CHANGE_DAYS, status__in=("todo", "doing"))
    return jobs.filter(args__organization_id=organization_id).exists()
