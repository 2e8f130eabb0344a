# SPDX-License-Identifier: Apache-2.0
"""`hlsgen init`."""

from __future__ import annotations

import argparse
from pathlib import Path
from shlex import quote

from hlsgen.cli.answer import Answer
from hlsgen.cli.values import path
from hlsgen.fit.settings import DEFAULT_BOARD

HELP = "write hlsgen.toml, filled in for a model, with a comment on every entry"
EPILOG = """example:
  hlsgen init digits
  hlsgen compile --config hlsgen.toml -o build/digits
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """MODEL, the board and the file."""
    parser.add_argument("model", metavar="MODEL", type=path, help="as for hlsgen compile")
    parser.add_argument(
        "--board", default=DEFAULT_BOARD, type=path, help="board's name or TOML file (default: %(default)s)"
    )
    parser.add_argument(
        "-o", "--output", metavar="FILE", default="hlsgen.toml", type=path, help="(default: %(default)s)"
    )


def run(options: argparse.Namespace) -> Answer:
    """Write the file; an earlier one stays as it is."""
    from hlsgen.boards.read import load_board
    from hlsgen.configuration.schema import Configuration, ModelSection
    from hlsgen.configuration.write import configuration_text
    from hlsgen.errors import Problem, UsageError
    from hlsgen.errors.codes import Code
    from hlsgen.fit.options import CompileOptions
    from hlsgen.frontend.inputs.shipped import SHIPPED
    from hlsgen.pipeline import usual_quantizer

    known = SHIPPED.get(options.model)
    asked = Configuration(
        model=ModelSection(name=options.model, shape=known.shape if known else None),
        quantizer=usual_quantizer(options.model),
        machine=CompileOptions(board=options.board, array=load_board(options.board).array),
    )
    place, text = Path(options.output), configuration_text(asked)
    try:
        with place.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UsageError(
            Problem(f"{place} is there already", fix="name another file with -o"), code=Code.WRITE
        ) from None
    except OSError as error:
        raise UsageError(f"{place} can't be written: {error.strerror}", code=Code.WRITE) from None
    return Answer(
        {"file": str(place), "configuration": asked.plain()},
        f"written to {place}\nnext: hlsgen compile --config {quote(str(place))} -o build",
    )
