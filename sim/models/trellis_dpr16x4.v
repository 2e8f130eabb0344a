// SPDX-License-Identifier: Apache-2.0
// Behaviour of the ECP5's LUT memory: 16 words of 4 bits, written with the clock, read at any time.
module TRELLIS_DPR16X4 (
    input [3:0] DI, input [3:0] WAD, input WRE, input WCK,
    input [3:0] RAD, output [3:0] DO
);
    parameter WCKMUX = "WCK";
    parameter WREMUX = "WRE";
    parameter [63:0] INITVAL = 0;

    reg [3:0] words [0:15];
    integer i;
    initial for (i = 0; i < 16; i = i + 1) words[i] = INITVAL[4 * i +: 4];
    wire enable = WREMUX == "1" ? 1'b1 : WREMUX == "INV" ? ~WRE : WRE;
    always @(posedge WCK) if (enable) words[WAD] <= DI;
    assign DO = words[RAD];
endmodule
