// SPDX-License-Identifier: Apache-2.0
// Behaviour of UltraScale+ tables as shift registers (UG574): the address says how many places back is read.
module SRL16E (
    input A0, A1, A2, A3, CE, CLK, D,
    output Q
);
    parameter [15:0] INIT = 0;
    parameter IS_CLK_INVERTED = 0;
    reg [15:0] places = INIT;
    assign Q = places[{A3, A2, A1, A0}];
    always @(posedge CLK) if (CE) places <= {places[14:0], D};
endmodule

module SRLC32E (
    input [4:0] A,
    input CE, CLK, D,
    output Q, Q31
);
    parameter [31:0] INIT = 0;
    parameter IS_CLK_INVERTED = 0;
    reg [31:0] places = INIT;
    assign Q = places[A];
    assign Q31 = places[31];
    always @(posedge CLK) if (CE) places <= {places[30:0], D};
endmodule
