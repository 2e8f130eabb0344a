// SPDX-License-Identifier: Apache-2.0
// Behaviour of UltraScale+ tables as memories (UG574): written at the clock, read at once. Of several ports each has
// its own address to read; all are written at the address of the last.
module RAM32M (
    input [4:0] ADDRA, ADDRB, ADDRC, ADDRD,
    input [1:0] DIA, DIB, DIC, DID,
    input WCLK, WE,
    output [1:0] DOA, DOB, DOC, DOD
);
    parameter IS_WCLK_INVERTED = 0;
    parameter [63:0] INIT_A = 0, INIT_B = 0, INIT_C = 0, INIT_D = 0;
    reg [63:0] ma = INIT_A, mb = INIT_B, mc = INIT_C, md = INIT_D;
    assign DOA = ma[2 * ADDRA +: 2];
    assign DOB = mb[2 * ADDRB +: 2];
    assign DOC = mc[2 * ADDRC +: 2];
    assign DOD = md[2 * ADDRD +: 2];
    always @(posedge WCLK) if (WE) begin
        ma[2 * ADDRD +: 2] <= DIA;
        mb[2 * ADDRD +: 2] <= DIB;
        mc[2 * ADDRD +: 2] <= DIC;
        md[2 * ADDRD +: 2] <= DID;
    end
endmodule

module RAM32M16 (
    input [4:0] ADDRA, ADDRB, ADDRC, ADDRD, ADDRE, ADDRF, ADDRG, ADDRH,
    input [1:0] DIA, DIB, DIC, DID, DIE, DIF, DIG, DIH,
    input WCLK, WE,
    output [1:0] DOA, DOB, DOC, DOD, DOE, DOF, DOG, DOH
);
    parameter IS_WCLK_INVERTED = 0;
    parameter [63:0] INIT_A = 0, INIT_B = 0, INIT_C = 0, INIT_D = 0, INIT_E = 0, INIT_F = 0, INIT_G = 0, INIT_H = 0;
    reg [63:0] ma = INIT_A, mb = INIT_B, mc = INIT_C, md = INIT_D, me = INIT_E, mf = INIT_F, mg = INIT_G, mh = INIT_H;
    assign DOA = ma[2 * ADDRA +: 2];
    assign DOB = mb[2 * ADDRB +: 2];
    assign DOC = mc[2 * ADDRC +: 2];
    assign DOD = md[2 * ADDRD +: 2];
    assign DOE = me[2 * ADDRE +: 2];
    assign DOF = mf[2 * ADDRF +: 2];
    assign DOG = mg[2 * ADDRG +: 2];
    assign DOH = mh[2 * ADDRH +: 2];
    always @(posedge WCLK) if (WE) begin
        ma[2 * ADDRH +: 2] <= DIA;
        mb[2 * ADDRH +: 2] <= DIB;
        mc[2 * ADDRH +: 2] <= DIC;
        md[2 * ADDRH +: 2] <= DID;
        me[2 * ADDRH +: 2] <= DIE;
        mf[2 * ADDRH +: 2] <= DIF;
        mg[2 * ADDRH +: 2] <= DIG;
        mh[2 * ADDRH +: 2] <= DIH;
    end
endmodule

module RAM64M (
    input [5:0] ADDRA, ADDRB, ADDRC, ADDRD,
    input DIA, DIB, DIC, DID,
    input WCLK, WE,
    output DOA, DOB, DOC, DOD
);
    parameter IS_WCLK_INVERTED = 0;
    parameter [63:0] INIT_A = 0, INIT_B = 0, INIT_C = 0, INIT_D = 0;
    reg [63:0] ma = INIT_A, mb = INIT_B, mc = INIT_C, md = INIT_D;
    assign DOA = ma[ADDRA];
    assign DOB = mb[ADDRB];
    assign DOC = mc[ADDRC];
    assign DOD = md[ADDRD];
    always @(posedge WCLK) if (WE) begin
        ma[ADDRD] <= DIA;
        mb[ADDRD] <= DIB;
        mc[ADDRD] <= DIC;
        md[ADDRD] <= DID;
    end
endmodule

module RAM64M8 (
    input [5:0] ADDRA, ADDRB, ADDRC, ADDRD, ADDRE, ADDRF, ADDRG, ADDRH,
    input DIA, DIB, DIC, DID, DIE, DIF, DIG, DIH,
    input WCLK, WE,
    output DOA, DOB, DOC, DOD, DOE, DOF, DOG, DOH
);
    parameter IS_WCLK_INVERTED = 0;
    parameter [63:0] INIT_A = 0, INIT_B = 0, INIT_C = 0, INIT_D = 0, INIT_E = 0, INIT_F = 0, INIT_G = 0, INIT_H = 0;
    reg [63:0] ma = INIT_A, mb = INIT_B, mc = INIT_C, md = INIT_D, me = INIT_E, mf = INIT_F, mg = INIT_G, mh = INIT_H;
    assign DOA = ma[ADDRA];
    assign DOB = mb[ADDRB];
    assign DOC = mc[ADDRC];
    assign DOD = md[ADDRD];
    assign DOE = me[ADDRE];
    assign DOF = mf[ADDRF];
    assign DOG = mg[ADDRG];
    assign DOH = mh[ADDRH];
    always @(posedge WCLK) if (WE) begin
        ma[ADDRH] <= DIA;
        mb[ADDRH] <= DIB;
        mc[ADDRH] <= DIC;
        md[ADDRH] <= DID;
        me[ADDRH] <= DIE;
        mf[ADDRH] <= DIF;
        mg[ADDRH] <= DIG;
        mh[ADDRH] <= DIH;
    end
endmodule

module RAM64X1S (
    input A0, A1, A2, A3, A4, A5,
    input D, WCLK, WE,
    output O
);
    parameter IS_WCLK_INVERTED = 0;
    parameter [63:0] INIT = 0;
    reg [63:0] words = INIT;
    wire [5:0] address = {A5, A4, A3, A2, A1, A0};
    assign O = words[address];
    always @(posedge WCLK) if (WE) words[address] <= D;
endmodule

module RAM128X1S (
    input A0, A1, A2, A3, A4, A5, A6,
    input D, WCLK, WE,
    output O
);
    parameter IS_WCLK_INVERTED = 0;
    parameter [127:0] INIT = 0;
    reg [127:0] words = INIT;
    wire [6:0] address = {A6, A5, A4, A3, A2, A1, A0};
    assign O = words[address];
    always @(posedge WCLK) if (WE) words[address] <= D;
endmodule

module RAM256X1S (
    input [7:0] A,
    input D, WCLK, WE,
    output O
);
    parameter IS_WCLK_INVERTED = 0;
    parameter [255:0] INIT = 0;
    reg [255:0] words = INIT;
    wire [7:0] address = A;
    assign O = words[address];
    always @(posedge WCLK) if (WE) words[address] <= D;
endmodule

module RAM512X1S (
    input [8:0] A,
    input D, WCLK, WE,
    output O
);
    parameter IS_WCLK_INVERTED = 0;
    parameter [511:0] INIT = 0;
    reg [511:0] words = INIT;
    wire [8:0] address = A;
    assign O = words[address];
    always @(posedge WCLK) if (WE) words[address] <= D;
endmodule

module RAM64X1D (
    input A0, A1, A2, A3, A4, A5,
    input DPRA0, DPRA1, DPRA2, DPRA3, DPRA4, DPRA5,
    input D, WCLK, WE,
    output DPO, SPO
);
    parameter IS_WCLK_INVERTED = 0;
    parameter [63:0] INIT = 0;
    reg [63:0] words = INIT;
    wire [5:0] address = {A5, A4, A3, A2, A1, A0};
    wire [5:0] other = {DPRA5, DPRA4, DPRA3, DPRA2, DPRA1, DPRA0};
    assign SPO = words[address];
    assign DPO = words[other];
    always @(posedge WCLK) if (WE) words[address] <= D;
endmodule

module RAM128X1D (
    input [6:0] A,
    input [6:0] DPRA,
    input D, WCLK, WE,
    output DPO, SPO
);
    parameter IS_WCLK_INVERTED = 0;
    parameter [127:0] INIT = 0;
    reg [127:0] words = INIT;
    wire [6:0] address = A;
    wire [6:0] other = DPRA;
    assign SPO = words[address];
    assign DPO = words[other];
    always @(posedge WCLK) if (WE) words[address] <= D;
endmodule

module RAM256X1D (
    input [7:0] A,
    input [7:0] DPRA,
    input D, WCLK, WE,
    output DPO, SPO
);
    parameter IS_WCLK_INVERTED = 0;
    parameter [255:0] INIT = 0;
    reg [255:0] words = INIT;
    wire [7:0] address = A;
    wire [7:0] other = DPRA;
    assign SPO = words[address];
    assign DPO = words[other];
    always @(posedge WCLK) if (WE) words[address] <= D;
endmodule
