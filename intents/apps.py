from django.apps import AppConfig
from django.db.models.signals import post_migrate


class IntentsConfig(AppConfig):
    name = "intents"

    def ready(self) -> None:
        from comments import partitions
        from comments.signals import comments_retired, comments_stored
        from intents import failures
        from intents.models import IntentResult, ShadowPrediction
        from intents.registry import register_shipped
        from intents.reviews import retire
        from intents.tasks import wake_analysis

        comments_stored.connect(wake_analysis, dispatch_uid="intents.wake_analysis")
        comments_retired.connect(retire, dispatch_uid="intents.retire")
        comments_retired.connect(failures.retire, dispatch_uid="intents.failures.retire")
        partitions.register(IntentResult._meta.db_table)
        partitions.register(ShadowPrediction._meta.db_table)
        post_migrate.connect(register_shipped, sender=self, dispatch_uid="intents.register_shipped")
