# SPDX-License-Identifier: Apache-2.0
"""Paths through multiplier blocks: what nextpnr's file of delays says about the rest of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hlsgen.bitstream.gowin.delays import multiplier_note, outside, read_delays
from hlsgen.errors import ToolFailed

FILE = r"""(DELAYFILE
  (CELL
    (CELLTYPE "top")
    (INSTANCE )
    (DELAY
      (ABSOLUTE
        (INTERCONNECT first/Q block/A0 (100:100:100) (100:100:100))
        (INTERCONNECT second\$x/Q table/I0 (50:60:70) (50:60:80))
        (INTERCONNECT table/F block/A1 (10:10:10) (10:10:10))
        (INTERCONNECT block/DOUT0 sum/I0 (300:300:300) (300:300:300))
        (INTERCONNECT sum/SUM last/D (20:20:20) (20:20:20))
        (INTERCONNECT block/DOUT1 last/CE (900:900:900) (900:900:900))
        (INTERCONNECT first/Q other/D (9999:9999:9999) (9999:9999:9999))
      )
    )
  )
  (CELL
    (CELLTYPE "MULT9X9")
    (INSTANCE block)
    )
  (CELL
    (CELLTYPE "DFF")
    (INSTANCE first)
    (DELAY (ABSOLUTE (IOPATH CLK Q (200:210:220) (200:210:230))))
  )
  (CELL
    (CELLTYPE "SDP")
    (INSTANCE second\$x)
    (DELAY (ABSOLUTE (IOPATH CLKB Q (2000:2000:2000) (2000:2000:2000))))
  )
  (CELL
    (CELLTYPE "LUT4")
    (INSTANCE table)
    (DELAY (ABSOLUTE (IOPATH I0 F (400:400:400) (400:400:500))))
  )
  (CELL
    (CELLTYPE "ALU")
    (INSTANCE sum)
    (DELAY (ABSOLUTE (IOPATH I0 SUM (1000:1000:1000) (1000:1000:1000))))
  )
  (CELL
    (CELLTYPE "DFFE")
    (INSTANCE last)
    (DELAY (ABSOLUTE (IOPATH CLK Q (200:210:220) (200:210:230))))
    (TIMINGCHECK
      (SETUPHOLD (posedge D) (posedge CLK) (35:35:35) (10:10:10))
      (SETUPHOLD (negedge D) (posedge CLK) (30:30:30) (10:10:10))
      (SETUPHOLD (posedge CE) (posedge CLK) (40:40:40) (10:10:10))
    )
  )
)
"""


def project(folder: Path, mhz: float) -> Path:
    (folder / "build").mkdir()
    (folder / "build/delays.sdf").write_text(FILE)
    (folder / "build/report.json").write_text(json.dumps({"fmax": {"core": {"constraint": mhz}}}))
    return folder


def test_the_longest_way_to_a_block_and_from_it(tmp_path: Path) -> None:
    place = project(tmp_path, 54.0)
    delays = read_delays(place / "build/delays.sdf")
    # Block RAM, wire, table, wire; then wire, sum, wire, set-up.
    assert outside(delays) == {"block": (2000 + 80 + 500 + 10) + (300 + 1000 + 20 + 35)}
    (note,) = multiplier_note(place)
    assert note.startswith("1 multiplier blocks: paths through them take up to 3.9 ns outside, ")
    assert note.endswith("which leaves 14.6 ns of 18.5 ns for the block; nextpnr knows no delay of it")


def test_no_time_left_is_a_failure(tmp_path: Path) -> None:
    with pytest.raises(ToolFailed, match=r"leaves -0\.2 ns of 3\.8 ns"):
        multiplier_note(project(tmp_path, 266.0))


def test_a_design_without_multipliers(tmp_path: Path) -> None:
    place = project(tmp_path, 54.0)
    (place / "build/delays.sdf").write_text(FILE.replace("MULT9X9", "LUT4"))
    assert multiplier_note(place) == ()
