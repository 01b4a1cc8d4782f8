"""Calls of the API that are done once however often they are sent, by their `Idempotency-Key`.

The answer is stored in the transaction that does what was asked for: either both are there or
neither, whenever a process is killed, and a call that is sent again finds the answer or is done.
The header is that of draft-ietf-httpapi-idempotency-key-header.
"""

import json
import re
from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from hashlib import sha256
from typing import Any

from django.db import connection, transaction
from django.db.models.functions import Now
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from comments.models import IdempotentCall
from comments.scope import scope_of

HEADER = "Idempotency-Key"
KEY = re.compile("^[!-~]{1,255}$")
KEPT = timedelta(hours=24)

Call = Callable[..., Response]


class InProgress(APIException):
    """A call with this key is being done at this moment."""

    status_code = status.HTTP_409_CONFLICT
    default_detail = f"A call with this {HEADER} is being done just now. Send it again later."
    wait = 1  # seconds: DRF puts it into Retry-After


class KeyReused(APIException):
    """The key belongs to a call that asked for something else."""

    status_code = status.HTTP_422_UNPROCESSABLE_ENTITY
    default_detail = f"This {HEADER} was used for a call that asked for something else."


def idempotent(call: Call) -> Call:
    """Make an action of a viewset take an `Idempotency-Key`. Above DRF's `@action`."""

    @wraps(call)
    def once(view: Any, request: Request, *args: Any, **kwargs: Any) -> Response:
        key = request.headers.get(HEADER)
        if key is None:
            return call(view, request, *args, **kwargs)
        if not KEY.fullmatch(key):
            raise ValidationError({HEADER: "must be 1 to 255 visible ASCII characters"})
        return _once(request, key, lambda: call(view, request, *args, **kwargs))

    parameter = OpenApiParameter(
        HEADER,
        location=OpenApiParameter.HEADER,
        pattern=KEY.pattern,
        description="The same key within 24 hours: the first answer again, and nothing is done.",
    )
    return extend_schema(parameters=[parameter])(once)


def _once(request: Request, key: str, perform: Callable[[], Response]) -> Response:
    asked = _fingerprint(request)
    with transaction.atomic():
        _lock(f"idempotency {request.user.pk} {key}")
        kept = IdempotentCall.objects.filter(at__gt=Now() - KEPT)
        first = kept.filter(user=request.user.pk, key=key).first()
        if first is not None:
            if first.fingerprint != asked:
                raise KeyReused
            return Response(json.loads(first.answer), first.status)
        try:
            answer = perform()
        except APIException as error:
            refusal = error
        else:
            _keep(request, key, asked, answer)
            return answer
    # Out here, so that what was stored of the refusal stays. It is no answer to keep: the call
    # may be sent again when what was in its way is mended.
    raise refusal


def _lock(name: str) -> None:
    """Until the transaction ends, nobody else does this call. Raises InProgress."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))", [name])
        if cursor.fetchone() != (True,):
            raise InProgress


def _keep(request: Request, key: str, asked: str, answer: Response) -> None:
    """In place of the key's former call, if that is over its time."""
    said = {"fingerprint": asked, "status": answer.status_code, "answer": _json(answer.data)}
    IdempotentCall.objects.update_or_create(  # type: ignore[misc]  # the user is one that was let in
        user_id=request.user.pk, key=key, defaults={**said, "at": Now()}
    )


def _json(data: Any) -> str:
    """As the API itself writes it."""
    text: bytes = JSONRenderer().render(data)
    return text.decode()


def _fingerprint(request: Request) -> str:
    """What was asked for: the path and the content, whatever the order of its fields; and the
    accounts that the caller sees, so that no answer is repeated that tells of others."""
    asked = [request.path, request.data]
    if seen := scope_of(request.user).label:
        asked.append(seen)
    return sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


# --- what is forgotten ------------------------------------------------------------------------


def drop_old() -> int:
    """Drop the answers whose time is over; how many it were."""
    return IdempotentCall.objects.filter(at__lte=Now() - KEPT).delete()[0]


def forget(name: str) -> None:
    """Drop the answers in which a person is named, in the caller's transaction."""
    value = _json(name)  # with its quotes: as a value of its own, `"author":"ada"`
    IdempotentCall.objects.filter(answer__contains=value).delete()
