"""The console's pages about those who use it."""

from threadsagent import tokens_admin, users_admin

__all__ = ["tokens_admin", "users_admin"]
