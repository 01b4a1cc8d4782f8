"""Whose a post is, so that nobody reads another account's comments by naming one of their own."""

from comments.models import Comment
from comments.scope import Scope


def refusal(scope: Scope, source: str, account: str, post_id: str) -> str:
    """Why somebody may not have this account's post read, for people; empty if they may.

    The platform is not asked whose a post is; the newest comment that is known of it says so.
    """
    if scope.is_whole:
        return ""
    if not scope.has(source, account):
        which = f"the account {account}" if account else "an account without a name"
        return f"you do not see {which} of {source}"
    known = Comment.objects.filter(source=source, post_id=post_id).order_by("-pk").first()
    if known is not None and not scope.has(source, known.account):
        return "this post is another account's"
    return ""
