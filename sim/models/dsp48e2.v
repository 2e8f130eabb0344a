// SPDX-License-Identifier: Apache-2.0
// Behaviour of UltraScale+'s DSP48E2 as UG579 states it, as far as synthesis uses it here: 27 x 18 bit signed product
// of A and B, one adder of 48 bits with its four multiplexers, any of the registers in its path. Not modelled, and
// refused where a netlist is read: the pre-adder, cascaded operands, small words side by side, patterns, logic.
module DSP48E2 (
    input [29:0] A, ACIN,
    input [17:0] B, BCIN,
    input [47:0] C, PCIN,
    input [26:0] D,
    input [3:0] ALUMODE,
    input [4:0] INMODE,
    input [8:0] OPMODE,
    input [2:0] CARRYINSEL,
    input CARRYIN, CLK,
    input CEA1, CEA2, CEB1, CEB2, CEC, CEM, CEP, CECTRL, CEALUMODE, CECARRYIN,
    input RSTA, RSTB, RSTC, RSTM, RSTP, RSTCTRL, RSTALUMODE, RSTALLCARRYIN,
    output [47:0] P, PCOUT
);
    parameter ACASCREG = 1, ADREG = 1, ALUMODEREG = 1, AREG = 1, BCASCREG = 1, BREG = 1, CARRYINREG = 1;
    parameter CARRYINSELREG = 1, CREG = 1, DREG = 1, INMODEREG = 1, MREG = 1, OPMODEREG = 1, PREG = 1;
    parameter AMULTSEL = "A", BMULTSEL = "B", A_INPUT = "DIRECT", B_INPUT = "DIRECT";
    parameter USE_MULT = "MULTIPLY", USE_SIMD = "ONE48";
    parameter [47:0] RND = 0;

    reg [29:0] a1 = 0, a2 = 0;
    reg [17:0] b1 = 0, b2 = 0;
    reg [47:0] c_q = 0, m_q = 0, p_q = 0;
    reg [8:0] opmode_q = 0;
    reg [3:0] alumode_q = 0;
    reg carry_q = 0;
    // A single register of an operand is the second one, with its enable.
    wire [29:0] a = AREG == 0 ? A : a2;
    wire [17:0] b = BREG == 0 ? B : b2;
    wire [47:0] c = CREG == 0 ? C : c_q;
    wire [8:0] opmode = OPMODEREG == 0 ? OPMODE : opmode_q;
    wire [3:0] alumode = ALUMODEREG == 0 ? ALUMODE : alumode_q;
    wire carry = CARRYINREG == 0 ? CARRYIN : carry_q;

    wire [47:0] product = {{21{a[26]}}, a[26:0]} * {{30{b[17]}}, b};
    wire [47:0] m = MREG == 0 ? product : m_q;
    // X and Y take a partial product each; both together are the product.
    wire [47:0] x = opmode[1:0] == 0 ? 0 : opmode[1:0] == 1 ? m : opmode[1:0] == 2 ? p_q : {a, b};
    wire [47:0] y = opmode[3:2] == 3 ? c : opmode[3:2] == 2 ? ~48'd0 : 0;
    wire [47:0] z = opmode[6:4] == 0 ? 0 : opmode[6:4] == 1 ? PCIN : opmode[6:4] == 2 ? p_q : c;
    wire [47:0] w = opmode[8:7] == 0 ? 0 : opmode[8:7] == 1 ? p_q : opmode[8:7] == 2 ? RND : c;
    wire [47:0] others = w + x + y + {47'd0, carry};
    wire [47:0] plain = (alumode[0] ? ~z : z) + others;
    wire [47:0] sum = alumode[1] ? ~plain : plain;
    assign P = PREG == 0 ? sum : p_q;
    assign PCOUT = P;

    always @(posedge CLK) begin
        if (RSTA) a1 <= 0; else if (CEA1) a1 <= A;
        if (RSTA) a2 <= 0; else if (CEA2) a2 <= AREG == 2 ? a1 : A;
        if (RSTB) b1 <= 0; else if (CEB1) b1 <= B;
        if (RSTB) b2 <= 0; else if (CEB2) b2 <= BREG == 2 ? b1 : B;
        if (RSTC) c_q <= 0; else if (CEC) c_q <= C;
        if (RSTM) m_q <= 0; else if (CEM) m_q <= product;
        if (RSTP) p_q <= 0; else if (CEP) p_q <= sum;
        if (RSTCTRL) opmode_q <= 0; else if (CECTRL) opmode_q <= OPMODE;
        if (RSTALUMODE) alumode_q <= 0; else if (CEALUMODE) alumode_q <= ALUMODE;
        if (RSTALLCARRYIN) carry_q <= 0; else if (CECARRYIN) carry_q <= CARRYIN;
    end
    // Modes that this model lacks. The product needs X and Y; feedback needs the output register.
    always @(*) begin
        if ((opmode[1:0] == 1) != (opmode[3:2] == 1)) $fatal(1, "DSP48E2: OPMODE %b", opmode);
        if (opmode[6]) $fatal(1, "DSP48E2: OPMODE %b", opmode);
        if (alumode[3:2] != 0) $fatal(1, "DSP48E2: ALUMODE %b", alumode);
        if (PREG == 0 && (opmode[1:0] == 2 || opmode[6:4] == 2 || opmode[8:7] == 1))
            $fatal(1, "DSP48E2: OPMODE %b without the output register", opmode);
    end
endmodule
