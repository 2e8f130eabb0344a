# SPDX-License-Identifier: Apache-2.0
"""How long every pipeline of the RTL is, in cycles: components take it from here, the cycle model adds it up.

A latency counts from the cycle in which an input stands at a component's ports to the cycle in which its
output does. Depths of queues and buffers are in `hlsgen/machine/time/depths.py`.
`tests/machine/time/test_latency.py` measures each at the component's ports.
"""

from __future__ import annotations

from hlsgen.machine.format.multipliers import BLOCKS, PAIRED_COLUMNS, PAIRED_ROWS, PLAIN
from hlsgen.machine.format.parameters import MachineParameters, ceil_div

# -- parts and arithmetic --------------------------------------------------------------------------------

MEMORY = 2
"""A memory's address to its data."""
TABLE = MEMORY + 1
"""An index to the table's value: a memory, then the choice of a byte."""
QUEUE = 2
"""A word through an empty queue."""
MULTIPLIER = 3
"""Operands, partial products and their sum in registers: the longer one of the two kinds."""
SHORT_MULTIPLIER = 2
"""Without the register between partial products and sum."""
WIDE_MULTIPLIER = MULTIPLIER
ADDERS = 2
"""Levels of adders between two registers of a sum, unless a family's adders are too slow for it."""
RECIPROCAL = 10


def tree(count: int, levels: int = ADDERS) -> int:
    """Registers on the way through a sum of `count` values, one behind every `levels` levels of adders."""
    return ceil_div((count - 1).bit_length(), levels)


# -- array -----------------------------------------------------------------------------------------------

STEP = 2
"""MULTIPLY issues a step: to its weights at the array."""
DOTS = {PLAIN: 2, BLOCKS: 2, PAIRED_ROWS: 3, PAIRED_COLUMNS: 5}
"""By style, weights to sums of products, without the adders: each level of those comes with a register."""


def dots(p: MachineParameters, style: str) -> int:
    """Weights to the dot products of `depth` elements."""
    return DOTS[style] + p.depth.bit_length() - 1


def array(p: MachineParameters, style: str) -> int:
    """Weights of a block's last step to `captured`."""
    return dots(p, style) + 1


# -- LOAD ------------------------------------------------------------------------------------------------

NORM_ROW_CYCLES = 6
"""Least cycles between two rows of layer norm: the products of a variance share a multiplier."""
REQUEST = 1
"""A group of words is asked for: to the memories' addresses."""
EXP = 1 + TABLE
"""A score to its exp: the difference, the table."""
LIST_START = 5
"""A job whose rows begin a run list: to its first read asked for, beyond that of rows that lie in order."""
PATCHES = MEMORY + 2
"""A segment's address to the operand word: the memory, turned, put together."""
POOL = 1
"""A sum's last word to the sum."""
SHIFTED = 3
"""A centred value to the shifted one: coarse, fine, rounded."""
NORMALISE = SHIFTED + MULTIPLIER + 1
"""A centred value to the operand: shifted, times the row's multiplier, saturated."""
ROW_NORMAL = 3
"""A row's variance or denominator to its leading one at the top."""
ROW_MANTISSA = MEMORY + MULTIPLIER + 1
"""A normal number to its reciprocal's mantissa: the table, the slope between two entries, the difference."""
ROW_CONTEXT = 1 + ROW_NORMAL + ROW_MANTISSA + MULTIPLIER + 1
"""A denominator to the row's multiplier and shift."""
ROW_NORM = ROW_CONTEXT + NORM_ROW_CYCLES + 4
"""A row's sums to its multiplier and shift: its variance takes a product of limbs a cycle."""
CENTRE = MULTIPLIER + 1
"""A waiting word to the centred value: times the width, minus the row's sum."""
CALL = 1 + MEMORY
"""A row's multiplier to its first word out of the memory where it waits."""
TILE_WRITE = 1
"""An operand word to its write port of the tile slots."""
FIXED = max(MEMORY, MEMORY + EXP, PATCHES)
"""LOAD's addresses to the operand word of rows, exp and patches: all are as late as the longest of them."""


def denominator(p: MachineParameters) -> int:
    """A row's last score to the sum of its exps."""
    return EXP + tree(p.columns) + 1


def statistics(p: MachineParameters) -> int:
    """A row's last word to its sum and its sum of squares."""
    return 1 + (p.norm_parts or 1) - 1 + MULTIPLIER + tree(p.norm_lanes) + 1


def norm(p: MachineParameters) -> int:
    """A row's last word to its first operand word, whose last part is the last to come."""
    return statistics(p) + ROW_NORM + CALL + CENTRE + NORMALISE + (p.norm_parts or 1) - 1


def pool() -> int:
    """A column's last word to the first part of its operand word."""
    return POOL + 1 + SHIFTED


def scale_slack(p: MachineParameters, style: str) -> int:
    """A tile is handed over: until DRAIN may ask for the first scale of a row of it."""
    return STEP + array(p, style) + 1


def scale_wait(p: MachineParameters, style: str) -> int:
    """The last operand word's write to the hand-over: a context row's scale must be there when DRAIN asks."""
    scale = MEMORY + denominator(p) + ROW_CONTEXT
    return max(0, scale - (FIXED + TILE_WRITE) - scale_slack(p, style))


# -- DRAIN -----------------------------------------------------------------------------------------------

SELECT = 1
"""`captured` to the block's first group of rows."""
SELECTED = 1
"""A group is selected: to its accumulators and constants at `Requantize`."""
QUEUE_ENTRY = 2
"""A group is selected: to its entry of the expert queues."""
REQUANTIZE = WIDE_MULTIPLIER + 4
"""Accumulator to result: product, shifted coarse and fine, rounded, saturated."""
GATE = MULTIPLIER + 3
"""A result to the one weighted by its token's gate, in machines with experts."""
ACTIVATION = TABLE
ADD = 2
WRITE = 1
"""The transformed word to its write."""
SCORE_ADDEND = ADD + 1
"""A score to the logit with its addend, in machines that add any: the sum, saturated to a logit's bits."""
CONTEXT_SCALE = 1
ADDEND_LEAD = MEMORY
"""An addend's address to its use."""
MAXIMUM_LEAD = 5
"""A score tile counts as drained this many cycles before its maxima are in use, but not before this cycle."""
DRAINED = 1
"""A group's tag to the count of what has drained."""
LOAD_LEAD = 3
"""A row's write comes that much after the last tag that LOAD may see `drained`: it reads 4 cycles later."""
OPERAND_LEAD = 1
"""The same for MULTIPLY, which reads 2 cycles later."""


def row_maxima(p: MachineParameters) -> int:
    """A row of logits to its running maximum: the mask, a comparison a level, the maximum."""
    return 1 + (p.columns - 1).bit_length() + 1


def drain_result(p: MachineParameters) -> int:
    """A group is selected: to its results, saturated and, in machines with experts, weighted."""
    return SELECTED + REQUANTIZE + (GATE if p.experts else 0)


def drain_write(p: MachineParameters) -> int:
    """A group is selected: to its write."""
    return drain_result(p) + ACTIVATION + WRITE


def score_result(p: MachineParameters) -> int:
    """A group is selected: to its logits."""
    return drain_result(p) + (SCORE_ADDEND if p.score_addends else 0)


def scores_drained(p: MachineParameters) -> int:
    """A score tile's last group is selected: to `scores_drained`."""
    return max(MAXIMUM_LEAD, score_result(p) + row_maxima(p) - MAXIMUM_LEAD)


# -- between the stages ----------------------------------------------------------------------------------

SEQUENCE = 2
"""A command to its first job."""
ACCEPT = 2
"""What LOAD's next job waits for is there: to its first read asked for."""
DECODE = SEQUENCE + QUEUE + ACCEPT
"""A command to its first job's first read asked for."""
TILE_COUNT = 1
"""LOAD hands a tile over: to its first step."""
OPERANDS_THERE = 1
"""MULTIPLY sees keys and values written: to its first step with them."""
KEYS_LISTED = 6
"""MULTIPLY sees keys and values written: to its first step with a tile's own ones, beyond OPERANDS_THERE."""
RECOUNT = 2
"""A block ends: to the end of one that needs addends or room among the results that leave, counted anew."""
ADDEND_TAKEN = ACTIVATION + WRITE
"""A group of addends of the stream leaves its queue: to the write of the sum."""
ADDEND_COMES = 3
"""A group of addends leaves its queue: to the end of a block whose group has come in its place."""
LOAD_JOBS = 3
"""LOAD starts a tile: to the start of the next one, however few reads the tile has."""
PATCH_TILE = 1
"""A tile's last segment is asked for: to the start of the next tile."""
PATCH_ROW = 1
"""A patch is begun: to its first segment asked for."""
PATCH_MEASURE = 1
"""A pass over the image is begun, without a cycle for every channel and row of a patch."""
PIXEL = 1
"""A word of pixels comes: to the patch that it completes being begun."""

# -- outside ---------------------------------------------------------------------------------------------

START = 46
"""The start register to the first request for a command, without the memory's latency for the header: the
header's check takes its words one by one, and longer than any bus brings them; a cycle more where beats are
wider than its words."""
HEADER_WORD = 4
"""Bytes of a word of the header's check."""
REQUESTS = 4
"""Least cycles between two requests of a channel."""
SECTIONS = 6
"""Least cycles from the last request of a section of keys or values to the first one of the next section."""
SLOT = 1
"""A burst's end to the request that takes its place among the bursts under way."""
SETTLE = 4
"""A command's section is opened: until the channel says whether all of one has been asked for."""
OPENED = 3
"""A command's section is opened: to its first request."""
SPENT = 3
"""A section's last request: to the next one being opened."""
GATHER = 3
"""The planner looks up an expert's queue."""
SKIP = 2
"""The planner passes a command that doesn't run, beyond the beats of the next one."""
NEXT = 1
"""The planner gives a command on: until it may take the next one, beyond the beats of that."""
ROOM = 5
"""A burst's end, or a ring's word that is free, to the request for which its buffer has room then."""
PACED = 4
"""As much earlier is that request where a word leaves a channel's last register, beats in its place."""
BEAT = 6
"""A beat from memory to the word that it completes, where the machine uses it."""
COMMAND = 5
"""The same of a command's last beat, to the planner or the sequencer."""
TABLE_WAIT = 2
"""A command has drained: to a table that waited for it leaving the constants' buffer."""
TABLE_BEGIN = 1
"""Between a table's header and its first word."""
ROUTE = 25
"""A token's last logit is written: to its last queue entry, beyond its walks over logits and choices."""
ROUTE_ALL = 9
"""The same, where all experts' weights are added up: as much later, beyond that walk."""
WRITTEN = 8
"""The last row's write to the last response of external memory, without that memory's latency and without
the 64 bytes of the last burst, which are gathered and then sent."""
FINISH = 12
"""The last row's write to done, without the output's padding, its last burst and the memory's latency."""
RESIZED = 2
"""Of those, where a word of results isn't as wide as a beat."""
IMAGE_ROM = QUEUE + 1 + MEMORY + 1
"""A read's address to its first beat, of an Image in block RAM: queue, walk over its words, memory, R."""
