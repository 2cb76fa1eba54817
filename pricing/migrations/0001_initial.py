import django.db.models.deletion
import django.utils.timezone
import pricing.fields
import pricing.models
import pricing.tool_rates
from decimal import Decimal
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('accounts', '0001_initial'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Price',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('provider', models.CharField(db_collation='C', default='groq', max_length=50)),
                ('model', models.CharField(db_collation='C', max_length=200)),
                ('input_usd_per_1k_tokens', pricing.fields.NanoDollarField(blank=True, null=True, validators=[pricing.models.validate_rate], verbose_name='input $ / 1k tokens')),
                ('output_usd_per_1k_tokens', pricing.fields.NanoDollarField(blank=True, null=True, validators=[pricing.models.validate_rate], verbose_name='output $ / 1k tokens')),
                ('cached_input_usd_per_1k_tokens', pricing.fields.NanoDollarField(blank=True, help_text='Empty: the input price.', null=True, validators=[pricing.models.validate_rate], verbose_name='cached input $ / 1k tokens')),
                ('audio_usd_per_hour', pricing.fields.NanoDollarField(blank=True, null=True, validators=[pricing.models.validate_rate], verbose_name='audio $ / hour')),
                ('audio_minimum_seconds', models.PositiveIntegerField(default=10, help_text='A request is billed for at least this many seconds (Groq: 10).')),
                ('usd_per_1k_characters', pricing.fields.NanoDollarField(blank=True, null=True, validators=[pricing.models.validate_rate], verbose_name='$ / 1k characters')),
                ('tool_rates', pricing.tool_rates.ToolRatesField(blank=True, default=dict, help_text="Groq's built-in tools, such as: browser_search 5, browser_open 1.", verbose_name='tools $ / 1k uses')),
                ('enabled', models.BooleanField(default=True, help_text='Off: new calls are recorded without a cost.')),
                ('follows_everybody', models.BooleanField(db_default=False, default=False, help_text="Ends an organization's own price: everybody's is charged again. Has none itself.")),
                ('effective_from', models.DateTimeField(default=django.utils.timezone.now)),
                ('source_note', models.CharField(blank=True, max_length=500)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('author', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('organization', models.ForeignKey(blank=True, help_text='Empty: for everybody.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='prices', to='accounts.organization')),
            ],
            options={
                'ordering': ('provider', 'model', '-effective_from', '-id'),
                'indexes': [models.Index(fields=['provider', 'model', 'effective_from'], name='price_in_force')],
                'constraints': [models.CheckConstraint(condition=models.Q(('follows_everybody', False), models.Q(('enabled', False), ('organization__isnull', False)), _connector='OR'), name='price_follows_everybody'), models.CheckConstraint(condition=models.Q(('input_usd_per_1k_tokens__isnull', True), ('input_usd_per_1k_tokens__range', (Decimal('0'), Decimal('1000'))), _connector='OR'), name='price_input_usd_per_1k_tokens_range', violation_error_message='A price is at least $0 and at most $1,000.'), models.CheckConstraint(condition=models.Q(('output_usd_per_1k_tokens__isnull', True), ('output_usd_per_1k_tokens__range', (Decimal('0'), Decimal('1000'))), _connector='OR'), name='price_output_usd_per_1k_tokens_range', violation_error_message='A price is at least $0 and at most $1,000.'), models.CheckConstraint(condition=models.Q(('cached_input_usd_per_1k_tokens__isnull', True), ('cached_input_usd_per_1k_tokens__range', (Decimal('0'), Decimal('1000'))), _connector='OR'), name='price_cached_input_usd_per_1k_tokens_range', violation_error_message='A price is at least $0 and at most $1,000.'), models.CheckConstraint(condition=models.Q(('audio_usd_per_hour__isnull', True), ('audio_usd_per_hour__range', (Decimal('0'), Decimal('1000'))), _connector='OR'), name='price_audio_usd_per_hour_range', violation_error_message='A price is at least $0 and at most $1,000.'), models.CheckConstraint(condition=models.Q(('usd_per_1k_characters__isnull', True), ('usd_per_1k_characters__range', (Decimal('0'), Decimal('1000'))), _connector='OR'), name='price_usd_per_1k_characters_range', violation_error_message='A price is at least $0 and at most $1,000.'), models.CheckConstraint(condition=models.Func('tool_rates', output_field=models.BooleanField(), template='NOT jsonb_path_exists(%(expressions)s, \'strict $ ? (@.type() != "object" || exists(@.* ? (@.type() != "number" || @.floor() != @ || @ < 0 || @ > 1000000000000)))\')'), name='price_tool_rates_range', violation_error_message='A price is at least $0 and at most $1,000.')],
            },
        ),
        migrations.CreateModel(
            name='ModelAlias',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('provider', models.CharField(db_collation='C', default='groq', editable=False, max_length=50)),
                ('alias', models.CharField(db_collation='C', help_text='As calls say it.', max_length=200)),
                ('model', models.CharField(db_collation='C', help_text='As the price list says it.', max_length=200)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('author', models.ForeignKey(blank=True, editable=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ('provider', 'alias'),
                'constraints': [models.UniqueConstraint(fields=('provider', 'alias'), name='model_alias')],
            },
        ),
        migrations.CreateModel(
            name='FactsEdit',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('provider', models.CharField(db_collation='C', default='groq', max_length=50)),
                ('model', models.CharField(db_collation='C', max_length=200)),
                ('changes', models.JSONField()),
                ('changed_at', models.DateTimeField(auto_now=True)),
                ('author', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ('provider', 'model'),
                'constraints': [models.UniqueConstraint(fields=('provider', 'model'), name='facts_edit')],
            },
        ),
    ]
