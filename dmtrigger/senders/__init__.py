"""How a message leaves. A sender is one function; add yours to `senders`.

A comment is answered on the platform it is of, so a sender has the name of its source. It knows
the platform and nothing of our tables, and reports what came of the request as an `Outcome`,
whatever a network or a platform does.
"""

from collections.abc import Callable

from dmtrigger.retry import Outcome

Send = Callable[[str, str], Outcome]  # (the comment's id on the platform, text) -> Outcome


def senders() -> dict[str, Send]:
    """The senders by the name of the source whose comments they answer."""
    from dmtrigger.senders import fake_platform

    return {"fake_platform": fake_platform.send}
