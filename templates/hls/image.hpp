// SPDX-License-Identifier: Apache-2.0
// The Image's header: it must be the one of the program that this machine was generated for.
#pragma once

#include <cstdint>

#include "interface.hpp"
#include "port.hpp"
#include "streams.hpp"

namespace hlsgen {

/// 0 or an error code. Words beside magic number and version hold the build id, the layout and the checksum,
/// so that an Image made for other commands is refused; of several errors the first word's counts.
template <class P>
std::uint32_t check_image(Port<Beat<P>>& image, const std::uint32_t (&expected)[header_words]) {
#pragma HLS INLINE off
    constexpr int bytes = 4 * header_words;
    constexpr int beats = bytes / P::bus_bytes;
    static_assert(bytes % P::bus_bytes == 0, "the header is whole beats");
    UInt<8> header[bytes];
#pragma HLS ARRAY_PARTITION variable=header complete
    image.read_request(0, beats);
    for (int beat = 0; beat < beats; ++beat) {
#pragma HLS PIPELINE II=1
        const Beat<P> in = image.read();
        for (int i = 0; i < P::bus_bytes; ++i) {
#pragma HLS UNROLL
            header[beat * P::bus_bytes + i] = in.bytes[i];
        }
    }
    std::uint32_t error = 0;
    for (int i = header_words - 1; i >= 0; --i) {
#pragma HLS UNROLL
        const UInt<32> word = join(header[4 * i], header[4 * i + 1], header[4 * i + 2], header[4 * i + 3]);
        if (word != expected[i]) {
            error = i == header_magic ? error_magic : i == header_version ? error_version : error_build;
        }
    }
    return error;
}

}  // namespace hlsgen
