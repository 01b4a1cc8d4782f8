"""Versions of the model over HTTP: what each does, and what administrators do with them."""

from collections.abc import Callable
from typing import Any, cast

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import transaction
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer
from rest_framework.viewsets import ReadOnlyModelViewSet

from comments.idempotency import idempotent
from intents import registry
from intents.models import ModelVersion
from intents.serializers import ModelVersionSerializer, ShareSerializer
from intents.views import Conflict


def _schema(why_not: str, request: type[Serializer[Any]] | None = None) -> Callable[[Any], Any]:
    return extend_schema(
        request=request,
        responses={200: ModelVersionSerializer, 409: OpenApiResponse(description=why_not)},
    )


class ModelVersionViewSet(ReadOnlyModelViewSet[ModelVersion]):
    """The versions of the model, newest first; training registers new ones."""

    queryset = ModelVersion.objects.defer("content").select_related("promoted_by")
    serializer_class = ModelVersionSerializer
    required_permissions = {
        "list": "intents.view_modelversion",
        "retrieve": "intents.view_modelversion",
        "promote": "intents.promote_model",
        "shadow": "intents.promote_model",
        "share": "intents.promote_model",
        "retire": "intents.promote_model",
    }

    @_schema("it is the champion already, or cannot be used")
    @idempotent
    @action(detail=True, methods=["post"])
    def promote(self, request: Request, pk: str) -> Response:
        """Make it the champion: it answers from the next batch on, and the former one retires."""
        user = cast(AbstractBaseUser, request.user)
        return self._do(lambda version: registry.promote(version, user), "Promoted")

    @_schema("it is the champion, or cannot be used")
    @idempotent
    @action(detail=True, methods=["post"])
    def shadow(self, request: Request, pk: str) -> Response:
        """Try it in shadow: it is asked about each comment, and its answer is only stored."""
        return self._do(lambda version: registry.try_out(version, 0), "In shadow")

    @_schema("it is the champion, cannot be used, or others have too much already", ShareSerializer)
    @idempotent
    @action(detail=True, methods=["post"])
    def share(self, request: Request, pk: str) -> Response:
        """Try it on a share of the traffic: it answers these comments itself."""
        said = ShareSerializer(data=request.data)
        said.is_valid(raise_exception=True)
        percent = said.validated_data["percent"]
        return self._do(lambda version: registry.try_out(version, percent), f"Answers {percent} %")

    @_schema("it is the champion, or retired already")
    @idempotent
    @action(detail=True, methods=["post"])
    def retire(self, request: Request, pk: str) -> Response:
        """Ask it no more."""
        return self._do(registry.retire, "Retired")

    def _do(self, change: Callable[[ModelVersion], None], done: str) -> Response:
        """The version after a change, which its history in the console tells of as well."""
        version, user = self.get_object(), cast(AbstractBaseUser, self.request.user)
        try:
            with transaction.atomic():
                change(version)
                LogEntry.objects.log_actions(user.pk, [version], CHANGE, done, single_object=True)
        except registry.Refused as problem:
            raise Conflict(str(problem)) from problem
        return Response(self.get_serializer(self.get_object()).data)
