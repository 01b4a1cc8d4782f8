"""Comments of the fake platform (`manage.py fake_platform`), read as Meta's Graph API is read."""

from urllib.parse import quote

from django.conf import settings

from comments.http import FetchError, get_json
from comments.sources import Page, SourceError

PAGE_SIZE = 100


def fetch_page(post_id: str, cursor: str) -> Page:
    """One page of `GET /posts/{id}/comments`, from `cursor` on."""
    if post_id in {".", ".."}:  # an HTTP client would take them for steps in the path
        raise SourceError(f"fake platform: {post_id!r} is no post")
    url = f"{settings.FAKE_PLATFORM_URL}/posts/{quote(post_id, safe='')}/comments"
    params = {"limit": str(PAGE_SIZE)} | ({"after": cursor} if cursor else {})
    try:
        body = get_json(url, params)
        paging = body["paging"]
        after = paging.get("cursors", {}).get("after", cursor)
        return Page(items=body["data"], cursor=after, has_next="next" in paging)
    except FetchError as error:
        raise SourceError(f"fake platform, post {post_id}: {error}") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise SourceError(f"fake platform, post {post_id}: no page: {error!r}") from error
