"""Settings, read from the environment; docs/configuration.md lists them all."""

import os
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
VAR_DIR = Path(env.text("VAR_DIR", str(BASE_DIR / "var"))).resolve()


def _secret_key() -> str:
    """The key given, or one made at the first start and kept under ``var/``: there is no default to forget."""
    return env.text("SECRET_KEY") or _kept_secret(VAR_DIR / "secret_key")


def _kept_secret(path: Path) -> str:
    """The secret in this file, made unless it is there. It appears whole, and once: of several first starts at the same
    time, one links its file to the name and the others read that.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=".secret_key.") as file:  # which are 0600
            file.write(secrets.token_urlsafe(64))
            file.flush()
            with suppress(FileExistsError):
                os.link(file.name, path)
    return path.read_text().strip()


def _database() -> dict[str, Any]:
    """``DATABASE_URL`` where it is given, else the embedded server."""
    common: dict[str, Any] = {"CONN_HEALTH_CHECKS": True}
    # Gives up reconnecting soon, so that the next request tries at once: the pauses between attempts double each time.
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
    try:
        parts = {key: str(value) for key, value in conninfo_to_dict(url).items() if value is not None}
    except ProgrammingError as error:
        raise ImproperlyConfigured(
            f"DATABASE_URL must look like postgresql://user:password@host:5432/name: {error}"
        ) from error
    return common | {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.pop("dbname", ""),
        "USER": parts.pop("user", ""),
        "PASSWORD": parts.pop("password", ""),
        "HOST": parts.pop("host", ""),
        "PORT": parts.pop("port", ""),
        "OPTIONS": parts | {"pool": pool},
    }


def _mail_security(port: int) -> str:
    """How the mail server is spoken to: by default as is usual on its port."""
    value = env.text("SMTP_SECURITY", {587: "starttls", 465: "tls"}.get(port, "none")).lower()
    if value not in {"starttls", "tls", "none"}:
        raise ImproperlyConfigured(f"SMTP_SECURITY must be starttls, tls or none, not {value!r}.")
    return value


DEBUG = env.flag("DEBUG")
SECRET_KEY = _secret_key()
ALLOWED_HOSTS = env.words("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
CSRF_TRUSTED_ORIGINS = env.words("CSRF_TRUSTED_ORIGINS")

EMBEDDED_POSTGRES = EmbeddedPostgres(VAR_DIR / "postgres", env.pairs("EMBEDDED_POSTGRES_SETTINGS"))
DATABASES = {"default": _database()}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# The ledger's own settings.
DEFAULT_ORGANIZATION = env.text("DEFAULT_ORGANIZATION", "default")
PROJECT_CAP = env.number("PROJECT_CAP", 1_000)
USER_CAP = env.number("USER_CAP", 100_000)
USAGE_DEBUG = env.flag("USAGE_DEBUG")
RECORDING_TIMEOUT_MS = env.number("RECORDING_TIMEOUT_MS", 2_000, minimum=50)
RECORDING_SYNCHRONOUS = env.flag("RECORDING_SYNCHRONOUS")
JOURNAL_DIR = Path(env.text("JOURNAL_DIR", str(VAR_DIR / "journal"))).resolve()
JOURNAL_LIMIT_MB = env.number("JOURNAL_LIMIT_MB", 1_000, minimum=1)
REPORT_TIMEOUT_MS = env.number("REPORT_TIMEOUT_MS", 15_000, minimum=100)
MAX_EXPORTS = env.number("MAX_EXPORTS", 4, minimum=1)
GROQ_API_KEY = env.text("GROQ_API_KEY")
GROQ_BASE_URL = env.text("GROQ_BASE_URL")
PLAYGROUND = env.flag("PLAYGROUND", default=True)

INSTALLED_APPS = [
    "usage_dashboard",
    "accounts",
    "pricing",
    "analytics",
    "playground",
    "usage_dashboard.admin_app.AdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "axes",
    "csp",
    "django_htmx",
    "django_filters",
    "rest_framework",
    "procrastinate.contrib.django",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "usage_dashboard.middleware.GZipMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "axes.middleware.AxesMiddleware",
]

# The worker catches up on what was due within a day while none ran, each task once.
PROCRASTINATE_PERIODIC_DEFAULTS = {"max_delay": 86_400}

ROOT_URLCONF = "usage_dashboard.urls"
ASGI_APPLICATION = "usage_dashboard.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
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
]
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]

# Who fails to sign in too often waits. Counted by username and address together: nobody can lock out a colleague from
# afar, and a whole office behind one address is not locked out by one member's typing.
PROXY_COUNT = env.number("PROXY_COUNT", 0)
AXES_FAILURE_LIMIT = env.number("SIGN_IN_ATTEMPTS", 5, minimum=1)
AXES_COOLOFF_TIME = timedelta(minutes=env.number("SIGN_IN_PAUSE_MINUTES", 15, minimum=1))
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_CLIENT_IP_CALLABLE = "accounts.client_address.client_address"
AXES_LOCKOUT_CALLABLE = "accounts.views.locked_out"
AXES_DISABLE_ACCESS_LOG = True  # the session and last_login tell enough
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False

LOGIN_URL = "sign-in"
LOGIN_REDIRECT_URL = "analytics"
LOGOUT_REDIRECT_URL = "sign-in"

# Mail: invitations and forgotten passwords. Without a server, links are shown to who invites (accounts.invitations).
EMAIL_HOST = env.text("SMTP_HOST")
EMAIL_BACKEND = f"django.core.mail.backends.{'smtp' if EMAIL_HOST else 'console'}.EmailBackend"
EMAIL_PORT = env.number("SMTP_PORT", 587, minimum=1)
EMAIL_HOST_USER = env.text("SMTP_USER")
EMAIL_HOST_PASSWORD = env.text("SMTP_PASSWORD")
EMAIL_USE_TLS = _mail_security(EMAIL_PORT) == "starttls"
EMAIL_USE_SSL = _mail_security(EMAIL_PORT) == "tls"
EMAIL_TIMEOUT = 10  # seconds, that somebody who invites waits at most
DEFAULT_FROM_EMAIL = env.text("MAIL_FROM", "groq-usage@localhost")

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_I18N = False
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = VAR_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_KEEP_ONLY_HASHED_FILES = True
# Compressing takes collectstatic half a minute, which is not worth it for a demonstration or a run of the tests.
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
        "base-uri": [SELF],
        "form-action": [SELF],
        "frame-ancestors": ["'none'"],
    },
}
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_HTTPONLY = True
SECURE_REFERRER_POLICY = "same-origin"
HTTPS = env.flag("HTTPS")
if HTTPS:
    SECURE_SSL_REDIRECT = True
    SECURE_REDIRECT_EXEMPT = [r"^health/(live/)?$"]  # load balancers ask without TLS, and get no more than a word
    SECURE_HSTS_SECONDS = 31_536_000
    SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = env.flag("HSTS_SUBDOMAINS")
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True
# HSTS for subdomains (W005) and preloading (W021) bind a company's other hosts for a year: not ours to decide.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.SessionAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "filters": {"not_of_health": {"()": "usage_dashboard.logs.NotOfHealth"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": env.text("LOG_LEVEL", "WARNING")},
    "loggers": {
        "usage": {"level": "INFO" if USAGE_DEBUG else "WARNING"},
        "django.request": {"filters": ["not_of_health"]},
    },
}
