"""The tasks of the worker that belong to the dashboard."""

from procrastinate import JobContext
from procrastinate.contrib.django import app


@app.periodic(cron="*/5 * * * *")
@app.task(name="scheduled_exports", lock="scheduled_exports", queueing_lock="scheduled_exports", pass_context=True)
def scheduled_exports(context: JobContext, timestamp: int) -> None:
    """Make the exports of the periods that are over. If the worker ends, the next run goes on."""
    from analytics.scheduled.run import make_due

    make_due(context.should_abort)
