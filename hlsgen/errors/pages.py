# SPDX-License-Identifier: Apache-2.0
"""The page of each kind of error: `hlsgen explain CODE` prints one, `docs/errors.md` has them all."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

from hlsgen.errors.codes import Code

WIDTH = 100
"""Columns of a page on a terminal."""


@dataclass(frozen=True)
class Page:
    """What a kind of error means, a call that gives it, and what to do."""

    title: str
    means: str
    example: str
    remedy: str


def text(code: Code) -> str:
    """A page for a terminal."""
    page = PAGES[code]
    means, remedy = (textwrap.fill(part, WIDTH, break_on_hyphens=False) for part in (page.means, page.remedy))
    return f"{code}: {page.title}\n\n{means}\n\nfor example:\n  {page.example}\n\n{remedy}"


PAGES: dict[Code, Page] = {
    Code.CALL: Page(
        "the call is wrong",
        "An option, a value or an argument is not one that the call takes. Nothing was done.",
        "hlsgen simulate build/digits --level gates",
        "The message names the option, the value and what is possible. `hlsgen VERB --help` shows all "
        "options.",
    ),
    Code.WRITE: Page(
        "a file or folder can't be written",
        "The place is read-only, belongs to somebody else, is no folder, or the disk is full. What was "
        "there before is there still: a build folder is replaced whole or not at all.",
        "hlsgen compile digits -o /proc/digits",
        "Choose another folder or make room, then make the same call again. Simulators are built in the "
        "build folder, or in `$HLSGEN_CACHE` (default `~/.cache/hlsgen`) where that can't be written.",
    ),
    Code.READ: Page(
        "a file can't be read",
        "The file is not there, or the system does not let this user read it.",
        "hlsgen compile --config missing.toml -o build/x",
        "Look at the path: it counts from the folder in which hlsgen is called.",
    ),
    Code.DAMAGED: Page(
        "a file of a build folder is not what hlsgen wrote",
        "The manifest lists a digest of each file. This one was changed, cut short or removed, or its "
        "content makes no sense. hlsgen does not run what it can't trust.",
        "truncate -s 100 build/digits/program.txt; hlsgen simulate build/digits",
        "Make the same `hlsgen compile` again: equal calls give equal bytes. `hlsgen.toml` in the folder "
        "holds the call.",
    ),
    Code.FOLDER: Page(
        "the folder is not one of hlsgen's",
        "A verb that reads needs a build folder (it has a manifest.json) or a project (project.json). A "
        "verb that writes needs such a folder, an empty one or a new one, so that your files are never "
        "mixed with generated ones.",
        "hlsgen report /tmp",
        "Name the folder that `hlsgen compile -o` or `hlsgen export` has written, or another one.",
    ),
    Code.VERSION: Page(
        "the folder was written by another version",
        "The format of build folders and projects changes between versions; a folder is read by the "
        "format that wrote it only.",
        "hlsgen simulate build/of-last-year",
        "Compile again with this version (`hlsgen.toml` in the folder holds the call), or install the "
        "version that the message names.",
    ),
    Code.STALE: Page(
        "a project is not of this design",
        "The build folder was compiled again after the project was exported, or files of the project were "
        "changed. Its bitstream would be of another network than the folder's, and its self test would "
        "pass.",
        "hlsgen compile digits --array 2x2x8 -o build/digits; hlsgen bitstream build/digits",
        "`hlsgen export` writes the project anew; the message has the whole command. `make bitstream` in "
        "the project builds it as it is.",
    ),
    Code.CONFIGURATION: Page(
        "an entry of hlsgen.toml is wrong",
        "A table or key is not known, or a value has the wrong type. All wrong entries are listed at once.",
        'hlsgen compile --config hlsgen.toml -o build/x    # with `bord = "zcu102"` in [machine]',
        "The message names the entry, and the nearest known name. `hlsgen init MODEL` writes a file with "
        "a comment on every entry.",
    ),
    Code.QUANTIZER: Page(
        "an option of the quantizer is not possible",
        "An observer, a width or a headroom is outside of what the quantizer takes, or a glob of an "
        "override matches no tensor or layer.",
        "hlsgen compile --config hlsgen.toml -o build/x    # with `logit_width = 20` in [quantizer]",
        "Observers are min-max, percentile, percentile:P and mse. `hlsgen inspect MODEL` lists the names "
        "that globs match.",
    ),
    Code.BUSY: Page(
        "another hlsgen uses the folder",
        "One process writes a build folder at a time; this one waited and gave up.",
        "two calls of hlsgen compile with the same -o at the same time",
        "Wait until the other one has ended, or choose another folder.",
    ),
    Code.MODEL: Page(
        "there is no such model",
        "MODEL is a shipped example, `package.module:factory`, a .pt2 or .onnx file, or a folder of "
        "Hugging Face. This text is none of them, or its module or function could not be loaded.",
        "hlsgen inspect digitz",
        "`hlsgen compile --help` lists the examples. A module must be importable: call hlsgen in its "
        "folder, or set PYTHONPATH.",
    ),
    Code.MODEL_FILE: Page(
        "the model's file can't be used",
        "The file is no complete export, was written in an old format, holds pickles, or is a checkpoint "
        "without the program that it belongs to. hlsgen unpickles nothing.",
        "hlsgen inspect weights.pth",
        "Export the model with `torch.export.save` or `torch.onnx.export`, or name a factory and its "
        "weights: `hlsgen compile package.module:factory --weights model.safetensors`.",
    ),
    Code.WEIGHTS: Page(
        "the weights are not of this model",
        "The safetensors file lacks tensors of the model, or has others, or other shapes.",
        "hlsgen compile deit-tiny --weights of-deit-small.safetensors -o build/x",
        "Take the file that was saved from this very class, with the same settings.",
    ),
    Code.INTERFACE: Page(
        "the model's example or outputs are not possible",
        "The example must be one float32 image [1, C, H, W]; names of outputs must be among the model's.",
        "hlsgen compile package.module:factory --outputs logitz -o build/x",
        "Pass an image of the model's shape (`--shape CxHxW`), and names that the message lists.",
    ),
    Code.PACKAGE: Page(
        "a Python package is missing",
        "The example or the file needs a package that is not installed.",
        "hlsgen inspect model.onnx    # without the package onnx",
        "`hlsgen doctor` lists what is installed, and the command that installs the rest.",
    ),
    Code.IMAGES: Page(
        "the images or labels can't be used",
        "They are missing, have another shape than the model's input, are not finite numbers, or labels "
        "do not belong to them.",
        "hlsgen compile package.module:factory -o build/x    # without --calibration",
        "Give a .npy file [N, C, H, W], a .npz file with `images` (and `labels` [N]), or a folder of such "
        "files or of pictures. They are preprocessed as for the model.",
    ),
    Code.PREPROCESSING: Page(
        "the preprocessing of pictures is not possible",
        "The table [data.preprocessing] or the preprocessor_config.json has entries that hlsgen does not "
        "know how to follow.",
        "hlsgen compile package.module:factory --calibration pictures --preprocessing other.json -o build/x",
        "Write size, crop, mean and std, as docs/models.md says, or preprocess the pictures yourself.",
    ),
    Code.BOARD: Page(
        "the board is not known, or its file is wrong",
        "A board is a shipped name or a TOML file; all wrong entries of a file are listed at once.",
        "hlsgen compile digits --board nexys -o build/x",
        "The message lists the shipped boards. CONTRIBUTING.md says how to describe another one.",
    ),
    Code.MACHINE: Page(
        "the machine can't be like that",
        "The array, the row width, the weight ring or the attention schedule is outside of what the "
        "generator makes, or the board has no memory for it.",
        "hlsgen compile digits --array 8x8 -o build/x",
        "An array is ROWSxCOLUMNSxDEPTH, for example 4x4x8. Leave an option out: the cycle model then "
        "chooses.",
    ),
    Code.PROJECT: Page(
        "a project can't be made or built like that",
        "The board has no pins or another bus, the project's files are not all there, or its family has "
        "no use for an option.",
        "hlsgen export build/digits --board lfe5u-85f",
        "Follow the message: another board, a compilation for this board, or a new export.",
    ),
    Code.UNSUPPORTED: Page(
        "the model holds something that can't become hardware",
        "Each problem names an operator or a part (window attention, rotary positions), the module and "
        "the source line, why it can't be done, and what to do. All of them are listed at once.",
        "hlsgen compile package.module:factory --calibration images.npy -o build/x",
        "`hlsgen inspect MODEL` shows the whole model. docs/spellings.md lists what is read as the same "
        "mathematics; docs/systems.md what is not supported yet.",
    ),
    Code.EXPORT: Page(
        "PyTorch can't trace the model",
        "`torch.export` has to see one program for all images: a branch or a loop that depends on values "
        "can't be traced.",
        "a forward with `if x.sum() > 0:`",
        "Replace the branch by torch.where, or move it out of forward. The message has PyTorch's own words.",
    ),
    Code.DIFFERS: Page(
        "the Graph computes something else than the model",
        "hlsgen compares its float Graph with the model on one image. They differ, so that what follows "
        "would be another network.",
        "an export that lost a flag of the module",
        "Please report it with the model, or export again. --no-compare skips the comparison.",
    ),
    Code.LOWERING: Page(
        "no command of the machine computes this",
        "The integer Graph is valid, but the machine has no command for an op in this place, or a size is "
        "beyond a field of its commands.",
        "a linear layer with 100,000 outputs on a small array",
        "Take a larger array, or another spelling (docs/spellings.md). `hlsgen ops` shows what may follow "
        "what.",
    ),
    Code.INTEGERS: Page(
        "the float Graph has no integer form",
        "An op stands where the quantizer has no rule for it: its scale can't be chosen so that integers "
        "stay exact.",
        "an image that is added to before it is cut into patches",
        "The message names the node. docs/numerics.md has the rules.",
    ),
    Code.RANGE: Page(
        "a sum may overflow its accumulator",
        "Every intermediate is proved to fit its width, for all inputs. This one is not.",
        "a linear layer whose biases are 1e9 times its weights",
        "Look at the layer's weights and biases: usually one of them is not what it was meant to be.",
    ),
    Code.IMPORTED: Page(
        "the model's own quantizers can't be held",
        "The model is quantized already. Its integers and scales are kept where the machine has a place for "
        "them; one of them has none: a zero point, a width, or scales for groups of elements.",
        "a file of onnxruntime's quantize_static with ActivationSymmetric left at false",
        "Quantize again with symmetric int8 and one scale for each tensor, or for each output channel of a "
        "weight; or compile the float model. docs/models.md says what is held.",
    ),
    Code.FIT: Page(
        "the design does not fit",
        "The array or the memories need more than the board has.",
        "hlsgen compile deit-tiny --board ulx3s-85f -o build/x",
        "Choose a smaller array, `--attention streamed`, or a larger board; the message has the figures.",
    ),
    Code.MISMATCH: Page(
        "two executions differ",
        "C++, Verilog or the interpreter gave another integer than the golden model. The first tensor, "
        "index, command and both values are named.",
        "hlsgen simulate build/digits --level rtl    # after a change of the generator",
        "It is a defect, of hlsgen or of files that were changed by hand: please report it with the folder.",
    ),
    Code.NETLIST: Page(
        "the netlist differs from golden",
        "The board's netlist, simulated at its pins, gave another answer than the golden model.",
        "hlsgen bitstream build/digits --verify",
        "Please report it with the project. Don't load that bitstream.",
    ),
    Code.TOOL_MISSING: Page(
        "a tool is missing",
        "A compiler, a simulator, yosys, nextpnr or Vivado is not installed, or not on PATH.",
        "hlsgen bitstream build/for-zcu102    # without Vivado",
        "`hlsgen doctor` shows what is missing and how to install it.",
    ),
    Code.TOOL_FAILED: Page(
        "a tool failed",
        "The message has the tool's command and its last lines; the log beside it has all of them.",
        "hlsgen bitstream build/digits    # with a full disk",
        "Read the log. The command can be repeated by hand in the folder that the log names.",
    ),
    Code.TOOL_TIME: Page(
        "a tool took too long",
        "Every tool has a time limit, so that nothing hangs for ever; it was ended with all that it had "
        "started.",
        "hlsgen bitstream build/digits --seeds 4    # a placement that can't be routed",
        "Try other seeds, a smaller array or a lower clock.",
    ),
    Code.TIMING: Page(
        "timing was missed",
        "Place and route came to an end, but no placement reaches the clock, or paths are too short.",
        "hlsgen export build/digits --clock 200; hlsgen bitstream build/digits",
        "Export with a lower --clock, take a smaller array, or try other --seeds.",
    ),
    Code.DEFECT: Page(
        "a defect of hlsgen",
        "Something happened that should be impossible. A file with the details was written; it holds "
        "paths and the call, no weights.",
        "internal error: KeyError: ...; please report hlsgen-crash-1234.txt",
        "Please report it with that file.",
    ),
}
