// SPDX-License-Identifier: Apache-2.0
// FIFOs between processes: hls::stream under Vitis HLS, and a model of it with its time elsewhere.
//
// The model is a FIFO of `depth` words behind the pipeline of the process that writes it. A word that an
// iteration writes leaves the pipeline `latency` iterations later. Is the FIFO full then, the whole pipeline
// waits, with all that is in it: so a process that is held up by one FIFO holds up the others that it writes.
// An iteration may read a FIFO once and write it once, as II=1 demands; the model ends the program otherwise.
#pragma once

#include "integers.hpp"

#if defined(__SYNTHESIS__) || defined(__VITIS_HLS__) || defined(HLSGEN_AP_INT)

#include <hls_stream.h>

namespace hlsgen {

template <class T>
using Stream = hls::stream<T>;

}  // namespace hlsgen

#else

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "clock.hpp"

namespace hlsgen {

/// Iterations that the pipelined loop of a process has begun, and cycles that it waited for a full FIFO or for
/// external memory.
struct Pipeline {
    std::int64_t iterations = 0;
    std::int64_t full = 0;
    std::int64_t memory = 0;
};

template <class T>
class Stream {
public:
    Stream(const char* name, Pipeline& producer, int depth, int latency)
        : name_(name), producer_(producer), depth_(depth), latency_(latency), words_(depth + latency + 1),
          due_(depth + latency + 1) {}

    bool empty() const { return arrived_ == 0; }

    T read() {
        once(empty() || read_at_ == cycle, "read");
        read_at_ = cycle;
        const T word = words_[first_];
        first_ = place(1);
        --arrived_;
        --size_;
        return word;
    }

    void write(const T& word) {
        once(wrote_at_ == cycle || size_ == static_cast<int>(words_.size()), "written");
        wrote_at_ = cycle;
        words_[place(size_)] = word;
        due_[place(size_)] = producer_.iterations + latency_;
        ++size_;
    }

    /// Whether the oldest word in the pipeline finds no room.
    bool blocked() const { return leaves() && arrived_ == depth_; }

    /// The oldest word in the pipeline leaves it, if it is time.
    void accept() {
        if (leaves()) {
            ++arrived_;
            most_ = arrived_ > most_ ? arrived_ : most_;
        }
    }

    /// Whether nothing is in the FIFO or on its way.
    bool drained() const { return size_ == 0; }

    const char* name() const { return name_; }
    int depth() const { return depth_; }
    int most() const { return most_; }

private:
    int place(int index) const {
        const int at = first_ + index, size = static_cast<int>(words_.size());
        return at >= size ? at - size : at;
    }

    bool leaves() const { return size_ > arrived_ && due_[place(arrived_)] <= producer_.iterations; }

    void once(bool wrong, const char* what) const {
        if (wrong) {
            std::fprintf(stderr, "hlsgen: %s must be %s once in an iteration, and only with room\n", name_, what);
            std::abort();
        }
        ++accesses;
    }

    const char* name_;
    Pipeline& producer_;
    int depth_, latency_;
    std::vector<T> words_;
    std::vector<std::int64_t> due_;
    int first_ = 0, arrived_ = 0, size_ = 0, most_ = 0;
    std::int64_t read_at_ = -1, wrote_at_ = -1;
};

}  // namespace hlsgen

#endif
