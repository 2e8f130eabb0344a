// SPDX-License-Identifier: Apache-2.0
// LOAD, mode patches: rows gathered from the image memory (im2col of a convolution whose stride is its
// kernel), elements in the order (channel, y, x).
#pragma once

#include "command.hpp"
#include "tile.hpp"

namespace hlsgen {

/// The element of a patch that the gather is at.
struct PatchElement {
    int channel = 0;
    int y = 0;
    int x = 0;
};

/// Pixels that lie in one image word whatever the patch: the greatest common divisor of the patch width
/// and the columns, which are a power of two.
template <class P>
int segment_pixels(int patch_width) {
    int pixels = P::columns;
    while (patch_width % pixels != 0) {
        pixels /= 2;
    }
    return pixels;
}

/// Moves `count` pixels on; a segment never crosses a patch line.
inline void advance(PatchElement& element, const Command& command, int count) {
#pragma HLS INLINE
    element.x += count;
    if (element.x == command.patch_width) {
        element.x = 0;
        element.y += 1;
        if (element.y == command.patch_height) {
            element.y = 0;
            element.channel += 1;
        }
    }
}

/// Copies a segment of `count` pixels from the image to lanes to.. of an operand word.
template <class P>
void copy_segment(const Memory<P>& memory, int address, int from, int to, int count, Int<8> (&word)[P::columns]) {
#pragma HLS INLINE
    for (int c = 0; c < P::columns; ++c) {
#pragma HLS UNROLL
        if (c >= to && c < to + count) {
            word[c] = memory.image[address][from + c - to];
        }
    }
}

/// Gathers one patch into row `row` of the tile; `line` and `column` are its first image row and pixel.
template <class P>
void load_patch(Memory<P>& memory, const Command& command, const Job& job, int row, bool real, int line, int column) {
    const int pixels = segment_pixels<P>(command.patch_width);
    PatchElement at;
    for (int word = 0; word < command.k_words; ++word) {
        Int<8> elements[P::columns];
#pragma HLS ARRAY_PARTITION variable=elements complete
        for (int c = 0; c < P::columns; ++c) {
#pragma HLS UNROLL
            elements[c] = 0;
        }
        for (int lane = 0; lane < P::columns; lane += pixels) {
#pragma HLS PIPELINE II=1
            if (real && at.channel < command.patch_channels) {
                const int x = column + at.x;
                const int image_line = (line + at.y) * command.patch_channels + at.channel;
                const int address = image_line * command.row_words + x / P::columns;
                copy_segment<P>(memory, address, x % P::columns, lane, pixels, elements);
            }
            advance(at, command, pixels);
        }
        write_tile<P>(memory, job, row, word, elements);
    }
}

template <class P>
void load_patches(Memory<P>& memory, const Command& command, const Job& job) {
    for (int row = 0; row < job.rows; ++row) {
        const int patch = job.first_row + row - command.patch_prefix;
        const bool real = patch >= 0;
        const int line = real ? patch / command.patch_columns * command.patch_height : 0;
        const int column = real ? patch % command.patch_columns * command.patch_width : 0;
        load_patch<P>(memory, command, job, row, real, line, column);
    }
}

}  // namespace hlsgen
