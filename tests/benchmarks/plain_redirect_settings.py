"""The product's settings, with the baseline of `/r/{token}` in place of the product's."""

from threadsagent.settings import *  # noqa: F403 - the very same, but for the lines below
from threadsagent.settings import MIDDLEWARE as ALL

MIDDLEWARE = [name for name in ALL if name != "dmtrigger.redirect.answer_links"]
ROOT_URLCONF = "tests.benchmarks.plain_redirect"
