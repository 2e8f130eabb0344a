// SPDX-License-Identifier: Apache-2.0
// The walk through the program: which command comes next, and whether it runs.
//
// SEQUENCE and FETCH each have one, so that weights come long before the jobs that use them. Program is the
// generated class with the commands (top.cpp).
#pragma once

#include "memory.hpp"
#include "stream.hpp"

namespace hlsgen {

/// Where a walk is: which printed command, which repeat of its layer, which command of the program.
struct Place {
    int number = 0;
    int repeat = 0;
    int index = 0;
};

template <class P, class Program>
struct Walk {
    Place place;
    Command command;
    int task = 0;
    bool ended = false;
    bool looked = false;  // `command` is that of `place`
    int routers = 0;      // that ran, and of which the queues are known
    int known = 0;
    int routed = 0;       // queue entries in all
    int count[Derived<P>::experts];

    void update(Stream<Counts<P>>& counts) {
#pragma HLS INLINE
        if (!counts.empty()) {
            const Counts<P> queues = counts.read();
            for (int e = 0; e < Derived<P>::experts; ++e) {
#pragma HLS UNROLL
                count[e] = queues.count[e];
            }
            routed += queues.entries;
            known += 1;
        }
    }
    template <class T>
    void update(Stream<T>&) {
#pragma HLS INLINE
    }

    bool finished() const { return ended || place.index == Program::commands; }

    /// Whether it is known if `command` runs; the first call in an iteration that is not `finished`.
    bool look() {
#pragma HLS INLINE
        if (!looked) {
            command = Program::at(place);
            looked = true;
        }
        return command.expert == 0 || known == routers || !mine();
    }

    bool mine() const { return command.tasks == 0 || (command.tasks >> task & 1) != 0; }

    bool runs() const {
        return mine() && (command.expert == 0 || count[command.expert == 0 ? 0 : command.expert - 1] > 0);
    }

    /// The command on the rows of its expert's queue.
    Command sized() const {
#pragma HLS INLINE
        Command result = command;
        if constexpr (P::experts > 0) {
            if (command.expert > 0) {
                const int rows = count[command.expert - 1];
                result.tiles = static_cast<std::uint16_t>((rows + P::rows - 1) / P::rows);
                result.tail_rows = static_cast<std::uint8_t>(rows - (result.tiles - 1) * P::rows);
            }
        }
        return result;
    }

    /// To the next command.
    void advance(bool ran) {
#pragma HLS INLINE
        routers += ran && command.target == Target::queues ? 1 : 0;
        ended = ran && command.last != 0;
        Program::advance(place);
        looked = false;
    }
};

}  // namespace hlsgen
