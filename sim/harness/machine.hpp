// SPDX-License-Identifier: Apache-2.0
// The Verilated top with its clock, and what is around it: memory, the host's bus, the trace recorder.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "Vtop.h"
#include "interface.hpp"
#include "memory.hpp"
#include "verilated.h"

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
