"""A stand-in for the social platform, as its own process, for ``make run`` and for tests.

It holds comments under posts and a ledger of the private messages sent to their authors, and
behaves as Instagram's private replies are documented to: one message per comment, within 7 days,
at most 1,000 bytes, with Meta's error bodies. Faults can be queued, so that a caller can be
tested against throttling, lost answers and time-outs. It needs no Django: ``manage.py
fake_platform`` only starts it.

Modules: ``store`` (state in SQLite), ``server`` (HTTP), ``routes`` (what each endpoint does),
``wire`` (requests, answers, errors), ``faults``, ``page`` (for people), ``player`` (plays sample
comments).

All bodies are JSON in UTF-8. Times are ISO 8601 in UTC with ``Z``. In paths, a post id is
percent-encoded: ``/posts/a%2Fb/comments`` is about the post ``a/b``. Errors have Meta's form::

    {"error": {"message": "…", "type": "OAuthException", "code": 100,
               "error_subcode": 2534025, "fbtrace_id": "…"}}

``error_subcode`` is absent where there is none. A broken body, a missing or wrong field, a bad
cursor or a bad limit: 400, code 100. An unknown path: 404, code 2500. A known path with another
method: 405, code 100. A body over 1 MiB or without a Content-Length (chunked): 413, code 100.

``POST /posts/{post_id}/comments``
    Body ``{"text", "author"}``, optionally ``"id"``, ``"timestamp"`` (with a UTC offset or Z),
    ``"author_followers"`` (null unless given: the platform does not say) and ``"author_verified"``
    (false unless given). 409 when the id exists. 201::

        {"id", "post_id", "text", "author", "timestamp", "author_followers", "author_verified"}

``GET /posts/{post_id}/comments?after=CURSOR&limit=N``
    One page, in the order in which the comments came; ``limit`` is 1 to 100, 50 unless given::

        {"data": [{"id", "text", "author", "timestamp", "author_followers", "author_verified"}, …],
         "paging": {"cursors": {"after": CURSOR}, "next": "http://…"}}

    ``next`` is there only when there are more. The last cursor, asked again, gives only what came
    since; with nothing new it is echoed. ``cursors`` is absent when there is no comment and no
    cursor was given. An unknown post is an empty one.

``GET /posts``
    ``{"data": [{"post_id", "comments": count}, …]}``.

``POST /messages``
    A private reply to a comment. Header ``Authorization: Bearer …`` (anything that is not empty;
    else 401, code 190), body ``{"recipient": {"comment_id"}, "message": {"text"}}``.
    200: ``{"recipient_id", "message_id"}``. Refused with 400:

    - code 100, subcode 2534025: no such comment, or its one private reply is used;
    - code 10, subcode 2534022: the comment is older than 7 days;
    - code 100, no subcode: the text is empty or longer than 1,000 bytes of UTF-8.

``GET /messages?comment_id=ID``
    The ledger, newest last, of one comment or (without ``comment_id``) of all::

        {"data": [{"message_id", "comment_id", "post_id", "author", "comment_text", "text",
                   "received_at"}, …]}

``POST /faults``, ``GET /faults``, ``DELETE /faults``
    What happens to the next ``POST /messages`` calls. The body has ``"times"`` (how many calls),
    ``"after_delivery"`` (false unless given) and one of these:

    - ``"error": {"status", "code", "error_subcode", "message"}``: answers that error (status and
      code are needed, the status is 400 to 599);
    - ``"hang_seconds": S``: says nothing for S seconds, then closes the connection unanswered;
    - ``"drop_connection": true``: closes the connection unanswered.

    A fault takes the place of the whole call. With ``after_delivery`` it takes the place of the
    answer only, whatever that would have been: the message is already in the ledger. Faults are
    used up in the order in which they came; a restart forgets them. ``POST`` answers 201 with the
    fault, ``GET`` ``{"data": [the faults left, "times" counted down]}``, ``DELETE`` the empty list.

``GET /``
    A page for people: the posts and the newest 100 messages.

``GET /health``
    ``{"status": "ok"}``.
"""
