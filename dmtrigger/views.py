"""What integrators do over HTTP with messages, accounts and opt-outs."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.db.models import Q, QuerySet
from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework import mixins, status
from rest_framework.decorators import action
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet, ReadOnlyModelViewSet

from comments.idempotency import idempotent
from comments.scope import scope_of
from dmtrigger import outbox, pacing, people
from dmtrigger.filters import MessageFilter, OptOutFilter, RefusalFilter
from dmtrigger.models import Account, DirectMessage, Person, Refusal
from dmtrigger.senders import senders
from dmtrigger.serializers import (
    AccountSerializer,
    DirectMessageSerializer,
    NewOptOutSerializer,
    OptOutSerializer,
    RefusalSerializer,
    SettlementSerializer,
)
from intents.models import Review
from intents.views import Conflict


class DirectMessageViewSet(ReadOnlyModelViewSet[DirectMessage]):
    """Outgoing messages, newest first, each with its history and its attempts."""

    queryset = DirectMessage.objects.select_related("account").prefetch_related("log", "events")
    serializer_class = DirectMessageSerializer
    filterset_class = MessageFilter
    required_permissions = {
        "list": "dmtrigger.view_directmessage",
        "retrieve": "dmtrigger.view_directmessage",
        "cancel": "dmtrigger.cancel_directmessage",
        "settle": "dmtrigger.settle_directmessage",
        "undo": "intents.decide_review",
    }

    expected: dict[int, datetime] = {}
    """When the messages that are shown will leave, asked for at once."""

    def paginate_queryset(self, queryset: Any) -> Any:
        page = super().paginate_queryset(queryset)
        self.expected = pacing.expected(page or [], senders())
        return page

    def get_object(self) -> DirectMessage:
        message = super().get_object()
        self.expected = pacing.expected([message], senders())
        return message

    def get_serializer_context(self) -> dict[str, Any]:
        return {**super().get_serializer_context(), "expected": self.expected}

    @extend_schema(
        request=None,
        responses={
            200: DirectMessageSerializer,
            409: OpenApiResponse(description="it does not wait any more"),
        },
    )
    @idempotent
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str) -> Response:
        """Take back a message that waits: it is not sent. Its review stays approved."""
        message = self.get_object()
        return self._changed(lambda by: outbox.cancel(message.pk, by))

    @extend_schema(
        request=None,
        responses={
            200: DirectMessageSerializer,
            409: OpenApiResponse(description="it has left, or its review is gone"),
        },
    )
    @idempotent
    @action(detail=True, methods=["post"])
    def undo(self, request: Request, pk: str) -> Response:
        """Undo the approval: the message is taken back, and its review waits again."""
        review_id = self.get_object().review_id
        if review_id is None:
            raise Conflict("the review of this message is not kept any more: cancel the message")
        return self._changed(lambda by: outbox.undo(review_id, by))

    @extend_schema(
        request=SettlementSerializer,
        responses={
            200: DirectMessageSerializer,
            409: OpenApiResponse(description="its outcome is known"),
        },
        examples=[OpenApiExample("it arrived", request_only=True, value={"delivered": True})],
    )
    @idempotent
    @action(detail=True, methods=["post"])
    def settle(self, request: Request, pk: str) -> Response:
        """Say whether a message in state `unknown` was delivered; if not, it is sent again."""
        said = SettlementSerializer(data=request.data)
        said.is_valid(raise_exception=True)
        message = self.get_object()
        delivered = said.validated_data["delivered"]
        return self._changed(lambda by: outbox.settle(message.pk, delivered=delivered, by=by))

    def _changed(self, change: Callable[[str], DirectMessage]) -> Response:
        """The message after a change by the caller."""
        try:
            change(self.request.user.get_username())
        except (outbox.NotWaiting, outbox.NotUnknown) as error:
            raise Conflict(str(error)) from error
        except (DirectMessage.DoesNotExist, Review.DoesNotExist) as error:  # gone just now
            raise NotFound from error
        return Response(self.get_serializer(self.get_object()).data)


class AccountViewSet(ReadOnlyModelViewSet[Account]):
    """The accounts that send, how busy each is, and whether it is paused."""

    queryset = Account.objects.all()
    serializer_class = AccountSerializer
    required_permissions = {
        "list": "dmtrigger.view_account",
        "retrieve": "dmtrigger.view_account",
        "resume": "dmtrigger.resume_account",
    }

    loads: dict[int, pacing.Load] = {}
    """How busy the accounts that are shown are, asked for at once."""

    def paginate_queryset(self, queryset: Any) -> Any:
        page = super().paginate_queryset(queryset)
        self.loads = pacing.load(page or [], senders())
        return page

    def get_object(self) -> Account:
        account = super().get_object()
        self.loads = pacing.load([account], senders())
        return account

    def get_serializer_context(self) -> dict[str, Any]:
        return {**super().get_serializer_context(), "loads": self.loads}

    @extend_schema(request=None, responses={200: AccountSerializer})
    @idempotent
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, pk: str) -> Response:
        """Let the account send again now. If it is still restricted, its next attempt pauses it
        again; doing it again changes nothing."""
        pacing.resume(self.get_object(), request.user.get_username())
        return Response(self.get_serializer(self.get_object()).data)


class OptOutViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, GenericViewSet[Person]):
    """The people who want no messages, newest first."""

    queryset = Person.objects.exclude(opted_out_at=None)
    serializer_class = OptOutSerializer
    filterset_class = OptOutFilter
    required_permissions = {
        "list": "dmtrigger.view_person",
        "retrieve": "dmtrigger.view_person",
        "create": "dmtrigger.add_person",
        "destroy": "dmtrigger.change_person",
    }

    def get_queryset(self) -> QuerySet[Person]:
        """Without those whose time is over."""
        holds = Q(opted_out_until=None) | Q(opted_out_until__gt=timezone.now())
        return super().get_queryset().filter(holds)

    @extend_schema(
        request=NewOptOutSerializer,
        responses={201: OptOutSerializer},
        examples=[
            OpenApiExample(
                "for good",
                request_only=True,
                value={"source": "instagram", "name": "ada", "days": None},
            )
        ],
    )
    @idempotent
    def create(self, request: Request) -> Response:
        """Write to a person no more, for so many days or (null) for good.

        Messages that wait for them are not sent. An opt-out that holds is never shortened.
        """
        said = NewOptOutSerializer(data=request.data)
        said.is_valid(raise_exception=True)
        if not scope_of(request.user).has_source(said.validated_data["source"]):
            raise ValidationError({"source": "you see no account of this platform"})
        by: dict[str, Any] = {"by": Person.By.OPERATOR, "actor": request.user.get_username()}
        person = people.opt_out(**said.validated_data, **by)
        return Response(self.get_serializer(person).data, status.HTTP_201_CREATED)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Take an opt-out back, since the person has asked for it."""
        people.opt_in(self.get_object().pk, request.user.get_username())
        return Response(status=status.HTTP_204_NO_CONTENT)


class RefusalViewSet(ReadOnlyModelViewSet[Refusal]):
    """Messages that were not sent, by which rule and why; newest first."""

    queryset = Refusal.objects.all()
    serializer_class = RefusalSerializer
    filterset_class = RefusalFilter
    required_permissions = {
        "list": "dmtrigger.view_refusal",
        "retrieve": "dmtrigger.view_refusal",
    }
