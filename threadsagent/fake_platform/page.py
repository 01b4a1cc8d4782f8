"""The page on which people see what the fake platform holds."""

from html import escape
from urllib.parse import quote

from threadsagent.fake_platform.store import Message, PostCount

SHOWN_MESSAGES = 100

_STYLE = """
:root { color-scheme: light dark; --text: #1c2530; --soft: #5c6875; --line: #dde3ea;
  --card: #fff; --back: #f3f6f9; --accent: #0b6b57; }
@media (prefers-color-scheme: dark) { :root { --text: #e4e9ee; --soft: #98a5b3; --line: #2b3542;
  --card: #18202a; --back: #10161d; --accent: #6fd3b8; } }
body { margin: 0 auto; max-width: 70rem; padding: 2rem 1rem; background: var(--back);
  color: var(--text); font: 16px/1.5 system-ui, sans-serif; }
h1 { margin: 0; font-size: 1.6rem; }
h2 { margin: 2rem 0 .5rem; font-size: 1.1rem; }
p { margin: .25rem 0; color: var(--soft); }
.card { overflow-x: auto; background: var(--card); border: 1px solid var(--line);
  border-radius: .6rem; }
table { width: 100%; border-collapse: collapse; }
th, td { padding: .55rem .9rem; text-align: start; vertical-align: top; }
th { color: var(--soft); font-size: .8rem; font-weight: 600; white-space: nowrap; }
td { border-top: 1px solid var(--line); overflow-wrap: anywhere; white-space: pre-wrap; }
td.number { font-variant-numeric: tabular-nums; }
time { white-space: nowrap; color: var(--soft); }
a { color: var(--accent); }
"""


_MESSAGE_HEADS = ("Received (UTC)", "Post", "To", "Comment", "Message", "Sent as")


def render_page(posts: list[PostCount], messages: list[Message]) -> str:
    """HTML with the posts and the messages given; everything in it is escaped."""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="5">
<title>Fake platform</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>Fake platform</h1>
<p>Stands in for the social platform. Nothing here reaches a real person.</p>
<h2>Posts</h2>
{_table(("Post", "Comments"), [_post_cells(post) for post in posts], "No comments yet.")}
<h2>Messages, newest {SHOWN_MESSAGES}</h2>
{_table(_MESSAGE_HEADS, [_message_cells(message) for message in messages], "No messages yet.")}
</body>
</html>
"""


def _table(heads: tuple[str, ...], rows: list[str], empty: str) -> str:
    """A table of ready cells, or the line ``empty`` when there are no rows."""
    if not rows:
        return f"<p>{empty}</p>"
    head = "".join(f'<th scope="col">{name}</th>' for name in heads)
    body = "\n".join(f"<tr>{cells}</tr>" for cells in rows)
    return (
        f'<div class="card"><table>\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody></table></div>"
    )


def _post_cells(post: PostCount) -> str:
    address = f"/posts/{quote(post['post_id'], safe='')}/comments"
    return (
        f'<td dir="auto"><a href="{escape(address)}">{escape(post["post_id"])}</a></td>'
        f'<td class="number">{post["comments"]}</td>'
    )


def _message_cells(message: Message) -> str:
    # dir="auto": each text keeps its own direction, whatever the script.
    texts = (message["post_id"], message["author"], message["comment_text"], message["text"])
    cells = "".join(f'<td dir="auto">{escape(text)}</td>' for text in texts)
    cells += f"<td>{message['channel'].replace('_', ' ')}</td>"
    at = message["received_at"]
    return f'<td><time datetime="{at}">{at[:10]} {at[11:19]}</time></td>{cells}'
