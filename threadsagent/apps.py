from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig
from django.contrib.auth.signals import user_logged_in
from django.db.backends.signals import connection_created
from django.db.models.signals import post_migrate


class ThreadsAgentConfig(AppConfig):
    name = "threadsagent"
    verbose_name = "ThreadsAgent"

    def ready(self) -> None:
        import threadsagent.token_schema  # noqa: F401 - registers itself
        from threadsagent.metrics import queries, tasks
        from threadsagent.middleware import begin_session
        from threadsagent.roles import ensure_roles

        user_logged_in.connect(begin_session, dispatch_uid="threadsagent.middleware")
        connection_created.connect(queries.watch, dispatch_uid="threadsagent.metrics.queries")
        tasks.connect()
        post_migrate.connect(ensure_roles, dispatch_uid="threadsagent.roles")


class ConsoleConfig(AdminConfig):
    """Django's admin, with the dashboard as its first page."""

    default_site = "threadsagent.console.Console"
