// SPDX-License-Identifier: Apache-2.0
// External memory: regions, bursts under way, and what holds them up or goes wrong.
#pragma once

#include <cstdint>
#include <cstring>
#include <vector>

#include "arguments.hpp"

constexpr uint64_t kImage = 0x100000000, kInput = 0x200000000, kOutput = 0x300000000,
                   kWorkspace = 0x400000000;
constexpr unsigned kOkay = 0, kSlaveError = 2, kDecodeError = 3, kMaxBursts = 64;

// Ports of any width as bytes, low byte first.
template <class Port>
void put(Port& port, const uint8_t* data, size_t size) {
    std::memcpy(&port, data, size);
}
template <class Port>
void get(const Port& port, uint8_t* data, size_t size) {
    std::memcpy(data, &port, size);
}

struct Random {
    uint64_t state;
    bool chance(uint64_t in1024) {
        if (!in1024) return false;
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        return (state >> 20 & 1023) < in1024;
    }
};

struct Region {
    uint64_t base;
    std::vector<uint8_t> data;
    bool writable;
};

struct Burst {
    uint64_t address;
    unsigned beats;
    uint64_t when;
};

// Gives out at most `rate` beats in 1024 cycles.
struct Throttle {
    uint64_t rate, credit = 1024;
    bool step() {
        credit = credit + rate > 2048 ? 2048 : credit + rate;
        return credit >= 1024;
    }
    void take() { credit -= 1024; }
};

// What goes wrong with an image, and when; -1: nothing.
struct Fault {
    int64_t readError = -1, writeError = -1, silent = -1, abort = -1, reset = -1;
    int64_t imageOffset = 0, imageBytes = -1, imageLimit = -1, windowBytes = 0;
    unsigned response = kSlaveError;

    static Fault of(const Options& o) {
        Fault f;
        f.readError = o.number("read_error", -1), f.writeError = o.number("write_error", -1);
        f.silent = o.number("silent", -1), f.abort = o.number("abort", -1);
        f.reset = o.number("reset", -1);
        f.imageOffset = o.number("image_offset", 0), f.imageBytes = o.number("image_bytes", -1);
        f.windowBytes = o.number("window_bytes", 0), f.imageLimit = o.number("faulty_limit", -1);
        f.response = static_cast<unsigned>(o.number("response", kSlaveError));
        return f;
    }
};
