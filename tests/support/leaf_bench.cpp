// SPDX-License-Identifier: Apache-2.0
// Clocks the leaves: every vector of the stimulus file stands at the inputs for `hold` cycles, `first` is high in
// its first one, and the outputs after cycle `phase` go to the response file.
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <vector>

#include "Vleaves.h"

int main(int argc, char** argv) {
    if (argc != 5) return 2;
    const int hold = std::atoi(argv[3]), phase = std::atoi(argv[4]);
    std::ifstream input(argv[1], std::ios::binary);
    const std::vector<char> vectors((std::istreambuf_iterator<char>(input)), std::istreambuf_iterator<char>());
    std::ofstream output(argv[2], std::ios::binary);
    VerilatedContext context;
    Vleaves leaves{&context};
    leaves.rst = 0;
    for (size_t at = 0; at + sizeof(leaves.stimulus) <= vectors.size(); at += sizeof(leaves.stimulus)) {
        std::memcpy(&leaves.stimulus, vectors.data() + at, sizeof(leaves.stimulus));
        for (int cycle = 0; cycle < hold; ++cycle) {
            leaves.first = cycle == 0;
            leaves.clk = 0;
            leaves.eval();
            leaves.clk = 1;
            leaves.eval();
            if (cycle == phase) output.write(reinterpret_cast<const char*>(&leaves.response), sizeof(leaves.response));
        }
    }
    return output.good() ? 0 : 1;
}
