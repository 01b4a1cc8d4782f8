"""How a message leaves: the senders there are. `contract` says what one is."""

from dmtrigger.senders.contract import Channel, Sender


def senders() -> dict[str, Sender]:
    """The senders by name."""
    from dmtrigger.senders import fake_platform, webhook

    return {sender.name: sender for sender in (fake_platform.SENDER, webhook.SENDER)}


def sender_for(source: str, channel: Channel) -> Sender | None:
    """Who answers a comment of this platform over this channel; None if nobody can.

    A comment is answered on the platform it is of, so a sender has the name of its source; the
    channel webhook is for comments of every platform.
    """
    name = "webhook" if channel is Channel.WEBHOOK else source
    sender = senders().get(name)
    return sender if sender is not None and channel in sender.channels else None
