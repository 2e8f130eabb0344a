// SPDX-License-Identifier: Apache-2.0
// What a host does with an image: start it, wait for it, abort it, read what it took.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "machine.hpp"
#include "registers.hpp"

inline void forget(Machine& machine) {
    machine.readBeats = machine.writeBeats = machine.records = machine.faulted = machine.strays = 0;
    machine.completions.clear();
}

// The host's registers for one image, and its start.
inline void start(Machine& machine, const Options& o, uint64_t input = kInput, uint64_t output = kOutput) {
    const Fault& fault = machine.fault;
    const size_t size = machine.regions[0].data.size();
    machine.write64(hlsgen::register_image_base, kImage + static_cast<uint64_t>(fault.imageOffset));
    machine.write(hlsgen::register_image_bytes, static_cast<uint32_t>(fault.imageBytes < 0 ? size : fault.imageBytes));
    machine.write64(hlsgen::register_input_base, input);
    machine.write64(hlsgen::register_output_base, output);
    machine.write64(hlsgen::register_window_base, kImage);
    machine.write(hlsgen::register_window_bytes, static_cast<uint32_t>(fault.windowBytes));
    if (machine.regions.size() > 3) machine.write64(hlsgen::register_workspace_base, kWorkspace);
    machine.write(hlsgen::register_watchdog, static_cast<uint32_t>(o.number("watchdog", hlsgen::watchdog_cycles)));
    machine.write(hlsgen::register_limit, static_cast<uint32_t>(fault.imageLimit < 0 ? o.number("image_limit", 0) : fault.imageLimit));
    const int64_t task = o.number("task", 0) + machine.images++ * o.number("task_step", 0);
    machine.write(hlsgen::register_task, static_cast<uint32_t>(task % o.number("tasks", 1 << 16)));
    machine.write(hlsgen::register_control, hlsgen::control_start);
}

// Until the interrupt, or until the reset that the fault asks for; whether there was one of the two in time.
inline bool wait(Machine& machine, const Options& o) {
    const Fault& fault = machine.fault;
    const uint64_t limit = o.number("limit", 1ll << 40);
    for (bool aborted = false; !machine.interrupt();) {
        const int64_t passed = static_cast<int64_t>(machine.cycle - machine.started);
        if (fault.abort >= 0 && passed >= fault.abort && !aborted) {
            machine.markFault();
            machine.write(hlsgen::register_control, hlsgen::control_abort), aborted = true;
        } else if (fault.reset >= 0 && passed >= fault.reset) {
            machine.markFault();
            machine.reset();
            return true;
        } else {
            machine.tick();
        }
        if (machine.cycle - machine.started > limit) return false;
    }
    return true;
}

// The host gives up; the machine must come back.
inline void abort(Machine& machine, uint64_t limit) {
    machine.write(hlsgen::register_control, hlsgen::control_abort);
    for (uint64_t left = limit; !machine.interrupt(); --left) {
        if (!left) fail(3, "no answer to an abort after " + std::to_string(limit) + " cycles");
        machine.tick();
    }
}

// Status, error and counters of what ended, which is then cleared.
inline void report(Machine& machine, const Options& o, uint64_t took, bool answered, FILE* counters) {
    std::vector<uint64_t> row = {answered ? machine.read(hlsgen::register_status) : 0,
                                 machine.read(hlsgen::register_error)};
    for (unsigned address : hlsgen::counters) row.push_back(machine.read(address));
    const uint64_t fault = machine.faulted ? machine.faulted - machine.started : 0;
    for (uint64_t seen : {machine.readBeats, machine.writeBeats, machine.records, took, fault, machine.strays})
        row.push_back(seen);
    for (int64_t expert = 0; expert < o.number("experts", 0); ++expert) {
        machine.write(hlsgen::register_expert, static_cast<uint32_t>(expert));
        for (unsigned address : hlsgen::expert_counters) row.push_back(machine.read(address));
    }
    machine.write(hlsgen::register_control, hlsgen::control_clear);
    std::fwrite(row.data(), sizeof row[0], row.size(), counters);
    std::fflush(counters);  // who waits counts the rows
}
