"""Campaigns and messages over HTTP."""

from dmtrigger.outbox import deliver_next
from tests.factories import CampaignFactory, DirectMessageFactory


def test_a_message_says_its_state_and_its_attempts(api_of, fake_platform):
    comment = fake_platform.store.add_comment("p1", text="price?", author="ada")
    message = DirectMessageFactory(review__intent__comment__external_id=comment["id"])
    deliver_next()
    api = api_of("dmtrigger.view_directmessage")
    body = api.get(f"/messages/{message.pk}").json()
    assert (body["state"], body["recipient"], body["comment_id"]) == (
        "sent",
        "ada",
        message.comment_id,
    )
    assert [attempt["outcome"] for attempt in body["log"]] == ["sent"]
    assert api.get("/messages").json()["results"] == [body]


def test_campaigns_are_listed(api_of):
    campaign = CampaignFactory(auto_threshold=90)
    [row] = api_of("dmtrigger.view_campaign").get("/campaigns").json()["results"]
    assert (row["name"], row["auto_threshold"]) == (campaign.name, 90)
