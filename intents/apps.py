from django.apps import AppConfig


class IntentsConfig(AppConfig):
    name = "intents"

    def ready(self) -> None:
        from comments import partitions
        from comments.signals import comments_retired, comments_stored
        from intents.models import IntentResult
        from intents.reviews import retire
        from intents.tasks import wake_analysis

        comments_stored.connect(wake_analysis, dispatch_uid="intents.wake_analysis")
        comments_retired.connect(retire, dispatch_uid="intents.retire")
        partitions.register(IntentResult._meta.db_table)
