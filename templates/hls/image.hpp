// SPDX-License-Identifier: Apache-2.0
// The Image's header: it must be the one of the program that this machine was generated for.
#pragma once

#include <cstdint>

#include "interface.hpp"
#include "streams.hpp"

namespace hlsgen {

/// 0 or an error code. Words beside magic number and version hold the build id, the layout and the checksum,
/// so that an Image made for other commands is refused.
template <class P>
std::uint32_t check_image(const Beat<P>* image, const std::uint32_t (&expected)[header_words]) {
    std::uint32_t error = 0;
    UInt<8> bytes[4 * header_words];
    read_word<P, 4 * header_words>(image, 0, 0, bytes);
    for (int i = header_words - 1; i >= 0; --i) {
        const UInt<32> word = join(bytes[4 * i], bytes[4 * i + 1], bytes[4 * i + 2], bytes[4 * i + 3]);
        if (word != expected[i]) {
            error = i == header_magic ? error_magic : i == header_version ? error_version : error_build;
        }
    }
    return error;
}

}  // namespace hlsgen
