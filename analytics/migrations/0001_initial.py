import django.contrib.postgres.indexes
import django.db.models.deletion
import django.db.models.functions.datetime
import pricing.fields
from decimal import Decimal
from django.conf import settings
from django.db import migrations, models

# Citus distributes a table by organization, so its primary key has to contain that column. The id leads, so that one
# event is found by it alone.
EVENT_PRIMARY_KEY = """
ALTER TABLE analytics_usageevent DROP CONSTRAINT analytics_usageevent_pkey;
ALTER TABLE analytics_usageevent ADD CONSTRAINT analytics_usageevent_pkey PRIMARY KEY (id, organization_id);
"""

# A partition for each cube: the rows that a report reads lie side by side. Rows are updated in place all day, which
# the fill factor leaves room for. New cubes come with a migration that adds their partition.
ROLLUP_PARTITIONS = """
CREATE TABLE analytics_rollup_parent (LIKE analytics_rollup INCLUDING ALL) PARTITION BY LIST (cube);
DROP TABLE analytics_rollup;
ALTER TABLE analytics_rollup_parent RENAME TO analytics_rollup;
ALTER INDEX analytics_rollup_parent_pkey RENAME TO analytics_rollup_pkey;
""" + "".join(
    f"CREATE TABLE analytics_rollup_{n} PARTITION OF analytics_rollup FOR VALUES IN ({n}) WITH (fillfactor = 70);\n"
    for n in range(1, 10)
)


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('accounts', '0001_initial'),
        ('pricing', '0001_initial'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Rollup',
            fields=[
                ('pk', models.CompositePrimaryKey('organization_id', 'cube', 'day', 'provider', 'status', 'hour', 'project_id', 'user_id', 'latency_bucket', 'model', 'expert_id', 'template_id', 'feature', blank=True, editable=False, primary_key=True, serialize=False)),
                ('cube', models.SmallIntegerField()),
                ('day', models.DateField()),
                ('provider', models.CharField(blank=True, db_collation='C', default='', max_length=50)),
                ('status', models.CharField(choices=[('success', 'Success'), ('error', 'Error')], db_collation='C', max_length=10)),
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
                ('estimated', models.BigIntegerField(default=0)),
                ('input_tokens', models.BigIntegerField(default=0)),
                ('output_tokens', models.BigIntegerField(default=0)),
                ('total_tokens', models.BigIntegerField(default=0)),
                ('cached_tokens', models.BigIntegerField(default=0)),
                ('reasoning_tokens', models.BigIntegerField(default=0)),
                ('audio_seconds', models.DecimalField(decimal_places=3, default=Decimal('0'), max_digits=18)),
                ('characters', models.BigIntegerField(default=0)),
                ('cost_usd', pricing.fields.NanoDollarField(default=Decimal('0'))),
                ('latency_ms_sum', models.BigIntegerField(default=0)),
                ('latency_ms_min', models.IntegerField()),
                ('latency_ms_max', models.IntegerField()),
                ('ttft_ms_sum', models.BigIntegerField(default=0)),
                ('ttft_count', models.BigIntegerField(default=0)),
                ('organization', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.organization')),
            ],
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
                ('organization', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.organization')),
                ('price', models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='pricing.price')),
                ('project', models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.project')),
                ('user', models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'permissions': (('export_usageevent', 'Can export usage events'),),
                'indexes': [models.Index(fields=['organization', 'day', 'timestamp'], name='usageevent_org_day'), models.Index(fields=['organization', 'user', 'day'], name='usageevent_org_user_day')],
                'constraints': [models.UniqueConstraint(fields=('request_id', 'organization'), name='usageevent_request_id')],
            },
        ),
        migrations.RunSQL(EVENT_PRIMARY_KEY, migrations.RunSQL.noop),
        migrations.RunSQL(ROLLUP_PARTITIONS, migrations.RunSQL.noop),
        migrations.AddIndex(
            "rollup",
            django.contrib.postgres.indexes.BrinIndex(
                fields=["day"], name="rollup_day", autosummarize=True, pages_per_range=16
            ),
        ),
    ]
