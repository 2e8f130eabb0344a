// SPDX-License-Identifier: Apache-2.0
// Trace records, for simulation only: with HLSGEN_TRACE every word the machine writes is appended to
// `trace_file`, as a record of 16 bytes and the word's elements; hlsgen/machine/run/trace.py reads them.
#pragma once

#include "memory.hpp"

#ifdef HLSGEN_TRACE

#include <cstdint>
#include <cstdio>

namespace hlsgen {

inline std::FILE* trace_file = nullptr;

inline void trace_bytes(std::uint32_t value, int count) {
    for (int i = 0; i < count; ++i) {
        std::fputc(static_cast<int>(value >> (8 * i) & 255), trace_file);
    }
}

template <class Element, int N>
void trace(int which, const Job& job, int row, int word, const Element (&elements)[N]) {
    if (trace_file == nullptr) {
        return;
    }
    trace_bytes(static_cast<std::uint32_t>(which), 1);
    trace_bytes(static_cast<std::uint32_t>(job.kind), 1);
    trace_bytes(static_cast<std::uint32_t>(job.head), 2);
    trace_bytes(static_cast<std::uint32_t>(job.command), 2);
    trace_bytes(static_cast<std::uint32_t>(job.first_row + row), 2);
    trace_bytes(static_cast<std::uint32_t>(word), 4);
    trace_bytes(0, 4);  // no cycles here
    for (int i = 0; i < N; ++i) {
        trace_bytes(static_cast<std::uint32_t>(static_cast<int>(elements[i])), 2);
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
    trace(0, job, row, word, elements);
}

/// A result word of `row` of the tile, as DRAIN wrote it.
template <class Element, int N>
void trace_drain(const Job& job, int row, int block, const Element (&elements)[N]) {
#pragma HLS INLINE
    trace(1, job, row, block, elements);
}

}  // namespace hlsgen
