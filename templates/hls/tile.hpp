// SPDX-License-Identifier: Apache-2.0
// SCALE and NORMALISE: the rest of LOAD's way to the tile slots, and the scales of context rows for DRAIN.
#pragma once

#include "load_layer_norm.hpp"
#include "stream.hpp"
#include "trace.hpp"

namespace hlsgen {

/// SCALE: what rows are multiplied by.
struct Scale {
    bool done = false;

    void tick(Stream<ScaleRequest>& requests, Stream<NormScale>& norms, Stream<RowScale>& contexts) {
#pragma HLS INLINE
        if (requests.empty()) {
            return;
        }
        const ScaleRequest request = requests.read();
        done = request.ends;
        if (request.ends) {
            return;
        }
        if (request.is_exp) {
            contexts.write(context_scale(request.sums.denominator, request.gain, request.shift));
        } else {
            NormScale out;
            out.scale = row_scale(request.sums.total, request.sums.squares, request.width, request.epsilon,
                                  request.gain, request.shift);
            out.total = request.sums.total;
            out.width = request.width;
            norms.write(out);
        }
    }
};

/// An unsigned byte with the same bits as a tile element; MULTIPLY takes context operands as unsigned.
inline Int<8> tile_byte(Int<16> value) { return as_signed<8>(low_byte(value)); }

/// NORMALISE: rows that are normalised wait for their scale, the others pass.
template <class P>
struct Normalise {
    bool done = false;

    void tick(Stream<Raw<P>>& raws, Stream<NormScale>& scales, Stream<TileWord<P>>& tiles) {
#pragma HLS INLINE
        if (!held && !raws.empty()) {
            raw = raws.read();
            held = true;
            done = raw.ends;
        }
        if (held && !raw.ends && raw.normalised && !scaled && !scales.empty()) {
            scale = scales.read();
            scaled = true;
        }
        if (!held || raw.ends || (raw.normalised && !scaled)) {
            return;
        }
        Int<16> word[P::columns];
#pragma HLS ARRAY_PARTITION variable=word complete
        if (raw.normalised) {
            normalise_word<P>(scale, raw, word);
        } else {
            for (int c = 0; c < P::columns; ++c) {
#pragma HLS UNROLL
                word[c] = raw.data[c];
            }
        }
        TileWord<P> out;
        for (int c = 0; c < P::columns; ++c) {
#pragma HLS UNROLL
            out.data[c] = raw.is_exp ? tile_byte(word[c]) : Int<8>(word[c]);
        }
        out.row = raw.row;
        out.address = raw.address;
        out.tile_ends = raw.tile_ends;
        tiles.write(out);
#ifdef HLSGEN_TRACE
        trace_tile(raw.job, raw.row, raw.word, word);
#endif
        held = false;
        scaled = scaled && !raw.row_ends;
    }

private:
    Raw<P> raw;
    NormScale scale;
    bool held = false, scaled = false;
};

}  // namespace hlsgen
