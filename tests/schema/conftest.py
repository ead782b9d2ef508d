"""The doors' fixtures."""

from tests.doors import app, client, owner

__all__ = ["app", "client", "owner"]
