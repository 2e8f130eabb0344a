# SPDX-License-Identifier: Apache-2.0
"""Packages and commands that a user may need, and where they come from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Package:
    """A Python package; `extra` is hlsgen's that brings it, empty where it always comes along.

    needed: hlsgen's verbs need it, all but one level of `simulate`.
    """

    name: str
    purpose: str
    extra: str = ""
    needed: bool = True

    @property
    def fix(self) -> str:
        """How to install it."""
        wanted = f"'hlsgen[{self.extra}]'" if self.extra else "hlsgen"
        return f"pip install {wanted}"


@dataclass(frozen=True, kw_only=True)
class Command:
    """A command, and the option that shows its version if there is one.

    It comes in a Debian package, or from another source. `needed`: hlsgen's tests need it.
    """

    name: str
    purpose: str
    version: str | None = None
    needed: bool = True
    debian: str = ""
    source: str = ""

    @property
    def fix(self) -> str:
        """How to install it."""
        return f"apt-get install {self.debian}" if self.debian else self.source
