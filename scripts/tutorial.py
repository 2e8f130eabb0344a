# SPDX-License-Identifier: Apache-2.0
"""The numbers of docs/tutorial.md: `python -m scripts.tutorial` writes them, as `make table` does.

One held-out image of the digits goes through the machine that `hlsgen compile digits` makes for a ULX3S.
Each function gives the lines of one block of the page. It takes its numbers from what the machine reads (the
bytes of the input and of the Image) and from what it writes (the trace), works one of them out by hand, and
refuses to go on where the result is not the golden model's.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

import hlsgen
from hlsgen import numerics
from hlsgen.errors import Mismatch, QuantizationWarning
from hlsgen.examples.digits.data import calibration, heldout
from hlsgen.examples.digits.model import digits
from hlsgen.ir import evaluate
from hlsgen.machine.format.commands import Command, Product
from hlsgen.machine.format.constants import HEADER, Item, payload_words, unpack_constants, word_bytes
from hlsgen.machine.format.program import View
from hlsgen.machine.modes.table import jobs
from hlsgen.machine.run.interpreter import Execution, Interpreter
from hlsgen.machine.run.trace import compare
from scripts.blocks import rewrite

BOARD, ARRAY = "ulx3s-85f", "4x4x8"
TOKEN, CHANNEL = 2, 1
"""The token that is followed, which is patch 1 behind the class token; the channel of its rows."""
Y, X = 1, 2
"""A pixel of that patch."""

Lines = Iterator[str]


@dataclass(frozen=True)
class Walk:
    """One image with its design: what goes in, what golden has, what the machine did."""

    image: np.ndarray
    label: int
    design: hlsgen.Design

    @cached_property
    def integers(self) -> np.ndarray:
        """The image as the machine reads it, int8 [1, 8, 8]."""
        return self.design.quantize_input(self.image)[0]

    @cached_property
    def golden(self) -> Mapping[str, np.ndarray]:
        """Every tensor of the golden model."""
        return evaluate(self.design.graph, self.integers)

    @cached_property
    def pixels(self) -> bytes:
        """The input as bytes."""
        program = self.design.program
        return program.input.pack(self.integers, program.parameters.columns)

    @cached_property
    def execution(self) -> Execution:
        """What the interpreter did, which must be golden in every tensor."""
        program = self.design.program
        execution = Interpreter(program.parameters, self.design.packed_image).run(self.pixels)
        difference = compare(program, execution.records, self.golden)
        if difference is not None:
            raise Mismatch(str(difference))
        return execution

    def view(self, tensor: str, command: int | None = None) -> View:
        """The first view of `tensor`, or the one of a command."""
        views = (view for view in self.design.program.views if view.tensor == tensor)
        return next(view for view in views if command in (None, view.command))

    def command_of(self, tensor: str) -> tuple[int, Command]:
        """The first command that shows `tensor`."""
        index = self.view(tensor).command
        return index, self.design.program.commands[index]

    def row(self, tensor: str, row: int = TOKEN, command: int | None = None) -> np.ndarray:
        """A row of `tensor` as the machine wrote it, of head 0: all words one after another."""
        view, r = self.view(tensor, command), self.execution.records
        mine = (r["command"] == view.command) & (r["which"] == view.which) & (r["kind"] == view.kind)
        return r["data"][mine & (r["row"] == row) & (r["head"] == 0)].astype(np.int64).reshape(-1)

    def weights(self, command: int, count: int) -> np.ndarray:
        """The first `count` weights of `CHANNEL` in a command: from the Image's ring words, block 0."""
        p, at = self.design.program.parameters, 0
        for each in self.design.program.commands[:command]:
            if each.product is Product.WEIGHTS:
                at += each.total_blocks * each.k_steps * p.depth * p.columns
        steps = self.design.program.commands[command].k_steps
        words = np.frombuffer(self.design.image.weights, np.int8)[at : at + steps * p.depth * p.columns]
        return words.reshape(steps * p.depth, p.columns)[:count, CHANNEL].astype(np.int64)

    def constants(self, command: int) -> tuple[int, int, int]:
        """Bias, multiplier and shift of `CHANNEL` in a command, from the Image's constant stream, block 0."""
        columns, data = self.design.program.parameters.columns, self.design.image.constants
        word, at, commands = word_bytes(columns), 0, self.design.program.commands
        before = sum(each.product is Product.WEIGHTS for each in commands[:command])
        while True:
            kind, _, _, count, _ = HEADER.unpack_from(data, at)
            size = payload_words(kind, count, columns) * word
            if kind == Item.CONSTANTS:
                if not before:
                    found = unpack_constants(data[at + word : at + word + size], count, columns)
                    bias, multiplier, shift = (each[0, CHANNEL] for each in vars(found).values())
                    return int(bias), int(multiplier), int(shift)
                before -= 1
            at += word + size

    def check(self, what: str, got: int, tensor: str, *index: int) -> int:
        """`got`, if it is the golden model's element."""
        golden = int(self.golden[tensor][index])
        if got != golden:
            raise Mismatch(f"{what} must be {golden}, not {got}")
        return got


def make() -> Walk:
    """The shipped model, calibrated, compiled for the board; its first held-out image."""
    images, labels = heldout()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", QuantizationWarning)
        quantized = hlsgen.quantize(hlsgen.capture(digits(), images[:1]), calibration()[0])
    return Walk(images[:1], int(labels[0]), hlsgen.compile(quantized, board=BOARD, array=ARRAY))


def _line(label: str, text: object) -> str:
    return f"{label:<26}{text}"


def model(walk: Walk) -> Lines:
    """The model's sizes."""
    graph, command = walk.design.graph, walk.command_of("blocks_0_attn_scores")[1]
    tokens, width = graph.type_of("embedding").shape
    h, w = walk.command_of("patches")[1].patch_height, walk.command_of("patches")[1].patch_width
    layers = sum(node.name.endswith("_attn_scores") for node in graph)
    yield _line("an image", f"{' x '.join(map(str, graph.input_type.shape[1:]))} pixels")
    yield _line("patches", f"{tokens - 1} of {h} x {w} pixels")
    yield _line("tokens", f"{tokens}: a class token and the patches")
    yield _line("a token", f"{width} elements")
    yield _line("layers", f"{layers}, each with attention of {command.heads} heads and an MLP")
    yield _line("the middle of an MLP", f"{graph.type_of('blocks_0_mlp_fc1').shape[1]} elements")
    yield _line("classes", graph.type_of(graph.output).shape[-1])


def machine(walk: Walk) -> Lines:
    """The machine's shape."""
    p = walk.design.program.parameters
    yield _line("array", f"R = {p.rows} rows, C = {p.columns} columns, D = {p.depth} deep")
    yield _line("products in a cycle", f"R x C x D = {p.lanes}")
    yield _line("a word", f"C = {p.columns} elements of a row")
    yield _line("a ring word", f"D x C = {p.depth} x {p.columns} weights, one byte each")
    yield _line("row width", f"W = {p.row_width} row in a cycle of LOAD and DRAIN")
    yield _line("the program", f"{len(walk.design.program.commands)} commands")


def pixel(walk: Walk) -> Lines:
    """From a float to its integer."""
    kind = walk.design.graph.input_type
    real, integer = float(walk.image[0, 0, Y, X]), int(walk.integers[0, Y, X])
    yield _line(f"pixel at y = {Y}, x = {X}", real)
    yield _line("scale of the input", f"{kind.scale:.9f}")
    yield _line("pixel / scale", f"{real / (kind.scale or 1.0):.3f}")
    yield _line("rounded, saturated", f"{integer}, in {kind.low}..{kind.high}")


def place(walk: Walk) -> Lines:
    """Where the pixel lies among the input's bytes."""
    layout, c = walk.design.program.input, walk.design.program.parameters.columns
    word = Y * layout.channels * layout.row_words + X // c
    at = word * c + X % c
    value = int(np.frombuffer(walk.pixels, np.int8)[at])
    if value != walk.integers[0, Y, X]:
        raise Mismatch(f"byte {at} must be {walk.integers[0, Y, X]}, not {value}")
    yield _line("an image row", f"{layout.width} pixels = {layout.row_words} words of {c} bytes")
    row = f"({Y} x {layout.channels} + 0) x {layout.row_words}"
    yield _line("the pixel's word", f"{row} + floor({X} / {c}) = {word}")
    yield _line("the pixel's byte", f"{word} x {c} + {X} mod {c} = {at}, which holds {value}")
    yield _line("the whole input", f"{layout.words} words, {len(walk.pixels)} bytes")


def patch(walk: Walk) -> Lines:
    """Command 0's first tile: the patches as operand rows."""
    index, command = walk.command_of("patches")
    h, w, prefix = command.patch_height, command.patch_width, command.patch_prefix
    y, x = (n * size for n, size in zip(divmod(TOKEN - prefix, command.patch_columns), (h, w), strict=True))
    cut = walk.integers[0, y : y + h, x : x + w]
    yield _line(f"patch {TOKEN - prefix} of the image", f"y {y}..{y + h - 1}, x {x}..{x + w - 1}")
    yield _line("its pixels", " / ".join(str(list(map(int, line))) for line in cut))
    yield _line(f"first tile of command {index}", "a word for each row of a tile slot:")
    for number in range(walk.design.program.parameters.rows):
        word = list(map(int, walk.row("patches", number)))
        name = "class token: zeros" if number < prefix else f"patch {number - prefix}"
        yield _line(f"  row {number}", f"{word!s:24}{name}")


def job(walk: Walk) -> Lines:
    """The jobs of a command with weights."""
    p, (index, command) = walk.design.program.parameters, walk.command_of("patches")
    rows = (command.tiles - 1) * p.rows + command.tail_rows
    tiles = f"{command.tiles} tiles of {p.rows}, the last one of {command.tail_rows}"
    yield _line(f"rows of command {index}", f"{rows} = {tiles}")
    blocks = f"{command.total_blocks} blocks of {p.columns}, in {command.sweeps} sweep"
    yield _line("columns", f"{command.total_blocks * p.columns} = {blocks}")
    yield _line("steps of a block", f"ceil({command.k_words * p.columns} / {p.depth}) = {command.k_steps}")
    for number, each in enumerate(jobs(p, command)):
        first = each.tile * p.rows
        rows = f"rows {first}..{first + command.tile_rows(each.tile, p.rows) - 1}"
        work = f"{each.blocks} blocks x {command.k_steps} step"
        yield _line(f"  job {number}", f"tile {each.tile}: {rows:<12} {work}")


def embedding(walk: Walk) -> Lines:
    """One element of the patch embedding: requantized, plus the addend of the stream."""
    index, command = walk.command_of("patches")
    operand = walk.row("patches")
    weights = walk.weights(index, len(operand))
    acc = int(operand @ weights)
    bias, multiplier, shift = walk.constants(index)
    value = int(numerics.requantize(acc + bias, multiplier, shift, command.low, command.high))
    walk.check("the value", value, "patch_embed", TOKEN, CHANNEL)
    at = TOKEN * walk.design.program.parameters.columns + CHANNEL
    addend = int(np.frombuffer(walk.design.image.addends, "<i2")[at])
    result = walk.check("the residual", value + addend, "embedding", TOKEN, CHANNEL)
    yield _line("the operand row", list(map(int, operand)))
    yield _line(f"weights of channel {CHANNEL}", list(map(int, weights)))
    yield _line("accumulator", acc)
    yield _line("requantized", f"({acc} + {bias}) x {multiplier} >> {shift} = {value}")
    yield _line("+ addend", f"{value} + {addend} = {result}")


def program(walk: Walk) -> Lines:
    """The commands of the first block, and the last one."""
    columns = "{:<8} {:<11} {:<10} {:<11} {:<9} {:>5}  {:>6}  {:>5}"
    yield columns.format("command", "load", "product", "drain", "target", "tiles", "blocks", "steps")
    commands = walk.design.program.commands
    for index, c in enumerate(commands):
        if index < 8 or c.last:
            names = (each.name.lower() for each in (c.load, c.product, c.drain, c.target))
            yield columns.format(index, *names, c.tiles, c.total_blocks, c.k_steps)
        elif index == 8:
            yield "..."


def requantize(walk: Walk) -> Lines:
    """One element of a query: accumulator, bias, multiplier, shift."""
    index, command = walk.command_of("blocks_0_attn_q")
    operand = walk.row("blocks_0_norm1", command=index)
    weights = walk.weights(index, len(operand))
    acc = int(operand @ weights)
    bias, multiplier, shift = walk.constants(index)
    product = (acc + bias) * multiplier
    value = int(numerics.round_shift(product, shift))
    result = int(numerics.saturate(value, command.low, command.high))
    walk.check("the query", result, "blocks_0_attn_q", TOKEN, CHANNEL)
    scale = walk.design.graph.type_of("blocks_0_attn_q").scale or 1.0
    depth = walk.design.program.parameters.depth
    yield _line("the operand row", f"{_some(operand)}, {len(operand)} elements")
    yield _line(f"weights of channel {CHANNEL}", f"{_some(weights)}")
    yield _line("accumulator", f"{acc}, after {command.k_steps} steps of {depth} products")
    yield _line("+ bias", f"{acc} + {bias} = {acc + bias}")
    yield _line("x multiplier", f"{acc + bias} x {multiplier} = {product}")
    yield _line(">> shift, rounded", f"({product} + 2^{shift - 1}) >> {shift} = {value}")
    yield _line("saturated", f"{result}, in {command.low}..{command.high}")
    yield _line("as a real number", f"{result} x {scale:.9f} = {result * scale:.4f}")


def order(walk: Walk) -> Lines:
    """The jobs of an attention command with n = 3."""
    score = walk.view("blocks_0_attn_scores").kind
    rows: dict[int, dict[bool, int]] = {}
    for each in jobs(walk.design.program.parameters, Command(product=Product.ATTENTION, heads=1, tiles=3)):
        scores = each.kind == score
        rows.setdefault(each.tile - scores, {})[scores] = each.tile
    yield _line("j", f"{'scores of the next tile':<26}context of this tile")
    for j, found in rows.items():
        left = f"S({found[True]})" if True in found else "-"
        right = f"C({found[False]})" if False in found else "-"
        yield _line(str(j), f"{left:<26}{right}")


def scores(walk: Walk) -> Lines:
    """One row of head 0: logits by integer products."""
    index, command = walk.command_of("blocks_0_attn_scores")
    query = walk.row("blocks_0_attn_q", command=index)
    key = walk.golden["blocks_0_attn_k"][0, : len(query)]
    acc = int(query @ key)
    bits = walk.design.program.parameters.logit_bits
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    multiplier, shift = command.logit_multiplier, command.logit_shift
    value = int(numerics.requantize(acc, multiplier, shift, low, high))
    walk.check("the logit", value, "blocks_0_attn_scores", 0, TOKEN, 0)
    yield _line("n", f"{command.heads} heads x {command.tiles} tiles = {command.heads * command.tiles}")
    yield _line("steps of S(j)", f"{command.blocks} blocks of keys x {command.k_steps} step")
    yield _line(f"query of token {TOKEN}", list(map(int, query)))
    yield _line("key of token 0", list(map(int, key)))
    yield _line("accumulator", acc)
    yield _line("logit", f"{acc} x {multiplier} >> {shift} = {value}, in {low}..{high}")


def context(walk: Walk) -> Lines:
    """The same row: exp, sum, one element of the context."""
    p, (_, command) = walk.design.program.parameters, walk.command_of("blocks_0_attn_context")
    logits = walk.row("blocks_0_attn_scores")[: command.keys]
    exp = walk.row("blocks_0_attn_softmax")[: command.keys]
    acc = int(exp @ walk.golden["blocks_0_attn_v"][:, CHANNEL])
    scale = command.context_multiplier, command.context_shift
    multiplier, shift = map(int, numerics.context_scale(int(exp.sum()), *scale))
    result = int(numerics.requantize(acc, multiplier, shift, -128, 127))
    walk.check("the context", result, "blocks_0_attn_context", TOKEN, CHANNEL)
    steps = f"ceil({command.keys} keys / {p.depth}) = {command.exp_steps} steps"
    yield _line("steps of C(j)", f"{command.head_words} blocks of values x {steps}")
    yield _line(f"logits of token {TOKEN}", f"{_some(logits)}, largest {int(logits.max())}")
    yield _line("exp[largest - logit]", f"{_some(exp)}, sum {int(exp.sum())}")
    yield _line("accumulator", acc)
    yield _line("x scale / sum", f"{acc} x {multiplier} >> {shift} = {result}")


def answer(walk: Walk) -> Lines:
    """The logits and the class."""
    design = walk.design
    p = design.program.parameters
    logits = design.program.output.unpack(walk.execution.output, p)[0]
    if list(logits) != list(design.logits(walk.integers[None])[0]):
        raise Mismatch("the logits must be golden's")
    scale = design.graph.type_of(design.graph.output).scale or 1.0
    best, words = int(logits.argmax()), -(-len(logits) // p.columns)
    size = f"{words} words of {2 * p.columns} bytes, padded to {len(walk.execution.output)} bytes"
    yield _line("the output", size)
    yield _line("logits of classes 0..4", list(map(int, logits[:5])))
    yield _line("logits of classes 5..9", list(map(int, logits[5:])))
    yield _line("the largest", f"{logits[best]} x {scale:.9f} = {logits[best] * scale:.3f}")
    yield _line("its class", best)
    yield _line("the label", walk.label)


def _some(values: np.ndarray) -> str:
    """The first six of them."""
    return f"[{', '.join(str(int(value)) for value in values[:6])}, ...]"


BLOCKS: tuple[Callable[[Walk], Lines], ...] = (
    model, machine, pixel, place, patch, job, embedding, program, requantize, order, scores, context, answer,
)  # fmt: skip


def blocks() -> dict[str, str]:
    """The text of every block by its name."""
    walk = make()
    lines = {block.__name__: "".join(f"{line.rstrip()}\n" for line in block(walk)) for block in BLOCKS}
    return {name: f"```text\n{text}```\n" for name, text in lines.items()}


if __name__ == "__main__":
    rewrite("tutorial.md", blocks())
