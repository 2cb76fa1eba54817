import django.contrib.postgres.fields
import django.contrib.postgres.indexes
import django.db.models.deletion
import django.db.models.functions.datetime
import pricing.fields
from decimal import Decimal
from django.conf import settings
from django.db import migrations, models


# Citus distributes a table by organization, so its primary key has to contain that column. The id comes first, so that
# the index also finds an event by its id alone.
EVENT_PRIMARY_KEY = """
ALTER TABLE ledger_usageevent DROP CONSTRAINT ledger_usageevent_pkey;
ALTER TABLE ledger_usageevent ADD CONSTRAINT ledger_usageevent_pkey PRIMARY KEY (id, organization_id);
"""

# PostgreSQL can answer a query from the index alone only where the visibility map marks the rows as visible to all.
# Autovacuum updates that map, but by default only after the table has grown by a fifth.
VACUUM_SOONER = "ALTER TABLE ledger_usageevent SET (autovacuum_vacuum_insert_scale_factor = 0.01);"

# Each cube has its own partition, so that the rows that a report reads are side by side. The fill factor leaves room in
# each page, since rows are updated in place all day. A new cube needs a migration that adds its partition.
ROLLUP_PARTITIONS = """
CREATE TABLE ledger_rollup_parent (LIKE ledger_rollup INCLUDING ALL) PARTITION BY LIST (cube);
DROP TABLE ledger_rollup;
ALTER TABLE ledger_rollup_parent RENAME TO ledger_rollup;
ALTER INDEX ledger_rollup_parent_pkey RENAME TO ledger_rollup_pkey;
""" + "".join(
    f"CREATE TABLE ledger_rollup_{n} PARTITION OF ledger_rollup FOR VALUES IN ({n}) WITH (fillfactor = 70);\n"
    for n in (*range(1, 13), *range(21, 30))
)

# Most queries on the cube of people and on the widest cube are about one person. In the primary key the person comes
# after the day, so without these indexes such a query would read the rows of everybody in the organization.
ROLLUP_OF_A_PERSON = """
CREATE INDEX ledger_rollup_5_person ON ledger_rollup_5 (organization_id, user_id, day);
CREATE INDEX ledger_rollup_11_person ON ledger_rollup_11 (organization_id, user_id, day);
"""

# The fill factor leaves room in each page, since rows are updated in place all day.
ROOM_FOR_UPDATES = "ALTER TABLE ledger_session SET (fillfactor = 80);"

# An upsert of a session merges arrays by this function, because Citus accepts no sub-select in an INSERT ... VALUES,
# and in ON CONFLICT only functions that are immutable. The result is sorted by the collation of the column, as
# array_agg(DISTINCT) sorts.
UNION_OF_ARRAYS = """
CREATE FUNCTION ledger_union(one anyarray, other anyarray) RETURNS anyarray
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$ SELECT ARRAY(SELECT DISTINCT unnest(one || other) ORDER BY 1) $$;
"""

# Rows of the tail live for about a second, so it has to be vacuumed by their number and not by its size.
VACUUM_THE_TAIL = """
ALTER TABLE ledger_tail SET (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000, autovacuum_vacuum_cost_delay = 0,
    autovacuum_vacuum_insert_threshold = -1, autovacuum_analyze_threshold = 1000000000
);
"""

# What reports read: the stored sums and the tail. A row of the tail counts as a row of sums in a cube 0.
BUCKET_BOUNDS = (
    "10,12,13,15,17,20,23,27,31,35,40,47,54,62,71,81,94,108,124,142,164,188,216,"
    "249,286,329,379,435,501,576,662,761,876,1007,1158,1332,1532,1761,2025,2329,2679,"
    "3080,3542,4074,4685,5388,6196,7125,8194,9423,10837,12462,14331,16481,18953,21796,"
    "25066,28826,33149,38122,43840,50416,57978,66675,76676,88178,101405,116615,134108,"
    "154224,177357,203961,234555,269738,310199,356729,410238,471774,542540"
)
IS_TIMEOUT = r"status = 'error' AND error_code ~* 'time[d_ -]*out|deadline_?exceeded|^(http_)?(408|504)$'"
CURRENT_ROLLUP = f"""
CREATE VIEW ledger_current_rollup AS
SELECT organization_id, cube, day, provider, status, hour, project_id, user_id, latency_bucket, model, expert_id,
       template_id, feature, requests, unpriced, without_tool_fees, estimated, input_tokens, output_tokens,
       total_tokens, cached_tokens, reasoning_tokens, audio_seconds, characters, cost_usd, tool_cost_usd,
       latency_ms_sum, latency_ms_min, latency_ms_max, ttft_ms_sum, ttft_count
FROM ledger_rollup
UNION ALL
SELECT organization_id, 0::smallint AS cube, day, provider,
       (CASE WHEN {IS_TIMEOUT} THEN 'timeout'::varchar ELSE status END)::varchar(10) AS status, hour,
       coalesce(project_id, 0) AS project_id, coalesce(user_id, 0) AS user_id,
       width_bucket(latency_ms, '{{{BUCKET_BOUNDS}}}'::int[])::smallint AS latency_bucket,
       model, expert_id, template_id, feature, 1::bigint AS requests, (cost_usd IS NULL OR without_tool_fees)::int::bigint AS unpriced,
       without_tool_fees::int::bigint AS without_tool_fees, tokens_estimated::int::bigint AS estimated, input_tokens,
       output_tokens, total_tokens, cached_tokens, reasoning_tokens, audio_seconds::numeric(18, 3) AS audio_seconds,
       characters, coalesce(cost_usd, 0) AS cost_usd, tool_cost_usd, latency_ms::bigint AS latency_ms_sum,
       latency_ms AS latency_ms_min, latency_ms AS latency_ms_max, coalesce(ttft_ms, 0)::bigint AS ttft_ms_sum,
       (ttft_ms IS NOT NULL)::int::bigint AS ttft_count
FROM ledger_tail;
"""


def _class(measure: str, smallest: int) -> str:
    bounds = ",".join(str(smallest * 2**n) for n in range(20))
    return f"width_bucket({measure}, '{{{bounds}}}'::bigint[])::smallint"


def _union(name: str) -> str:
    return f"""CASE WHEN old.requests IS NULL THEN added.{name} WHEN old.{name} @> added.{name} THEN old.{name}
                ELSE ledger_union(old.{name}, added.{name}) END AS {name}"""


SESSION_COLUMNS = """organization_id, user_id, session_id, requests, unpriced, without_tool_fees, input_tokens,
    output_tokens, cached_tokens, total_tokens, cost_usd, errors, timeouts, first_at, last_at, first_day, last_day,
    model_names, providers, project_ids, expert_ids, template_ids, features"""

# The conversations with calls in the tail, each with its stored sums and those of these calls added up.
TAIL_SESSION = f"""
CREATE VIEW ledger_tail_session AS
SELECT {SESSION_COLUMNS}, (last_at AT TIME ZONE 'UTC')::date AS last_utc_day,
       {_class("requests", 10)} AS requests_class, {_class("total_tokens", 10_000)} AS tokens_class,
       {_class("cost_usd", 10_000_000)} AS cost_class
FROM (
    SELECT organization_id, user_id, session_id,
           coalesce(old.requests, 0) + added.requests AS requests,
           coalesce(old.unpriced, 0) + added.unpriced AS unpriced,
           coalesce(old.without_tool_fees, 0) + added.without_tool_fees AS without_tool_fees,
           coalesce(old.input_tokens, 0) + added.input_tokens AS input_tokens,
           coalesce(old.output_tokens, 0) + added.output_tokens AS output_tokens,
           coalesce(old.cached_tokens, 0) + added.cached_tokens AS cached_tokens,
           coalesce(old.total_tokens, 0) + added.total_tokens AS total_tokens,
           coalesce(old.cost_usd, 0) + added.cost_usd AS cost_usd, coalesce(old.errors, 0) + added.errors AS errors,
           coalesce(old.timeouts, 0) + added.timeouts AS timeouts,
           least(old.first_at, added.first_at) AS first_at, greatest(old.last_at, added.last_at) AS last_at,
           least(old.first_day, added.first_day) AS first_day, greatest(old.last_day, added.last_day) AS last_day,
           {_union("model_names")}, {_union("providers")}, {_union("project_ids")}, {_union("expert_ids")},
           {_union("template_ids")}, {_union("features")}
    FROM (
        SELECT organization_id, coalesce(user_id, 0) AS user_id, session_id, (count(*))::bigint AS requests,
               (count(*) FILTER (WHERE cost_usd IS NULL OR without_tool_fees))::bigint AS unpriced,
               (count(*) FILTER (WHERE without_tool_fees))::bigint AS without_tool_fees,
               (sum(input_tokens))::bigint AS input_tokens, (sum(output_tokens))::bigint AS output_tokens,
               (sum(cached_tokens))::bigint AS cached_tokens, (sum(total_tokens))::bigint AS total_tokens,
               (coalesce(sum(cost_usd), 0))::bigint AS cost_usd,
               (count(*) FILTER (WHERE status = 'error'))::bigint AS errors,
               (count(*) FILTER (WHERE {IS_TIMEOUT}))::bigint AS timeouts, min(timestamp) AS first_at,
               max(timestamp + latency_ms * interval '1 ms') AS last_at, min(day) AS first_day, max(day) AS last_day,
               array_agg(DISTINCT model) AS model_names, array_agg(DISTINCT provider) AS providers,
               array_agg(DISTINCT coalesce(project_id, 0)) AS project_ids,
               array_agg(DISTINCT expert_id) AS expert_ids, array_agg(DISTINCT template_id) AS template_ids,
               array_agg(DISTINCT feature) AS features
        FROM ledger_tail
        WHERE session_id <> ''
        GROUP BY 1, 2, 3
    ) AS added
    LEFT JOIN ledger_session AS old USING (organization_id, user_id, session_id)
) AS merged;
"""

# All conversations. Those with calls in the tail are not read from their stored rows.
CURRENT_SESSION = f"""
CREATE VIEW ledger_current_session AS
SELECT {SESSION_COLUMNS}, last_utc_day, requests_class, tokens_class, cost_class
FROM ledger_session AS old
WHERE NOT EXISTS (
    SELECT FROM ledger_tail AS tail
    WHERE tail.organization_id = old.organization_id AND coalesce(tail.user_id, 0) = old.user_id
      AND tail.session_id = old.session_id)
UNION ALL
SELECT * FROM ledger_tail_session;
"""


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('accounts', '0001_initial'),
        ('pricing', '0001_initial'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Reconciliation',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('started_at', models.DateTimeField()),
                ('finished_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('first_day', models.DateField(help_text='Empty: from the first day that is there in detail.', null=True)),
                ('last_day', models.DateField(help_text='Empty: to the last.', null=True)),
                ('compared', models.IntegerField(help_text='Days of organizations and of all of them together, sessions aside.')),
                ('drifted', models.IntegerField(help_text='Those of these days on which a sum or a session was wrong.')),
                ('repaired', models.IntegerField(help_text='Those of them that were made right.')),
                ('drifts', models.JSONField(default=list, help_text='What was wrong, the first of it, each as a line of text.')),
                ('left_wrong', models.JSONField(default=dict, help_text='By the number of an organization, 0 for all: the first and the last day that stayed wrong.')),
                ('organization', models.ForeignKey(db_index=False, help_text='Empty: all of them.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.organization')),
            ],
            options={
                'get_latest_by': ('finished_at', 'pk'),
            },
        ),
        migrations.CreateModel(
            name='Rollup',
            fields=[
                ('pk', models.CompositePrimaryKey('organization_id', 'cube', 'day', 'provider', 'status', 'hour', 'project_id', 'user_id', 'latency_bucket', 'model', 'expert_id', 'template_id', 'feature', blank=True, editable=False, primary_key=True, serialize=False)),
                ('cube', models.SmallIntegerField()),
                ('day', models.DateField()),
                ('provider', models.CharField(blank=True, db_collation='C', default='', max_length=50)),
                ('status', models.CharField(choices=[('success', 'Success'), ('error', 'Error'), ('timeout', 'Timeout')], db_collation='C', max_length=10)),
                ('hour', models.SmallIntegerField(default=0)),
                ('project_id', models.BigIntegerField(default=0)),
                ('user_id', models.BigIntegerField(default=0)),
                ('latency_bucket', models.SmallIntegerField(default=0)),
                ('model', models.CharField(blank=True, db_collation='C', default='', max_length=200)),
                ('expert_id', models.CharField(blank=True, db_collation='C', default='', max_length=200)),
                ('template_id', models.CharField(blank=True, db_collation='C', default='', max_length=200)),
                ('feature', models.CharField(blank=True, db_collation='C', default='', max_length=200)),
                ('requests', models.BigIntegerField(default=0)),
                ('unpriced', models.BigIntegerField(default=0)),
                ('without_tool_fees', models.BigIntegerField(default=0)),
                ('estimated', models.BigIntegerField(default=0)),
                ('input_tokens', models.BigIntegerField(default=0)),
                ('output_tokens', models.BigIntegerField(default=0)),
                ('total_tokens', models.BigIntegerField(default=0)),
                ('cached_tokens', models.BigIntegerField(default=0)),
                ('reasoning_tokens', models.BigIntegerField(default=0)),
                ('audio_seconds', models.DecimalField(decimal_places=3, default=Decimal('0'), max_digits=18)),
                ('characters', models.BigIntegerField(default=0)),
                ('cost_usd', pricing.fields.NanoDollarField(default=Decimal('0'))),
                ('tool_cost_usd', pricing.fields.NanoDollarField(default=Decimal('0'))),
                ('latency_ms_sum', models.BigIntegerField(default=0)),
                ('latency_ms_min', models.IntegerField()),
                ('latency_ms_max', models.IntegerField()),
                ('ttft_ms_sum', models.BigIntegerField(default=0)),
                ('ttft_count', models.BigIntegerField(default=0)),
                ('organization', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.organization')),
            ],
        ),
        migrations.CreateModel(
            name='Supplement',
            fields=[
                ('pk', models.CompositePrimaryKey('organization_id', 'request_id', 'told_as', blank=True, editable=False, primary_key=True, serialize=False)),
                ('request_id', models.CharField(blank=True, db_collation='C', default='', max_length=200)),
                ('told_as', models.CharField(blank=True, db_collation='C', default='', max_length=200)),
                ('told', models.JSONField()),
                ('organization', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.organization')),
            ],
        ),
        migrations.CreateModel(
            name='Session',
            fields=[
                ('pk', models.CompositePrimaryKey('organization_id', 'user_id', 'session_id', blank=True, editable=False, primary_key=True, serialize=False)),
                ('user_id', models.BigIntegerField(default=0)),
                ('requests', models.BigIntegerField()),
                ('errors', models.BigIntegerField()),
                ('timeouts', models.BigIntegerField()),
                ('unpriced', models.BigIntegerField()),
                ('without_tool_fees', models.BigIntegerField()),
                ('input_tokens', models.BigIntegerField()),
                ('output_tokens', models.BigIntegerField()),
                ('cached_tokens', models.BigIntegerField()),
                ('total_tokens', models.BigIntegerField()),
                ('cost_usd', pricing.fields.NanoDollarField()),
                ('first_at', models.DateTimeField()),
                ('last_at', models.DateTimeField()),
                ('first_day', models.DateField()),
                ('last_day', models.DateField()),
                ('last_utc_day', models.GeneratedField(db_persist=True, expression=models.Func('last_at', template="(%(expressions)s AT TIME ZONE 'UTC')::date"), output_field=models.DateField())),
                ('requests_class', models.GeneratedField(db_persist=True, expression=models.Func('requests', bounds='{10,20,40,80,160,320,640,1280,2560,5120,10240,20480,40960,81920,163840,327680,655360,1310720,2621440,5242880}', template="width_bucket(%(expressions)s, '%(bounds)s'::bigint[])"), output_field=models.SmallIntegerField())),
                ('tokens_class', models.GeneratedField(db_persist=True, expression=models.Func('total_tokens', bounds='{10000,20000,40000,80000,160000,320000,640000,1280000,2560000,5120000,10240000,20480000,40960000,81920000,163840000,327680000,655360000,1310720000,2621440000,5242880000}', template="width_bucket(%(expressions)s, '%(bounds)s'::bigint[])"), output_field=models.SmallIntegerField())),
                ('cost_class', models.GeneratedField(db_persist=True, expression=models.Func('cost_usd', bounds='{10000000,20000000,40000000,80000000,160000000,320000000,640000000,1280000000,2560000000,5120000000,10240000000,20480000000,40960000000,81920000000,163840000000,327680000000,655360000000,1310720000000,2621440000000,5242880000000}', template="width_bucket(%(expressions)s, '%(bounds)s'::bigint[])"), output_field=models.SmallIntegerField())),
                ('session_id', models.CharField(blank=True, db_collation='C', default='', max_length=200)),
                ('model_names', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(blank=True, db_collation='C', default='', max_length=200), size=None)),
                ('providers', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(blank=True, db_collation='C', default='', max_length=50), default=list, size=None)),
                ('project_ids', django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), default=list, size=None)),
                ('expert_ids', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(blank=True, db_collation='C', default='', max_length=200), default=list, size=None)),
                ('template_ids', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(blank=True, db_collation='C', default='', max_length=200), default=list, size=None)),
                ('features', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(blank=True, db_collation='C', default='', max_length=200), default=list, size=None)),
                ('organization', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.organization')),
            ],
            options={
                'indexes': [models.Index(fields=['organization', 'last_utc_day', 'first_day'], name='session_org_day'), models.Index(fields=['last_utc_day', 'first_day'], name='session_day'), models.Index(fields=['requests_class'], name='session_requests'), models.Index(fields=['tokens_class'], name='session_tokens'), models.Index(fields=['cost_class'], name='session_cost')],
            },
        ),
        migrations.CreateModel(
            name='UsageEvent',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('request_id', models.CharField(blank=True, db_collation='C', default='', max_length=200)),
                ('timestamp', models.DateTimeField()),
                ('received_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('day', models.DateField()),
                ('hour', models.SmallIntegerField()),
                ('provider', models.CharField(blank=True, db_collation='C', default='', max_length=50)),
                ('model', models.CharField(blank=True, db_collation='C', default='', max_length=200)),
                ('model_requested', models.CharField(blank=True, db_collation='C', default='', max_length=200)),
                ('operation', models.CharField(choices=[('chat', 'Chat'), ('transcription', 'Transcription'), ('translation', 'Translation'), ('speech', 'Speech'), ('embedding', 'Embedding'), ('batch', 'Batch')], db_collation='C', default='chat', max_length=20)),
                ('feature', models.CharField(blank=True, db_collation='C', default='', max_length=200)),
                ('expert_id', models.CharField(blank=True, db_collation='C', default='', max_length=200)),
                ('template_id', models.CharField(blank=True, db_collation='C', default='', max_length=200)),
                ('session_id', models.CharField(blank=True, db_collation='C', default='', max_length=200)),
                ('provider_request_id', models.CharField(blank=True, db_collation='C', default='', max_length=200)),
                ('response_id', models.CharField(blank=True, db_collation='C', default='', max_length=200)),
                ('status', models.CharField(choices=[('success', 'Success'), ('error', 'Error')], db_collation='C', default='success', max_length=10)),
                ('error_code', models.CharField(blank=True, db_collation='C', default='', max_length=200)),
                ('error_message', models.CharField(blank=True, default='', max_length=500)),
                ('http_status', models.SmallIntegerField(null=True)),
                ('attempts', models.SmallIntegerField(default=1)),
                ('stream', models.BooleanField(default=False)),
                ('input_tokens', models.BigIntegerField(default=0)),
                ('output_tokens', models.BigIntegerField(default=0)),
                ('total_tokens', models.BigIntegerField(default=0)),
                ('cached_tokens', models.BigIntegerField(default=0)),
                ('reasoning_tokens', models.BigIntegerField(default=0)),
                ('audio_seconds', models.DecimalField(decimal_places=3, default=Decimal('0'), max_digits=12)),
                ('characters', models.BigIntegerField(default=0)),
                ('tokens_estimated', models.BooleanField(default=False)),
                ('latency_ms', models.IntegerField()),
                ('ttft_ms', models.IntegerField(null=True)),
                ('queue_ms', models.FloatField(null=True)),
                ('prompt_ms', models.FloatField(null=True)),
                ('completion_ms', models.FloatField(null=True)),
                ('cost_usd', pricing.fields.NanoDollarField(null=True)),
                ('usage_breakdown', models.JSONField(null=True)),
                ('service_tier', models.CharField(blank=True, db_collation='C', default='', max_length=20)),
                ('limit_requests', models.BigIntegerField(null=True)),
                ('remaining_requests', models.BigIntegerField(null=True)),
                ('limit_tokens', models.BigIntegerField(null=True)),
                ('remaining_tokens', models.BigIntegerField(null=True)),
                ('metadata', models.JSONField(default=dict)),
                ('tool_uses', models.JSONField(default=dict)),
                ('tool_cost_usd', pricing.fields.NanoDollarField(default=Decimal('0'))),
                ('without_tool_fees', models.BooleanField(default=False)),
                ('reported_cost_usd', pricing.fields.NanoDollarField(null=True)),
                ('organization', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.organization')),
                ('price', models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='pricing.price')),
                ('tool_price', models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='pricing.price')),
                ('project', models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.project')),
                ('user', models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'permissions': (('export_usageevent', 'Can export usage events'),),
                'indexes': [models.Index(fields=['organization', 'day', 'timestamp'], name='usageevent_org_day'), models.Index(fields=['organization', 'user', 'day', 'timestamp'], include=('hour', 'provider', 'model', 'latency_ms', 'ttft_ms'), name='usageevent_person_time'), models.Index(fields=['timestamp', 'id'], name='usageevent_timestamp')],
                'constraints': [models.UniqueConstraint(fields=('request_id', 'organization'), name='usageevent_request_id'), models.UniqueConstraint(condition=models.Q(('provider_request_id', ''), _negated=True), fields=('provider_request_id', 'organization'), name='usageevent_provider_id'), models.UniqueConstraint(condition=models.Q(('response_id', ''), _negated=True), fields=('response_id', 'organization'), name='usageevent_response_id')],
            },
        ),
        migrations.CreateModel(
            name='CurrentRollup',
            fields=[
                ('pk', models.CompositePrimaryKey('organization_id', 'cube', 'day', 'provider', 'status', 'hour', 'project_id', 'user_id', 'latency_bucket', 'model', 'expert_id', 'template_id', 'feature', blank=True, editable=False, primary_key=True, serialize=False)),
                ('cube', models.SmallIntegerField()),
                ('day', models.DateField()),
                ('provider', models.CharField(blank=True, db_collation='C', default='', max_length=50)),
                ('status', models.CharField(choices=[('success', 'Success'), ('error', 'Error'), ('timeout', 'Timeout')], db_collation='C', max_length=10)),
                ('hour', models.SmallIntegerField(default=0)),
                ('project_id', models.BigIntegerField(default=0)),
                ('user_id', models.BigIntegerField(default=0)),
                ('latency_bucket', models.SmallIntegerField(default=0)),
                ('model', models.CharField(blank=True, db_collation='C', default='', max_length=200)),
                ('expert_id', models.CharField(blank=True, db_collation='C', default='', max_length=200)),
                ('template_id', models.CharField(blank=True, db_collation='C', default='', max_length=200)),
                ('feature', models.CharField(blank=True, db_collation='C', default='', max_length=200)),
                ('requests', models.BigIntegerField(default=0)),
                ('unpriced', models.BigIntegerField(default=0)),
                ('without_tool_fees', models.BigIntegerField(default=0)),
                ('estimated', models.BigIntegerField(default=0)),
                ('input_tokens', models.BigIntegerField(default=0)),
                ('output_tokens', models.BigIntegerField(default=0)),
                ('total_tokens', models.BigIntegerField(default=0)),
                ('cached_tokens', models.BigIntegerField(default=0)),
                ('reasoning_tokens', models.BigIntegerField(default=0)),
                ('audio_seconds', models.DecimalField(decimal_places=3, default=Decimal('0'), max_digits=18)),
                ('characters', models.BigIntegerField(default=0)),
                ('cost_usd', pricing.fields.NanoDollarField(default=Decimal('0'))),
                ('tool_cost_usd', pricing.fields.NanoDollarField(default=Decimal('0'))),
                ('latency_ms_sum', models.BigIntegerField(default=0)),
                ('latency_ms_min', models.IntegerField()),
                ('latency_ms_max', models.IntegerField()),
                ('ttft_ms_sum', models.BigIntegerField(default=0)),
                ('ttft_count', models.BigIntegerField(default=0)),
            ],
            options={
                'db_table': 'ledger_current_rollup',
                'managed': False,
            },
        ),
        migrations.CreateModel(
            name='CurrentSession',
            fields=[
                ('pk', models.CompositePrimaryKey('organization_id', 'user_id', 'session_id', blank=True, editable=False, primary_key=True, serialize=False)),
                ('user_id', models.BigIntegerField(default=0)),
                ('requests', models.BigIntegerField()),
                ('errors', models.BigIntegerField()),
                ('timeouts', models.BigIntegerField()),
                ('unpriced', models.BigIntegerField()),
                ('without_tool_fees', models.BigIntegerField()),
                ('input_tokens', models.BigIntegerField()),
                ('output_tokens', models.BigIntegerField()),
                ('cached_tokens', models.BigIntegerField()),
                ('total_tokens', models.BigIntegerField()),
                ('cost_usd', pricing.fields.NanoDollarField()),
                ('first_at', models.DateTimeField()),
                ('last_at', models.DateTimeField()),
                ('first_day', models.DateField()),
                ('last_day', models.DateField()),
                ('last_utc_day', models.GeneratedField(db_persist=True, expression=models.Func('last_at', template="(%(expressions)s AT TIME ZONE 'UTC')::date"), output_field=models.DateField())),
                ('requests_class', models.GeneratedField(db_persist=True, expression=models.Func('requests', bounds='{10,20,40,80,160,320,640,1280,2560,5120,10240,20480,40960,81920,163840,327680,655360,1310720,2621440,5242880}', template="width_bucket(%(expressions)s, '%(bounds)s'::bigint[])"), output_field=models.SmallIntegerField())),
                ('tokens_class', models.GeneratedField(db_persist=True, expression=models.Func('total_tokens', bounds='{10000,20000,40000,80000,160000,320000,640000,1280000,2560000,5120000,10240000,20480000,40960000,81920000,163840000,327680000,655360000,1310720000,2621440000,5242880000}', template="width_bucket(%(expressions)s, '%(bounds)s'::bigint[])"), output_field=models.SmallIntegerField())),
                ('cost_class', models.GeneratedField(db_persist=True, expression=models.Func('cost_usd', bounds='{10000000,20000000,40000000,80000000,160000000,320000000,640000000,1280000000,2560000000,5120000000,10240000000,20480000000,40960000000,81920000000,163840000000,327680000000,655360000000,1310720000000,2621440000000,5242880000000}', template="width_bucket(%(expressions)s, '%(bounds)s'::bigint[])"), output_field=models.SmallIntegerField())),
                ('session_id', models.CharField(blank=True, db_collation='C', default='', max_length=200)),
                ('model_names', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(blank=True, db_collation='C', default='', max_length=200), size=None)),
                ('providers', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(blank=True, db_collation='C', default='', max_length=50), default=list, size=None)),
                ('project_ids', django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), default=list, size=None)),
                ('expert_ids', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(blank=True, db_collation='C', default='', max_length=200), default=list, size=None)),
                ('template_ids', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(blank=True, db_collation='C', default='', max_length=200), default=list, size=None)),
                ('features', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(blank=True, db_collation='C', default='', max_length=200), default=list, size=None)),
            ],
            options={
                'db_table': 'ledger_current_session',
                'managed': False,
            },
        ),
        migrations.CreateModel(
            name='TailSession',
            fields=[
                ('pk', models.CompositePrimaryKey('organization_id', 'user_id', 'session_id', blank=True, editable=False, primary_key=True, serialize=False)),
                ('user_id', models.BigIntegerField(default=0)),
                ('requests', models.BigIntegerField()),
                ('errors', models.BigIntegerField()),
                ('timeouts', models.BigIntegerField()),
                ('unpriced', models.BigIntegerField()),
                ('without_tool_fees', models.BigIntegerField()),
                ('input_tokens', models.BigIntegerField()),
                ('output_tokens', models.BigIntegerField()),
                ('cached_tokens', models.BigIntegerField()),
                ('total_tokens', models.BigIntegerField()),
                ('cost_usd', pricing.fields.NanoDollarField()),
                ('first_at', models.DateTimeField()),
                ('last_at', models.DateTimeField()),
                ('first_day', models.DateField()),
                ('last_day', models.DateField()),
                ('last_utc_day', models.GeneratedField(db_persist=True, expression=models.Func('last_at', template="(%(expressions)s AT TIME ZONE 'UTC')::date"), output_field=models.DateField())),
                ('requests_class', models.GeneratedField(db_persist=True, expression=models.Func('requests', bounds='{10,20,40,80,160,320,640,1280,2560,5120,10240,20480,40960,81920,163840,327680,655360,1310720,2621440,5242880}', template="width_bucket(%(expressions)s, '%(bounds)s'::bigint[])"), output_field=models.SmallIntegerField())),
                ('tokens_class', models.GeneratedField(db_persist=True, expression=models.Func('total_tokens', bounds='{10000,20000,40000,80000,160000,320000,640000,1280000,2560000,5120000,10240000,20480000,40960000,81920000,163840000,327680000,655360000,1310720000,2621440000,5242880000}', template="width_bucket(%(expressions)s, '%(bounds)s'::bigint[])"), output_field=models.SmallIntegerField())),
                ('cost_class', models.GeneratedField(db_persist=True, expression=models.Func('cost_usd', bounds='{10000000,20000000,40000000,80000000,160000000,320000000,640000000,1280000000,2560000000,5120000000,10240000000,20480000000,40960000000,81920000000,163840000000,327680000000,655360000000,1310720000000,2621440000000,5242880000000}', template="width_bucket(%(expressions)s, '%(bounds)s'::bigint[])"), output_field=models.SmallIntegerField())),
                ('session_id', models.CharField(blank=True, db_collation='C', default='', max_length=200)),
                ('model_names', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(blank=True, db_collation='C', default='', max_length=200), size=None)),
                ('providers', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(blank=True, db_collation='C', default='', max_length=50), default=list, size=None)),
                ('project_ids', django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), default=list, size=None)),
                ('expert_ids', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(blank=True, db_collation='C', default='', max_length=200), default=list, size=None)),
                ('template_ids', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(blank=True, db_collation='C', default='', max_length=200), default=list, size=None)),
                ('features', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(blank=True, db_collation='C', default='', max_length=200), default=list, size=None)),
            ],
            options={
                'db_table': 'ledger_tail_session',
                'managed': False,
            },
        ),
        migrations.CreateModel(
            name='Fold',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('finished_at', models.DateTimeField()),
                ('events', models.IntegerField(help_text='The number of events that it moved from the tail into the sums.')),
                ('took_ms', models.IntegerField()),
            ],
        ),
        migrations.CreateModel(
            name='Tail',
            fields=[
                ('pk', models.CompositePrimaryKey('organization_id', 'request_id', blank=True, editable=False, primary_key=True, serialize=False)),
                ('organization', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.organization')),
                ('timestamp', models.DateTimeField()),
                ('received_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('input_tokens', models.BigIntegerField()),
                ('output_tokens', models.BigIntegerField()),
                ('total_tokens', models.BigIntegerField()),
                ('cached_tokens', models.BigIntegerField()),
                ('reasoning_tokens', models.BigIntegerField()),
                ('characters', models.BigIntegerField()),
                ('tool_cost_usd', pricing.fields.NanoDollarField()),
                ('day', models.DateField()),
                ('latency_ms', models.IntegerField()),
                ('hour', models.SmallIntegerField()),
                ('tokens_estimated', models.BooleanField()),
                ('without_tool_fees', models.BooleanField()),
                ('project_id', models.BigIntegerField(null=True)),
                ('user_id', models.BigIntegerField(null=True)),
                ('cost_usd', pricing.fields.NanoDollarField(null=True)),
                ('ttft_ms', models.IntegerField(null=True)),
                ('request_id', models.CharField(blank=True, db_collation='C', default='', max_length=200)),
                ('provider', models.CharField(blank=True, db_collation='C', default='', max_length=50)),
                ('model', models.CharField(blank=True, db_collation='C', default='', max_length=200)),
                ('feature', models.CharField(blank=True, db_collation='C', default='', max_length=200)),
                ('expert_id', models.CharField(blank=True, db_collation='C', default='', max_length=200)),
                ('template_id', models.CharField(blank=True, db_collation='C', default='', max_length=200)),
                ('session_id', models.CharField(blank=True, db_collation='C', default='', max_length=200)),
                ('status', models.CharField(choices=[('success', 'Success'), ('error', 'Error')], db_collation='C', max_length=10)),
                ('error_code', models.CharField(blank=True, db_collation='C', default='', max_length=200)),
                ('audio_seconds', models.DecimalField(decimal_places=3, max_digits=12)),
            ],
        ),
        migrations.RunSQL(EVENT_PRIMARY_KEY, migrations.RunSQL.noop),
        migrations.RunSQL(VACUUM_SOONER, migrations.RunSQL.noop),
        migrations.RunSQL(ROLLUP_PARTITIONS, migrations.RunSQL.noop),
        migrations.RunSQL(ROLLUP_OF_A_PERSON, migrations.RunSQL.noop),
        migrations.AddIndex(
            "rollup",
            django.contrib.postgres.indexes.BrinIndex(
                fields=["day"], name="rollup_day", autosummarize=True, pages_per_range=16
            ),
        ),
        migrations.RunSQL(ROOM_FOR_UPDATES, migrations.RunSQL.noop),
        migrations.RunSQL(UNION_OF_ARRAYS, "DROP FUNCTION ledger_union;"),
        migrations.RunSQL(VACUUM_THE_TAIL, migrations.RunSQL.noop),
        migrations.RunSQL(CURRENT_ROLLUP, "DROP VIEW ledger_current_rollup;"),
        migrations.RunSQL(TAIL_SESSION, "DROP VIEW ledger_tail_session;"),
        migrations.RunSQL(CURRENT_SESSION, "DROP VIEW ledger_current_session;"),
    ]
