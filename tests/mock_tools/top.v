// SPDX-License-Identifier: Apache-2.0
// Stands in for the accelerator: the same ports and registers, but it only adds 1 to each int16 of eight beats.
// Every line about the trace has the word trace_ in it, so that a test can take them out.
module top(
    clk, rst, irq,
    s_axil_awaddr, s_axil_awvalid, s_axil_awready, s_axil_wdata, s_axil_wstrb, s_axil_wvalid, s_axil_wready,
    s_axil_bresp, s_axil_bvalid, s_axil_bready, s_axil_araddr, s_axil_arvalid, s_axil_arready,
    s_axil_rdata, s_axil_rresp, s_axil_rvalid, s_axil_rready,
    m_axi_araddr, m_axi_arlen, m_axi_arsize, m_axi_arburst, m_axi_arvalid, m_axi_arready,
    m_axi_rdata, m_axi_rresp, m_axi_rlast, m_axi_rvalid, m_axi_rready,
    trace_tile_valid, trace_tile_command, trace_tile_kind, trace_tile_head, trace_tile_row, trace_tile_word,
    trace_tile_data, trace_drain_valid, trace_drain_command, trace_drain_kind, trace_drain_head,
    trace_drain_row, trace_drain_word, trace_drain_data,
    m_axi_awaddr, m_axi_awlen, m_axi_awsize, m_axi_awburst, m_axi_awvalid, m_axi_awready,
    m_axi_wdata, m_axi_wstrb, m_axi_wlast, m_axi_wvalid, m_axi_wready, m_axi_bresp, m_axi_bvalid, m_axi_bready
);
  input clk;
  input rst;
  output irq;
  input [7:0] s_axil_awaddr;
  input s_axil_awvalid;
  output s_axil_awready;
  input [31:0] s_axil_wdata;
  input [3:0] s_axil_wstrb;
  input s_axil_wvalid;
  output s_axil_wready;
  output [1:0] s_axil_bresp;
  output s_axil_bvalid;
  input s_axil_bready;
  input [7:0] s_axil_araddr;
  input s_axil_arvalid;
  output s_axil_arready;
  output [31:0] s_axil_rdata;
  output [1:0] s_axil_rresp;
  output s_axil_rvalid;
  input s_axil_rready;
  output [63:0] m_axi_araddr;
  output [7:0] m_axi_arlen;
  output [2:0] m_axi_arsize;
  output [1:0] m_axi_arburst;
  output m_axi_arvalid;
  input m_axi_arready;
  input [63:0] m_axi_rdata;
  input [1:0] m_axi_rresp;
  input m_axi_rlast;
  input m_axi_rvalid;
  output m_axi_rready;
  output [63:0] m_axi_awaddr;
  output [7:0] m_axi_awlen;
  output [2:0] m_axi_awsize;
  output [1:0] m_axi_awburst;
  output m_axi_awvalid;
  input m_axi_awready;
  output [63:0] m_axi_wdata;
  output [7:0] m_axi_wstrb;
  output m_axi_wlast;
  output m_axi_wvalid;
  input m_axi_wready;
  input [1:0] m_axi_bresp;
  input m_axi_bvalid;
  output m_axi_bready;
  output trace_tile_valid;
  output [15:0] trace_tile_command;
  output [1:0] trace_tile_kind;
  output [7:0] trace_tile_head;
  output [15:0] trace_tile_row;
  output [15:0] trace_tile_word;
  output [63:0] trace_tile_data;
  output trace_drain_valid;
  output [15:0] trace_drain_command;
  output [1:0] trace_drain_kind;
  output [7:0] trace_drain_head;
  output [15:0] trace_drain_row;
  output [15:0] trace_drain_word;
  output [63:0] trace_drain_data;

  localparam BUILD_ID = 32'h_BUILD_ID_;
  localparam IDLE = 0, ASK = 1, TAKE = 2, OFFER = 3, GIVE = 4, ANSWER = 5;
  reg [2:0] state = IDLE;
  reg done = 0, accept_write = 0, accept_read = 0, write_done = 0, read_done = 0;
  reg [31:0] value = 0, cycles = 0;
  reg [63:0] source = 0, target = 0;
  reg [63:0] beats [0:7];
  reg [2:0] index = 0;

  assign irq = done;
  assign s_axil_awready = accept_write;
  assign s_axil_wready = accept_write;
  assign s_axil_bvalid = write_done;
  assign s_axil_bresp = 0;
  assign s_axil_arready = accept_read;
  assign s_axil_rvalid = read_done;
  assign s_axil_rdata = value;
  assign s_axil_rresp = 0;

  always @(posedge clk) begin
    accept_write <= s_axil_awvalid & s_axil_wvalid & ~accept_write & ~write_done;
    write_done <= accept_write | (write_done & ~s_axil_bready);
    accept_read <= s_axil_arvalid & ~accept_read & ~read_done;
    read_done <= accept_read | (read_done & ~s_axil_rready);
    if (accept_read)
      case (s_axil_araddr)
        8'h04: value <= {30'b0, done, state != IDLE};
        8'h40: value <= BUILD_ID;
        8'h48: value <= cycles;
        default: value <= 0;
      endcase
    if (accept_write)
      case (s_axil_awaddr)
        8'h1c: source[31:0] <= s_axil_wdata;
        8'h20: source[63:32] <= s_axil_wdata;
        8'h24: target[31:0] <= s_axil_wdata;
        8'h28: target[63:32] <= s_axil_wdata;
        8'h00: begin
          if (s_axil_wdata[2]) done <= 0;
          if (s_axil_wdata[0]) begin state <= ASK; cycles <= 0; end
        end
        default: ;
      endcase
    if (state != IDLE) cycles <= cycles + 1;
    case (state)
      ASK: if (m_axi_arready) state <= TAKE;
      TAKE: if (m_axi_rvalid) begin
        beats[index] <= m_axi_rdata;
        index <= index + 1;
        if (m_axi_rlast) state <= OFFER;
      end
      OFFER: if (m_axi_awready) state <= GIVE;
      GIVE: if (m_axi_wready) begin
        index <= index + 1;
        if (index == 7) state <= ANSWER;
      end
      ANSWER: if (m_axi_bvalid) begin state <= IDLE; done <= 1; end
      default: ;
    endcase
    if (rst) begin state <= IDLE; done <= 0; index <= 0; end
  end

  wire [63:0] beat = beats[index];
  wire [15:0] lane_0 = beat[15:0] + 1, lane_1 = beat[31:16] + 1, lane_2 = beat[47:32] + 1, lane_3 = beat[63:48] + 1;
  assign m_axi_araddr = source;
  assign m_axi_arlen = 7;
  assign m_axi_arsize = 3;
  assign m_axi_arburst = 1;
  assign m_axi_arvalid = state == ASK;
  assign m_axi_rready = state == TAKE;
  assign m_axi_awaddr = target;
  assign m_axi_awlen = 7;
  assign m_axi_awsize = 3;
  assign m_axi_awburst = 1;
  assign m_axi_awvalid = state == OFFER;
  assign m_axi_wdata = {lane_3, lane_2, lane_1, lane_0};
  assign m_axi_wstrb = 8'hff;
  assign m_axi_wlast = index == 7;
  assign m_axi_wvalid = state == GIVE;
  assign m_axi_bready = state == ANSWER;

  reg trace_taken = 0, trace_given = 0;
  reg [63:0] trace_in = 0, trace_out = 0;
  reg [2:0] trace_index = 0;
  always @(posedge clk) trace_taken <= m_axi_rvalid & m_axi_rready;
  always @(posedge clk) trace_given <= m_axi_wvalid & m_axi_wready;
  always @(posedge clk) trace_in <= m_axi_rdata;
  always @(posedge clk) trace_out <= m_axi_wdata;
  always @(posedge clk) trace_index <= index;
  assign trace_tile_valid = trace_taken;
  assign trace_tile_command = 3;
  assign trace_tile_kind = 0;
  assign trace_tile_head = 0;
  assign trace_tile_row = trace_index[2:1];
  assign trace_tile_word = trace_index[0];
  assign trace_tile_data = trace_in;
  assign trace_drain_valid = trace_given;
  assign trace_drain_command = 3;
  assign trace_drain_kind = 1;
  assign trace_drain_head = trace_index[2];
  assign trace_drain_row = trace_index[1:0];
  assign trace_drain_word = 0;
  assign trace_drain_data = trace_out;
endmodule
