"""Settings, read from the environment; docs/configuration.md lists them all."""

import base64
import os
import re
import secrets
import tempfile
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import django_stubs_ext
from csp.constants import SELF
from django.core.exceptions import ImproperlyConfigured
from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from usage_dashboard import env
from usage_dashboard.embedded_postgres import DATABASE, EmbeddedPostgres

django_stubs_ext.monkeypatch()

BASE_DIR = Path(__file__).resolve().parent.parent
# The wheel has inside this package what a checkout has beside it (pyproject.toml).
_PACKED = BASE_DIR / "usage_dashboard" / "files"
FILES_DIR = _PACKED if _PACKED.is_dir() else BASE_DIR
_DATA = BASE_DIR / "var" if FILES_DIR == BASE_DIR else Path("~/.local/state/groq-usage-dashboard").expanduser()
VAR_DIR = Path(env.text("VAR_DIR", str(_DATA))).resolve()

SHORTEST_TOKEN = 20
_PERCENT_ENCODE = (
    "It must look like postgresql://user:password@host:5432/name. Percent-encode what user, password and name have of "
    "@ / : ? # % [ ] and blanks: @ is %40, / is %2F, : is %3A, ? is %3F, # is %23, % is %25."
)


def _secret_key() -> str:
    """The given key, or a key that is made at the first start and kept under ``var/``. There is no unsafe default."""
    return env.text("SECRET_KEY") or _kept_secret(VAR_DIR / "secret_key")


def _kept_secret(path: Path) -> str:
    """The secret in this file, made if the file is missing. If several processes start at once, one of them links its
    complete file to the name, and the others read that file.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=".secret_key.") as file:  # Its mode is 0600.
            file.write(secrets.token_urlsafe(64))
            file.flush()
            with suppress(FileExistsError):
                os.link(file.name, path)
    return path.read_text().strip()


def _fernet_keys(name: str) -> list[str]:
    """The keys of an encryption by Fernet, each 32 bytes in URL-safe base64. The error does not quote them."""
    keys = env.words(name)
    for number, key in enumerate(keys, 1):
        try:
            is_key = len(base64.urlsafe_b64decode(key)) == 32
        except ValueError:
            is_key = False
        if not is_key:
            raise ImproperlyConfigured(
                f"{name}: value {number} is no Fernet key. docs/operations.md says how to make one."
            )
    return keys


def _database() -> dict[str, Any]:
    """Django's settings for the database of ``DATABASE_URL``, or for the embedded server if that is not set."""
    common: dict[str, Any] = {"CONN_HEALTH_CHECKS": True}
    # The pool doubles its pause after each failed attempt to reconnect. It gives up soon: the next request tries anew.
    pool = {"min_size": 1, "max_size": env.number("DATABASE_POOL_SIZE", 16, minimum=1), "timeout": 5}
    pool["reconnect_timeout"] = 5
    url = env.text("DATABASE_URL")
    if not url:
        return common | {
            "ENGINE": "usage_dashboard.postgresql",
            "NAME": DATABASE,
            "USER": "postgres",
            "HOST": str(EMBEDDED_POSTGRES.socket_dir),
            "OPTIONS": {"pool": pool},
        }
    parts = _connection_parts(url)
    return common | {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.pop("dbname", ""),
        "USER": parts.pop("user", ""),
        "PASSWORD": parts.pop("password", "") or env.text("DATABASE_PASSWORD"),
        "HOST": parts.pop("host", ""),
        "PORT": parts.pop("port", ""),
        "OPTIONS": parts | {"pool": pool},
    }


def _connection_parts(url: str) -> dict[str, str]:
    """The parts that libpq reads in ``DATABASE_URL``. Error messages do not quote it, since it may hold a password."""
    # libpq ends the password at the first @ and the host at the first /, and then reports a strange host.
    hosts_and_name = re.match(r"\w+://(?:[^@/]*@)?([^?]*)", url)
    if hosts_and_name and ("@" in hosts_and_name[1] or hosts_and_name[1].count("/") > 1):
        raise ImproperlyConfigured(f"DATABASE_URL has an @ or a / too many. {_PERCENT_ENCODE}")
    try:
        return {key: str(value) for key, value in conninfo_to_dict(url).items() if value is not None}
    except ProgrammingError as error:
        reason = str(error).partition(":")[0]
        raise ImproperlyConfigured(f"DATABASE_URL cannot be read: {reason}. {_PERCENT_ENCODE}") from None


def _mail_security(port: int) -> str:
    """The security of the connection to the mail server; by default the usual one for its port."""
    value = env.text("SMTP_SECURITY", {587: "starttls", 465: "tls"}.get(port, "none")).lower()
    if value not in {"starttls", "tls", "none"}:
        raise ImproperlyConfigured(f"SMTP_SECURITY must be starttls, tls or none, not {value!r}.")
    return value


def _metrics_token() -> str:
    """The token that Prometheus sends. The error does not quote it."""
    token = env.text("METRICS_TOKEN")
    if token and (len(token) < SHORTEST_TOKEN or not token.isascii() or len(token.split()) != 1):
        raise ImproperlyConfigured(
            f"METRICS_TOKEN must have at least {SHORTEST_TOKEN} letters, digits or signs, and no blanks. Make one with:"
            " openssl rand -hex 32"
        )
    return token


def _root_path() -> str:
    """The path under which the ledger is served on a host that it shares with other programs, such as ``/usage``."""
    path = env.text("ROOT_PATH").rstrip("/")
    if not re.fullmatch(r"(/[\w~-][\w.~-]*)*", path, re.ASCII):
        raise ImproperlyConfigured(f"ROOT_PATH must look like /usage or /tools/usage, not {path!r}.")
    return path


DEBUG = env.flag("DEBUG")
HTTPS = env.flag("HTTPS")
INSECURE_HTTP = env.flag("INSECURE_HTTP")
SECRET_KEY = _secret_key()
SECRET_KEY_FALLBACKS = env.words("SECRET_KEY_FALLBACKS")
PROVIDER_KEY_SECRETS = _fernet_keys("PROVIDER_KEY_SECRET")
ALLOWED_HOSTS = env.words("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
CSRF_TRUSTED_ORIGINS = env.words("CSRF_TRUSTED_ORIGINS")

ROOT_PATH = _root_path()
FORCE_SCRIPT_NAME = ROOT_PATH or None
# Other Django programs on the same host use the same names of cookies, and the browser sends all cookies of the host.
# Browsers take a cookie whose name begins with __Host- or __Secure- from nobody but this host over HTTPS.
_COOKIE_PREFIX = f"{ROOT_PATH[1:].replace('/', '-')}-" if ROOT_PATH else ""
_COOKIE_PREFIX = f"{('__Secure-' if ROOT_PATH else '__Host-') if HTTPS else ''}{_COOKIE_PREFIX}"
SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = f"{_COOKIE_PREFIX}sessionid", f"{_COOKIE_PREFIX}csrftoken"
SESSION_COOKIE_PATH = CSRF_COOKIE_PATH = ROOT_PATH or "/"

EMBEDDED_POSTGRES = EmbeddedPostgres(VAR_DIR / "postgres", env.pairs("EMBEDDED_POSTGRES_SETTINGS"))
DATABASES = {"default": _database()}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
MIGRATE_LOCK_MS = env.number("MIGRATE_LOCK_MS", 1_000, minimum=1)
MIGRATE_PATIENCE_SECONDS = env.number("MIGRATE_PATIENCE_SECONDS", 600)

# The ledger's own settings.
DEFAULT_ORGANIZATION = env.text("DEFAULT_ORGANIZATION", "default")
PROJECT_CAP = env.number("PROJECT_CAP", 1_000)
USER_CAP = env.number("USER_CAP", 100_000)
USAGE_DEBUG = env.flag("USAGE_DEBUG")
RECORDING_TIMEOUT_MS = env.number("RECORDING_TIMEOUT_MS", 2_000, minimum=50)
RECORDING_SYNCHRONOUS = env.flag("RECORDING_SYNCHRONOUS")
INGEST_MAX_MB = env.number("INGEST_MAX_MB", 16, minimum=1)
INGEST_AT_ONCE = env.number("INGEST_AT_ONCE", 4, minimum=1)
INGEST_BODY_SECONDS = env.number("INGEST_BODY_SECONDS", 60, minimum=1)
JOURNAL_DIR = Path(env.text("JOURNAL_DIR", str(VAR_DIR / "journal"))).resolve()
JOURNAL_LIMIT_MB = env.number("JOURNAL_LIMIT_MB", 1_000, minimum=1)
REPORT_TIMEOUT_MS = env.number("REPORT_TIMEOUT_MS", 15_000, minimum=100)
MAX_EXPORTS = env.number("MAX_EXPORTS", 4, minimum=1)
MAX_EXPORTS_PER_PERSON = env.number("MAX_EXPORTS_PER_PERSON", 2, minimum=1)
ESTIMATES_PER_MINUTE = env.number("ESTIMATES_PER_MINUTE", 60, minimum=1)
API_REQUESTS_PER_MINUTE = env.number("API_REQUESTS_PER_MINUTE", 600, minimum=1)
EXPORT_STALL_SECONDS = env.number("EXPORT_STALL_SECONDS", 60, minimum=1)
EXPORT_FOLDER = env.text("EXPORT_FOLDER")
EXPORT_BUCKET = env.text("EXPORT_BUCKET")
EXPORT_BUCKET_ENDPOINT = env.address("EXPORT_BUCKET_ENDPOINT")
EXPORT_BUCKET_REGION = env.text("EXPORT_BUCKET_REGION")
EXPORT_BUCKET_KEY_ID = env.text("EXPORT_BUCKET_KEY_ID")
EXPORT_BUCKET_SECRET = env.text("EXPORT_BUCKET_SECRET")
METRICS_TOKEN = _metrics_token()
METRICS_NAMES = env.choice("METRICS_NAMES", ("llm", "opentelemetry"))
METRICS_MODELS = env.number("METRICS_MODELS", 50)
METRICS_EXPERIMENTS = env.number("METRICS_EXPERIMENTS", 200)
GROQ_API_KEY = env.text("GROQ_API_KEY")
GROQ_BASE_URL = env.address("GROQ_BASE_URL")
GATEWAY = env.flag("GATEWAY", default=True)
GATEWAY_BODY_MB = env.number("GATEWAY_BODY_MB", 20, minimum=1)
GATEWAY_BODY_SECONDS = env.number("GATEWAY_BODY_SECONDS", 60, minimum=1)
GATEWAY_UPLOAD_MB = env.number("GATEWAY_UPLOAD_MB", 100, minimum=1)
GATEWAY_FIRST_BYTE_SECONDS = env.number("GATEWAY_FIRST_BYTE_SECONDS", 300, minimum=1)
GATEWAY_CALL_SECONDS = env.number("GATEWAY_CALL_SECONDS", 1_800, minimum=1)
GATEWAY_CONNECTIONS = env.number("GATEWAY_CONNECTIONS", 2_000, minimum=1)
GATEWAY_CONNECTIONS_PER_KEY = env.number("GATEWAY_CONNECTIONS_PER_KEY", 1_000, minimum=1)
GATEWAY_FORWARD_HEADERS = env.words("GATEWAY_FORWARD_HEADERS")
PLAYGROUND = env.flag("PLAYGROUND", default=True)
PLAYGROUND_ASKS = env.number("PLAYGROUND_ASKS", 16, minimum=1)
PLAYGROUND_ASKS_PER_PERSON = env.number("PLAYGROUND_ASKS_PER_PERSON", 2, minimum=1)
PLAYGROUND_DAILY_USD = env.number("PLAYGROUND_DAILY_USD", 5)

INSTALLED_APPS = [
    "usage_dashboard",
    "allauth",
    "allauth.account",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "allauth.mfa",
    "accounts",
    "pricing",
    "ledger",
    "analytics",
    "playground",
    "usage_dashboard.admin_app.AdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "csp",
    "django_htmx",
    "django_filters",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "procrastinate.contrib.django",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "usage_dashboard.middleware.CompressionMiddleware",
    "usage_dashboard.middleware.TextMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "usage_dashboard.middleware.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "accounts.sign_ins.SeenMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "accounts.middleware.RefusalMiddleware",
    "usage_dashboard.middleware.RouteMiddleware",
]

# A worker that starts runs each periodic task once that was due within the last day while no worker ran.
PROCRASTINATE_PERIODIC_DEFAULTS = {"max_delay": 86_400}

ROOT_URLCONF = "usage_dashboard.urls"
ASGI_APPLICATION = "usage_dashboard.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.jinja2.Jinja2",
        "DIRS": [FILES_DIR / "templates"],
        "OPTIONS": {
            "environment": "usage_dashboard.jinja.environment",
            "context_processors": ["django.contrib.messages.context_processors.messages"],
        },
    },
    {  # Templates of the Django admin, of form fields and of other packages, in their own folders.
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

AUTH_USER_MODEL = "accounts.User"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "accounts.passwords.OwnWordsValidator"},
]
AUTHENTICATION_BACKENDS = ["accounts.backends.Backend", "accounts.backends.ProvenBackend"]
# The first one hashes; a password that an older release hashed by PBKDF2 is hashed anew when its owner signs in.
PASSWORD_HASHERS = ["accounts.hashing.Argon2", "accounts.hashing.Pbkdf2"]
PASSWORD_HASHES_AT_ONCE = env.number("PASSWORD_HASHES_AT_ONCE", 2, minimum=1)
PROXY_COUNT = env.number("PROXY_COUNT", 0)
SIGN_IN_ATTEMPTS = env.number("SIGN_IN_ATTEMPTS", 5, minimum=1)
SIGN_IN_STARTS_PER_MINUTE = env.number("SIGN_IN_STARTS_PER_MINUTE", 120, minimum=1)
SIGN_IN_PAUSE = timedelta(minutes=env.number("SIGN_IN_PAUSE_MINUTES", 15, minimum=1))

SESSION_COOKIE_AGE = 86_400 * env.number("SESSION_DAYS", 14, minimum=1)
SESSION_IDLE_HOURS = env.number("SESSION_IDLE_HOURS", 72, minimum=1)

LOGIN_URL = "sign-in"
LOGIN_REDIRECT_URL = "start"
LOGOUT_REDIRECT_URL = "sign-in"

# Second factors. allauth keeps them and encrypts by our adapter; pages and limits are ours (accounts.second_factor).
SECOND_FACTOR_FOR = env.text("SECOND_FACTOR_FOR", "nobody").lower()
MFA_ADAPTER = "accounts.second_factor.encryption.Adapter"
MFA_TOTP_TOLERANCE = 1
ACCOUNT_EMAIL_VERIFICATION = "none"

# Single sign-on by OpenID Connect. allauth speaks it; who comes in is decided by accounts.single_sign_on.
SOCIALACCOUNT_ADAPTER = "accounts.single_sign_on.provider.SocialAdapter"
OIDC_ISSUER = env.text("OIDC_ISSUER").rstrip("/")
OIDC_CLIENT_ID = env.text("OIDC_CLIENT_ID")
OIDC_CLIENT_SECRET = env.text("OIDC_CLIENT_SECRET")
OIDC_NAME = env.text("OIDC_NAME", "single sign-on")
OIDC_SCOPES = env.words("OIDC_SCOPES", "openid,profile,email")
OIDC_ORGANIZATION = env.text("OIDC_ORGANIZATION", DEFAULT_ORGANIZATION)
OIDC_ORGANIZATION_CLAIM = env.text("OIDC_ORGANIZATION_CLAIM")
OIDC_ORGANIZATIONS = env.mapping("OIDC_ORGANIZATIONS")
OIDC_ROLE_CLAIM = env.text("OIDC_ROLE_CLAIM")
OIDC_ROLES = env.mapping("OIDC_ROLES")
OIDC_DEFAULT_ROLE = env.text("OIDC_DEFAULT_ROLE", "User")
OIDC_UPDATES = env.flag("OIDC_UPDATES", default=True)
OIDC_TRUST_EMAIL = env.flag("OIDC_TRUST_EMAIL")
OIDC_SECOND_FACTOR_METHODS = env.words("OIDC_SECOND_FACTOR_METHODS", "mfa")

# Mail is sent for invitations and forgotten passwords. Without a server the inviter is shown the link (accounts.links).
EMAIL_HOST = env.text("SMTP_HOST")
EMAIL_BACKEND = f"django.core.mail.backends.{'smtp' if EMAIL_HOST else 'console'}.EmailBackend"
EMAIL_PORT = env.number("SMTP_PORT", 587, minimum=1)
EMAIL_HOST_USER = env.text("SMTP_USER")
EMAIL_HOST_PASSWORD = env.text("SMTP_PASSWORD")
EMAIL_USE_TLS = _mail_security(EMAIL_PORT) == "starttls"
EMAIL_USE_SSL = _mail_security(EMAIL_PORT) == "tls"
EMAIL_TIMEOUT = 10  # Seconds that an inviter waits at most.
DEFAULT_FROM_EMAIL = env.text("MAIL_FROM", "groq-usage@localhost")

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_I18N = False
USE_TZ = True

STATIC_URL = f"{ROOT_PATH}/static/"
STATIC_ROOT = Path(env.text("STATIC_ROOT", str(VAR_DIR / "static"))).resolve()
STATICFILES_DIRS = [FILES_DIR / "static"]
WHITENOISE_KEEP_ONLY_HASHED_FILES = True
WHITENOISE_ALLOW_ALL_ORIGINS = False
# Compressing takes collectstatic half a minute, which is too long for a demonstration or a run of the tests.
_STATIC_STORAGE = (
    "whitenoise.storage.CompressedManifestStaticFilesStorage"
    if env.flag("COMPRESS_STATIC", default=True)
    else "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"
)
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": _STATIC_STORAGE},
}

# Pages carry no inline script and load nothing from elsewhere. Plotly sets style attributes and draws image exports
# through data: and blob: addresses.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "style-src": [SELF, "'unsafe-inline'"],
        "img-src": [SELF, "data:", "blob:"],
        "object-src": ["'none'"],
        "base-uri": ["'none'"],
        "form-action": [SELF],
        "frame-ancestors": ["'none'"],
    },
}
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_HTTPONLY = True
SECURE_REFERRER_POLICY = "same-origin"
if HTTPS:
    SECURE_SSL_REDIRECT = True
    # Load balancers and Prometheus ask a process without TLS, where its network is their own.
    SECURE_REDIRECT_EXEMPT = [rf"^{re.escape(ROOT_PATH[1:] + '/' if ROOT_PATH else '')}(health/(live/)?|metrics)$"]
    SECURE_HSTS_SECONDS = 31_536_000
    SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = env.flag("HSTS_SUBDOMAINS")
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True
# HSTS for subdomains (W005) and preloading (W021) bind a company's other hosts for a year, which the company decides.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.SessionAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
}

SPECTACULAR_SETTINGS = {
    "TITLE": "The usage ledger of your Groq calls",
    "DESCRIPTION": "Usage, cost and latency, as the dashboard shows them. docs/api.md tells how to use this. The number"
    " in the address is the version: within it nothing is renamed or removed. What ends is marked as deprecated.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "PREPROCESSING_HOOKS": ["api.document.only_ours"],
    "POSTPROCESSING_HOOKS": [],
    "COMPONENT_SPLIT_REQUEST": True,
}

# Traces and the log (usage_dashboard.tracing, usage_dashboard.logs).
TRACES_URL = env.address("TRACES_URL")
TRACES_HEADERS = env.pairs("TRACES_HEADERS")
TRACES_PERCENT = env.number("TRACES_PERCENT", 100, maximum=100)

LOG_FORMAT = env.choice("LOG_FORMAT", ("text", "json"))
LOG_LEVEL = env.choice("LOG_LEVEL", ("warning", "debug", "info", "error", "critical")).upper()
LOG_REQUESTS = env.flag("LOG_REQUESTS")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "text": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"},
        "json": {
            "()": "usage_dashboard.logs.JsonLines",
            "fmt": ["asctime", "levelname", "name", "message", "request_id", "key_id", "organization"],
            "rename_fields": {"asctime": "time", "levelname": "level", "name": "logger"},
        },
    },
    "filters": {
        "not_of_health": {"()": "usage_dashboard.logs.NotOfHealth"},
        "of_request": {"()": "usage_dashboard.logs.OfRequest"},
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": LOG_FORMAT, "filters": ["of_request"]}},
    "root": {"handlers": ["console"], "level": LOG_LEVEL},
    "loggers": {
        "usage": {"level": "INFO" if USAGE_DEBUG else "WARNING"},
        "usage.sign_in": {"level": "INFO"},
        "usage.requests": {"level": "INFO" if LOG_REQUESTS else "WARNING"},
        "django.request": {"filters": ["not_of_health"]},
    },
}
