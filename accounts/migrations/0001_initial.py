import accounts.models
import accounts.names
import django.contrib.auth.models
import django.contrib.auth.validators
import django.core.validators
import django.db.models.deletion
import django.db.models.functions.datetime
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('auth', '0012_alter_user_first_name_max_length'),
    ]

    operations = [
        migrations.CreateModel(
            name='Organization',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=200)),
                ('slug', models.SlugField(db_collation='C', max_length=200, unique=True)),
                ('time_zone', models.CharField(default='UTC', help_text='Its days begin and end in this zone.', max_length=64, validators=[accounts.models.validate_time_zone])),
                ('show_user_cost', models.BooleanField(default=False, help_text='People with the role User see what their own calls cost.', verbose_name='show user cost')),
                ('retention_days', models.PositiveIntegerField(blank=True, help_text='Requests are kept in detail for this many days; sums are kept for ever. Empty: details too.', null=True, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(36500)])),
                ('retained_from', models.DateField(editable=False, help_text='Requests of earlier days are no longer there in detail.', null=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
            ],
            options={
                'ordering': ('name',),
            },
        ),
        migrations.CreateModel(
            name='User',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('password', models.CharField(max_length=128, verbose_name='password')),
                ('last_login', models.DateTimeField(blank=True, null=True, verbose_name='last login')),
                ('is_superuser', models.BooleanField(default=False, help_text='Designates that this user has all permissions without explicitly assigning them.', verbose_name='superuser status')),
                ('username', models.CharField(error_messages={'unique': 'A user with that username already exists.'}, help_text='Required. 150 characters or fewer. Letters, digits and @/./+/-/_ only.', max_length=150, unique=True, validators=[django.contrib.auth.validators.UnicodeUsernameValidator()], verbose_name='username')),
                ('first_name', models.CharField(blank=True, max_length=150, verbose_name='first name')),
                ('last_name', models.CharField(blank=True, max_length=150, verbose_name='last name')),
                ('email', models.EmailField(blank=True, max_length=254, verbose_name='email address')),
                ('is_staff', models.BooleanField(default=False, help_text='Designates whether the user can log into this admin site.', verbose_name='staff status')),
                ('is_active', models.BooleanField(default=True, help_text='Designates whether this user should be treated as active. Unselect this instead of deleting accounts.', verbose_name='active')),
                ('date_joined', models.DateTimeField(default=django.utils.timezone.now, verbose_name='date joined')),
                ('handle', models.CharField(blank=True, db_collation='C', help_text='The user name that calls give; as a rule the same as the username.', max_length=200)),
                ('handle_key', accounts.names.KeyField(db_collation='C', editable=False, max_length=200, null=True, of='handle')),
                ('merged_into', models.ForeignKey(db_index=False, editable=False, help_text='Who has the calls now. One that was merged away only stays for what refers to it.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('shut_out_at', models.DateTimeField(editable=False, help_text='Sessions and links from before have ended, also where somebody is back.', null=True)),
                ('groups', models.ManyToManyField(blank=True, help_text='The groups this user belongs to. A user will get all permissions granted to each of their groups.', related_name='user_set', related_query_name='user', to='auth.group', verbose_name='groups')),
                ('user_permissions', models.ManyToManyField(blank=True, help_text='Specific permissions for this user.', related_name='user_set', related_query_name='user', to='auth.permission', verbose_name='user permissions')),
                ('organization', models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='users', to='accounts.organization')),
            ],
            options={
                'verbose_name': 'user',
                'verbose_name_plural': 'users',
                'abstract': False,
            },
            managers=[
                ('objects', django.contrib.auth.models.UserManager()),
            ],
        ),
        migrations.CreateModel(
            name='Project',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('slug', models.CharField(db_collation='C', help_text='The name that calls give.', max_length=200)),
                ('slug_key', accounts.names.KeyField(db_collation='C', editable=False, max_length=200, null=True, of='slug')),
                ('merged_into', models.ForeignKey(db_index=False, editable=False, help_text='Who has the calls now. One that was merged away only stays for what refers to it.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.project')),
                ('name', models.CharField(max_length=200)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('organization', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='projects', to='accounts.organization')),
            ],
            options={
                'ordering': ('name',),
            },
        ),
        migrations.CreateModel(
            name='PersonAlias',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(db_collation='C', max_length=200)),
                ('handle_key', accounts.names.KeyField(db_collation='C', editable=False, max_length=200, null=True, of='name')),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('organization', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.organization')),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='aliases', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ('name',),
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='ProjectAlias',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(db_collation='C', max_length=200)),
                ('slug_key', accounts.names.KeyField(db_collation='C', editable=False, max_length=200, null=True, of='name')),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('organization', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.organization')),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='aliases', to='accounts.project')),
            ],
            options={
                'ordering': ('name',),
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='AuditRecord',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('action', models.CharField(db_collation='C', max_length=50)),
                ('subject', models.CharField(max_length=300)),
                ('changes', models.JSONField(default=dict)),
                ('actor', models.ForeignKey(db_index=False, help_text='Empty: a command or the system itself.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('organization', models.ForeignKey(db_index=False, help_text="Empty: everybody's.", null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.organization')),
            ],
            options={
                'ordering': ('-at', '-id'),
                'indexes': [models.Index(fields=['organization', '-at'], name='audit_organization'), models.Index(fields=['-at'], name='audit_at')],
            },
        ),
        migrations.CreateModel(
            name='SignInAttempts',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(db_collation='C', max_length=64)),
                ('address', models.CharField(db_collation='C', max_length=64)),
                ('count', models.PositiveIntegerField()),
                ('last_at', models.DateTimeField(help_text='Of the last attempt that was let through.')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('name', 'address'), name='attempts_of_name_from_address')],
            },
        ),
        migrations.CreateModel(
            name='ApiKey',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=200)),
                ('digest', models.BinaryField(max_length=32)),
                ('ending', models.CharField(editable=False, help_text='The last characters of the secret.', max_length=4)),
                ('next_digest', models.BinaryField(max_length=32, null=True)),
                ('next_ending', models.CharField(default='', editable=False, max_length=4)),
                ('may_call', models.BooleanField(default=True, help_text='Calls Groq through the gateway.', verbose_name='call')),
                ('may_ingest', models.BooleanField(default=False, help_text='Sends events of calls made elsewhere.', verbose_name='ingest')),
                ('may_read', models.BooleanField(default=False, help_text='Reads figures through the API.', verbose_name='read')),
                ('requests_per_minute', models.PositiveIntegerField(blank=True, help_text='Empty: no limit.', null=True, validators=[django.core.validators.MinValueValidator(1)])),
                ('tokens_per_minute', models.PositiveIntegerField(blank=True, help_text='Empty: no limit.', null=True, validators=[django.core.validators.MinValueValidator(1)])),
                ('expires_at', models.DateTimeField(blank=True, help_text='In UTC. Empty: never.', null=True)),
                ('revoked_at', models.DateTimeField(editable=False, null=True)),
                ('last_used_at', models.DateTimeField(editable=False, help_text='To the minute.', null=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('created_by', models.ForeignKey(db_index=False, editable=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='api_keys', to='accounts.organization')),
                ('project', models.ForeignKey(blank=True, db_index=False, help_text='All calls with this key are for this project. Empty: each call says it.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.project')),
                ('user', models.ForeignKey(blank=True, db_index=False, help_text="All calls with this key are this person's. Empty: each call says it.", null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ('name', 'pk'),
                'constraints': [models.UniqueConstraint(condition=models.Q(('revoked_at', None)), fields=('organization', 'name'), name='key_name_in_organization')],
            },
        ),
        migrations.CreateModel(
            name='ProviderKey',
            fields=[
                ('organization', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, primary_key=True, related_name='provider_key', serialize=False, to='accounts.organization')),
                ('encrypted', models.TextField(editable=False)),
                ('ending', models.CharField(editable=False, help_text='The last characters of the key.', max_length=4)),
                ('set_at', models.DateTimeField(auto_now=True)),
                ('set_by', models.ForeignKey(db_index=False, editable=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
        ),
        migrations.AddConstraint(
            model_name='user',
            constraint=models.UniqueConstraint(fields=('organization', 'handle_key'), name='user_handle_in_organization'),
        ),
        migrations.AddConstraint(
            model_name='project',
            constraint=models.UniqueConstraint(fields=('organization', 'slug_key'), name='project_slug_in_organization'),
        ),
        migrations.AddConstraint(
            model_name='personalias',
            constraint=models.UniqueConstraint(fields=('organization', 'handle_key'), name='person_alias_in_organization'),
        ),
        migrations.AddConstraint(
            model_name='projectalias',
            constraint=models.UniqueConstraint(fields=('organization', 'slug_key'), name='project_alias_in_organization'),
        ),
    ]
