# SPDX-License-Identifier: Apache-2.0
"""`hlsgen doctor`."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING

from hlsgen.cli.answer import Answer
from hlsgen.errors import EXIT_OK, EXIT_TOOL_MISSING

if TYPE_CHECKING:
    from hlsgen.cli.findings import Finding

HELP = "show what is installed, what each part is for, and what to do about what is missing"
EPILOG = "Exits with 6 when something that hlsgen needs is missing."


def arguments(parser: argparse.ArgumentParser) -> None:
    """No options but those of every verb."""
    parser.set_defaults()


def run(options: argparse.Namespace) -> Answer:  # noqa: ARG001 every verb has this shape
    """Call `hlsgen.cli.findings.examine`."""
    from hlsgen.cli.findings import examine

    findings = examine()
    lacking = [finding for finding in findings if finding.needed and not finding.ok]
    data = {"findings": [{**asdict(finding), "ok": finding.ok} for finding in findings]}
    return Answer(data, _text(findings), EXIT_TOOL_MISSING if lacking else EXIT_OK)


def _text(findings: tuple[Finding, ...]) -> str:
    width = max(len(finding.name) for finding in findings)
    lines = []
    for finding in findings:
        state = "ok     " if finding.ok else "wrong  " if finding.version else "missing"
        if not finding.ok and not finding.needed:
            state = "absent "
        version = finding.version or "-"
        line = f"{state} {finding.name:{width}} {version:22} {finding.purpose}"
        if not finding.ok:
            reason = f"needs {finding.wanted}: " if finding.version else ""
            line += f"\n        {'':{width}} {reason}{finding.fix}"
        lines.append(line)
    lacking = sum(finding.needed and not finding.ok for finding in findings)
    verdict = f"{lacking} needed parts are missing or wrong" if lacking else "everything needed is here"
    lines.append(verdict)
    return "\n".join(lines)
