from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core import checks
from django.db.models.signals import post_migrate


class CommentsConfig(AppConfig):
    name = "comments"

    def ready(self) -> None:
        checks.register(check_source)
        post_migrate.connect(ensure_partitions, sender=self, dispatch_uid="comments.partitions")


def ensure_partitions(**_: Any) -> None:
    """After each migrate there is a partition for today, and for the next days."""
    from comments import partitions

    partitions.ensure_partitions()


def check_source(**_: Any) -> list[checks.CheckMessage]:
    """COMMENT_SOURCE must name a source; said at the start, not by the first request."""
    from comments.sources import SourceError, get_source

    try:
        get_source(settings.COMMENT_SOURCE)
    except SourceError as error:
        return [checks.Error(f"COMMENT_SOURCE: {error}", id="comments.E001")]
    return []
