// SPDX-License-Identifier: Apache-2.0
// The time of the model: cycles since the processes began, and accesses of FIFOs and of external memory.
#pragma once

#include <cstdint>

namespace hlsgen {

inline std::int64_t cycle = 0;
inline std::int64_t accesses = 0;

}  // namespace hlsgen
