"""How a message leaves. A sender is one function; add yours to `get_sender`.

A sender knows the platform and nothing of our tables. It never raises for what a platform or a
network can do: every answer, and the lack of one, is an `Outcome`.
"""

from collections.abc import Callable

from dmtrigger.retry import Outcome

Send = Callable[[str, str], Outcome]  # (the comment's id on the platform, text) -> Outcome


def get_sender(name: str) -> Send:
    """The sender of that name; ValueError names those there are."""
    from dmtrigger.senders import fake_platform

    senders: dict[str, Send] = {"fake_platform": fake_platform.send}
    if name not in senders:
        raise ValueError(f"unknown message sender {name!r}; there are: {', '.join(senders)}")
    return senders[name]
