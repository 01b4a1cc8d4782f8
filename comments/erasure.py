"""Takes a person out of their comments. The rows stay: they are known, and count."""

from django.db.models.functions import Coalesce, Now

from comments.models import Comment


def ids_of(source: str, author: str) -> list[int]:
    """The comments of an author."""
    return list(Comment.objects.filter(source=source, author=author).values_list("pk", flat=True))


def forget(source: str, author: str, replacement: str) -> dict[int, str]:
    """Empty an author's comments, in the caller's transaction; their texts by id.

    They are taken out of the queue, since there is nothing left to analyse. A comment that is being
    analysed at this moment is waited for.
    """
    rows = Comment.objects.select_for_update().filter(source=source, author=author).order_by("pk")
    texts = dict(rows.values_list("pk", "text"))
    Comment.objects.filter(pk__in=texts).update(
        text="",
        author=replacement,
        author_followers=None,
        author_verified=False,
        analyzed_at=Coalesce("analyzed_at", Now()),
    )
    return texts
