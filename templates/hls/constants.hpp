// SPDX-License-Identifier: Apache-2.0
// CONSTANTS: takes the constant stream apart. Constants and tables of DRAIN go to DRAIN, tables of exp and run
// lists to LOAD, key lists to MULTIPLY.
//
// A command takes as many words and gives as many constants as its job says, whatever the words hold: a
// damaged Image ends with an error, not with processes that wait for each other.
#pragma once

#include "streams.hpp"
#include "stream.hpp"

namespace hlsgen {

/// Kinds of item on the constant stream.
constexpr int constants_item = 1;
constexpr int activation_item = 2;
constexpr int exp_item = 3;
constexpr int gate_item = 4;
constexpr int list_item = 5;
constexpr int key_list_item = 6;
constexpr int shifts_item = 7;

/// Blocks of constants whose high bytes share a word.
constexpr int constant_group = 4;

/// A column's record of 40 bits: bias in 0..18, multiplier in 19..33, shift in 34..39.
inline Constant split_record(UInt<32> low, UInt<8> high) {
#pragma HLS INLINE
    Constant result;
    result.bias = as_signed<19>(UInt<19>(low & 0x7FFFF));
    result.multiplier = UInt<15>((low >> 19) + UInt<15>(high & 3) * 8192);
    result.shift = UInt<6>(high >> 2);
    return result;
}

template <class P>
struct Constants {
    static constexpr int size = constant_bytes<P>;
    bool done = false;
    bool bad = false;  // the stream is not this program's

    Constants() {
#pragma HLS ARRAY_PARTITION variable=high complete
    }

    /// More: key lists.
    template <class... More>
    void tick(Stream<ConstantsJob>& jobs, Stream<Bytes<size>>& words, Stream<ConstantWord<P>>& constants,
              Stream<TableWord>& tables, More&... more) {
#pragma HLS INLINE
        if (!active) {
            begin(jobs);
        } else if (held) {
            give_entry(constants, tables, more...);
        } else if (left > 0) {
            if (!words.empty()) {
                left -= 1;
                word = words.read();
                take(constants);
            }
        } else if (blocks < job.blocks) {
            bad = true;
            blocks += 1;
            constants.write(ConstantWord<P>());
        } else {
            TableWord end;
            end.kind = Entry::end;
            tables.write(end);
            (more.write(end), ...);
            active = false;
        }
    }

private:
    ConstantsJob job;
    bool active = false;
    int left = 0;    // words of the command that have not come
    int blocks = 0;  // whose constants have left
    int kind = 0;    // of the item; 0: a header comes next
    int bank = 0;
    int first = 0;   // word of a run list, part of norm shifts, eight entries of an activation's table
    int after = 0;
    int count = 0;   // bytes of the table
    int entry = 0;   // bytes of it that have left
    Bytes<size> word;
    bool held = false;  // `word` holds entries that have not left
    UInt<8> high[size];
    int place = constant_group;  // in the quad; the word of high bytes comes next

    void begin(Stream<ConstantsJob>& jobs) {
#pragma HLS INLINE
        if (!jobs.empty()) {
            job = jobs.read();
            active = !job.ends;
            done = job.ends;
            left = job.words;
            blocks = 0;
            kind = 0;
        }
    }

    void take(Stream<ConstantWord<P>>& constants) {
#pragma HLS INLINE
        if (bad) {
            return;
        }
        if (kind == 0) {
            open_item();
        } else if (kind != constants_item) {
            held = true;
        } else if (place == constant_group) {
            for (int i = 0; i < size; ++i) {
#pragma HLS UNROLL
                high[i] = word.bytes[i];
            }
            place = 0;
        } else if (blocks < job.blocks) {
            ConstantWord<P> out;
            for (int c = 0; c < P::columns; ++c) {
#pragma HLS UNROLL
                const int at = 4 * c;
                const UInt<32> low = join(word.bytes[at], word.bytes[at + 1], word.bytes[at + 2], word.bytes[at + 3]);
                out.constants[c] = split_record(low, high[place * P::columns + c]);
            }
            constants.write(out);
            ++place;
            ++blocks;
        }
    }

    void open_item() {
#pragma HLS INLINE
        kind = static_cast<int>(word.bytes[0]);
        bank = static_cast<int>(word.bytes[1]) & 1;
        first = static_cast<int>(join(word.bytes[2], word.bytes[3]));
        count = static_cast<int>(join(word.bytes[4], word.bytes[5]));
        after = static_cast<int>(join(word.bytes[6], word.bytes[7]));
        entry = 0;
        place = constant_group;
        const bool table = kind == activation_item || kind == exp_item || (P::experts > 0 && kind == gate_item) ||
                           (P::list_words > 0 && kind == list_item) ||
                           (P::key_list_words > 0 && kind == key_list_item) ||
                           (P::norm_shift_words > 0 && kind == shifts_item);
        bad = !table && (kind != constants_item || count != job.blocks);
        if (table && count == 0) {
            kind = 0;
        }
    }

    void copy(int at, UInt<8> (&bytes)[table_entries]) const {
#pragma HLS INLINE
        for (int i = 0; i < table_entries; ++i) {
#pragma HLS UNROLL
            bytes[i] = word.bytes[(at + i) % size];
        }
    }

    /// Entries of the table, in machines with experts one gate; the next ones follow in the next iteration.
    template <class... More>
    void give_entry(Stream<ConstantWord<P>>& constants, Stream<TableWord>& tables, More&... more) {
#pragma HLS INLINE
        const int at = entry % size;
        const bool gate = kind == gate_item;
        const int index = gate ? entry / 2 : entry / table_entries;
        const bool list = kind == list_item, shifts = P::norm_shift_words > 0 && kind == shifts_item;
        if (P::key_list_words > 0 && kind == key_list_item) {
            TableWord out;
            out.kind = Entry::list;
            out.index = first + index;
            copy(at, out.bytes);
            if (first + index < P::key_list_words) {
                (more.write(out), ...);
            }
        } else if (kind == exp_item || list || shifts) {
            TableWord out;
            out.kind = list ? Entry::list : shifts ? Entry::shifts : Entry::exp;
            out.after = after;
            out.bank = bank;
            out.index = list || shifts ? first + index : index;
            copy(at, out.bytes);
            const int words = shifts ? Derived<P>::shift_parts : Derived<P>::list_words;
            if (list || shifts ? first + index < words : entry < Derived<P>::exp_bytes) {
                tables.write(out);
            }
        } else {
            ConstantWord<P> out;
            out.kind = gate ? Entry::gate : Entry::activation;
            out.after = after;
            out.bank = bank;
            out.index = gate ? index : first + index;
            copy(at, out.bytes);
            if (gate ? index < Derived<P>::exp_entries : first + index < Derived<P>::index_entries / table_entries) {
                constants.write(out);
            }
        }
        entry += gate ? 2 : table_entries;
        held = entry % size != 0 && entry < count;
        if (entry >= count) {
            kind = 0;
        }
    }
};

}  // namespace hlsgen
