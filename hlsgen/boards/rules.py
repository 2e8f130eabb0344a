# SPDX-License-Identifier: Apache-2.0
"""What a value of a board file may be."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Rule:
    """What a value may be, in words and as a test.

    `otherwise` stands for a value that may not be; `make` gives a legal one the type that a board has.
    """

    text: str
    legal: Callable[[Any], bool]
    otherwise: Any = ""
    make: Callable[[Any], Any] = lambda value: value


def matching(text: str, pattern: str) -> Rule:
    """A text that a pattern matches whole."""
    whole = re.compile(pattern)
    return Rule(text, lambda value: isinstance(value, str) and whole.fullmatch(value) is not None)


def one_of(*legal: object, text: str = "") -> Rule:
    """One of these values, of the same type too: 8.0 is not 8."""

    def found(value: object) -> bool:
        return any(type(value) is type(item) and value == item for item in legal)

    return Rule(text or f"one of {', '.join(map(str, legal))}", found, legal[0] if legal else "")


def number(low: float, high: float) -> Rule:
    """A number within limits; booleans are none."""

    def found(value: object) -> bool:
        return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high

    return Rule(f"a number in {low:g}..{high:g}", found, low, float)


def integer(low: int, high: int) -> Rule:
    """An integer within limits; booleans are none."""
    return Rule(
        f"an integer in {low}..{high}", lambda value: type(value) is int and low <= value <= high, low
    )


def places(high: int) -> Rule:
    """A list of different positions on a chip."""
    position = integer(0, high).legal

    def found(value: object) -> bool:
        return isinstance(value, list) and all(map(position, value)) and len(set(value)) == len(value)

    return Rule("a list of different non-negative integers", found, (), tuple)


# These reach Makefiles and scripts. None may be empty there, look like an option, or be several words.
NAME = matching(
    "a word of letters, digits and _.-, not beginning with a sign", r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"
)
TITLE = matching(
    "text of letters, digits and _.:() /+-, not beginning with a sign",
    r"[A-Za-z0-9][A-Za-z0-9_.:() /+-]{0,99}",
)
WORD = matching("a word of letters, digits and _", r"[A-Za-z0-9_]{1,64}")
ARRAY = Rule(
    "ROWSxCOLUMNSxDEPTH",
    matching("", r"([0-9]{1,9})x([0-9]{1,9})x([0-9]{1,9})").legal,
    "1x1x1",
)
