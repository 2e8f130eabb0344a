// SPDX-License-Identifier: Apache-2.0
// The Image's header: it must be the one of the program that this machine was generated for.
#pragma once

#include <cstdint>

#include "streams.hpp"

namespace hlsgen {

/// Error codes of the top function, those of the RTL's error register.
constexpr std::uint32_t error_magic = 1;
constexpr std::uint32_t error_version = 2;
constexpr std::uint32_t error_foreign = 3;
constexpr std::uint32_t error_task = 13;

constexpr int header_words = 16;

/// 0 or an error code. Word 0 is the magic number, word 1 the version; the others hold the build id, the
/// layout and the checksum, so that an Image made for other commands is refused.
template <class P>
std::uint32_t check_image(const Beat<P>* image, const std::uint32_t (&expected)[header_words]) {
    std::uint32_t error = 0;
    UInt<8> bytes[64];
    read_word<P, 64>(image, 0, 0, bytes);
    for (int i = header_words - 1; i >= 0; --i) {
        const UInt<32> word = join(bytes[4 * i], bytes[4 * i + 1], bytes[4 * i + 2], bytes[4 * i + 3]);
        if (word != expected[i]) {
            error = i == 0 ? error_magic : i == 1 ? error_version : error_foreign;
        }
    }
    return error;
}

}  // namespace hlsgen
