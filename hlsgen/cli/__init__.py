# SPDX-License-Identifier: Apache-2.0
"""The command line: each verb is a thin layer over one Python call."""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import NoReturn, TextIO

from hlsgen.cli.answer import Answer, crash_file, error_document, error_text, for_terminal
from hlsgen.errors import (
    EXIT_INTERNAL,
    EXIT_OK,
    EXIT_USAGE,
    CaptureWarning,
    ClippedInput,
    HlsgenError,
    Problem,
    QuantizationWarning,
    UsageError,
    written_badly,
)
from hlsgen.errors.codes import Code
from hlsgen.host.processes import Ended, signals_end
from hlsgen.progress.show import shown
from hlsgen.progress.words import NORMAL, QUIET, VERBOSE

VERBS = (
    "doctor",
    "inspect",
    "init",
    "compile",
    "tune",
    "explore",
    "simulate",
    "evaluate",
    "export",
    "bitstream",
    "report",
    "demo",
    "ops",
    "explain",
)
"""Each is a module of this package with HELP, EPILOG, `arguments(parser)` and `run(options)`."""

INTERRUPTED = 130
EXIT_CODES = """exit codes:
  0 ok                     4 does not fit the board    7 a tool failed, or timing was missed
  2 usage                  5 mismatch with golden      70 a defect of hlsgen
  3 unsupported model      6 a tool is missing
  129 ended by SIGHUP      130 by SIGINT               143 by SIGTERM
"""


class _Parser(argparse.ArgumentParser):
    """Reports a wrong call like every other error, so that `--json` holds for it too."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(Problem(message, fix=f"{self.prog} --help shows what it takes"))


def parser() -> argparse.ArgumentParser:
    """The parser of all verbs; importing it loads no heavy module."""
    top = _Parser(
        prog="hlsgen",
        description="From a PyTorch vision transformer to an FPGA accelerator, bit for bit.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    top.add_argument("--version", action="store_true", help="print the version and stop")
    verbs = top.add_subparsers(dest="verb", metavar="VERB", parser_class=_Parser)
    for name in VERBS:
        module = import_module(f"hlsgen.cli.{name}")
        verb = verbs.add_parser(
            name,
            help=module.HELP,
            description=module.HELP[0].upper() + module.HELP[1:] + ".",
            epilog=module.EPILOG,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        module.arguments(verb)
        verb.add_argument("--json", action="store_true", help="print one JSON object instead of text")
        talk = verb.add_mutually_exclusive_group()
        talk.add_argument(
            "-q", "--quiet", action="store_true", help="say nothing on stderr but errors and warnings"
        )
        talk.add_argument(
            "-v", "--verbose", action="store_true", help="say each step's time and log, each tool's command"
        )
    return top


def _answer(arguments: Sequence[str]) -> Answer:
    top = parser()
    if "_ARGCOMPLETE" in os.environ:  # the shell asks, see docs/command_line.md
        import argcomplete

        argcomplete.autocomplete(top)
    options = top.parse_args(arguments)
    if options.version:
        from hlsgen.version import __version__

        return Answer({"version": __version__}, f"hlsgen {__version__}")
    if options.verb is None:
        fix = "hlsgen --help shows what they do"
        raise UsageError(Problem(f"a verb is needed: {', '.join(VERBS)}", fix=fix))
    verbosity = QUIET if options.quiet else VERBOSE if options.verbose else NORMAL
    with shown(sys.stderr, options.verb, verbosity):
        return import_module(f"hlsgen.cli.{options.verb}").run(options)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    # These products are small. On a machine with other work two threads wait for each other, and a product
    # takes up to ten times as long as on one.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    as_json = "--json" in arguments
    try:
        with signals_end(), _plain_warnings():
            answer = _answer(arguments)
        _print(answer, as_json)
        return answer.exit_code
    except HlsgenError as error:
        return _fail(error, as_json)
    except SystemExit as request:  # argparse after --help
        return request.code if isinstance(request.code, int) else EXIT_USAGE
    except KeyboardInterrupt:
        print("hlsgen: interrupted", file=sys.stderr)
        return INTERRUPTED
    except Ended as signal:
        print(f"hlsgen: ended by {signal}", file=sys.stderr)
        return signal.exit_code
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output is gone; there is no one to tell
        return EXIT_OK
    except Exception as error:  # noqa: BLE001 the user boundary: no traceback gets past it
        if isinstance(error, OSError) and (found := written_badly(error)):
            return _fail(found, as_json)
        return _crash(arguments, error, as_json)


def _crash(arguments: Sequence[str], error: Exception, as_json: bool) -> int:
    """Print what can be told of a defect; returns the exit code."""
    line, path = crash_file(arguments, error)
    if as_json:
        told = {"error": "InternalError", "code": Code.DEFECT, "what": line, "file": path}
        print(json.dumps({"exit_code": EXIT_INTERNAL, **told}))
    print(f"hlsgen: internal error: {line}; please report {path}", file=sys.stderr)
    return EXIT_INTERNAL


def _fail(error: HlsgenError, as_json: bool) -> int:
    """Print an error; returns the exit code."""
    if as_json:
        print(json.dumps(error_document(error), indent=2))
    else:
        print(error_text(error), file=sys.stderr)
    return error.exit_code


def entry() -> NoReturn:
    """What the command `hlsgen` is: run the command line, then end this process.

    A signal ends it with its own exit code until the answer is printed; after that nothing is left to stop.
    """
    try:
        with signals_end(last=True):
            code = main()
    except Ended as signal:
        code = signal.exit_code
    except KeyboardInterrupt:
        code = INTERRUPTED
    gc.freeze()  # to look for cycles among millions of objects, which end anyway, takes seconds
    sys.exit(code)


@contextmanager
def _plain_warnings() -> Iterator[None]:
    """Within it our own warnings are lines for a user, without the place in our code that gave them."""
    with warnings.catch_warnings():
        default = warnings.showwarning

        def show(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            if issubclass(category, CaptureWarning | QuantizationWarning | ClippedInput):
                print(for_terminal(f"warning: {message}", sys.stderr.encoding), file=sys.stderr)
            else:
                default(message, category, filename, lineno, file, line)

        warnings.showwarning = show
        for category in (CaptureWarning, QuantizationWarning, ClippedInput):
            warnings.simplefilter("always", category)
        yield


def _print(answer: Answer, as_json: bool) -> None:
    if as_json:
        extra = {"warnings": list(answer.warnings)} if answer.warnings else {}
        text = json.dumps({"exit_code": answer.exit_code, **answer.data, **extra}, indent=2)
        print(for_terminal(text, sys.stdout.encoding))
        return
    print(for_terminal(answer.text, sys.stdout.encoding))
    sys.stdout.flush()
    for text in answer.warnings:
        print(for_terminal(f"warning: {text}", sys.stderr.encoding), file=sys.stderr)
