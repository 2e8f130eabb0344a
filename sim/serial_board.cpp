// SPDX-License-Identifier: Apache-2.0
// A board at its pins: clocks it, and carries bytes between a terminal, the host's serial port, and its serial lines.
// A board that rests waits for the host, so time goes on only while there is something to do.
//
//   board BIT LIMIT    cycles of a bit; cycles that a board may be busy without moving its line
//
// Built with CLOCK and LIGHTS, the board's ports, and LOW, 1 where a 0 lights a light.
#include <poll.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>

#include "Vboard.h"

namespace {

constexpr int kTerminal = 0, kHostMilliseconds = 300000, kAnswerMilliseconds = 5000;
constexpr int kDataBits = 8, kRestBits = 20;
constexpr int kBusyLight = 1;  // on while an image runs or is answered
enum Exit { kHostGone = 0, kUsage = 2, kNoAnswer = 3, kNoStopBit = 4 };

struct Line {
    unsigned shift = 0;
    int left = 0;     // bits still to come
    double next = 0;  // when the next one begins, or is looked at
};

class Board {
public:
    Board(double bit, uint64_t limit) : bit_(bit), limit_(limit) { pins_.uart_rx = 1; }

    Exit run() {
        for (;; ++cycle_) {
            if (!host_.left && at_ == queued_ && rests() && !wait_for_host()) return ended_;
            if (cycle_ > active_ + limit_) return kNoAnswer;
            send();
            pins_.CLOCK = 0;
            pins_.eval();
            pins_.CLOCK = 1;
            pins_.eval();
            if (!receive()) return ended_;
        }
    }

private:
    bool rests() const {
        return !board_.left && !((pins_.LIGHTS >> kBusyLight ^ LOW) & 1) && cycle_ > active_ + kRestBits * bit_;
    }

    bool wait_for_host() {
        pollfd terminal{kTerminal, POLLIN, 0};
        // A host that waits for an answer sends no more.
        ended_ = poll(&terminal, 1, asked_ ? kAnswerMilliseconds : kHostMilliseconds) ? kHostGone : kNoAnswer;
        queued_ = ended_ == kHostGone ? read(kTerminal, queue_, sizeof queue_) : 0;
        at_ = 0;
        active_ = cycle_;
        return queued_ > 0;
    }

    void send() {
        if (host_.left && cycle_ >= host_.next) {
            active_ = cycle_;
            pins_.uart_rx = host_.shift & 1;
            host_.shift >>= 1;
            host_.next += bit_;
            --host_.left;
        }
        if (!host_.left && at_ < queued_ && cycle_ >= host_.next) {
            asked_ = true;
            // The start bit now; then the data, the stop bit, and the line as it rests.
            pins_.uart_rx = 0;
            host_ = {3u << kDataBits | queue_[at_++], kDataBits + 2, cycle_ + bit_};
        }
    }

    bool receive() {
        if (!board_.left && !pins_.uart_tx && cycle_ > kRestBits) {
            board_ = {0, kDataBits + 1, cycle_ + 1.5 * bit_};
        } else if (board_.left && cycle_ >= board_.next) {
            active_ = cycle_;
            board_.shift |= unsigned(pins_.uart_tx) << (kDataBits + 1 - board_.left);
            board_.next += bit_;
            if (--board_.left == 0) return deliver();
        }
        return true;
    }

    bool deliver() {
        const unsigned char byte = board_.shift & 0xff;
        asked_ = false;
        ended_ = board_.shift >> kDataBits & 1 ? kHostGone : kNoStopBit;
        return ended_ == kHostGone && write(kTerminal, &byte, 1) == 1;
    }

    Vboard pins_;
    const double bit_;
    const uint64_t limit_;
    uint64_t cycle_ = 0, active_ = 0;
    unsigned char queue_[4096];
    ssize_t queued_ = 0, at_ = 0;
    Line host_, board_;
    bool asked_ = false;
    Exit ended_ = kHostGone;
};

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) return kUsage;
    return Board(std::atof(argv[1]), std::strtoull(argv[2], nullptr, 10)).run();
}
