"""The short links of messages: a signed token for each, which tells nobody anything else.

A token is the comment's id and a part of its HMAC, so none can be guessed or made up. Nothing in
it says where it leads: that stands on the message's row, so there is no open redirect. The shop
learns the token of the link that it was reached by; it opens no opt-out page.
"""

import base64
import hmac
from enum import StrEnum
from hashlib import sha256
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from django.conf import settings

SIGNATURE_BYTES = 9  # 72 bits; with the id's 7 bytes the token has 22 characters
ID_BYTES = 7  # ids are below 2**53


class Purpose(StrEnum):
    """What a token is good for."""

    VISIT = "visit"
    OPT_OUT = "opt out"


def token_of(comment_id: int, purpose: Purpose = Purpose.VISIT) -> str:
    """The token of the message for this comment: 22 characters that may stand in a path."""
    raw = comment_id.to_bytes(ID_BYTES)
    return base64.urlsafe_b64encode(raw + _signature(raw, purpose)).decode().rstrip("=")


def comment_of(token: str, purpose: Purpose = Purpose.VISIT) -> int | None:
    """The comment's id, or None for a token that we have not made for this purpose."""
    try:
        content = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except ValueError:  # not ASCII, or not base64
        return None
    raw, signature = content[:ID_BYTES], content[ID_BYTES:]
    if not hmac.compare_digest(signature, _signature(raw, purpose)):
        return None
    # what base64 ignores at its end would give a token many forms
    comment_id = int.from_bytes(raw)
    return comment_id if token_of(comment_id, purpose) == token else None


def short_link(comment_id: int) -> str:
    """Where the buyer is sent first: counted, then led on."""
    return f"{settings.PUBLIC_URL}/r/{token_of(comment_id)}"


def opt_out_link(comment_id: int) -> str:
    """Where the buyer can say that they want no more messages."""
    return f"{settings.PUBLIC_URL}/o/{token_of(comment_id, Purpose.OPT_OUT)}"


def with_parameters(link: str, parameters: dict[str, str]) -> str:
    """The link with these query parameters, those that are empty left out and its own kept."""
    parts = urlsplit(link)
    query = [*parse_qsl(parts.query, keep_blank_values=True)]
    query += [(name, value) for name, value in parameters.items() if value]
    return urlunsplit(parts._replace(query=urlencode(query)))


def _signature(raw: bytes, purpose: Purpose) -> bytes:
    key = f"dmtrigger.links {purpose} {settings.SECRET_KEY}".encode()
    return hmac.digest(key, raw, sha256)[:SIGNATURE_BYTES]
