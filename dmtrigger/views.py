"""Campaigns and messages over HTTP."""

from rest_framework.viewsets import ReadOnlyModelViewSet

from dmtrigger.campaigns import in_order
from dmtrigger.models import Campaign, DirectMessage
from dmtrigger.serializers import CampaignSerializer, DirectMessageSerializer


class CampaignViewSet(ReadOnlyModelViewSet[Campaign]):
    """The campaigns; they are edited in the admin."""

    queryset = in_order().prefetch_related("variants")
    serializer_class = CampaignSerializer
    required_permissions = {
        "list": "dmtrigger.view_campaign",
        "retrieve": "dmtrigger.view_campaign",
    }


class DirectMessageViewSet(ReadOnlyModelViewSet[DirectMessage]):
    """Outgoing messages, newest first, each with its attempts."""

    queryset = DirectMessage.objects.prefetch_related("log", "events")
    serializer_class = DirectMessageSerializer
    required_permissions = {
        "list": "dmtrigger.view_directmessage",
        "retrieve": "dmtrigger.view_directmessage",
    }
