"""All settings, from the environment (twelve-factor).

Every value can come from a variable `NAME` or, for secrets, from a file named by `NAME_FILE`.
Nothing here has a secret default: what is missing stops the start with its name.
docs/settings.md lists the variables.
"""

import base64
import os
from datetime import timedelta
from pathlib import Path

import django_stubs_ext
import environ
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from environ.fileaware_mapping import FileAwareMapping

BASE_DIR = Path(__file__).resolve().parent.parent


class Values(FileAwareMapping):  # type: ignore[misc]  # the library has no types
    """The environment, or the file that NAME_FILE names, without the line end that editors add.

    A `$` is escaped from django-environ, which would take what follows for another variable's
    name: a password may begin with one.
    """

    def __getitem__(self, key: str) -> str:
        value: str = super().__getitem__(key)
        return value.rstrip("\r\n").replace("$", r"\$")


env = environ.Env()
env.ENVIRON = Values()
env.escape_proxy = True
django_stubs_ext.monkeypatch()  # lets `ModelAdmin[Comment]` be written, for the type checker


def whole_number(name: str, *, default: int, least: int = 1) -> int:
    """A number from the environment; one below `least` stops the start with its name."""
    value: int = env.int(name, default=default)
    if value < least:
        raise ImproperlyConfigured(f"{name} must be at least {least}")
    return value


def signing_secret(name: str) -> str:
    """A secret as Standard Webhooks have it, or nothing; one that is no base64 stops the start."""
    value: str = env.str(name, default="")
    try:
        length = len(base64.b64decode(value.removeprefix("whsec_"), validate=True))
    except ValueError:
        length = 0
    if value and length < 24:
        raise ImproperlyConfigured(f"{name} must be whsec_ and 24 random bytes or more as base64")
    return value


# Where processes count, made before the first of them does.
if folder := os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
    Path(folder).mkdir(parents=True, exist_ok=True)

# --- the site ---------------------------------------------------------------------------------
SECRET_KEY = env.str("SECRET_KEY")
SECRET_KEY_FALLBACKS = env.list("SECRET_KEY_FALLBACKS", default=[])  # former ones
DEBUG = env.bool("DEBUG", default=False)
# What is stored encrypted (secrets of webhooks and of authenticator apps) is read with SECRET_KEY
# and this salt.
SALT_KEY = env.list("SALT_KEY", default=["threadsagent"])
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
ROOT_URLCONF = "threadsagent.urls"
WSGI_APPLICATION = "threadsagent.wsgi.application"
AUTH_USER_MODEL = "threadsagent.User"
LOGIN_URL = "/admin/login/"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True
APPEND_SLASH = False  # the spec's paths have none, and a redirected POST loses its body

INSTALLED_APPS = [
    "threadsagent.apps.ThreadsAgentConfig",
    "comments",
    "intents",
    "dmtrigger",
    "threadsagent.apps.ConsoleConfig",  # django.contrib.admin
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "knox",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_celery_results",
    "django_prometheus",
    "encrypted_fields",
]

MIDDLEWARE = [
    "django_prometheus.middleware.PrometheusBeforeMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "dmtrigger.redirect.answer_links",  # needs nothing of what follows, and must be fast
    "csp.middleware.CSPMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "threadsagent.middleware.limit_sessions",
    "threadsagent.middleware.ConditionalGetMiddleware",
    "threadsagent.middleware.CommonMiddleware",
    "threadsagent.middleware.refuse_nul",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "threadsagent.middleware.require_second_step",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_prometheus.middleware.PrometheusAfterMiddleware",
]

TEMPLATES = [
    {
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

AUTHENTICATION_BACKENDS = ["threadsagent.backends.Backend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

STATIC_URL = "static/"
STATIC_ROOT = env.path("STATIC_ROOT", default=str(BASE_DIR / ".data" / "static"))
WHITENOISE_ROOT = BASE_DIR / "threadsagent" / "root"  # what browsers look for at the top: an icon
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedStaticFilesStorage"},
}

# Behind TLS set HTTPS=true; the one-command run on a laptop speaks plain HTTP on loopback.
HTTPS = env.bool("HTTPS", default=False)
SESSION_COOKIE_SECURE = HTTPS
CSRF_COOKIE_SECURE = HTTPS
SECURE_SSL_REDIRECT = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^health", r"^metrics$"]  # probed inside the cluster, without TLS
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
# How many proxies of ours a request passes; who called the first of them, the header says.
TRUSTED_PROXIES = whole_number("TRUSTED_PROXIES", default=1 if HTTPS else 0, least=0)
REQUIRE_TWO_FACTOR = env.bool("REQUIRE_TWO_FACTOR", default=False)
X_FRAME_OPTIONS = "DENY"
# What a page may load and do: only what is ours, and nothing that stands within the page itself.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],  # pictures in Swagger UI's style sheet, QR codes
        "connect-src": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
    }
}
SESSION_ENGINE = "django.contrib.sessions.backends.cached_db"
SESSION_IDLE_MINUTES = whole_number("SESSION_IDLE_MINUTES", default=60)
SESSION_HOURS = whole_number("SESSION_HOURS", default=12)
SESSION_COOKIE_AGE = SESSION_IDLE_MINUTES * 60  # `limit_sessions` prolongs it
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"  # sent with no other site's form or script
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True  # our scripts read tokens from the page

# --- services ---------------------------------------------------------------------------------
METERED_POSTGRESQL = "django_prometheus.db.backends.postgresql"
DATABASES = {"default": env.db_url("DATABASE_URL", engine=METERED_POSTGRESQL)}
DATABASES["default"]["CONN_MAX_AGE"] = env.int("DATABASE_CONN_MAX_AGE", default=60)
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
DATABASES["default"].setdefault("OPTIONS", {})["connect_timeout"] = 5
# PostgreSQL's own 4 is for spinning disks: for a busy post it would rather read the whole day.
DATABASES["default"]["OPTIONS"].setdefault("options", "-c random_page_cost=1.1")

CACHES = {
    "default": {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": env.str("REDIS_URL"),
        "OPTIONS": {"SOCKET_CONNECT_TIMEOUT": 1, "SOCKET_TIMEOUT": 1},
    }
}
# The cache only makes things faster: when it is gone every read is a miss, and the log says so.
DJANGO_REDIS_IGNORE_EXCEPTIONS = True
DJANGO_REDIS_LOG_IGNORED_EXCEPTIONS = True

CELERY_BROKER_URL = env.str("CELERY_BROKER_URL")
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_RESULT_BACKEND = "django-db"
CELERY_RESULT_EXTENDED = True
CELERY_RESULT_EXPIRES = 24 * 3600  # seconds; celery.backend_cleanup deletes them nightly
CELERY_TASK_IGNORE_RESULT = True  # only the tasks whose outcome an operator reads keep a result
CELERY_TASK_TRACK_STARTED = True
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
# How many tasks a worker keeps its database connection for, whatever CONN_MAX_AGE says: for ever,
# since `threadsagent.celery` closes what is broken or old.
CELERY_DB_REUSE_MAX = 10**9
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_DEFAULT_QUEUE = "default"
# Each kind of work has a queue, and workers of its own. Where one worker serves several queues on
# Redis, the lowest number is taken first (0 is that of a task without one). RabbitMQ takes the
# highest first, but only compares messages of one queue, and here these are all of a kind; so it
# needs no `x-max-priority`, which a queue that exists could not be given any more.
SOON, LATER = (0, 5) if CELERY_BROKER_URL.startswith("redis") else (9, 5)
CELERY_TASK_ROUTES = {
    "analyze_comment_batch": {"queue": "analyze", "priority": LATER},
    "deliver_direct_messages": {"queue": "send", "priority": SOON},
    "poll_monitors": {"queue": "poll"},  # so that a slow platform can be given workers of its own
}
# A message to the broker is only a wake-up (the rows are the queue), so a caller never waits long
# for a broker that is away: the sweeps below find what no message told of.
CELERY_TASK_DEFAULT_DELIVERY_MODE = "transient"  # no disk for what may be lost
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 1, "interval_start": 0, "interval_step": 0.1}
CELERY_BROKER_CONNECTION_TIMEOUT = 2  # seconds, for RabbitMQ; Redis has its own two
if CELERY_BROKER_URL.startswith("redis"):
    CELERY_BROKER_TRANSPORT_OPTIONS = {"socket_connect_timeout": 2, "socket_timeout": 5}
else:
    # A RabbitMQ that is out of memory or disk reads nothing and answers nothing, not even that
    # a connection may be closed: without these limits a caller would wait for ever.
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "confirm_publish": True,
        "read_timeout": 2,
        "write_timeout": 2,
    }
SWEEP_SECONDS = env.float("SWEEP_SECONDS", default=15)
POLL_SECONDS = env.float("POLL_SECONDS", default=5)
CELERY_BEAT_SCHEDULER = "threadsagent.beat:Scheduler"
CELERY_BEAT_SCHEDULE = {
    name: {
        "task": name,
        "schedule": seconds,
        # what beat asks for again soon need not be done late, nor remembered
        "options": {"expires": seconds, "ignore_result": True},
    }
    for name, seconds in (
        ("poll_monitors", POLL_SECONDS),
        ("analyze_comment_batch", SWEEP_SECONDS),
        ("deliver_direct_messages", SWEEP_SECONDS),
        ("rescue_direct_messages", 60.0),
        ("deliver_webhooks", SWEEP_SECONDS),
        ("drop_old_data", 3600.0),
        ("store_clicks", 5.0),
        ("maintain_partitions", 3600.0),
    )
}

# --- the product ------------------------------------------------------------------------------
COMMENT_SOURCE = env.str("COMMENT_SOURCE", default="fake_platform")
FAKE_PLATFORM_URL = env.str("FAKE_PLATFORM_URL", default="http://127.0.0.1:8900")
FAKE_PLATFORM_TOKEN = env.str("FAKE_PLATFORM_TOKEN", default="demo")
# Who calls the webhook; without them everybody is refused.
FAKE_PLATFORM_APP_SECRET = env.str("FAKE_PLATFORM_APP_SECRET", default="")
FAKE_PLATFORM_VERIFY_TOKEN = env.str("FAKE_PLATFORM_VERIFY_TOKEN", default="")
COMMENT_BATCH_SIZE = whole_number("COMMENT_BATCH_SIZE", default=512)  # analysed in one go
DEDUP_CACHE_TTL = whole_number("DEDUP_CACHE_TTL", default=3600)  # seconds
PROCESSING_TIMEOUT = whole_number("PROCESSING_TIMEOUT", default=30)  # seconds
MAX_RETRIES = whole_number("MAX_RETRIES", default=3, least=0)
# Comments can be answered for seven days, and a day is dropped as a whole.
RETENTION_DAYS = whole_number("RETENTION_DAYS", default=30, least=8)
REVIEW_MIN_SCORE = whole_number("REVIEW_MIN_SCORE", default=60, least=0)
BRAND_NAMES = env.list("BRAND_NAMES", default=[])
INFLUENCER_FOLLOWERS = whole_number("INFLUENCER_FOLLOWERS", default=10_000)
# How many messages, and to whom; what a campaign or an account says goes before.
PUBLIC_URL = env.str("PUBLIC_URL", default="http://127.0.0.1:8000").rstrip("/")
MESSAGES_PER_HOUR = whole_number("MESSAGES_PER_HOUR", default=100, least=0)  # 0: no limit of ours
MESSAGES_PER_WEEK = whole_number("MESSAGES_PER_WEEK", default=3)  # to a person
COOL_DOWN_HOURS = whole_number("COOL_DOWN_HOURS", default=24, least=0)  # for a person
MAX_COMMENT_AGE_HOURS = whole_number("MAX_COMMENT_AGE_HOURS", default=48)
MIN_COMMENT_CHARACTERS = whole_number("MIN_COMMENT_CHARACTERS", default=10, least=0)
DISCLOSURE = env.list("DISCLOSURE", default=["automated"])
# What is kept of people, and how others are told; docs/privacy.md and docs/webhooks.md.
MESSAGE_RETENTION_DAYS = whole_number("MESSAGE_RETENTION_DAYS", default=400, least=8)
CLICK_RETENTION_DAYS = whole_number("CLICK_RETENTION_DAYS", default=400)
WEBHOOK_LOG_DAYS = whole_number("WEBHOOK_LOG_DAYS", default=30, least=8)
DATA_DELETION_SECRET = env.str("DATA_DELETION_SECRET", default="")
GRACE_SECONDS = whole_number("GRACE_SECONDS", default=10, least=0)  # for an undo
CONVERSIONS_SECRET = signing_secret("CONVERSIONS_SECRET")  # empty: no conversions are taken
MAX_BODY_BYTES = whole_number("MAX_BODY_BYTES", default=32 * 1024 * 1024)
RATE_LIMIT_PER_MINUTE = whole_number("RATE_LIMIT_PER_MINUTE", default=100)

# --- the API ----------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "threadsagent.tokens.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["threadsagent.permissions.HasActionPermission"],
    "DEFAULT_THROTTLE_CLASSES": ["threadsagent.throttling.RateLimits"],
    "EXCEPTION_HANDLER": "threadsagent.problems.exception_handler",
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["threadsagent.parsers.JSONParser"],
    "DEFAULT_FILTER_BACKENDS": [
        "threadsagent.filters.WithinAccounts",
        "django_filters.rest_framework.DjangoFilterBackend",
    ],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_PAGINATION_CLASS": "threadsagent.pagination.NewestFirst",
    "PAGE_SIZE": 50,
}
REST_KNOX = {"TOKEN_TTL": timedelta(days=90)}
SPECTACULAR_SETTINGS = {
    "TITLE": "ThreadsAgent",
    "DESCRIPTION": "Comments in, purchase intents reviewed, one message to each buyer.",
    "VERSION": "0.1.0",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.IsAuthenticated"],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "SCHEMA_PATH_PREFIX": "/api/v1/",
    "PREPROCESSING_HOOKS": ["threadsagent.urls.only_v1"],
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "threadsagent.problems.declare",
        "threadsagent.pagination.allow_empty_filters",
        "dmtrigger.webhook_schema.add_headers",
    ],
    "WEBHOOKS": ["dmtrigger.webhook_schema.MESSAGE", "dmtrigger.webhook_schema.TEST"],
    "ENUM_NAME_OVERRIDES": {
        "IntentLabelEnum": "intents.models.Label",
        "BatchStatusEnum": ["success", "partial", "error"],
    },
}

# --- observability ----------------------------------------------------------------------------
METRICS_TOKEN = env.str("METRICS_TOKEN", default="")
METRICS_PORT = env.int("METRICS_PORT", default=None)  # of workers and beat
if METRICS_PORT and not os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
    raise ImproperlyConfigured("METRICS_PORT needs PROMETHEUS_MULTIPROC_DIR: children count there")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "json": {
            "()": "pythonjsonlogger.json.JsonFormatter",
            "format": "%(asctime)s %(levelname)s %(name)s %(message)s",
            "rename_fields": {"asctime": "time", "levelname": "level", "name": "logger"},
        }
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {"handlers": ["stderr"], "level": env.str("LOG_LEVEL", default="INFO")},
    # every outgoing request would be a line of its own, with nothing in it that ours lack
    "loggers": {"httpx": {"level": "WARNING"}},
}
