"""What the worker does. Periodic tasks go by UTC; each may run twice, and never two of a kind at once.

One that fails is logged and comes round again at its next time.
"""

import logging
from datetime import datetime

from django.db.models import Max, Min
from django.utils import timezone
from procrastinate import JobContext, RetryStrategy
from procrastinate.contrib.django import app
from procrastinate.contrib.django.models import ProcrastinateJob, ProcrastinateWorker
from procrastinate.exceptions import UniqueViolation
from procrastinate.jobs import Status

from accounts.day_changes import CHANGE_DAYS

logger = logging.getLogger("usage.worker")

KEEP_FAILED_HOURS = 30 * 24
AGAIN_SOON = RetryStrategy(max_attempts=20, linear_wait=30)


@app.periodic(cron="* * * * *")
@app.task(name="replay_journals", lock="replay_journals", queueing_lock="replay_journals")
def replay_journals(timestamp: int) -> None:
    """Record what journals hold that the database does not."""
    from analytics.replay import replay_journals

    replay_journals()


@app.periodic(cron="10 2 * * *")
@app.task(name="reconcile", lock="reconcile", queueing_lock="reconcile")
def reconcile(timestamp: int) -> None:
    """Compare the sums with the events. Repairs nothing."""
    from analytics.reconciliation import reconcile

    reconcile(repair=False)


@app.periodic(cron="10 3 * * *")
@app.task(name="delete_expired", lock="delete_expired", queueing_lock="delete_expired", pass_context=True)
def delete_expired(context: JobContext, timestamp: int) -> None:
    """Delete the requests that organizations keep no longer. A worker that ends leaves the rest to the next night."""
    from analytics.retention import delete_expired_everywhere

    delete_expired_everywhere(context.should_abort)


@app.task(name=CHANGE_DAYS, retry=AGAIN_SOON)
def change_days(organization_id: int) -> None:
    """Rebuild an organization's days in its time zone of now."""
    from analytics.time_zone import change_days

    try:
        change_days(organization_id)
    except Exception:
        logger.exception("The days of organization %s could not be rebuilt.", organization_id)
        raise


@app.periodic(cron="* * * * *")
@app.task(name="rescue_jobs", queueing_lock="rescue_jobs", pass_context=True)
async def rescue_jobs(context: JobContext, timestamp: int) -> None:
    """Give the jobs of workers that were killed to those that live."""
    manager = context.app.job_manager
    for job in await manager.get_stalled_jobs():
        try:
            await manager.retry_job(job)
        except UniqueViolation:  # the same waits already
            await manager.finish_job(job, Status.ABORTED, delete_job=True)


@app.periodic(cron="40 3 * * *")
@app.task(name="purge_jobs", lock="purge_jobs", queueing_lock="purge_jobs", pass_context=True)
async def purge_jobs(context: JobContext, timestamp: int) -> None:
    """Forget the jobs that failed long ago. Those that succeed are not kept at all."""
    await context.app.job_manager.delete_old_jobs(
        KEEP_FAILED_HOURS, include_failed=True, include_cancelled=True, include_aborted=True
    )


def last_heartbeat() -> datetime | None:
    """When a worker last said that it lives, which it does every ten seconds; None where none runs."""
    heartbeat: datetime | None = ProcrastinateWorker.objects.aggregate(at=Max("last_heartbeat"))["at"]
    return heartbeat


def waiting_since() -> datetime | None:
    """Since when the job that has waited longest could have begun; None where none waits."""
    waiting = ProcrastinateJob.objects.filter(status="todo").annotate(at=Max("procrastinateevent__at"))
    since: datetime | None = waiting.filter(at__lte=timezone.now()).aggregate(since=Min("at"))["since"]
    return since
