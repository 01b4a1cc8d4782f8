"""Intents and reviews over HTTP."""

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.exceptions import APIException, NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ReadOnlyModelViewSet

from comments.idempotency import idempotent
from intents import reviews
from intents.models import IntentResult, Review
from intents.serializers import DecisionSerializer, IntentResultSerializer, ReviewSerializer


class Conflict(APIException):
    """The thing is not in a state in which this could be done."""

    status_code = status.HTTP_409_CONFLICT


_decision_schema = extend_schema(
    request=DecisionSerializer,
    responses={
        200: ReviewSerializer,
        409: OpenApiResponse(description="decided otherwise, or an operator has it open"),
    },
)


class IntentResultViewSet(ReadOnlyModelViewSet[IntentResult]):
    """Analysed comments, newest first."""

    queryset = IntentResult.objects.prefetch_related("comment")
    serializer_class = IntentResultSerializer
    required_permissions = {
        "list": "intents.view_intentresult",
        "retrieve": "intents.view_intentresult",
    }


class ReviewViewSet(ReadOnlyModelViewSet[Review]):
    """Flagged purchase intents, newest first, and their decisions."""

    queryset = Review.objects.select_related("intent__comment", "decided_by")
    serializer_class = ReviewSerializer
    required_permissions = {
        "list": "intents.view_review",
        "retrieve": "intents.view_review",
        "approve": "intents.decide_review",
        "reject": "intents.decide_review",
    }

    @_decision_schema
    @idempotent
    @action(detail=True, methods=["post"])
    def approve(self, request: Request, pk: str) -> Response:
        """Approve: the message goes out. Doing it again changes nothing."""
        return self._decide(request, Review.Status.APPROVED)

    @_decision_schema
    @idempotent
    @action(detail=True, methods=["post"])
    def reject(self, request: Request, pk: str) -> Response:
        """Reject: no message goes out. Doing it again changes nothing."""
        return self._decide(request, Review.Status.REJECTED)

    def _decide(self, request: Request, decision: Review.Status) -> Response:
        said = DecisionSerializer(data=request.data)
        said.is_valid(raise_exception=True)
        review = self.get_object()
        try:
            reviews.decide(review.pk, decision, user_id=request.user.pk, **said.validated_data)
        except reviews.ContradictionError as error:
            raise ValidationError({"corrected_label": [str(error)]}) from error
        except (
            reviews.AlreadyDecided,
            reviews.CannotApprove,
            reviews.ClaimedElsewhere,
        ) as error:
            raise Conflict(str(error)) from error
        except Review.DoesNotExist as error:  # retired with its comment just now
            raise NotFound from error
        return Response(self.get_serializer(self.get_object()).data)
