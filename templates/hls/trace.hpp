// SPDX-License-Identifier: Apache-2.0
// Trace records, for simulation only: with HLSGEN_TRACE every word the machine writes is kept, and written to
// `trace_file` in the order of the jobs: LOAD's words of a job, then DRAIN's. The stages overlap in time.
#pragma once

#include "interface.hpp"
#include "memory.hpp"

#ifdef HLSGEN_TRACE

#include <cstdint>
#include <cstdio>
#include <vector>

namespace hlsgen {

/// A record and its word's elements as bytes, and the number of its job.
struct TraceLine {
    int job;
    std::vector<unsigned char> bytes;
};

inline std::FILE* trace_file = nullptr;
inline std::vector<TraceLine> trace_tiles, trace_drains;

template <class Element, int N>
void trace(std::vector<TraceLine>& lines, int which, const Job& job, int row, int word,
           const Element (&elements)[N]) {
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
    TraceLine line{job.number, {head, head + sizeof(head)}};
    for (int i = 0; i < N; ++i) {
        const int element = static_cast<int>(elements[i]);
        line.bytes.push_back(static_cast<unsigned char>(element & 255));
        line.bytes.push_back(static_cast<unsigned char>(element >> 8 & 255));
    }
    lines.push_back(line);
}

/// Writes all lines of one input.
inline void write_trace() {
    std::size_t drained = 0;
    const auto write = [](const TraceLine& line) {
        if (trace_file != nullptr) {
            std::fwrite(line.bytes.data(), 1, line.bytes.size(), trace_file);
        }
    };
    for (const TraceLine& line : trace_tiles) {
        for (; drained < trace_drains.size() && trace_drains[drained].job < line.job; ++drained) {
            write(trace_drains[drained]);
        }
        write(line);
    }
    for (; drained < trace_drains.size(); ++drained) {
        write(trace_drains[drained]);
    }
    trace_tiles.clear();
    trace_drains.clear();
}

/// The job as tiles show it: a plain one names its sweep where that has its own part of each row.
inline Job tile_job(const Command& command, Job job) {
    job.head = job.kind == Kind::plain && command.outer_source == 0 ? 0 : job.head;
    return job;
}

/// An operand word of `row` of the tile, as LOAD made it.
template <class Element, int N>
void trace_tile(const Job& job, int row, int word, const Element (&elements)[N]) {
    trace(trace_tiles, trace_tile_word, job, row, word, elements);
}

/// A result word of `row` of the tile, as DRAIN wrote it; blocks of a plain job count over the sweeps.
template <class Element, int N>
void trace_drain(Job job, int row, int block, const Element (&elements)[N]) {
    job.head = job.kind == Kind::plain ? 0 : job.head;
    trace(trace_drains, trace_drain_word, job, row, block, elements);
}

}  // namespace hlsgen

#else

namespace hlsgen {

inline void write_trace() {}

template <class Element, int N>
void trace_drain(const Job&, int, int, const Element (&)[N]) {
#pragma HLS INLINE
}

}  // namespace hlsgen

#endif
