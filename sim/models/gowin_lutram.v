// SPDX-License-Identifier: Apache-2.0
// Behaviour of Gowin's LUT memory (UG285): 16 words of 1, 2 or 4 bits, written with the clock, read at any time.
module RAM16SDP1 (input [3:0] WAD, RAD, input DI, WRE, CLK, output DO);
    parameter [15:0] INIT_0 = 0;
    reg [15:0] m0 = INIT_0;
    assign DO = m0[RAD];
    always @(posedge CLK) if (WRE) m0[WAD] <= DI;
endmodule

module RAM16SDP2 (input [3:0] WAD, RAD, input [1:0] DI, input WRE, CLK, output [1:0] DO);
    parameter [15:0] INIT_0 = 0, INIT_1 = 0;
    reg [15:0] m0 = INIT_0, m1 = INIT_1;
    assign DO = {m1[RAD], m0[RAD]};
    always @(posedge CLK) if (WRE) begin m0[WAD] <= DI[0]; m1[WAD] <= DI[1]; end
endmodule

module RAM16SDP4 (input [3:0] WAD, RAD, DI, input WRE, CLK, output [3:0] DO);
    parameter [15:0] INIT_0 = 0, INIT_1 = 0, INIT_2 = 0, INIT_3 = 0;
    reg [15:0] m0 = INIT_0, m1 = INIT_1, m2 = INIT_2, m3 = INIT_3;
    assign DO = {m3[RAD], m2[RAD], m1[RAD], m0[RAD]};
    always @(posedge CLK) if (WRE) begin
        m0[WAD] <= DI[0];
        m1[WAD] <= DI[1];
        m2[WAD] <= DI[2];
        m3[WAD] <= DI[3];
    end
endmodule
