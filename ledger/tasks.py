"""The tasks of the worker. Their schedule is in UTC. A job may run twice, but two jobs with the same lock never run at
the same time.

A failed periodic task is logged, and runs again at its next scheduled time.
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

from accounts.anonymising import ANONYMISE
from accounts.day_changes import CHANGE_DAYS
from accounts.merging import MERGE

logger = logging.getLogger("usage.worker")

KEEP_FAILED_HOURS = 30 * 24
AGAIN_SOON = RetryStrategy(max_attempts=20, linear_wait=30)


@app.periodic(cron="* * * * *")
@app.task(name="replay_journals", lock="replay_journals", queueing_lock="replay_journals")
def replay_journals(timestamp: int) -> None:
    """Record the calls that are in journals and not yet in the database."""
    from ledger.journal.replay import replay_journals

    replay_journals()


@app.periodic(cron="* * * * *")
@app.task(name="fold", lock="fold", queueing_lock="fold")
def fold(timestamp: int) -> None:
    """Move the tail into the sums. Processes that record do so within a second; this is for the rows that a process
    left behind when it ended."""
    from ledger.recording.folding import fold_tail

    fold_tail()


@app.periodic(cron="* * * * *")
@app.task(name="fill_gaps", lock="fill_gaps", queueing_lock="fill_gaps")
def fill_gaps(timestamp: int) -> None:
    """Add to recorded calls what other programs told about them later."""
    from ledger.upkeep.gaps import fill_gaps

    fill_gaps()


@app.periodic(cron="10 2 * * *")
@app.task(name="reconcile", lock="reconcile", queueing_lock="reconcile")
def reconcile(timestamp: int) -> None:
    """Compare the sums with the events, without repairing them."""
    from ledger.upkeep.reconciliation import reconcile

    reconcile(repair=False)


@app.periodic(cron="10 3 * * *")
@app.task(name="delete_expired", lock="delete_expired", queueing_lock="delete_expired", pass_context=True)
def delete_expired(context: JobContext, timestamp: int) -> None:
    """Delete the requests that organizations no longer keep. If the worker ends, the rest is deleted the next night."""
    from ledger.upkeep.retention import delete_expired_everywhere

    delete_expired_everywhere(context.should_abort)


@app.task(name=CHANGE_DAYS, retry=AGAIN_SOON)
def change_days(organization_id: int) -> None:
    """Move an organization's events and sums to the days of its present time zone."""
    from ledger.upkeep.day_moves import change_days

    try:
        change_days(organization_id)
    except Exception:
        logger.exception("The days of organization %s could not be rebuilt.", organization_id)
        raise


@app.task(name=MERGE, retry=AGAIN_SOON)
def merge(kind: str, away_id: int, is_second: bool) -> None:
    """Move the events, sessions and sums of a merged person (``kind`` is "handle") or project ("slug")."""
    from ledger.upkeep.merges import KINDS, move

    try:
        move(KINDS[kind], away_id)
    except Exception:
        logger.exception("What was merged away (%s %s) could not be moved.", kind, away_id)
        raise


@app.task(name=ANONYMISE, retry=AGAIN_SOON, pass_context=True)
def anonymise(context: JobContext, person_id: int) -> None:
    """Clear the texts in the requests of somebody who was made anonymous. If the worker ends, the job is run again and
    goes on with what is left."""
    from ledger.upkeep.anonymising import clear_texts

    try:
        clear_texts(person_id, context.should_abort)
    except Exception:
        logger.exception("The texts of person %s could not be cleared.", person_id)
        raise


@app.periodic(cron="* * * * *")
@app.task(name="rescue_jobs", queueing_lock="rescue_jobs", pass_context=True)
async def rescue_jobs(context: JobContext, timestamp: int) -> None:
    """Give the jobs of killed workers to running workers."""
    manager = context.app.job_manager
    for job in await manager.get_stalled_jobs():
        try:
            await manager.retry_job(job)
        except UniqueViolation:  # an equal job is already waiting
            await manager.finish_job(job, Status.ABORTED, delete_job=True)


@app.periodic(cron="40 3 * * *")
@app.task(name="purge_jobs", lock="purge_jobs", queueing_lock="purge_jobs", pass_context=True)
async def purge_jobs(context: JobContext, timestamp: int) -> None:
    """Delete the jobs that failed more than KEEP_FAILED_HOURS ago. Successful jobs are deleted when they end."""
    await context.app.job_manager.delete_old_jobs(
        KEEP_FAILED_HOURS, include_failed=True, include_cancelled=True, include_aborted=True
    )


@app.periodic(cron="50 3 * * *")
@app.task(name="forget_attempts", lock="forget_attempts", queueing_lock="forget_attempts")
def forget_attempts(timestamp: int) -> None:
    """Delete the sign-in attempts that no longer count, and the sessions that have ended."""
    from accounts.attempts import forget_old_attempts
    from accounts.sign_ins import forget_expired

    forget_old_attempts()
    forget_expired()


def last_heartbeat() -> datetime | None:
    """The time of the newest heartbeat of any worker, which each sends every 10 seconds; None if no worker runs."""
    heartbeat: datetime | None = ProcrastinateWorker.objects.aggregate(at=Max("last_heartbeat"))["at"]
    return heartbeat


def waiting_since() -> datetime | None:
    """The time from which the longest-waiting job could have been run; None if no job waits."""
    waiting = ProcrastinateJob.objects.filter(status="todo").annotate(at=Max("procrastinateevent__at"))
    since: datetime | None = waiting.filter(at__lte=timezone.now()).aggregate(since=Min("at"))["since"]
    return since
