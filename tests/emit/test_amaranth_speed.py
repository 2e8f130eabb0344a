# SPDX-License-Identifier: Apache-2.0
"""The faster functions in Amaranth's place give the same Verilog and find the same cycles."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest
from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hlsgen.emit import amaranth_speed
from hlsgen.emit.amaranth_speed import faster, source_digest
from hlsgen.emit.rtl import convert, verilog
from hlsgen.machine.format.parameters import MachineParameters

REPLACED = amaranth_speed._REPLACED
SMALL = {"rows": 2, "columns": 2, "depth": 2, "bus_bytes": 8}


class Memories(wiring.Component):
    """Memories of the given shapes and contents, one of them with a name that Verilog must escape."""

    def __init__(self, memories: Sequence[tuple[Any, int, list[int]]]) -> None:
        super().__init__({"address": In(4), "data": Out(80), "write": In(1)})
        self._memories = memories

    def elaborate(self, _platform: object) -> Module:
        m, ports = Module(), cast(Any, self)
        for number, (shape, depth, init) in enumerate(self._memories):
            memory = Memory(shape=shape, depth=depth, init=init)
            m.submodules["odd$name" if number == 0 else f"memory_{number}"] = memory
            read: Any = memory.read_port()
            write: Any = memory.write_port()
            m.d.comb += [read.addr.eq(ports.address), write.addr.eq(ports.address)]
            m.d.comb += [write.en.eq(ports.write), write.data.eq(ports.address)]
            m.d.sync += ports.data.eq(ports.data ^ read.data)
        return m


def without(monkeypatch: pytest.MonkeyPatch, make: Callable[[], str]) -> str:
    with monkeypatch.context() as patch:
        patch.setattr(amaranth_speed, "_REPLACED", ())
        return make()


def test_this_is_the_amaranth_that_the_functions_equal() -> None:
    assert {name: source_digest(owner.__dict__[name]) for owner, name, _, _ in REPLACED} == {
        name: digest for _, name, digest, _ in REPLACED
    }


@pytest.mark.parametrize("width", [1, 4, 31, 32, 33, 77])
def test_memories_have_the_same_contents(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    some = [0, (1 << width) - 1, 1]

    def make() -> str:
        shapes = [(width, depth, []) for depth in (1, 2, 5, 16)]
        negative = [(signed(width), 4, [-1, 0])]
        return convert(Memories([*shapes, (width, 7, some), (width, 3, some), *negative]), "memories")

    text = make()
    assert len(re.findall(r"^  initial (begin|for .*)$", text, re.MULTILINE)) >= 7
    assert text == without(monkeypatch, make)


@pytest.mark.parametrize(
    ("changed", "target", "trace"),
    [({"experts": 2, "choices": 1, "queue_tokens": 5}, "generic", True), ({"row_width": 2}, "ecp5", False)],
)
def test_machines_have_the_same_text(
    changed: dict[str, int], target: str, trace: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def make() -> str:
        return verilog(MachineParameters(**SMALL | changed), target, trace)

    def second_look(_: object) -> None:
        raise AssertionError("a machine has no cycle, so none is looked for a second time")

    with monkeypatch.context() as patch:
        patch.setattr(amaranth_speed, "_check_comb_cycles", second_look)
        text = make()
    assert text == without(monkeypatch, make)


class Wires(wiring.Component):
    """What `connect` makes of an input and two wires of 4 bits."""

    def __init__(self, connect: Callable[[Signal, Signal, Signal], Any]) -> None:
        super().__init__({"source": In(4), "first": Out(4), "second": Out(4)})
        self._connect = connect

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        m.d.comb += self._connect(*(getattr(self, name) for name in ("source", "first", "second")))
        return m


@pytest.mark.parametrize(
    "connect",
    [
        lambda s, a, b: [a.eq(a), b.eq(s)],
        lambda s, a, b: [a.eq(b), b.eq(Mux(s[0], a, a))],
        lambda s, a, b: [a.eq(s + b), b.eq(a + 1)],
        lambda s, a, b: [a.eq(Mux(s[0], b, s)), b.eq(~a)],
        lambda s, a, b: [a[1:].eq(a[:3]), a[0].eq(b[3]), b.eq(a ^ s)],
        lambda s, a, b: [a.eq(s.bit_select(b[:2], 1)), b.eq(a)],
        lambda s, a, b: [a.eq(Mux(b == 1, s, Mux(b == 2, 1, 2))), b.eq(a & s)],
    ],
)
def test_cycles_are_found_and_told_as_before(connect: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    cycle = amaranth_speed._nir.CombinationalCycle
    with pytest.raises(cycle) as caught:
        convert(Wires(connect), "wires")
    with pytest.raises(cycle) as own:
        without(monkeypatch, lambda: convert(Wires(connect), "wires"))
    assert _sorted(caught) == _sorted(own)


def _sorted(caught: Any) -> list[str]:
    """A message's lines; Amaranth begins the path at any of its nets."""
    return sorted(str(caught.value).splitlines())


@pytest.mark.parametrize(
    "connect",
    [
        lambda s, a, b: [a[0].eq(s[0]), a[1:].eq(a[:3] ^ s[1:]), b.eq(Cat(a[3], b[:3]))],
        lambda s, a, b: [a[0].eq(s[0]), a[1].eq(a[0] + s[1]), a[2:].eq(Mux(a[1], a[:2], s)), b.eq(a * s)],
    ],
)
def test_wires_whose_bits_depend_on_lower_ones_are_no_cycle(
    connect: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = convert(Wires(connect), "wires")
    assert text == without(monkeypatch, lambda: convert(Wires(connect), "wires"))


def test_functions_of_another_amaranth_stay_and_all_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    own = [owner.__dict__[name] for owner, name, _, _ in REPLACED]
    owner, name, _, replacement = REPLACED[0]
    changed = [(owner, name, "another", replacement), *REPLACED[1:]]
    monkeypatch.setattr(amaranth_speed, "_REPLACED", changed)
    inside: list[object] = []

    def fail() -> None:
        inside.extend(owner.__dict__[name] for owner, name, _, _ in REPLACED)
        raise ValueError("inside")

    with pytest.raises(ValueError, match="inside"), faster():
        fail()
    assert [function is before for function, before in zip(inside, own, strict=True)] == [True] + [False] * 5
    assert [owner.__dict__[name] for owner, name, _, _ in REPLACED] == own
