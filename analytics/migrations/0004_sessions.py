import django.contrib.postgres.fields
import django.db.models.deletion
import pricing.fields
from django.db import migrations, models

# Rows are updated in place all day, which the fill factor leaves room for.
ROOM_FOR_UPDATES = "ALTER TABLE analytics_session SET (fillfactor = 80);"


class Migration(migrations.Migration):

    dependencies = [("analytics", "0003_fill_latency_by_model")]

    operations = [
        migrations.CreateModel(
            name='Session',
            fields=[
                ('pk', models.CompositePrimaryKey('organization_id', 'user_id', 'session_id', blank=True, editable=False, primary_key=True, serialize=False)),
                ('organization', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.organization')),
                ('user_id', models.BigIntegerField(default=0)),
                ('requests', models.BigIntegerField()),
                ('errors', models.BigIntegerField()),
                ('unpriced', models.BigIntegerField()),
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
            ],
            options={
                'indexes': [models.Index(fields=['organization', 'last_utc_day', 'first_day'], name='session_org_day'), models.Index(fields=['last_utc_day', 'first_day'], name='session_day'), models.Index(fields=['requests_class'], name='session_requests'), models.Index(fields=['tokens_class'], name='session_tokens'), models.Index(fields=['cost_class'], name='session_cost')],
            },
        ),
        migrations.RunSQL(ROOM_FOR_UPDATES, migrations.RunSQL.noop),
    ]
