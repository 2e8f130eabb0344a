// SPDX-License-Identifier: Apache-2.0
// What the harness is told on its command line, and the files that this names.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

[[noreturn]] inline void fail(int code, const std::string& message) {
    std::fprintf(stderr, "harness: %s\n", message.c_str());
    std::exit(code);
}

inline std::vector<uint8_t> load(const std::string& path) {
    FILE* file = std::fopen(path.c_str(), "rb");
    if (!file) fail(2, "can't read " + path);
    std::fseek(file, 0, SEEK_END);
    std::vector<uint8_t> data(static_cast<size_t>(std::ftell(file)));
    std::rewind(file);
    if (std::fread(data.data(), 1, data.size(), file) != data.size()) fail(2, "can't read " + path);
    std::fclose(file);
    return data;
}

inline FILE* create(const std::string& path) {
    FILE* file = std::fopen(path.c_str(), "wb");
    if (!file) fail(2, "can't write " + path);
    return file;
}

struct Options {
    std::map<std::string, std::string> values;
    std::string text(const std::string& name) const {
        auto found = values.find(name);
        return found == values.end() ? "" : found->second;
    }
    int64_t number(const std::string& name, int64_t otherwise) const {
        auto found = values.find(name);
        return found == values.end() ? otherwise : std::strtoll(found->second.c_str(), nullptr, 0);
    }
};
