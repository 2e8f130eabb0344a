# SPDX-License-Identifier: Apache-2.0
"""Fields: what one number of a command is, declared where the command has it.

A line of `Command` is the only place that names a field: its bits, its default, its meaning. The packing, the
text of programs, the C++ struct, the RTL's layout and `docs/commands.md` are made from it.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, TypeVar

_T = TypeVar("_T", bound=int)
_KEY = "field"


@dataclass(frozen=True, kw_only=True)
class Field:
    """One field of a command."""

    name: str
    bits: int
    default: int
    meaning: str
    signed: bool = False
    orders: bool = False
    """Only stages that overlap need it: the RTL, the C++ and the cycle model. The interpreter runs one after
    the other. The repeats of a layer may differ in it."""
    varies: bool = False
    """The repeats of a layer may differ in it."""
    within: str = ""
    """The field whose bits it has in commands that do not need that one; see `Command.holds`."""
    loads: tuple[IntEnum, ...] = ()
    """Of a field within another one: ways of LOAD of the commands that have it."""

    @property
    def range(self) -> tuple[int, int]:
        """Least and largest value."""
        if self.signed:
            return -(1 << (self.bits - 1)), (1 << (self.bits - 1)) - 1
        return 0, (1 << self.bits) - 1

    @property
    def enum(self) -> type[IntEnum] | None:
        """The enumeration whose value it is, if it is one."""
        return type(self.default) if isinstance(self.default, IntEnum) else None

    def typed(self, value: int) -> int:
        """The value as the field's enumeration, else as it is; `ValueError` for one that nothing has."""
        return value if self.enum is None else self.enum(value)


def field(
    bits: int,
    default: _T,
    meaning: str,
    *,
    signed: bool = False,
    orders: bool = False,
    varies: bool = False,
    within: str = "",
    loads: tuple[IntEnum, ...] = (),
) -> _T:
    """The right side of a line of `Command`: a dataclass field that carries its `Field`."""
    stated: dict[str, Any] = {"bits": bits, "default": default, "meaning": meaning}
    stated |= {"signed": signed, "orders": orders, "varies": varies, "within": within, "loads": loads}
    made: Any = dataclasses.field(default=default, metadata={_KEY: stated})
    return made


def fields_of(cls: Any) -> tuple[Field, ...]:
    """The fields that a dataclass declares with `field`, in order."""
    return tuple(Field(name=item.name, **item.metadata[_KEY]) for item in dataclasses.fields(cls))


def places_of(fields: tuple[Field, ...]) -> dict[str, int]:
    """The first bit of each field: one behind another, but for those that lie within another one."""
    places: dict[str, int] = {}
    position = 0
    for item in fields:
        places[item.name] = places[item.within] if item.within else position
        position += 0 if item.within else item.bits
    return places
