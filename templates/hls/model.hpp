// SPDX-License-Identifier: Apache-2.0
// The clock of the model of the processes: who may begin an iteration, and when nobody ever will.
//
// With HLSGEN_STALLS (a number, not 0) each process leaves out cycles at random: results may not depend on time.
// With Xilinx's streams there is no time: each process has an iteration in each round.
#pragma once

#include <cstdio>
#include <cstdlib>

#include "clock.hpp"
#include "schedule.hpp"
#include "stream.hpp"

#ifndef HLSGEN_STALLS
#define HLSGEN_STALLS 0
#endif

namespace hlsgen {

#if !defined(__VITIS_HLS__) && !defined(HLSGEN_AP_INT)

inline std::uint32_t dice = HLSGEN_STALLS;

/// Whether a process rests in this cycle: never, or three cycles of ten.
inline bool rests() {
    if (HLSGEN_STALLS == 0) {
        return false;
    }
    dice = dice * 1664525u + 1013904223u;
    return (dice >> 16) % 10 < 3;
}

/// Whether a process begins an iteration: no word finds its FIFO full, and external memory is there (`late`:
/// it is not). Words that have gone through its pipeline leave it.
template <class... Streams>
bool go(Pipeline& loop, bool late, Streams&... outs) {
    if (rests()) {
        return false;
    }
    if ((outs.blocked() || ...)) {
        ++loop.full;
        return false;
    }
    if (late) {
        ++loop.memory;
        return false;
    }
    (outs.accept(), ...);
    ++loop.iterations;
    return true;
}

/// Iterations of a process, cycles that it waited for a full FIFO and for external memory, whether it has ended.
inline void print_loop(std::FILE* file, const char* name, const Pipeline& loop, bool done) {
    std::fprintf(file, "process %s %lld %lld %lld %d\n", name, static_cast<long long>(loop.iterations),
                 static_cast<long long>(loop.full), static_cast<long long>(loop.memory), done ? 1 : 0);
}

#endif

/// Runs the processes to their end; ends the program if they wait for each other, or leave words behind.
template <class Network>
void run_model(Network& network) {
    cycle = 0;
    std::int64_t quiet = 0, before = -1;
    while (!network.done()) {
        network.cycle_of_all();
        const std::int64_t now = network.activity();
        quiet = now == before ? quiet + 1 : 0;
        before = now;
        if (quiet > silence) {
            network.print(stderr);
            std::fprintf(stderr, "hlsgen: the processes wait for each other in cycle %lld\n",
                         static_cast<long long>(cycle));
            std::abort();
        }
    }
    if (!network.drained()) {
        network.print(stderr);
        std::fprintf(stderr, "hlsgen: the processes must leave no word in their FIFOs\n");
        std::abort();
    }
#ifdef HLSGEN_SCHEDULE
    if (std::FILE* const file = std::fopen("schedule.txt", "a")) {
        std::fprintf(file, "cycles %lld\n", static_cast<long long>(cycle));
        network.print(file);
        std::fclose(file);
    }
#endif
}

}  // namespace hlsgen
