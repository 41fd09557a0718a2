"""Attach programs to hooks."""

from .link import HeldLink, Link, LinkGroup

__all__ = ["HeldLink", "Link", "LinkGroup"]
