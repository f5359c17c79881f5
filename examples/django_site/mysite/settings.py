"""Settings of the example. What differs between machines comes from environment variables:

DJANGO_DEBUG            1 (default) or 0
DJANGO_SECRET_KEY       needed when DJANGO_DEBUG=0
DJANGO_ALLOWED_HOSTS    host names, separated by commas (default: this machine only)
DJANGO_TRUSTED_ORIGINS  such as https://www.example.org, separated by commas; needed behind a TLS proxy
DJANGO_DATABASE         path of the SQLite file (default: db.sqlite3 beside manage.py)
DJANGO_MEDIA_ROOT       folder of uploaded files (default: media beside manage.py)
DJANGO_STATIC_ROOT      where `manage.py collectstatic` puts the static files
"""

import os
from pathlib import Path

import django
from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parent.parent


def words(name, default=""):
    return [word.strip() for word in os.environ.get(name, default).split(",") if word.strip()]


DEBUG = os.environ.get("DJANGO_DEBUG", "1") == "1"
SECRET_KEY = os.environ.get("DJANGO_SECRET_KEY", "for the example only, never for a real site" if DEBUG else "")
if not SECRET_KEY:
    raise ImproperlyConfigured("DJANGO_DEBUG is 0, so DJANGO_SECRET_KEY must be set (any long random text).")
ALLOWED_HOSTS = words("DJANGO_ALLOWED_HOSTS", "127.0.0.1,localhost,[::1]")
CSRF_TRUSTED_ORIGINS = words("DJANGO_TRUSTED_ORIGINS")

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "notes",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "mysite.urls"
WSGI_APPLICATION = "mysite.wsgi.application"

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

# Several processes write to one SQLite file. They wait for each other for up to 20 seconds, and where Django can
# (5.1 and later) a transaction takes the write lock at its start: taken later it could not wait and would fail.
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("DJANGO_DATABASE", BASE_DIR / "db.sqlite3"),
        "CONN_MAX_AGE": 60,
        "OPTIONS": {"timeout": 20, **({"transaction_mode": "IMMEDIATE"} if django.VERSION >= (5, 1) else {})},
    }
}

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
SESSION_SERIALIZER = "django.contrib.sessions.serializers.JSONSerializer"

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = os.environ.get("DJANGO_STATIC_ROOT", BASE_DIR / "static-collected")
MEDIA_ROOT = os.environ.get("DJANGO_MEDIA_ROOT", BASE_DIR / "media")
