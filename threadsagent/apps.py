from django.apps import AppConfig
from django.db.models.signals import post_migrate


class ThreadsAgentConfig(AppConfig):
    name = "threadsagent"
    verbose_name = "ThreadsAgent"

    def ready(self) -> None:
        from threadsagent.roles import ensure_roles

        post_migrate.connect(ensure_roles, dispatch_uid="threadsagent.roles")
