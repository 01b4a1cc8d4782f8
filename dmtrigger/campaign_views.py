"""Campaigns over HTTP: seen, made and edited, by the rules of the admin."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

from django.contrib.auth.base_user import AbstractBaseUser
from django.db import IntegrityError, transaction
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import status
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.viewsets import ReadOnlyModelViewSet

from comments.idempotency import idempotent
from comments.scope import scope_of
from dmtrigger import campaign_editing
from dmtrigger.campaigns import in_order
from dmtrigger.models import Campaign
from dmtrigger.serializers import CampaignSerializer


class CampaignViewSet(ReadOnlyModelViewSet[Campaign]):
    """The campaigns, each with the wordings of its message."""

    queryset = in_order().prefetch_related("variants")
    serializer_class = CampaignSerializer
    required_permissions = {
        "list": "dmtrigger.view_campaign",
        "retrieve": "dmtrigger.view_campaign",
        "create": "dmtrigger.add_campaign",
        "partial_update": "dmtrigger.change_campaign",
    }

    @extend_schema(
        responses={201: CampaignSerializer},
        examples=[
            OpenApiExample(
                "two wordings",
                request_only=True,
                value={
                    "name": "Backpack",
                    "link": "https://shop.example/backpack",
                    "post_id": "post_12345",
                    "variants": [
                        {"name": "A", "template": "Hi {{ author }}: {{ link }} (automated)"},
                        {"name": "B", "template": "Here it is: {{ link }} (automated)"},
                    ],
                },
            )
        ],
    )
    @idempotent
    def create(self, request: Request) -> Response:
        """Make a campaign. It answers comments at once, unless `is_active` is false."""
        said = self.get_serializer(data=request.data)
        said.is_valid(raise_exception=True)
        values = said.validated_data
        variants = values.pop("variants")
        with _name_still_free(said):
            campaign = campaign_editing.add(values, variants, cast(AbstractBaseUser, request.user))
        return Response(self._shown(campaign.pk), status.HTTP_201_CREATED)

    @idempotent
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change what is given. `variants` are all that there are to be, known by their names:
        what is left out of one stays, and one that is left out is deleted."""
        seen = self.get_object()  # a 404 for what is no key at all
        if not scope_of(request.user).has_key(seen.account_id):
            raise PermissionDenied("this campaign is of every account, and you see only some")
        with transaction.atomic():
            campaign = get_object_or_404(Campaign.objects.select_for_update(), pk=pk)
            said = self.get_serializer(campaign, data=request.data, partial=True)
            said.is_valid(raise_exception=True)
            values = said.validated_data
            variants = values.pop("variants", None)
            user = cast(AbstractBaseUser, request.user)
            with _name_still_free(said):
                campaign_editing.change(campaign, values, variants, user)
        return Response(self._shown(campaign.pk))

    def _shown(self, pk: int) -> object:
        return self.get_serializer(self.get_queryset().get(pk=pk)).data


@contextmanager
def _name_still_free(said: BaseSerializer[Campaign]) -> Iterator[None]:
    """Of two calls that find a name free at the same moment, the second hears what it would have
    heard a moment later: the database lets one have it, and now the checks see that."""
    try:
        with transaction.atomic():
            yield
    except IntegrityError:
        said.run_validation(said.initial_data)
        raise
