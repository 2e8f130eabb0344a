# SPDX-License-Identifier: Apache-2.0
"""Shared fixtures: golden texts and a folder for compiled C++ that tests may share."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
GOLDEN = HERE / "golden"
LONGEST = (
    "sim/test_cosim.py",
    "sim/test_experts.py",
    "sim/test_csim.py",
    "whole/test_extremes.py",
    "benchmarks/test_fuzz.py",
    "emit/test_bench.py",
    "whole/test_readers.py",
    "bitstream/test_export.py",
    "fit/test_search.py",
    "rtl/test_netlists.py",
    "rtl/test_other_netlists.py",
    "sim/test_score_addends.py",
    "frontend/test_retold.py",
    "frontend/rules/test_reordered.py",
)
"""Files that take a minute or more. They begin first: one that began last would keep one core alone."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write tests/golden/*.txt anew")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {HERE / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """`golden(name, text)` asserts that text equals tests/golden/{name}.txt, or writes it."""

    def check(name: str, text: str) -> None:
        path = GOLDEN / f"{name}.txt"
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, "utf-8")
        assert path.exists(), f"{path.name} is missing: run pytest --update-golden"
        assert text == path.read_text("utf-8")

    return check


@pytest.fixture(scope="session")
def cpp_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build folder that all tests of one session share, so that equal C++ is compiled once."""
    return tmp_path_factory.mktemp("cpp")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With HLSGEN_REQUIRE_TOOLS set a skipped test is a failure: CI has every tool."""
    report = yield
    if report.skipped and os.environ.get("HLSGEN_REQUIRE_TOOLS") and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, but HLSGEN_REQUIRE_TOOLS is set: {report.longrepr}"
    return report
