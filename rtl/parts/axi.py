# SPDX-License-Identifier: Apache-2.0
"""AXI signatures."""

from __future__ import annotations

from typing import ClassVar

from amaranth import Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hlsgen.rtl.parts.ports import Bundle

ADDRESS_BITS = 64
REGISTER_ADDRESS_BITS = 8
RESPONSE_ERROR_BIT = 1
"""Bit of rresp and bresp that tells an error (SLVERR, DECERR) from a success."""


class AxiLitePorts(wiring.PureInterface):
    """An interface of `AxiLite`."""

    awaddr: Signal
    awvalid: Signal
    awready: Signal
    wdata: Signal
    wstrb: Signal
    wvalid: Signal
    wready: Signal
    bresp: Signal
    bvalid: Signal
    bready: Signal
    araddr: Signal
    arvalid: Signal
    arready: Signal
    rdata: Signal
    rresp: Signal
    rvalid: Signal
    rready: Signal


class AxiLite(Bundle):
    """AXI4-Lite with 8-bit addresses and 32-bit data, seen from the master."""

    interface: ClassVar = AxiLitePorts

    def __init__(self) -> None:
        super().__init__(
            {
                "awaddr": Out(REGISTER_ADDRESS_BITS),
                "awvalid": Out(1),
                "awready": In(1),
                "wdata": Out(32),
                "wstrb": Out(4),
                "wvalid": Out(1),
                "wready": In(1),
                "bresp": In(2),
                "bvalid": In(1),
                "bready": Out(1),
                "araddr": Out(REGISTER_ADDRESS_BITS),
                "arvalid": Out(1),
                "arready": In(1),
                "rdata": In(32),
                "rresp": In(2),
                "rvalid": In(1),
                "rready": Out(1),
            }
        )


class AxiReadPorts(wiring.PureInterface):
    """An interface of `AxiRead`."""

    araddr: Signal
    arlen: Signal
    arsize: Signal
    arburst: Signal
    arvalid: Signal
    arready: Signal
    rdata: Signal
    rresp: Signal
    rlast: Signal
    rvalid: Signal
    rready: Signal


class AxiRead(Bundle):
    """The read channels of AXI4 without identifiers, seen from the master.

    Parameters
    ----------
    bus_bytes
        Bytes per beat.
    """

    interface: ClassVar = AxiReadPorts

    def __init__(self, bus_bytes: int) -> None:
        super().__init__(
            {
                "araddr": Out(ADDRESS_BITS),
                "arlen": Out(8),
                "arsize": Out(3),
                "arburst": Out(2),
                "arvalid": Out(1),
                "arready": In(1),
                "rdata": In(8 * bus_bytes),
                "rresp": In(2),
                "rlast": In(1),
                "rvalid": In(1),
                "rready": Out(1),
            }
        )


class AxiWritePorts(wiring.PureInterface):
    """An interface of `AxiWrite`."""

    awaddr: Signal
    awlen: Signal
    awsize: Signal
    awburst: Signal
    awvalid: Signal
    awready: Signal
    wdata: Signal
    wstrb: Signal
    wlast: Signal
    wvalid: Signal
    wready: Signal
    bresp: Signal
    bvalid: Signal
    bready: Signal


class AxiWrite(Bundle):
    """The write channels of AXI4 without identifiers, seen from the master.

    Parameters
    ----------
    bus_bytes
        Bytes per beat.
    """

    interface: ClassVar = AxiWritePorts

    def __init__(self, bus_bytes: int) -> None:
        super().__init__(
            {
                "awaddr": Out(ADDRESS_BITS),
                "awlen": Out(8),
                "awsize": Out(3),
                "awburst": Out(2),
                "awvalid": Out(1),
                "awready": In(1),
                "wdata": Out(8 * bus_bytes),
                "wstrb": Out(bus_bytes),
                "wlast": Out(1),
                "wvalid": Out(1),
                "wready": In(1),
                "bresp": In(2),
                "bvalid": In(1),
                "bready": Out(1),
            }
        )
