// SPDX-License-Identifier: Apache-2.0
// Runs the system until its processor says that it is done.
//
// Usage: system +firmware=FILE WORDS LIMIT    words that the processor hands over go to WORDS, letters to stdout
// Exit code 0: done, with code 0. 1: done with another code, which stderr tells. 3: not done within LIMIT cycles.

#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "Vsystem.h"
#include "verilated.h"

int main(int argc, char** argv) {
    constexpr uint64_t kReset = 8;
    if (argc != 4) return 2;
    FILE* words = std::fopen(argv[2], "wb");
    if (!words) return 2;
    const uint64_t limit = std::strtoull(argv[3], nullptr, 10);
    Verilated::commandArgs(argc, argv);
    Vsystem system;
    for (uint64_t cycle = 0; !system.finished; ++cycle) {
        if (cycle == limit) return std::fprintf(stderr, "system: not done in %s cycles\n", argv[3]), 3;
        system.rst = cycle < kReset;
        system.clk = 0;
        system.eval();
        if (system.letter_valid && !system.rst) std::putchar(system.letter);
        const uint32_t word = system.word;
        if (system.word_valid && !system.rst) std::fwrite(&word, sizeof word, 1, words);
        system.clk = 1;
        system.eval();
    }
    std::fclose(words);
    std::fflush(stdout);
    if (system.code) std::fprintf(stderr, "system: ended with code %u\n", unsigned(system.code));
    return system.code != 0;
}
