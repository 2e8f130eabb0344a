// SPDX-License-Identifier: Apache-2.0
// External memory: hls::burst_maxi under Vitis HLS, and a model of it with its time elsewhere.
//
// A process asks for a burst before it takes the burst's beats, so the next burst's latency passes meanwhile.
// The model gives the first beat `memory_latency` cycles after its request, then a beat in each cycle.
#pragma once

#if defined(__SYNTHESIS__) || defined(__VITIS_HLS__)

#include <hls_burst_maxi.h>

namespace hlsgen {

template <class T>
using Port = hls::burst_maxi<T>;

}  // namespace hlsgen

#else

#include <cstddef>
#include <cstdint>

#include "clock.hpp"
#include "schedule.hpp"

namespace hlsgen {

template <class T>
class Port {
public:
    Port(T* memory) : memory_(memory) {}

    void read_request(std::size_t first, std::size_t count) {
        reads_[asked_ % most] = {first, count, cycle + memory_latency};
        ++asked_;
        ++accesses;
    }

    T read() {
        Burst& burst = reads_[given_ % most];
        const T beat = memory_[burst.at++];
        if (--burst.left == 0) {
            ++given_;
        }
        ++accesses;
        return beat;
    }

    void write_request(std::size_t first, std::size_t) {
        writes_ = first;
        ++accesses;
    }

    void write(const T& beat) {
        memory_[writes_++] = beat;
        answered_ = cycle + memory_latency;
        ++accesses;
    }

    void write_response() { ++accesses; }

    /// Whether `read` would wait for its beat, `write_response` for the memory's answer.
    bool late() const { return asked_ == given_ || reads_[given_ % most].due > cycle; }
    bool unanswered() const { return answered_ > cycle; }

private:
    struct Burst {
        std::size_t at, left;
        std::int64_t due;
    };
    T* memory_;
    static constexpr int most = 2;  // requests that no process exceeds
    Burst reads_[most] = {};
    int asked_ = 0, given_ = 0;
    std::size_t writes_ = 0;
    std::int64_t answered_ = 0;
};

}  // namespace hlsgen

#endif
