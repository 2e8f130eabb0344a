# SPDX-License-Identifier: Apache-2.0
"""The constant stream's records: their bytes, that nothing is lost at any field's ends, what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from support.constants import extremes

from hlsgen.lower.constants import ConstantStream
from hlsgen.machine.format.constants import (
    NO_COMMAND,
    RECORD_BITS,
    Item,
    block_words,
    constant_map,
    item,
    pack_constants,
    table_place,
    unpack_constants,
    word_bytes,
)

COLUMNS = (1, 2, 4, 16)
BLOCKS = (1, 3, 4, 5, 8, 9)


@pytest.mark.parametrize("columns", COLUMNS)
@pytest.mark.parametrize("blocks", BLOCKS)
def test_extremes_come_back_from_as_many_words_as_are_counted(blocks: int, columns: int) -> None:
    fields = extremes(blocks, columns)
    payload = pack_constants(*fields)
    assert len(payload) == block_words(blocks) * word_bytes(columns)
    got = unpack_constants(payload, blocks, columns)
    np.testing.assert_array_equal(np.stack([got.bias, got.multiplier, got.shift]), fields)


@pytest.mark.parametrize("columns", COLUMNS)
@pytest.mark.parametrize("blocks", BLOCKS)
def test_every_bit_of_every_record_has_a_place_of_its_own(blocks: int, columns: int) -> None:
    """A field that loses a bit in packing, or shares one, would leave fewer bits set, or the same ones."""
    bits = [(0, 1 << bit) for bit in range(18)] + [(0, -(1 << 18))]
    bits += [(1, 1 << bit) for bit in range(15)] + [(2, 1 << bit) for bit in range(6)]
    assert len(bits) == RECORD_BITS
    seen: set[int] = set()
    for block, column in {(0, 0), (blocks - 1, columns - 1), (blocks // 2, columns // 2)}:
        for field, value in bits:
            fields = np.zeros((3, blocks, columns), np.int64)
            fields[field, block, column] = value
            place = int.from_bytes(pack_constants(*fields), "little")
            assert place.bit_count() == 1
            assert place not in seen
            seen.add(place)


def test_the_bytes_are_those_of_the_description() -> None:
    bias = np.arange(10).reshape(5, 2) - 4
    data = pack_constants(bias, np.full((5, 2), 0x5ABC), np.full((5, 2), 46))
    words = [data[at : at + 8] for at in range(0, len(data), 8)]
    assert len(words) == 7
    high = 46 << 2 | 0x5ABC >> 13
    assert words[0] == bytes([high] * 8)
    assert words[5] == bytes([high] * 2 + [0] * 6)
    for block, word in enumerate(words[1:5] + words[6:]):
        low = [(value & 0x7FFFF) | (0x5ABC << 19 & 0xFFFFFFFF) for value in bias[block].tolist()]
        assert word == b"".join(value.to_bytes(4, "little") for value in low)


def test_a_single_column_leaves_half_of_its_words_zero() -> None:
    data = pack_constants(*extremes(5, 1))
    words = [data[at : at + 8] for at in range(0, len(data), 8)]
    assert all(word[4:] == bytes(4) for word in words)
    assert words[5][1:] == bytes(7)  # a group of one block


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        (0, 1 << 18, r"bias must be in -262144\.\.262143, not 0\.\.262144"),
        (0, -(1 << 18) - 1, r"bias must be in -262144\.\.262143, not -262145\.\.0"),
        (1, 1 << 15, r"multiplier must be in 0\.\.32767, not 0\.\.32768"),
        (1, -1, r"multiplier must be in 0\.\.32767, not -1\.\.0"),
        (2, 64, r"shift must be in 0\.\.63, not 0\.\.64"),
    ],
)
def test_what_does_not_fit_is_refused_and_never_cut_off(field: int, value: int, text: str) -> None:
    fields = np.zeros((3, 2, 4), np.int64)
    fields[field, 1, 2] = value
    with pytest.raises(ValueError, match=text):
        pack_constants(*fields)


@pytest.mark.parametrize("columns", COLUMNS)
def test_the_cycle_model_finds_the_items(columns: int) -> None:
    stream, word = ConstantStream(columns), word_bytes(columns)
    stream.constants(*extremes(5, columns))
    stream.table(Item.ACTIVATION_TABLE, np.arange(256), 1)
    stream.constants(*extremes(4, columns))
    offsets, passing, tables = constant_map(stream.pack(), columns)
    end = 9 * word + 256  # the table's
    assert offsets == [word, end + word]
    words = [(0, word), (word, 2 * word), (6 * word, 7 * word)]  # a header, two words of high bytes
    assert passing == [*words, (8 * word, end), (end, end + word), (end + word, end + 2 * word)]
    assert tables == [(8 * word, 256, NO_COMMAND)]


@pytest.mark.parametrize("columns", COLUMNS)
def test_a_table_waits_for_the_last_user_of_its_bank(columns: int) -> None:
    stream = ConstantStream(columns)
    for user in (3, 5, 8):
        stream.table(Item.ACTIVATION_TABLE, np.arange(256) ^ user, user)
    first, second = len(stream.pack()) // 3, 2 * len(stream.pack()) // 3
    assert first * 3 == len(stream.pack())
    begins = ((0, NO_COMMAND), (first, NO_COMMAND), (second, 3))
    assert constant_map(stream.pack(), columns).tables == [(at, 256, after) for at, after in begins]


@pytest.mark.parametrize("bits", range(8, 13))
def test_where_a_table_lies_in_a_bank_of_more_entries(bits: int) -> None:
    for size in (1 << each for each in range(8, bits + 1)):
        place = 8 * table_place(size, bits)
        assert [place, (1 << bits) - place - size] == [((1 << bits) - size) // 2] * 2


def test_a_table_is_padded_to_whole_words() -> None:
    data = item(Item.GATE_TABLE, 0, 8, NO_COMMAND, bytes(range(1, 9)), 4)
    assert data == bytes([4, 0, 0, 0, 8, 0, 255, 255]) + bytes(8) + bytes(range(1, 9)) + bytes(8)
