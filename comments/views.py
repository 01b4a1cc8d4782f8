"""Comments over HTTP: hand them in, look at them."""

import time
from dataclasses import asdict
from typing import Any

from django.conf import settings
from django.db import OperationalError, connection, transaction
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from psycopg2.errors import QueryCanceled
from rest_framework import mixins, status
from rest_framework.decorators import action
from rest_framework.exceptions import APIException, PermissionDenied, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet, ReadOnlyModelViewSet

from comments import monitors, posts
from comments.filters import CommentFilter
from comments.idempotency import idempotent
from comments.ingest import IngestReport, ingest
from comments.models import Comment, Monitor
from comments.parsing import MAX_ID_LENGTH, FieldError, parse_text
from comments.polling import OutOfTime, process_post
from comments.scope import scope_of
from comments.serializers import (
    CommentSerializer,
    MonitorSerializer,
    ProcessRequestSerializer,
    ProcessResponseSerializer,
    StartMonitorSerializer,
)
from comments.sources import SourceError

MAX_COMMENTS = 50_000  # of one call: a byte or two can be a wrong item, and the answer names each
SEARCH_MILLISECONDS = 5_000
TOO_LONG = "This takes too long: narrow it by post_id, author, stored_after or stored_before."


class SourceUnavailable(APIException):
    """The platform that the post is on did not give its comments."""

    status_code = status.HTTP_502_BAD_GATEWAY


class SourceTooSlow(APIException):
    """The post could not be read to its end within `PROCESSING_TIMEOUT`."""

    status_code = status.HTTP_504_GATEWAY_TIMEOUT


class TooManyComments(APIException):
    """The call has more comments than are worked on at once."""

    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE


class CommentViewSet(ReadOnlyModelViewSet[Comment]):
    """Stored comments, newest first."""

    queryset = Comment.objects.all()
    serializer_class = CommentSerializer
    filterset_class = CommentFilter
    lookup_value_regex = "[0-9]+"  # the words that can stand there are other calls
    required_permissions = {
        "list": "comments.view_comment",
        "retrieve": "comments.view_comment",
        "process": "comments.add_comment",
    }

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Stored comments. A `search` that takes too long is a 400: narrow it."""
        if not request.query_params.get("search"):
            return super().list(request, *args, **kwargs)
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SET LOCAL statement_timeout = %s", [SEARCH_MILLISECONDS])
                return super().list(request, *args, **kwargs)
        except OperationalError as error:
            if not isinstance(error.__cause__, QueryCanceled):
                raise
            raise ValidationError({"search": TOO_LONG}) from error

    @extend_schema(
        request=ProcessRequestSerializer,
        responses={
            200: ProcessResponseSerializer,
            400: ProcessResponseSerializer,
            502: OpenApiResponse(description="the post cannot be read from its source"),
            504: OpenApiResponse(description="it could not be read to its end in time"),
        },
        examples=[
            OpenApiExample(
                "a batch of one",
                request_only=True,
                value={
                    "post_id": "post_12345",
                    "comments": [
                        {
                            "id": "comment_001",
                            "text": "Love this product! Where can I buy it?",
                            "author": "user123",
                            "timestamp": "2024-01-25T10:30:00Z",
                            "author_followers": 12_300,
                            "author_verified": True,
                        }
                    ],
                },
            )
        ],
    )
    @action(detail=False, methods=["post"])
    def process(self, request: Request) -> Response:
        """Store a batch of comments, or without `comments` fetch the post's from its source.

        A 2xx means that what is counted as stored is committed and will be analysed. A comment
        that cannot be stored is named in `rejected` and costs the others nothing.
        """
        started = time.monotonic()
        post_id, account, items = _read_batch(request)
        _check_post(request, settings.COMMENT_SOURCE, account, post_id)
        if items is None:
            report = _process_from_source(post_id, account)
        else:
            report = ingest(items, source=settings.COMMENT_SOURCE, post_id=post_id, account=account)
        body = _answer(report) | {"processing_time_ms": round((time.monotonic() - started) * 1000)}
        failed = body["status"] == "error"
        return Response(body, status.HTTP_400_BAD_REQUEST if failed else status.HTTP_200_OK)


def _read_batch(request: Request) -> tuple[str, str, list[Any] | None]:
    if not isinstance(request.data, dict):
        raise ValidationError("the body must be an object with post_id and comments")
    try:
        post_id = parse_text("post_id", request.data.get("post_id"), MAX_ID_LENGTH)
        account = request.data.get("account")
        if account not in (None, ""):
            account = parse_text("account", account, MAX_ID_LENGTH)
    except FieldError as error:
        raise ValidationError({error.field: str(error)}) from error
    # Taken out: a request is in a circle of references, so all that hangs on it would stay until
    # a full garbage collection.
    items = request.data.pop("comments", None)
    if items is not None and not isinstance(items, list):
        raise ValidationError({"comments": "must be a list"})
    if items is not None and len(items) > MAX_COMMENTS:
        raise TooManyComments(f"{len(items)} comments in one call, the limit is {MAX_COMMENTS}")
    return post_id, account or "", items


def _check_post(request: Request, source: str, account: str, post_id: str) -> None:
    """Raises PermissionDenied for a post of an account that the caller does not see."""
    if problem := posts.refusal(scope_of(request.user), source, account, post_id):
        raise PermissionDenied(problem)


def _process_from_source(post_id: str, account: str) -> IngestReport:
    total = IngestReport()
    deadline = time.monotonic() + settings.PROCESSING_TIMEOUT
    try:
        for report in process_post(post_id, settings.COMMENT_SOURCE, deadline, account=account):
            total.add(report)
    except OutOfTime as error:
        raise SourceTooSlow(f"{error}; {total.stored} comments were stored") from error
    except SourceError as error:
        raise SourceUnavailable(f"{error}; {total.stored} comments were stored") from error
    return total


def _answer(report: IngestReport) -> dict[str, Any]:
    accepted = report.stored + report.duplicates
    result = "success"
    if report.rejected:
        result = "partial" if accepted else "error"
    return {
        "status": result,
        "processed_count": accepted,
        "queued_count": report.stored,
        "stored_count": report.stored,
        "duplicates_filtered": report.duplicates,
        "rejected": [asdict(error) for error in report.rejected],
    }


class MonitorViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, GenericViewSet[Monitor]):
    """The posts that are watched, and how that goes; newest first."""

    queryset = Monitor.objects.all()
    serializer_class = MonitorSerializer
    lookup_field = "task_id"
    required_permissions = {
        "list": "comments.view_monitor",
        "retrieve": "comments.view_monitor",
        "create": "comments.add_monitor",
        "destroy": "comments.change_monitor",  # the monitor stays, and can be started again
    }

    @extend_schema(
        request=StartMonitorSerializer, responses={201: MonitorSerializer, 200: MonitorSerializer}
    )
    @idempotent
    def create(self, request: Request) -> Response:
        """Watch a post: 201 for a new monitor, 200 for the post's monitor if it has one.

        One that was stopped is started again, and goes on from the last comment it has read.
        """
        wanted = StartMonitorSerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        post = wanted.validated_data
        _check_post(request, post["source"], post.get("account", ""), post["post_id"])
        with transaction.atomic():  # so that another account's monitor stays as it was
            monitor, is_new = monitors.start(**post)
            if not scope_of(request.user).has(monitor.source, monitor.account):
                raise PermissionDenied("this post is another account's")
        answer = self.get_serializer(monitor)
        return Response(answer.data, status.HTTP_201_CREATED if is_new else status.HTTP_200_OK)

    @extend_schema(responses={200: MonitorSerializer})
    def destroy(self, request: Request, task_id: str) -> Response:
        """Stop watching the post; the answer is the stopped monitor. Again changes nothing."""
        monitor = self.get_object()
        monitors.stop(monitor)
        return Response(self.get_serializer(monitor).data)
