# SPDX-License-Identifier: Apache-2.0
"""Bundles of ports: signatures whose interfaces have a type, and ports under flat names."""

from __future__ import annotations

from typing import Any, ClassVar

from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import Member, Out


class Bundle(wiring.Signature):
    """A signature whose interfaces are of a class of its own, which states the members' types.

    A subclass says in its docstring what the members mean and which side drives them: `Out` is the side of
    the one that has the bundle as `Out`.
    """

    interface: ClassVar[type[wiring.PureInterface]] = wiring.PureInterface

    def create(self, *, path: tuple[str | int, ...] = (), src_loc_at: int = 0) -> wiring.PureInterface:
        return self.interface(self, path=path, src_loc_at=1 + src_loc_at)


def ports(interface: Any) -> dict[str, Any]:
    """The members of an interface by name; those of nested ones by `outer_inner`."""
    found = interface.signature.flatten(interface)
    return {"_".join(str(part) for part in path): value for path, _, value in found}


def flat_members(prefix: str, signature: Any) -> dict[str, Member]:
    """Members `prefix_name` for every member of a signature: Verilog ports with the names users expect."""
    return {f"{prefix}_{name}": member for name, member in signature.members.items()}


def join_flat(m: Module, outer: wiring.Component, prefix: str, other: Any) -> None:
    """Connect the ports `prefix_name` of a submodule with the members of an interface that faces them."""
    flat, facing = ports(outer), ports(other)
    for name, value in facing.items():
        port = flat[f"{prefix}_{name}"]
        drives = outer.signature.members[f"{prefix}_{name}"].flow == Out
        m.d.comb += value.eq(port) if drives else port.eq(value)


def pass_flat(m: Module, outer: wiring.Component, prefix: str, inner: Any, *, domain: str = "comb") -> None:
    """Connect the module's own ports `prefix_name` with those of a submodule's interface.

    The interface's members have the directions of the flat ports. Outputs are driven in `domain`.
    """
    flat = ports(outer)
    for name, value in ports(inner).items():
        port = flat[f"{prefix}_{name}"]
        if outer.signature.members[f"{prefix}_{name}"].flow == Out:
            m.d[domain] += port.eq(value)
        else:
            m.d.comb += value.eq(port)
