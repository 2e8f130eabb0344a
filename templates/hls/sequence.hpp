// SPDX-License-Identifier: Apache-2.0
// SEQUENCE: from commands to jobs of the stages, in the order of docs/machine.md.
#pragma once

#include "stream.hpp"
#include "walk.hpp"

namespace hlsgen {

/// Whether DRAIN adds a row of the residual memory to a row of the command's results.
inline bool adds_residual(const Command& command) {
#pragma HLS INLINE
    return (command.drain == Drain::add && command.stream_addend == 0) || command.drain == Drain::combine;
}

template <class P, class Program>
struct Sequence {
    bool done = false;
    Walk<P, Program> walk;

    /// More: the queues' sizes of machines with experts, the readings of streamed attention.
    template <class... More>
    void tick(Stream<Work>& loads, Stream<Work>& adds, Stream<Work>& multiplies, Stream<Work>& drains,
              More&... more) {
#pragma HLS INLINE
        (walk.update(more), ...);
        if (busy) {
            give(loads, adds, multiplies, drains, more...);
        } else if (walk.finished()) {
            end(loads, adds, multiplies, drains, more...);
        } else if (walk.look()) {
            begin(drains);
        }
    }

private:
    /// Which place serves a head, or a sweep: one serves `more` heads more.
    struct Served {
        int place = 0;
        int heads = 0;  // before this one that the place has served

        void advance(int more) {
#pragma HLS INLINE
            if constexpr (P::products > 0) {
                const bool last = heads == more;
                heads = last ? 0 : heads + 1;
                place += last ? 1 : 0;
            } else {
                place += 1;
            }
        }
    };

    /// Where the walk over an attention command's tiles is: one for its scores, one for its contexts.
    struct Tiles {
        int head = 0;
        Served served;
        int tile = 0;
        int spanned = 0;  // tiles of the reading that have passed
        int reading = 0;  // of the command
        int slot = 0;
        int scores = 0;

        void advance(const Command& command, int shared) {
#pragma HLS INLINE
            const bool last = tile + 1 == command.tiles;
            const bool read = last || spanned + 1 == command.span;
            spanned = read ? 0 : spanned + 1;
            reading += read ? 1 : 0;
            tile = last ? 0 : tile + 1;
            head += last ? 1 : 0;
            if (last) {
                served.advance(shared);
            }
            slot = slot + 1 == P::score_slots ? 0 : slot + 1;
            scores += 1;
        }
    };

    Command command;
    bool busy = false;
    int number = 0, weighted = 0, scores = 0, readings = 0;
    int sweep = 0, tile = 0, first_block = 0;
    Served served;  // the sweep
    Tiles s, c;
    bool context = false;  // C(j) comes next, else S(j + 1)

    void begin(Stream<Work>& drains) {
#pragma HLS INLINE
        if (!walk.runs()) {
            Work work;
            work.job.kind = Kind::skipped;
            work.job.command = walk.place.index;
            drains.write(work);
            walk.advance(false);
            return;
        }
        command = walk.sized();
        busy = true;
        sweep = tile = first_block = 0;
        served = Served();
        s = c = Tiles();
        s.scores = c.scores = scores;
        context = false;
        weighted += takes_constants(command) ? 1 : 0;
    }

    Job plain_job() {
#pragma HLS INLINE
        Job job;
        job.head = sweep;
        if constexpr (P::products > 0) {
            job.place = served.place;
        }
        job.tile = tile;
        job.first_block = first_block;
        job.blocks = sweep < command.extra ? command.blocks + 1 : command.blocks;
        job.steps = command.k_steps;
        job.sweep_ends = tile + 1 == command.tiles;
        job.final = sweep + 1 == command.sweeps;
        job.command_ends = job.sweep_ends && job.final;
        if (job.sweep_ends) {
            tile = 0;
            sweep += 1;
            served.advance(command.shared);
            first_block += job.blocks;
        } else {
            tile += 1;
        }
        return job;
    }

    Job attention_job() {
#pragma HLS INLINE
        const Tiles& at = context ? c : s;
        Job job;
        job.kind = context ? Kind::context : Kind::scores;
        job.tile = at.tile;
        job.head = at.head;
        job.place = P::workspace_units > 0 ? at.reading % 2 : at.served.place;
        job.reading = readings + at.reading + 1;
        job.opens = at.spanned == 0;
        job.closes = at.tile + 1 == command.tiles || at.spanned + 1 == command.span;
        job.score_slot = at.slot;
        job.scores = at.scores + 1;
        job.blocks = context ? command.head_words : command.blocks;
        job.steps = context ? digits_of<P>(command) * command.exp_steps : static_cast<int>(command.k_steps);
        job.sweep_ends = at.tile + 1 == command.tiles;
        job.final = context && at.head + 1 == command.heads;
        job.command_ends = job.final && at.tile + 1 == command.tiles;
        if (context) {
            c.advance(command, command.shared_values);
        } else {
            s.advance(command, command.shared);
        }
        // S(0), S(1), C(0), S(2), C(1), ... with two score tiles: after the last scores only contexts are left
        context = s.head == command.heads || (!context && s.scores - scores >= P::score_slots);
        return job;
    }

    template <class... More>
    void give(Stream<Work>& loads, Stream<Work>& adds, Stream<Work>& multiplies, Stream<Work>& drains,
              More&... more) {
#pragma HLS INLINE
        Work work;
        work.command = command;
        work.job = attends(command) ? attention_job() : plain_job();
        work.job.command = walk.place.index;
        work.job.number = number;
        work.job.first_row = work.job.tile * P::rows;
        work.job.rows = work.job.tile + 1 == command.tiles ? command.tail_rows : P::rows;
        work.job.weighted = weighted;
        work.job.routed = walk.routed;
        number += 1;
        loads.write(work);
        multiplies.write(work);
        drains.write(work);
        if (adds_residual(command)) {
            adds.write(work);
        }
        (read(work, more), ...);
        if (work.job.command_ends) {
            busy = false;
            scores = s.scores;
            readings += command.heads * command.readings;
            walk.advance(true);
        }
    }

    void read(const Work& work, Stream<Work>& readings_out) {
#pragma HLS INLINE
        if (work.job.kind == Kind::end || (work.job.kind != Kind::plain && work.job.opens)) {
            readings_out.write(work);
        }
    }
    template <class T>
    void read(const Work&, Stream<T>&) {
#pragma HLS INLINE
    }

    template <class... More>
    void end(Stream<Work>& loads, Stream<Work>& adds, Stream<Work>& multiplies, Stream<Work>& drains,
             More&... more) {
#pragma HLS INLINE
        Work work;
        work.job.kind = Kind::end;
        work.job.weighted = weighted;
        work.job.routed = walk.routed;
        loads.write(work);
        adds.write(work);
        multiplies.write(work);
        drains.write(work);
        (read(work, more), ...);
        done = true;
    }
};

}  // namespace hlsgen
