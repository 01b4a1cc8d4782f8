from django.apps import AppConfig


class IntentsConfig(AppConfig):
    name = "intents"

    def ready(self) -> None:
        from comments.signals import comments_stored
        from intents.tasks import wake_analysis

        comments_stored.connect(wake_analysis, dispatch_uid="intents.wake_analysis")
