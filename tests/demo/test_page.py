# SPDX-License-Identifier: Apache-2.0
"""The demo's page in headless Chromium: a stroke is drawn, and what the page shows is read back."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest
from selenium.webdriver import ActionChains, Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.select import Select
from selenium.webdriver.support.ui import WebDriverWait
from support.browser import browser

from hlsgen.demo.drawing import image_of
from hlsgen.demo.machine import MODELS, Flip, Machine
from hlsgen.demo.server import Demo
from hlsgen.demo.strokes import DIGITS


@pytest.fixture(scope="module")
def machines() -> dict[str, Machine]:
    return {model: Machine(model) for model in MODELS}


@pytest.fixture(scope="module")
def server(machines: dict[str, Machine]) -> Iterator[Demo]:
    with Demo(machines) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def chrome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with browser(tmp_path_factory.mktemp("profile")) as found:
        yield found


def text(chrome: Chrome, name: str) -> str:
    return chrome.find_element(By.ID, name).text


def draw(chrome: Chrome, digit: int) -> None:
    """Draw a stored digit by hand: press, move, release."""
    board = chrome.find_element(By.ID, "board")
    edge, runs = board.size["width"], int(chrome.execute_script("return document.body.dataset.run || 0"))
    for stroke in DIGITS[digit]:
        hand = ActionChains(chrome, duration=0)
        for number, (x, y) in enumerate(stroke):
            hand.move_to_element_with_offset(board, round((x - 0.5) * edge), round((y - 0.5) * edge))
            if not number:
                hand.click_and_hold()
        hand.release().perform()
        runs += 1
        settled(chrome, runs)


def settled(chrome: Chrome, runs: int) -> None:
    """Wait until the answer to request `runs` is on the page."""
    shown = "return Number(document.body.dataset.run || 0)"
    WebDriverWait(chrome, 60, 0.05).until(lambda page: page.execute_script(shown) >= runs)


def click(chrome: Chrome, name: str) -> None:
    """Click, and wait until the page has the answer."""
    runs = int(chrome.execute_script("return document.body.dataset.run || 0"))
    chrome.find_element(By.ID, name).click()
    settled(chrome, runs + 1)


def test_a_drawn_digit_is_decided_in_rtl(chrome: Chrome, server: Demo, machines: dict[str, Machine]) -> None:
    chrome.get(server.address)
    draw(chrome, 3)
    machine = machines["digits"]
    stored = machine.run(image_of(DIGITS[3]))
    assert text(chrome, "class") == "3"
    assert text(chrome, "equal") == "equal to golden: 37 tensors, 33,702 integers"
    assert text(chrome, "cycles") == f"{stored.cycles:,}"
    assert text(chrome, "time") == f"{stored.cycles / machine.clock_mhz:.1f} µs"
    assert len(chrome.find_elements(By.CSS_SELECTOR, "#bars .bar")) == 10
    assert chrome.find_element(By.CSS_SELECTOR, "#bars .first span").text == "3"
    WebDriverWait(chrome, 10).until(
        lambda page: page.find_element(By.ID, "timeline").get_attribute("data-filled") == "1"
    )
    ends = chrome.find_elements(By.CSS_SELECTOR, "#timeline rect")
    assert [int(bar.get_attribute("data-end") or 0) for bar in ends] == [span.end for span in stored.spans]
    assert float(ends[0].get_attribute("width") or 0) > 0


def test_stored_strokes_give_their_integers_as_a_picture(
    chrome: Chrome, server: Demo, machines: dict[str, Machine]
) -> None:
    chrome.get(server.address)
    click(chrome, "stored-7")
    stored = machines["digits"].run(image_of(DIGITS[7]))
    assert text(chrome, "class") == "7"
    logits = [
        float(bar.get_attribute("data-logit") or 0) for bar in chrome.find_elements(By.CSS_SELECTOR, ".bar")
    ]
    scale = machines["digits"].design.scales()[""]
    np.testing.assert_allclose(logits, stored.output[0] * scale, atol=5e-5)
    name = "blocks_1_attn_scores"
    Select(chrome.find_element(By.ID, "which")).select_by_value(name)
    tensor = stored.tensors[name]
    assert text(chrome, "range").startswith(f"{tensor.min():,} (blue) to {tensor.max():,} (red)")
    pixels = chrome.execute_script(
        "const c = document.getElementById('tensor');"
        "return [c.width, c.height, ...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]"
    )
    heads, rows, columns = tensor.shape
    assert pixels[:2] == [heads * (columns + 1) - 1, rows]
    picture = np.array(pixels[2:]).reshape(rows, heads * (columns + 1) - 1, 4)
    shown = np.stack([picture[:, head * (columns + 1) :][:, :columns] for head in range(heads)])
    most = np.abs(tensor).max()
    pale = np.floor(255 * (1 - np.abs(tensor) / most) + 0.5)
    np.testing.assert_array_equal(np.where(tensor < 0, shown[..., 0], shown[..., 2]), pale)


def test_a_flipped_bit_shows_the_first_tensor_that_differs(
    chrome: Chrome, server: Demo, machines: dict[str, Machine]
) -> None:
    chrome.get(server.address)
    click(chrome, "stored-2")
    click(chrome, "flip")
    wrong = machines["digits"].run(image_of(DIGITS[2]), flip=Flip(1000, 6))
    assert text(chrome, "equal") == "not equal to golden"
    assert text(chrome, "difference") == f"first difference, in {wrong.difference}"
    click(chrome, "flip")
    assert text(chrome, "equal").startswith("equal to golden")
    assert text(chrome, "difference") == ""


@pytest.mark.parametrize("task", [0, 1])
def test_the_page_of_experts(chrome: Chrome, server: Demo, machines: dict[str, Machine], task: int) -> None:
    chrome.get(f"{server.address}digits-moe")
    click(chrome, "stored-4")
    if task:
        Select(chrome.find_element(By.ID, "task")).select_by_value("1")
        settled(chrome, 2)
    machine = machines["digits-moe"]
    stored = machine.run(image_of(DIGITS[4]), task)
    assert text(chrome, "equal").startswith("equal to golden")
    pictures = chrome.find_elements(By.CSS_SELECTOR, "#routings .patches")
    for picture, (_, chosen) in zip(pictures, machine.experts(stored, task).values(), strict=True):
        found = [
            int(item.get_attribute("data-expert") or -1)
            for item in picture.find_elements(By.TAG_NAME, "rect")
        ]
        assert found == chosen[1:].reshape(-1).tolist()
    total = stored.run.counters["read_beats"] * machine.design.program.parameters.bus_bytes
    once, each = machine.expert_bytes(stored, task)
    assert text(chrome, "bytes") == f"{total:,}"
    assert f"read {total:,} bytes, {once:,} of them" in text(chrome, "expert-bytes")
    assert f"would be {each:,} bytes" in text(chrome, "expert-bytes")
    if task:
        kinds = chrome.find_elements(By.CSS_SELECTOR, "#kinds rect")
        found = [int(item.get_attribute("data-kind") or -1) for item in kinds]
        assert found == stored.output.argmax(-1).tolist()
    else:
        assert text(chrome, "class") == "4"


def test_the_page_needs_no_other_host(chrome: Chrome, server: Demo) -> None:
    chrome.get(server.address)
    click(chrome, "stored-0")
    names = chrome.execute_script("return performance.getEntriesByType('resource').map((e) => e.name)")
    assert names == [f"{server.address}run/digits"]
    severe = [entry["message"] for entry in chrome.get_log("browser") if "favicon" not in entry["message"]]
    assert not severe
