// SPDX-License-Identifier: Apache-2.0
// Runs whole images on the accelerator: external memory, host and trace recorder around the Verilated top.
//
// Usage: harness name=value...
//   image, inputs, outputs, counters, trace   file names (trace only where the top has trace ports)
//   samples, input_bytes, output_bytes        inputs holds `samples` inputs of `input_bytes`
//   workspace_bytes                           memory for keys and values, where attention is streamed
//   latency                                   cycles from AR to the first beat, and from the last W to B
//   rate                                      beats per 1024 cycles and direction at most
//   stall, seed                               chance in 1024 that a ready or valid is held back in a cycle
//   read_error, write_error, response         beats before the one that gets this error response, -1 for none
//   silent                                    beats after which reads are no longer answered
//   abort, reset                              cycles from the start to the host's abort, or to a reset
//   image_offset, image_bytes, window_bytes,
//   faulty_limit                              what the host writes instead of the right addresses
//   other_image                               file of the Image that lies in memory instead of the right one
//   faults                                    images, from the first, that all this is for (default: all)
//   watchdog, image_limit                     cycles: the machine's registers
//   limit                                     cycles until the harness gives up
//   queue                                     1: all samples wait in the machine's queue, as far as it has room, each with
//                                             an output of its own
//   damaged                                   file of Images, each as large as `image`: every one of them is run on
//                                             the first input, without a trace, and after it the right one
//
// `counters` gets per image, in words of 64 bits: status, error, the machine's counters, beats read and written, trace
// records, cycles from the start to the interrupt and to the fault, and beats written where nothing may be written;
// then the counters of each of `experts`. Of a queue: the same once, for all of it, then the images that were completed,
// and of each of these the cycle from the first start and the trace records so far. Of a damaged Image without an answer
// within the limit, which is then aborted, the status is 0.
// Exit code 3: no interrupt within the limit; 4: the top broke a rule of AXI.

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "host.hpp"

namespace {

// What lies in memory for one run, and whether the machine may leave it without an answer.
struct Case {
    const std::vector<uint8_t>& image;
    const uint8_t* input;
    bool damaged;
};

void runOne(Machine& machine, const Options& o, const Case& what, FILE* outputs, FILE* counters) {
    const size_t input = o.number("input_bytes", 0), output = o.number("output_bytes", 0);
    machine.regions[0].data = what.image;
    std::memcpy(machine.regions[1].data.data(), what.input, input);
    std::fill(machine.regions[2].data.begin(), machine.regions[2].data.end(), 0xEE);
    forget(machine);
    start(machine, o);
    machine.started = machine.cycle;
    const bool answered = wait(machine, o);
    const uint64_t took = machine.cycle - machine.started;
    const uint64_t limit = o.number("limit", 1ll << 40);
    if (!answered && !what.damaged) fail(3, "no answer after " + std::to_string(limit) + " cycles");
    if (!answered) abort(machine, limit);
    machine.fault = Fault();
    report(machine, o, took, answered, counters);
    std::fwrite(machine.regions[2].data.data(), 1, output, outputs);
}

// The samples, of which the first ones meet the fault.
void runSamples(Machine& machine, const Options& o, const std::vector<uint8_t>& inputs, FILE* outputs, FILE* counters) {
    const std::vector<uint8_t> image = load(o.text("image"));
    const std::vector<uint8_t> other = o.text("other_image").empty() ? image : load(o.text("other_image"));
    const size_t samples = o.number("samples", 1), input = o.number("input_bytes", 0);
    if (inputs.size() < samples * input) fail(2, "inputs are too short");
    for (size_t index = 0; index < samples; ++index) {
        const bool faulty = index < static_cast<size_t>(o.number("faults", 1ll << 40));
        machine.fault = faulty ? Fault::of(o) : Fault();
        runOne(machine, o, {faulty ? other : image, inputs.data() + index * input, false}, outputs, counters);
    }
}

// All samples in the machine's queue, until the last one is done or one of them fails.
void runQueue(Machine& machine, const Options& o, const std::vector<uint8_t>& inputs, FILE* outputs, FILE* counters) {
    const uint64_t samples = o.number("samples", 1), input = o.number("input_bytes", 0), output = o.number("output_bytes", 0);
    machine.regions[0].data = load(o.text("image"));
    machine.regions[1].data = inputs;
    machine.regions[2].data.assign(samples * output, 0xEE);
    machine.fault = Fault::of(o);
    forget(machine);
    const uint32_t before = machine.read(hlsgen::register_completed);
    uint64_t sent = 0, done = 0, asked = 0, status = 0;
    bool aborted = false;
    while (done < samples && !(status & hlsgen::status_error)) {
        const int64_t passed = static_cast<int64_t>(machine.cycle - machine.started);
        if (machine.interrupt()) {
            machine.write(hlsgen::register_control, hlsgen::control_acknowledge);
            status = machine.read(hlsgen::register_status);
            done = static_cast<uint32_t>(machine.read(hlsgen::register_completed) - before);
            asked = 0;
        } else if (sent && machine.fault.abort >= 0 && passed >= machine.fault.abort && !aborted) {
            machine.write(hlsgen::register_control, hlsgen::control_abort), aborted = true;
        } else if (sent < samples && machine.cycle >= asked && machine.read(hlsgen::register_room)) {
            start(machine, o, kInput + sent * input, kOutput + sent * output);
            if (!sent++) machine.started = machine.cycle;
        } else {
            if (machine.cycle >= asked) asked = machine.cycle + 64;
            machine.tick();
        }
        if (sent && passed > o.number("limit", 1ll << 40)) fail(3, "no answer within the limit");
    }
    machine.fault = Fault();
    const std::vector<Machine::Completion> completions(machine.completions.begin(), machine.completions.begin() + done);
    report(machine, o, machine.completions.back().cycle, true, counters);
    std::fwrite(&done, sizeof done, 1, counters);
    std::fwrite(completions.data(), sizeof completions[0], completions.size(), counters);
    std::fwrite(machine.regions[2].data.data(), 1, samples * output, outputs);
}

void runDamaged(Machine& machine, const Options& o, const std::vector<uint8_t>& inputs, FILE* outputs, FILE* counters) {
    const std::vector<uint8_t> image = load(o.text("image")), all = load(o.text("damaged"));
    FILE* trace = machine.trace;
    for (size_t at = 0; at + image.size() <= all.size(); at += image.size()) {
        const std::vector<uint8_t> one(all.begin() + at, all.begin() + at + image.size());
        machine.trace = nullptr;
        runOne(machine, o, {one, inputs.data(), true}, outputs, counters);
        machine.trace = trace;
        runOne(machine, o, {image, inputs.data(), false}, outputs, counters);
    }
}

}  // namespace

int main(int argc, char** argv) {
    Options o;
    for (int i = 1; i < argc; ++i) {
        const std::string argument = argv[i];
        const size_t split = argument.find('=');
        if (split == std::string::npos) fail(2, "arguments must be name=value, not " + argument);
        o.values[argument.substr(0, split)] = argument.substr(split + 1);
    }
    const std::vector<uint8_t> inputs = load(o.text("inputs"));
    const size_t input = o.number("input_bytes", 0);
    Machine machine(o);
    machine.regions.push_back({kImage, {}, false});
    machine.regions.push_back({kInput, std::vector<uint8_t>(input), false});
    machine.regions.push_back({kOutput, std::vector<uint8_t>(o.number("output_bytes", 0)), true});
    const size_t workspace = o.number("workspace_bytes", 0);
    if (workspace) machine.regions.push_back({kWorkspace, std::vector<uint8_t>(workspace, 0xDD), true});
    FILE* outputs = create(o.text("outputs"));
    FILE* counters = create(o.text("counters"));
    if (!o.text("trace").empty()) machine.trace = create(o.text("trace"));
    auto* const way = o.number("queue", 0) ? runQueue : o.text("damaged").empty() ? runSamples : runDamaged;
    way(machine, o, inputs, outputs, counters);
    std::fclose(outputs);
    std::fclose(counters);
    if (machine.trace) std::fclose(machine.trace);
    return 0;
}
