// SPDX-License-Identifier: Apache-2.0
// Clocks RTL and netlist with one stimulus: a record of the file for each cycle, its last word the reset. What both
// give before each edge goes to the response file.
#include <cstring>
#include <fstream>
#include <iterator>
#include <vector>

#include "Vbench.h"

int main(int argc, char** argv) {
    if (argc != 3) return 2;
    std::ifstream input(argv[1], std::ios::binary);
    const std::vector<char> records((std::istreambuf_iterator<char>(input)), std::istreambuf_iterator<char>());
    std::ofstream output(argv[2], std::ios::binary);
    VerilatedContext context;
    Vbench bench{&context};
    const size_t size = sizeof(bench.stimulus);
    for (size_t at = 0; at + size + 4 <= records.size(); at += size + 4) {
        std::memcpy(&bench.stimulus, records.data() + at, size);
        bench.rst = records[at + size];
        bench.clk = 0;
        bench.eval();
        output.write(reinterpret_cast<const char*>(&bench.rtl), sizeof(bench.rtl));
        output.write(reinterpret_cast<const char*>(&bench.netlist), sizeof(bench.netlist));
        bench.clk = 1;
        bench.eval();
    }
    return output.good() ? 0 : 1;
}
