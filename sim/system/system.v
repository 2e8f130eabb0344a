// SPDX-License-Identifier: Apache-2.0
// A system with the accelerator: a PicoRV32, memory, and a cache between them that nobody keeps coherent.
//
//   0x0000_0000  memory; the processor sees `cache`, the accelerator `memory`, both the whole of it. A line of 64
//                bytes moves between them when the processor says so, as its driver's flush and invalidate do.
//   0x1000_0000  devices: see `device` below
//   0x4000_0000  the accelerator's registers, behind AXI4-Lite
//
// The accelerator sees the memory at BASE, over AXI4; elsewhere is nothing, and an error response says so.
module system #(parameter BUS = 16, parameter WORDS = 65536, parameter [63:0] BASE = 64'h1_0000_0000) (
  input clk, input rst,
  output letter_valid, output [7:0] letter,
  output word_valid, output [31:0] word,
  output reg finished, output reg [31:0] code
);
  localparam BITS = $clog2(WORDS);
  localparam LINE = 16;  // words
  localparam OKAY = 2'd0, SLAVE_ERROR = 2'd2, DECODE_ERROR = 2'd3;

  reg [31:0] cache [0:WORDS-1];
  reg [31:0] memory [0:WORDS-1];
  reg [8*256-1:0] firmware;
  initial if ($value$plusargs("firmware=%s", firmware)) $readmemh(firmware, cache);

  // The processor.
  wire valid, irq, instruction, trap;
  wire [31:0] address, write;
  wire [3:0] strobe;
  wire ready;
  wire [31:0] read;
  picorv32 #(.ENABLE_FAST_MUL(1), .ENABLE_DIV(1), .BARREL_SHIFTER(1), .STACKADDR(4 * WORDS), .PROGADDR_RESET(0)) processor (
    .clk(clk), .resetn(!rst), .trap(trap), .mem_valid(valid), .mem_instr(instruction), .mem_ready(ready), .mem_addr(address),
    .mem_wdata(write), .mem_wstrb(strobe), .mem_rdata(read), .irq(32'b0)
  );

  wire in_memory = address[31:28] == 0 && address[27:2] < WORDS;
  wire in_device = address[31:28] == 1, in_registers = address[31:28] == 4;
  wire [BITS-1:0] place = address[2 +: BITS];
  wire device = valid && in_device && |strobe;
  assign letter_valid = device && address[7:0] == 8'h00, letter = write[7:0];
  assign word_valid = device && address[7:0] == 8'h08, word = write;
  reg [2:0] faults;  // read errors, write errors, silence
  reg [31:0] cycles;

  // Its accesses to memory and devices wait for nothing, those to registers for AXI4-Lite.
  reg awvalid, wvalid, arvalid, asked;
  wire awready, wready, arready, bvalid, rvalid;
  wire [1:0] bresp, rresp;
  wire [31:0] rdata;
  reg answered;
  reg [31:0] value;
  assign ready = in_registers ? answered : valid;
  assign read = in_memory ? cache[place] : in_device ? cycles : value;
  integer i;
  always @(posedge clk) begin
    answered <= 0;
    cycles <= cycles + 1;
    if (rst) begin
      {awvalid, wvalid, arvalid, asked, finished, faults} <= 0;
      code <= 0;
      cycles <= 0;
    end else begin
      if (valid && in_memory)
        for (i = 0; i < 4; i = i + 1) if (strobe[i]) cache[place][8*i +: 8] <= write[8*i +: 8];
      if (device) case (address[7:0])
        8'h04: {finished, code} <= {1'b1, write};
        8'h0c: faults <= write[2:0];
        8'h10: for (i = 0; i < LINE; i = i + 1) memory[{write[BITS+1:6], 4'b0} + i] <= cache[{write[BITS+1:6], 4'b0} + i];
        8'h14: for (i = 0; i < LINE; i = i + 1) cache[{write[BITS+1:6], 4'b0} + i] <= memory[{write[BITS+1:6], 4'b0} + i];
        default: ;
      endcase
      if (valid && in_registers && !asked && !answered) begin
        asked <= 1;
        {awvalid, wvalid, arvalid} <= {|strobe, |strobe, ~|strobe};
      end
      if (awvalid && awready) awvalid <= 0;
      if (wvalid && wready) wvalid <= 0;
      if (arvalid && arready) arvalid <= 0;
      if (asked && (bvalid || rvalid)) begin
        asked <= 0;
        answered <= 1;
        value <= rdata;
      end
      // A jump into nowhere, an illegal instruction, a register that answers with an error.
      if (trap || (valid && !in_memory && !in_device && !in_registers) || (bvalid && |bresp) || (rvalid && |rresp))
        {finished, code} <= {1'b1, 32'hffff_ffff};
    end
  end

  // The accelerator's memory: one burst at a time in each direction.
  wire [63:0] araddr, awaddr;
  wire [7:0] arlen;
  wire [8*BUS-1:0] m_wdata, m_rdata;
  wire [BUS-1:0] m_wstrb;
  wire m_arvalid, m_rready, m_awvalid, m_wvalid, m_wlast, m_bready;
  reg [63:0] from, to;
  reg [7:0] left;
  reg reading, writing, answering;
  reg [1:0] answer;
  wire silent = faults[2];
  wire known_from = from >= BASE && from < BASE + 4 * WORDS, known_to = to >= BASE && to < BASE + 4 * WORDS;
  wire takes = writing && !silent, gives = reading && !silent;
  genvar n;
  generate for (n = 0; n < BUS / 4; n = n + 1) begin : lane
    assign m_rdata[32*n +: 32] = memory[from[2 +: BITS] + n];
    integer b;
    always @(posedge clk) if (takes && m_wvalid && known_to && !faults[1])
      for (b = 0; b < 4; b = b + 1)
        if (m_wstrb[4*n + b]) memory[to[2 +: BITS] + n][8*b +: 8] <= m_wdata[32*n + 8*b +: 8];
  end endgenerate
  always @(posedge clk)
    if (rst) {reading, writing, answering} <= 0;
    else begin
      if (!reading && m_arvalid && !silent) begin
        reading <= 1;
        from <= araddr;
        left <= arlen;
      end else if (gives && m_rready) begin
        from <= from + BUS;
        left <= left - 1;
        reading <= left != 0;
      end
      if (!writing && !answering && m_awvalid && !silent) begin
        writing <= 1;
        to <= awaddr;
        answer <= OKAY;
      end else if (takes && m_wvalid) begin
        to <= to + BUS;
        if (faults[1]) answer <= SLAVE_ERROR;
        else if (!known_to) answer <= DECODE_ERROR;
        if (m_wlast) {writing, answering} <= 2'b01;
      end
      if (answering && m_bready && !silent) answering <= 0;
    end

  top accelerator (
    .clk(clk), .rst(rst), .irq(irq),
    .s_axil_awaddr(address[7:0]), .s_axil_awvalid(awvalid), .s_axil_awready(awready),
    .s_axil_wdata(write), .s_axil_wstrb(strobe), .s_axil_wvalid(wvalid), .s_axil_wready(wready),
    .s_axil_bresp(bresp), .s_axil_bvalid(bvalid), .s_axil_bready(asked),
    .s_axil_araddr(address[7:0]), .s_axil_arvalid(arvalid), .s_axil_arready(arready),
    .s_axil_rdata(rdata), .s_axil_rresp(rresp), .s_axil_rvalid(rvalid), .s_axil_rready(asked),
    .m_axi_araddr(araddr), .m_axi_arlen(arlen), .m_axi_arsize(), .m_axi_arburst(),
    .m_axi_arvalid(m_arvalid), .m_axi_arready(!reading && !silent),
    .m_axi_rdata(m_rdata), .m_axi_rresp(!known_from ? DECODE_ERROR : faults[0] ? SLAVE_ERROR : OKAY),
    .m_axi_rlast(left == 0), .m_axi_rvalid(gives), .m_axi_rready(m_rready),
    .m_axi_awaddr(awaddr), .m_axi_awlen(), .m_axi_awsize(), .m_axi_awburst(),
    .m_axi_awvalid(m_awvalid), .m_axi_awready(!writing && !answering && !silent),
    .m_axi_wdata(m_wdata), .m_axi_wstrb(m_wstrb), .m_axi_wlast(m_wlast), .m_axi_wvalid(m_wvalid), .m_axi_wready(takes),
    .m_axi_bresp(answer), .m_axi_bvalid(answering && !silent), .m_axi_bready(m_bready)
  );
endmodule
