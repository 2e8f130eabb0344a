// SPDX-License-Identifier: Apache-2.0
// LOAD, mode patches: rows gathered from the image memory (im2col of a convolution whose stride is its
// kernel), elements in the order (channel, y, x).
#pragma once

#include "row_store.hpp"

namespace hlsgen {

/// The patch that a row is, and the element of it that comes next.
struct PatchPlace {
    int prefix = 0;  // rows of zeros that come before the first patch
    int line = 0;    // the patch's first row of pixels, and its first pixel in it
    int left = 0;
    int column = 0;  // patches that stand left of it
    int channel = 0;
    int y = 0;
    int x = 0;
};

/// Pixels that lie in one image word whatever the patch: the greatest common divisor of the patch width
/// and the columns, which are a power of two.
template <class P>
int segment_pixels(const Command& command) {
#pragma HLS INLINE
    int pixels = P::columns;
    for (int size = P::columns; size > 1; size /= 2) {
#pragma HLS UNROLL
        if (command.patch_width % size != 0) {
            pixels = size / 2;
        }
    }
    return pixels;
}

/// Words of the image that have come when the patch is there.
inline int patch_pixels(const Command& command, const PatchPlace& at) {
#pragma HLS INLINE
    return at.prefix > 0 ? 0 : (at.line + command.patch_height) * command.patch_channels * command.row_words;
}

/// To the first row of a sweep.
inline void first_patch(const Command& command, PatchPlace& at) {
#pragma HLS INLINE
    at = PatchPlace();
    at.prefix = command.patch_prefix;
}

/// To the next row.
inline void next_patch(const Command& command, PatchPlace& at) {
#pragma HLS INLINE
    at.channel = at.y = at.x = 0;
    if (at.prefix > 0) {
        at.prefix -= 1;
    } else if (at.column + 1 == command.patch_columns) {
        at.column = at.left = 0;
        at.line += command.patch_height;
    } else {
        at.column += 1;
        at.left += command.patch_width;
    }
}

/// Moves `count` pixels on; a segment never crosses a patch line.
inline void next_segment(const Command& command, PatchPlace& at, int count) {
#pragma HLS INLINE
    at.x += count;
    if (at.x == command.patch_width) {
        at.x = 0;
        at.y += 1;
        if (at.y == command.patch_height) {
            at.y = 0;
            at.channel += 1;
        }
    }
}

/// Puts a segment of `count` pixels into its place in `word`, of which it is part `part`.
template <class P>
void load_patches(const LoadMemory<P>& memory, const Command& command, const PatchPlace& at, int part, int count,
                  Int<16> (&word)[P::columns]) {
#pragma HLS INLINE
    const bool real = at.prefix == 0 && at.channel < command.patch_channels;
    const int x = at.left + at.x;
    const int line = (at.line + at.y) * command.patch_channels + at.channel;
    const int address = real ? line * command.row_words + x / P::columns : 0;
    const int from = x % P::columns, to = part * count;
    for (int c = 0; c < P::columns; ++c) {
#pragma HLS UNROLL
        if (c >= to && c < to + count) {
            word[c] = real ? Int<16>(memory.image[address][from + c - to]) : Int<16>(0);
        }
    }
}

/// Words that LOAD writes for a row.
inline int patch_words(const Command& command) { return command.k_words; }

}  // namespace hlsgen
