"""The notes app. Its SQLite file is put into write-ahead-log mode, so that readers do not wait for a writer."""

from django.apps import AppConfig
from django.db.backends.signals import connection_created


class NotesConfig(AppConfig):
    name = "notes"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self):
        connection_created.connect(use_write_ahead_log)


def use_write_ahead_log(connection, **kwargs):
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA journal_mode = WAL")
            cursor.execute("PRAGMA synchronous = NORMAL")
