// SPDX-License-Identifier: Apache-2.0
// Trace records, for simulation only: with HLSGEN_TRACE every word the machine writes is appended to
// `trace_file`, as a record and the word's elements (interface.hpp).
#pragma once

#include "interface.hpp"
#include "memory.hpp"

#ifdef HLSGEN_TRACE

#include <cstdint>
#include <cstdio>

namespace hlsgen {

inline std::FILE* trace_file = nullptr;

template <class Element, int N>
void trace(int which, const Job& job, int row, int word, const Element (&elements)[N]) {
    if (trace_file == nullptr) {
        return;
    }
    TraceRecord record = {};  // no cycles here
    record.which = static_cast<std::uint32_t>(which);
    record.kind = static_cast<std::uint32_t>(job.kind);
    record.head = static_cast<std::uint32_t>(job.head);
    record.command = static_cast<std::uint32_t>(job.command);
    record.row = static_cast<std::uint32_t>(job.first_row + row);
    record.word = static_cast<std::uint32_t>(word);
    unsigned char head[trace_head_bytes];
    pack(record, head);
    std::fwrite(head, 1, sizeof(head), trace_file);
    for (int i = 0; i < N; ++i) {
        const int element = static_cast<int>(elements[i]);
        std::fputc(element & 255, trace_file);
        std::fputc(element >> 8 & 255, trace_file);
    }
}

}  // namespace hlsgen

#else

namespace hlsgen {

template <class Element, int N>
void trace(int, const Job&, int, int, const Element (&)[N]) {
#pragma HLS INLINE
}

}  // namespace hlsgen

#endif

namespace hlsgen {

/// An operand word of `row` of the tile, as LOAD wrote it.
template <class Element, int N>
void trace_tile(const Job& job, int row, int word, const Element (&elements)[N]) {
#pragma HLS INLINE
    trace(trace_tile_word, job, row, word, elements);
}

/// A result word of `row` of the tile, as DRAIN wrote it.
template <class Element, int N>
void trace_drain(const Job& job, int row, int block, const Element (&elements)[N]) {
#pragma HLS INLINE
    trace(trace_drain_word, job, row, block, elements);
}

}  // namespace hlsgen
