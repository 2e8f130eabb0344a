# SPDX-License-Identifier: Apache-2.0
"""Every component of the RTL, in groups whose netlists are simulated together."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Mapping

from amaranth.lib import wiring

import hlsgen.rtl
from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.rtl.arith.multiplier import STYLES, Multiplier, WideMultiplier, plan
from hlsgen.rtl.arith.reciprocal import Reciprocal
from hlsgen.rtl.array.array import Array
from hlsgen.rtl.board.frames import Frames
from hlsgen.rtl.board.image_rom import ImageRom, MemoryMap
from hlsgen.rtl.board.register_host import RegisterHost
from hlsgen.rtl.board.uart import UartReceiver, UartTransmitter
from hlsgen.rtl.core.constants import ConstantReader
from hlsgen.rtl.core.key_lists import KeyReader
from hlsgen.rtl.core.multiply import MultiplyStage
from hlsgen.rtl.core.operand_fill import OperandFill
from hlsgen.rtl.drain.activation import Activation
from hlsgen.rtl.drain.add import AddRows
from hlsgen.rtl.drain.address import DrainAddress
from hlsgen.rtl.drain.attention import ContextScales, RowMaxima
from hlsgen.rtl.drain.combine import GateRows
from hlsgen.rtl.drain.control import DrainControl
from hlsgen.rtl.drain.progress import DrainProgress
from hlsgen.rtl.drain.requantize import Requantize
from hlsgen.rtl.drain.scores import DrainScores, ScoreAddends
from hlsgen.rtl.drain.stage import DrainStage
from hlsgen.rtl.drain.streams import DrainStreams
from hlsgen.rtl.experts.counters import ExpertCounters
from hlsgen.rtl.experts.gates import RouteGates, RouteSums
from hlsgen.rtl.experts.queues import ExpertQueues
from hlsgen.rtl.experts.route import Route
from hlsgen.rtl.experts.select import LogitWalk, RouteSelect
from hlsgen.rtl.format.jobs import load_tag
from hlsgen.rtl.load.exp import ExpLoad
from hlsgen.rtl.load.layer_norm import LayerNormLoad
from hlsgen.rtl.load.normalise import NormaliseLanes, NormShifts
from hlsgen.rtl.load.parts import Join, Split
from hlsgen.rtl.load.patch_walk import PatchWalk
from hlsgen.rtl.load.patches import PatchesLoad
from hlsgen.rtl.load.pool import Pool
from hlsgen.rtl.load.row_unit import RowUnit
from hlsgen.rtl.load.runs import RunReader
from hlsgen.rtl.load.stage import LoadStage
from hlsgen.rtl.load.walk import RowWalk
from hlsgen.rtl.outside.channel import Channel, ChannelShape
from hlsgen.rtl.outside.control import Control
from hlsgen.rtl.outside.fetch import Fetch
from hlsgen.rtl.outside.header import HeaderCheck
from hlsgen.rtl.outside.registers import Registers
from hlsgen.rtl.outside.starts import Starts
from hlsgen.rtl.outside.store_words import StoreWords
from hlsgen.rtl.outside.write_back import WriteBack
from hlsgen.rtl.parts.memories import LaneMemory, Table, WordMemory, words_of
from hlsgen.rtl.parts.queues import Queue, Ring
from hlsgen.rtl.parts.ready import ReadyStage
from hlsgen.rtl.parts.resize import Resize
from hlsgen.rtl.sequence.planner import Planner
from hlsgen.rtl.sequence.segments import Segments
from hlsgen.rtl.sequence.sequencer import Sequencer

PLAIN = MachineParameters(
    rows=2, columns=2, depth=4, bus_bytes=8, tile_words=4, residual_words=8, feature_words=8, image_words=8,
    key_words=8, value_words=8, score_words=8, ring_words=8, constant_words=8, accumulator_bits=20,
)  # fmt: skip
SMALL = dataclasses.replace(PLAIN, rows=1, depth=2)
RMS = dataclasses.replace(PLAIN, rms_norms=1)
PARTS = dataclasses.replace(PLAIN, norm_parts=2)
SHIFTS = dataclasses.replace(PLAIN, norm_shift_words=2)
PRODUCTS = dataclasses.replace(PLAIN, products=1)
ADDENDS = dataclasses.replace(PLAIN, score_addends=1)
PARTIAL = dataclasses.replace(PRODUCTS, taps=1, operand_bases=1)
"""Blocks that read parts of rows and of keys."""
NARROW = dataclasses.replace(PARTIAL, narrow_weights=1)
EXPERTS = dataclasses.replace(PLAIN, experts=4, choices=2, queue_tokens=8, tasks=2)
STREAMED = dataclasses.replace(PLAIN, workspace_units=4)
WIDE = dataclasses.replace(PLAIN, columns=4, row_width=2)
LISTS = dataclasses.replace(WIDE, list_words=8)
WINDOWS = dataclasses.replace(
    WIDE, score_addends=1, windows=1, addend_words=6, operand_bases=1, score_slots=3, tile_slots=4
)
KEYS = dataclasses.replace(WIDE, score_addends=1, operand_bases=1, key_list_words=8)
DIGITS = dataclasses.replace(PLAIN, numerator_digits=2)
"""Softmax numerators of two digits."""
MAP = MemoryMap(image_bytes=256, input_bytes=64, output_bytes=64)
IMAGE = bytes((7 * index + (index >> 4)) % 251 for index in range(MAP.image_bytes))

WHOLE = {"Core", "Top", "BoardTop", "PllBoardTop", "Ecp5Top", "GowinTop"}
"""Made of the others; the netlist of a whole board is simulated with images."""

Cases = Mapping[str, Callable[[], wiring.Component]]
GROUPS: Mapping[str, Cases] = {
    "memories": {
        **{f"words_{bits}": lambda bits=bits: WordMemory(bits, 64) for bits in (8, 19, 36, 72)},
        "words_of_two_readers": lambda: WordMemory(32, 64, readers=2),
        "lanes": lambda: LaneMemory(lanes=2, columns=4, depth=8, words=64),
        "lanes_block": lambda: LaneMemory(lanes=2, columns=4, depth=8, words=64, block=True),
        "table": lambda: Table(2, 256),
        "table_block": lambda: Table(2, 256, block=True),
        "queue": lambda: Queue(36, 4),
        "queue_apart": lambda: Queue(36, 4, apart=True),
        "ring": lambda: Ring(40, 16),
        "ring_block": lambda: Ring(64, 32, block=True),
        "ring_of_parts": lambda: Ring(64, 16, block=True, parts=2),
        "ring_short": lambda: Ring(24, 8, short=True),
        "ring_stays": lambda: Ring(16, 8, short=True, stays=True),
        "resize_up": lambda: Resize(16, 64),
        "resize_down": lambda: Resize(64, 16),
        "resize_apart": lambda: Resize(64, 256, apart=True),
        "ready": lambda: ReadyStage(8),
    },
    "arithmetic": {
        **{
            f"multiplier_{style}": lambda style=style: Multiplier(18, 18, latency=3, style=style)
            for style in STYLES
        },
        "multiplier_soon": lambda: Multiplier(9, 8, style="ecp5"),
        "wide_multiplier": lambda: WideMultiplier(style="ecp5"),
        "reciprocal": Reciprocal,
        "requantize": lambda: Requantize(1, 20, style="ecp5", memory=True),
        "array": lambda: Array(SMALL, style="ecp5_packed"),
    },
    "lanes": {
        "array_packed": lambda: Array(PLAIN, style="ecp5_packed"),
        "array": lambda: Array(PLAIN, style="ecp5"),
        "requantize": lambda: Requantize(2, 20, style="ecp5", memory=True),
        "requantize_soft": lambda: Requantize(2, 20, style="soft"),
        "normalise": lambda: NormaliseLanes(2, style="ecp5"),
        "normalise_own_amounts": lambda: NormaliseLanes(2, style="ecp5", own_amounts=True),
        "norm_shifts": lambda: NormShifts(SHIFTS),
        "activation": lambda: Activation(2, block=True),
        "activation_wide": lambda: Activation(2, 10, block=True),
        "exp": lambda: ExpLoad(PLAIN, block=True),
        "exp_of_two_digits": lambda: ExpLoad(DIGITS, block=True),
        "array_of_two_digits": lambda: Array(DIGITS, style="ecp5_packed"),
        "exp_of_hidden_keys": lambda: ExpLoad(ADDENDS, block=True),
        "score_addends": lambda: ScoreAddends(ADDENDS),
        "maxima": lambda: RowMaxima(PLAIN),
        "scales": lambda: ContextScales(WIDE),
        "maxima_of_three": lambda: RowMaxima(WINDOWS),
        "scales_of_three": lambda: ContextScales(WINDOWS),
        "add": lambda: AddRows(2),
        "gates": lambda: GateRows(2, style="ecp5"),
        "pool": lambda: Pool(2, 2),
    },
    "load": {
        "row_unit": lambda: RowUnit(variance_style="ecp5", combine_style="ecp5", interpolate_style="ecp5"),
        "layer_norm": lambda: LayerNormLoad(PLAIN, plan(PLAIN, "ecp5"), memory=True),
        "rms_norm": lambda: LayerNormLoad(RMS, plan(RMS, "ecp5"), memory=True),
        "layer_norm_of_shifts": lambda: LayerNormLoad(SHIFTS, plan(SHIFTS, "ecp5"), memory=True),
        "layer_norm_in_parts": lambda: LayerNormLoad(PARTS, plan(PARTS, "ecp5"), memory=True),
        "split": lambda: Split(2, words_of(16, 4), load_tag(PLAIN, False)),
        "join": lambda: Join(2, words_of(8, 4)),
        "load": lambda: LoadStage(PLAIN, plan(PLAIN, "ecp5"), block=True),
        "walk": lambda: RowWalk(PLAIN),
        "walk_two_digits": lambda: RowWalk(DIGITS),
        "walk_experts": lambda: RowWalk(EXPERTS),
        "walk_lists": lambda: RowWalk(LISTS),
        "walk_of_three": lambda: RowWalk(WINDOWS),
        "runs": lambda: RunReader(LISTS),
        "patch_walk": lambda: PatchWalk(PLAIN),
        "patches": lambda: PatchesLoad(PLAIN),
        "patches_wide": lambda: PatchesLoad(WIDE),
    },
    "drain": {
        "drain": lambda: DrainStage(PLAIN, style="ecp5", block=True),
        "drain_experts": lambda: DrainStage(EXPERTS, style="ecp5", block=True),
        "drain_score_addends": lambda: DrainStage(ADDENDS, style="ecp5", block=True),
        "address": lambda: DrainAddress(PLAIN),
        "control": lambda: DrainControl(PLAIN),
        "scores": lambda: DrainScores(PLAIN),
        "progress": lambda: DrainProgress(EXPERTS),
        "streams": lambda: DrainStreams(PLAIN),
        "streams_kept": lambda: DrainStreams(WINDOWS),
        "address_windows": lambda: DrainAddress(WINDOWS),
        "control_windows": lambda: DrainControl(WINDOWS),
        "multiply": lambda: MultiplyStage(PLAIN),
        "multiply_two_digits": lambda: MultiplyStage(DIGITS),
        "multiply_products": lambda: MultiplyStage(PRODUCTS),
        "multiply_parts": lambda: MultiplyStage(PARTIAL),
        "multiply_key_lists": lambda: MultiplyStage(KEYS),
        "key_lists": lambda: KeyReader(KEYS),
        "multiply_narrow": lambda: MultiplyStage(NARROW),
        "fill": lambda: OperandFill(STREAMED),
        "store": lambda: StoreWords(STREAMED),
    },
    "outside": {
        "channel": lambda: Channel(8, ChannelShape(64, 16), burst=4, address_bits=32),
        "channel_cut": lambda: Channel(8, ChannelShape(32, 16, loose=True), burst=4, address_bits=32),
        "channel_wide": lambda: Channel(8, ChannelShape(128, 16, loose=True), burst=4, address_bits=32),
        "fetch": lambda: Fetch(PLAIN, address_bits=20, near=True),
        "write_back": lambda: WriteBack(PLAIN, address_bits=20, near=True),
        "header": lambda: HeaderCheck(PLAIN),
        "control": lambda: Control(20),
        "control_queue": lambda: Control(20, images=4),
        "starts": lambda: Starts(4, 20),
        "registers": lambda: Registers(PLAIN),
        "sequencer": lambda: Sequencer(PLAIN),
        "sequencer_score_addends": lambda: Sequencer(ADDENDS),
        "sequencer_experts": lambda: Sequencer(EXPERTS),
        "sequencer_products": lambda: Sequencer(PRODUCTS),
        "sequencer_parts": lambda: Sequencer(PARTIAL),
        "sequencer_windows": lambda: Sequencer(WINDOWS),
        "sequencer_key_lists": lambda: Sequencer(KEYS),
        "segments": lambda: Segments(8),
        "planner": lambda: Planner(EXPERTS),
        "constants": lambda: ConstantReader(2, 10),
        "constants_and_lists": lambda: ConstantReader(2, 10, 32),
        "constants_and_key_lists": lambda: ConstantReader(2, 10, 16, 32),
        "constants_and_wide_tables": lambda: ConstantReader(2, 8, index_bits=10),
    },
    "board": {
        "frames": lambda: Frames(input_bytes=8, classes=3, timeout=50),
        "image_rom": lambda: ImageRom(IMAGE, MAP, bus_bytes=8),
        "register_host": lambda: RegisterHost(MAP, 1 << 20),
        "receiver": lambda: UartReceiver(4),
        "transmitter": lambda: UartTransmitter(4),
    },
    "experts": {
        "counters": lambda: ExpertCounters(EXPERTS),
        "queues": lambda: ExpertQueues(EXPERTS),
        "route": lambda: Route(EXPERTS),
        "sums": lambda: RouteSums(EXPERTS),
        "gates": lambda: RouteGates(EXPERTS),
        "logits": lambda: LogitWalk(EXPERTS),
        "select": lambda: RouteSelect(EXPERTS),
    },
}
"""Group to cases."""


def component_names() -> set[str]:
    """Every component that `rtl` defines."""
    found = set()
    for item in pkgutil.walk_packages(hlsgen.rtl.__path__, "hlsgen.rtl."):
        module = importlib.import_module(item.name)
        found |= {
            name
            for name, value in vars(module).items()
            if inspect.isclass(value)
            and issubclass(value, wiring.Component)
            and value.__module__ == module.__name__
        }
    return found
