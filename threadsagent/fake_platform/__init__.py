"""A stand-in for the social platform, as its own process, for ``make run`` and for tests.

It holds comments under posts and a ledger of the answers to their authors, and behaves as
Instagram's private replies are documented to: one message per comment, within 7 days, at most
1,000 bytes, so many in an hour, with Meta's error bodies. Faults can be queued, or come by chance,
so that a caller can be tested against every error, lost answers and time-outs. It needs no
Django: ``manage.py fake_platform`` only starts it.

Modules: ``store`` (state in SQLite), ``server`` (HTTP), ``routes`` (what each endpoint does),
``wire`` (requests, answers, errors), ``faults`` (queued), ``chaos`` (every error, and faults by
chance), ``webhooks`` (tells of private messages), ``page`` (for people), ``player`` (plays sample
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

``POST /messages?account=NAME``
    A private reply to a comment. ``account`` says which of the brand's accounts sends; without it,
    the only one. Header ``Authorization: Bearer …`` (anything that is not empty; else 401, code
    190), body ``{"recipient": {"comment_id"}, "message": {"text"}}``. 200: ``{"recipient_id",
    "message_id"}``. Refused with 400:

    - code 100, subcode 2534025: no such comment, or its one private reply is used;
    - code 10, subcode 2534022: the comment is older than 7 days;
    - code 100, no subcode: the text is empty or longer than 1,000 bytes of UTF-8;
    - code 613: the account has sent its hour's messages (750 unless ``--hourly-limit`` says
      otherwise, 0: no limit). What was delivered within the last hour counts, over both channels;
      a refusal does not.

    Each answer, errors and faults included, says in two headers how much of the hour is used, in
    whole percent, and in how many minutes the account may send again (0 while it may). Without a
    limit there are none::

        X-App-Usage: {"call_count": 40, "total_cputime": 0, "total_time": 0}
        X-Business-Use-Case-Usage: {"fake_account": [{"type": "messenger", "call_count": 40,
            "total_cputime": 0, "total_time": 0, "estimated_time_to_regain_access": 0}]}

``POST /comments/{comment_id}/replies?account=NAME``
    A public reply to a comment: the same with the body ``{"message": text}`` and the answer
    ``{"id"}``. A comment takes one of each channel, so the ledger shows it when a comment got
    both. (The real platform takes any number. There is no list of the brand's own replies here.)

``GET /messages?comment_id=ID``
    The ledger, newest last, of one comment or (without ``comment_id``) of all. Each comment got at
    most one message when no ``comment_id`` is in it twice::

        {"data": [{"message_id", "comment_id", "channel", "account", "post_id", "author",
                   "comment_text", "text", "received_at"}, …]}

    ``channel`` is ``direct_message`` or ``public_reply``, ``account`` empty for the only one.

``POST /inbox``
    A person writes to the account. Body ``{"text"}`` and either ``"author"`` or ``"comment_id"``:
    then it is that comment's author. 201: ``{"message_id"}``, and the webhook is told; nothing is
    kept. Refused with 400, code 100, when no webhook is set or there is no such comment.

The webhook (``--webhook-url``)
    Is told of private messages: of each that was delivered (``is_echo``), whatever the caller was
    answered, and of what people write. Up to 100 events come in one ``POST``, as Instagram sends
    them; a person is told by name too. ``X-Hub-Signature-256`` is ``sha256=`` and the hex HMAC of
    the body's bytes, keyed with the app secret::

        {"object": "instagram", "entry": [{"id": "fake_account", "time": MILLISECONDS,
          "messaging": [{"sender": {"id"}, "recipient": {"id", "username"},
                         "timestamp": MILLISECONDS,
                         "message": {"mid", "text", "is_echo": true}}, …]}]}

    What people write has the ``username`` at the sender, and no ``is_echo``. ``mid`` is the
    message's id in the ledger; an account's id is its name, or ``fake_account``. A call that fails
    is made three times, a second apart; then, and at a restart, its events are lost.

``POST /faults``, ``GET /faults``, ``DELETE /faults``
    What happens to the next messages, whatever their channel. The body has ``"times"`` (how many
    calls), ``"after_delivery"`` (false unless given) and one of these:

    - ``"error": {"status", "code", "error_subcode", "message"}``: answers that error (status and
      code are needed, the status is 400 to 599);
    - ``"hang_seconds": S``: says nothing for S seconds, then closes the connection unanswered;
    - ``"drop_connection": true``: closes the connection unanswered.

    A fault takes the place of the whole call. With ``after_delivery`` it takes the place of the
    answer only, whatever that would have been: the message is already in the ledger. Faults are
    used up in the order in which they came; a restart forgets them. ``POST`` answers 201 with the
    fault, ``GET`` ``{"data": [the faults left, "times" counted down]}``, ``DELETE`` the empty list.

``PUT /chaos``, ``GET /chaos``, ``DELETE /chaos``
    Faults by chance, for each message that meets no queued one. The body has a ``"seed"``, which
    fixes what the calls meet in the order in which they come, and one of these:

    - ``"faults"``: a list of faults as above, each with its ``"probability"`` instead of
      ``"times"``; the probabilities add up to 1 at most;
    - ``"share"``: so much of the calls meets something out of all that can go wrong: every error
      that Meta documents (``chaos.ERRORS``) except that a reply is used, which is only said where
      it is true; a delivery that is answered with an error; answers that are lost, and hangs of
      ``"hang_seconds"`` (35 unless given), each before and after the delivery. The rows of the
      table are equally likely.

    A restart forgets it, unless it was asked for with ``--chaos SHARE`` (and ``--seed``); then it
    begins anew. ``GET`` answers the seed and the list, with how often each fault was ``"drawn"``.

``GET /``
    A page for people: the posts and the newest 100 messages.

``GET /health``
    ``{"status": "ok"}``.
"""
