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

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "Vtop.h"
#include "interface.hpp"
#include "registers.hpp"
#include "verilated.h"

namespace {

constexpr uint64_t kImage = 0x100000000, kInput = 0x200000000, kOutput = 0x300000000,
                   kWorkspace = 0x400000000;
constexpr unsigned kOkay = 0, kSlaveError = 2, kDecodeError = 3, kMaxBursts = 64;

[[noreturn]] void fail(int code, const std::string& message) {
    std::fprintf(stderr, "harness: %s\n", message.c_str());
    std::exit(code);
}

std::vector<uint8_t> load(const std::string& path) {
    FILE* file = std::fopen(path.c_str(), "rb");
    if (!file) fail(2, "can't read " + path);
    std::fseek(file, 0, SEEK_END);
    std::vector<uint8_t> data(static_cast<size_t>(std::ftell(file)));
    std::rewind(file);
    if (std::fread(data.data(), 1, data.size(), file) != data.size()) fail(2, "can't read " + path);
    std::fclose(file);
    return data;
}

FILE* create(const std::string& path) {
    FILE* file = std::fopen(path.c_str(), "wb");
    if (!file) fail(2, "can't write " + path);
    return file;
}

// Ports of any width as bytes, low byte first.
template <class Port>
void put(Port& port, const uint8_t* data, size_t size) {
    std::memcpy(&port, data, size);
}
template <class Port>
void get(const Port& port, uint8_t* data, size_t size) {
    std::memcpy(data, &port, size);
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

class Machine {
public:
    Machine(const Options& o)
        : latency_(o.number("latency", 32)),
          stall_(o.number("stall", 0)),
          random_{static_cast<uint64_t>(o.number("seed", 1)) * 0x9E3779B97F4A7C15u + 1},
          readRate_{static_cast<uint64_t>(o.number("rate", 1024))},
          writeRate_{static_cast<uint64_t>(o.number("rate", 1024))},
          top_(std::make_unique<Vtop>()) {
        reset();
    }

    // The whole system's reset: the memory forgets what was under way.
    void reset() {
        top_->rst = 1;
        reads_.clear(), writes_.clear(), answers_.clear();
        top_->m_axi_rvalid = top_->m_axi_bvalid = 0;
        readTaken_ = answerTaken_ = false;
        for (int i = 0; i < 4; ++i) tick();
        top_->rst = 0;
        tick();
    }

    ~Machine() { top_->final(); }

    std::vector<Region> regions;
    FILE* trace = nullptr;
    uint64_t cycle = 0, readBeats = 0, writeBeats = 0, records = 0, started = 0, faulted = 0, strays = 0;
    int64_t images = 0;
    Fault fault;
    // What was seen at each rise of the interrupt.
    struct Completion {
        uint64_t cycle, records;
    };
    std::vector<Completion> completions;

    void markFault() {
        if (!faulted) faulted = cycle;
    }

    bool interrupt() const { return top_->irq; }

    void write(unsigned address, uint32_t value) {
        top_->s_axil_awaddr = address;
        top_->s_axil_wdata = value;
        top_->s_axil_wstrb = 15;
        top_->s_axil_awvalid = top_->s_axil_wvalid = top_->s_axil_bready = 1;
        for (bool address_taken = false, data_taken = false; !address_taken || !data_taken;) {
            tick();
            if (hostSample_.awready) top_->s_axil_awvalid = 0, address_taken = true;
            if (hostSample_.wready) top_->s_axil_wvalid = 0, data_taken = true;
        }
        while (!hostSample_.bvalid) tick();
        top_->s_axil_bready = 0;
    }

    void write64(unsigned address, uint64_t value) {
        write(address, static_cast<uint32_t>(value));
        write(address + 4, static_cast<uint32_t>(value >> 32));
    }

    uint32_t read(unsigned address) {
        top_->s_axil_araddr = address;
        top_->s_axil_arvalid = top_->s_axil_rready = 1;
        do {
            tick();
            if (hostSample_.arready) top_->s_axil_arvalid = 0;
        } while (!hostSample_.rvalid);
        top_->s_axil_rready = 0;
        return hostSample_.rdata;
    }

    // One clock cycle: settle, let the memory look, rise.
    void tick() {
        drive();
        top_->clk = 0;
        top_->eval();
        sample();
        top_->clk = 1;
        top_->eval();
        ++cycle;
    }

private:
    // What the memory offers in this cycle; nothing of it may change before the clock has risen.
    void drive() {
        if (readTaken_) top_->m_axi_rvalid = 0;
        if (answerTaken_) top_->m_axi_bvalid = 0;
        top_->m_axi_arready = reads_.size() < kMaxBursts && !random_.chance(stall_);
        top_->m_axi_awready = writes_.size() < kMaxBursts && !random_.chance(stall_);
        top_->m_axi_wready = !writes_.empty() && writeRate_.step() && !random_.chance(stall_);
        bool rate = readRate_.step();
        const bool silent = fault.silent >= 0 && readBeats >= static_cast<uint64_t>(fault.silent);
        if (silent) markFault();
        if (!silent && !top_->m_axi_rvalid && rate && !reads_.empty() && reads_.front().when <= cycle && !random_.chance(stall_))
            offerBeat();
        if (!top_->m_axi_bvalid && !answers_.empty() && answers_.front().when <= cycle && !random_.chance(stall_)) {
            top_->m_axi_bvalid = 1;
            top_->m_axi_bresp = answers_.front().beats;
        }
    }

    void offerBeat() {
        Burst& burst = reads_.front();
        static const uint8_t nothing[BUS_BYTES] = {};
        const uint8_t* data = find(burst.address, false);
        put(top_->m_axi_rdata, data ? data : nothing, BUS_BYTES);
        bool error = fault.readError >= 0 && readBeats == static_cast<uint64_t>(fault.readError);
        if (error) markFault();
        top_->m_axi_rresp = error ? fault.response : data ? kOkay : kDecodeError;
        top_->m_axi_rlast = burst.beats == 1;
        top_->m_axi_rvalid = 1;
    }

    void sample() {
        hostSample_ = {top_->s_axil_awready != 0, top_->s_axil_wready != 0, top_->s_axil_bvalid != 0,
                       top_->s_axil_arready != 0, top_->s_axil_rvalid != 0, top_->s_axil_rdata};
        if (top_->rst) return;
        if (top_->m_axi_arvalid && top_->m_axi_arready)
            reads_.push_back({check("read", top_->m_axi_araddr, top_->m_axi_arlen, top_->m_axi_arsize,
                                    top_->m_axi_arburst),
                              top_->m_axi_arlen + 1u, cycle + latency_});
        readTaken_ = top_->m_axi_rvalid && top_->m_axi_rready;
        if (readTaken_) {
            ++readBeats;
            readRate_.take();
            Burst& burst = reads_.front();
            burst.address += BUS_BYTES;
            if (--burst.beats == 0) reads_.pop_front();
        }
        sampleWrite();
        sampleTrace();
        if (top_->irq && !interrupted_) completions.push_back({cycle - started, records});
        interrupted_ = top_->irq;
    }

    void sampleWrite() {
        answerTaken_ = top_->m_axi_bvalid && top_->m_axi_bready;
        if (answerTaken_) answers_.pop_front();
        if (top_->m_axi_awvalid && top_->m_axi_awready)
            writes_.push_back({check("write", top_->m_axi_awaddr, top_->m_axi_awlen, top_->m_axi_awsize,
                                     top_->m_axi_awburst),
                               top_->m_axi_awlen + 1u, 0});
        if (!top_->m_axi_wvalid || !top_->m_axi_wready) return;
        if (writes_.empty()) fail(4, "write data came before their address");
        writeRate_.take();
        takeBeat();
    }

    void takeBeat() {
        Burst& burst = writes_.front();
        uint8_t data[BUS_BYTES];
        uint64_t strobes = 0;
        get(top_->m_axi_wdata, data, BUS_BYTES);
        std::memcpy(&strobes, &top_->m_axi_wstrb, sizeof top_->m_axi_wstrb);
        uint8_t* place = find(burst.address, true);
        if (!place && strobes) burst.when = kDecodeError, ++strays;
        if (fault.writeError >= 0 && writeBeats == static_cast<uint64_t>(fault.writeError))
            burst.when = fault.response, markFault();
        for (unsigned i = 0; place && i < BUS_BYTES; ++i)
            if (strobes >> i & 1) place[i] = data[i];
        ++writeBeats;
        burst.address += BUS_BYTES;
        bool last = --burst.beats == 0;
        if (last != static_cast<bool>(top_->m_axi_wlast)) fail(4, "wlast is wrong");
        if (!last) return;
        answers_.push_back({0, static_cast<unsigned>(burst.when), cycle + latency_});
        writes_.pop_front();
    }

    uint64_t check(const char* what, uint64_t address, unsigned length, unsigned size, unsigned burst) {
        uint64_t bytes = (length + 1ull) * BUS_BYTES;
        if (address % BUS_BYTES || address / 4096 != (address + bytes - 1) / 4096)
            fail(4, std::string(what) + " burst is unaligned or crosses 4 KiB");
        if (1u << size != BUS_BYTES || burst != 1) fail(4, std::string(what) + " burst is narrow or not INCR");
        return address;
    }

    uint8_t* find(uint64_t address, bool write) {
        for (Region& region : regions)
            if (address >= region.base && address - region.base + BUS_BYTES <= region.data.size())
                return write && !region.writable ? nullptr : &region.data[address - region.base];
        return nullptr;
    }

#if TRACE
    using TraceRecord = hlsgen::TraceRecord;
    // What the ports show of a word, without which port it was.
#define SHOWN(port) shown(top_->port##_command, top_->port##_kind, top_->port##_head, top_->port##_row, top_->port##_word)
    static TraceRecord shown(uint32_t command, uint32_t kind, uint32_t head, uint32_t row, uint32_t word) {
        TraceRecord record = {};
        record.command = command, record.kind = kind, record.head = head, record.row = row, record.word = word;
        return record;
    }
    // Row i of a group.
    void write_record(TraceRecord record, int which, unsigned i, const void* data) {
        record.which = static_cast<uint32_t>(which);
        record.row += i;
        record.cycle = static_cast<uint32_t>(cycle - started);
        unsigned char head[hlsgen::trace_head_bytes];
        pack(record, head);
        std::fwrite(head, sizeof head, 1, trace);
        std::fwrite(data, 2, COLUMNS, trace);
        ++records;
    }
    // Row i of a group's words.
    template <class Port>
    static const uint8_t* word(const Port& port, unsigned i) {
        return reinterpret_cast<const uint8_t*>(&port) + i * 2 * COLUMNS;
    }
    void sampleTrace() {
        if (!trace) return;
        for (unsigned i = 0; i < ROW_WIDTH; ++i)
            if (top_->trace_tile_valid >> i & 1)
                write_record(SHOWN(trace_tile), hlsgen::trace_tile_word, i, word(top_->trace_tile_data, i));
        for (unsigned i = 0; i < ROW_WIDTH; ++i)
            if (top_->trace_drain_valid >> i & 1)
                write_record(SHOWN(trace_drain), hlsgen::trace_drain_word, i, word(top_->trace_drain_data, i));
    }
#else
    void sampleTrace() {}
#endif

    struct HostSample {
        bool awready, wready, bvalid, arready, rvalid;
        uint32_t rdata;
    };

    uint64_t latency_, stall_;
    Random random_;
    Throttle readRate_, writeRate_;
    std::unique_ptr<Vtop> top_;
    HostSample hostSample_{};
    bool readTaken_ = false, answerTaken_ = false, interrupted_ = false;
    std::deque<Burst> reads_, writes_, answers_;  // an answer's `beats` is its response
};

void forget(Machine& machine) {
    machine.readBeats = machine.writeBeats = machine.records = machine.faulted = machine.strays = 0;
    machine.completions.clear();
}

// The host's registers for one image, and its start.
void start(Machine& machine, const Options& o, uint64_t input = kInput, uint64_t output = kOutput) {
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
bool wait(Machine& machine, const Options& o) {
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
void abort(Machine& machine, uint64_t limit) {
    machine.write(hlsgen::register_control, hlsgen::control_abort);
    for (uint64_t left = limit; !machine.interrupt(); --left) {
        if (!left) fail(3, "no answer to an abort after " + std::to_string(limit) + " cycles");
        machine.tick();
    }
}

// Status, error and counters of what ended, which is then cleared.
void report(Machine& machine, const Options& o, uint64_t took, bool answered, FILE* counters) {
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
}

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
