// SPDX-License-Identifier: Apache-2.0
// FETCH: constants, weights and addends of the Image, in the order in which the machine uses them.
//
// One process owns the Image's port. It asks for a section's beats while those of the section before arrive.
#pragma once

#include "port.hpp"
#include "streams.hpp"
#include "walk.hpp"

namespace hlsgen {

/// Where the sections of an Image begin, in beats.
struct Sections {
    int constants = 0;
    int weights = 0;
    int addends = 0;
};

template <class P, class Program>
struct Fetch {
    static constexpr int weight_bytes = P::depth * P::columns;
    static constexpr int addend_bytes = 2 * P::columns;
    enum class Part : std::uint8_t { constants, weights, addends };
    struct Request {
        Part part = Part::constants;
        int words = 0;
        int first = 0;  // the first word's place in its beat
    };

    bool done = false;
    Sections base;
    Walk<P, Program> walk;

    /// Whether the next iteration takes a beat.
    bool takes() const {
        if (requests == 0) {
            return false;
        }
        return queue[0].part == Part::constants ? constants.takes()
               : queue[0].part == Part::weights ? weights.takes()
                                                : addends.takes();
    }

    template <class... More>
    void tick(Port<Beat<P>>& image, Stream<ConstantsJob>& jobs, Stream<Bytes<constant_bytes<P>>>& constants_out,
              Stream<Bytes<weight_bytes>>& weights_out, Stream<Bytes<addend_bytes>>& addends_out, More&... more) {
#pragma HLS INLINE
        (walk.update(more), ...);
        const int waiting = requests;
        if (requests > 0) {
            if (queue[0].part == Part::constants) {
                take(constants, image, constants_out);
            } else if (queue[0].part == Part::weights) {
                take(weights, image, weights_out);
            } else {
                take(addends, image, addends_out);
            }
        }
        if (waiting < 2 && requests == waiting) {
            ask(image, jobs);
        }
    }

private:
    Request queue[2];  // that are asked for, the oldest first
    int requests = 0;
    Unpack<P, constant_bytes<P>> constants;
    Unpack<P, weight_bytes> weights;
    Unpack<P, addend_bytes> addends;
    bool busy = false;  // with a command's sections
    Part next = Part::constants;
    Command command;
    int sweep = 0;
    int constant_at = 0, weight_at = 0, addend_at = 0;  // words of each section
    int constant_unit = 0, weight_unit = 0;             // where commands may be skipped, in units of 64 bytes

    template <int N>
    void take(Unpack<P, N>& unpack, Port<Beat<P>>& image, Stream<Bytes<N>>& out) {
#pragma HLS INLINE
        if (unpack.takes()) {
            unpack.beat = image.read();
            unpack.loaded = true;
        }
        if (unpack.step()) {
            out.write(unpack.word);
            queue[0].words -= 1;
        }
        if (queue[0].words == 0) {
            queue[0] = queue[1];
            requests -= 1;
            start();
        }
    }

    void start() {
#pragma HLS INLINE
        constants.start(queue[0].first);
        weights.start(queue[0].first);
        addends.start(queue[0].first);
    }

    template <int N>
    void request(Port<Beat<P>>& image, Part part, int first_beat, int& at, int words) {
#pragma HLS INLINE
        if (words > 0) {
            const Span where = span<P, N>(first_beat, at, words);
            image.read_request(where.beat, where.beats);
            queue[requests] = Request{part, words, where.part};
            requests += 1;
            at += words;
            if (requests == 1) {
                start();
            }
        }
    }

    void ask(Port<Beat<P>>& image, Stream<ConstantsJob>& jobs) {
#pragma HLS INLINE
        if (!busy) {
            begin(jobs);
        } else if (next == Part::constants) {
            request<constant_bytes<P>>(image, next, base.constants, constant_at, command.constant_words);
            next = Part::weights;
        } else if (next == Part::weights) {
            const int words = takes_weights(command) ? blocks() * ring_words_of<P>(command) : 0;
            request<weight_bytes>(image, next, base.weights, weight_at, words);
            if (command.stream_addend != 0 || takes_addends<P>(command, sweep)) {
                next = Part::addends;
            } else {
                end_sweep();
            }
        } else {
            const int rows = (command.tiles - 1) * P::rows +
                             (command.tail_rows + P::row_width - 1) / P::row_width * P::row_width;
            request<addend_bytes>(image, next, base.addends, addend_at, blocks() * rows);
            next = Part::weights;
            end_sweep();
        }
    }

    int blocks() const { return sweep < command.extra ? command.blocks + 1 : command.blocks; }

    void end_sweep() {
#pragma HLS INLINE
        sweep += 1;
        busy = sweep != sweeps_of(command);
        if (!busy) {
            walk.advance(true);
        }
    }

    void begin(Stream<ConstantsJob>& jobs) {
#pragma HLS INLINE
        ConstantsJob job;
        if (walk.finished()) {
            if (requests == 0) {
                job.ends = true;
                jobs.write(job);
                done = true;
            }
            return;
        }
        if (!walk.look()) {
            return;
        }
        if constexpr (P::experts > 0 || P::tasks > 1) {
            constant_at = constant_unit * 64 / constant_bytes<P>;
            weight_at = weight_unit * 64 / weight_bytes;
            constant_unit += walk.command.constant_units;
            weight_unit += walk.command.weight_units;
        }
        const bool runs = walk.runs();
        if (runs && (takes_constants(walk.command) || takes_weights(walk.command) ||
                     adds_to_scores<P>(walk.command))) {
            command = walk.sized();
            if (takes_constants(command)) {
                job.words = command.constant_words;
                job.blocks = command.sweeps * command.blocks + command.extra;
                jobs.write(job);
            }
            sweep = 0;
            next = Part::constants;
            busy = true;
        } else {
            walk.advance(runs);
        }
    }
};

/// PIXELS: the input image, in address order.
template <class P>
struct Pixels {
    bool done = false;
    int words = 0;

    bool takes() const { return asked && unpack.takes(); }

    void tick(Port<Beat<P>>& input, Stream<Bytes<P::columns>>& pixels) {
#pragma HLS INLINE
        if (!asked) {
            input.read_request(0, span<P, P::columns>(0, 0, words).beats);
            asked = true;
            return;
        }
        if (unpack.takes()) {
            unpack.beat = input.read();
            unpack.loaded = true;
        }
        if (unpack.step()) {
            pixels.write(unpack.word);
            words -= 1;
        }
        done = words == 0;
    }

private:
    bool asked = false;
    Unpack<P, P::columns> unpack;
};

}  // namespace hlsgen
