// tensor_core.cpp - ldmatrix and mma.sync.
#include "shared.h"
#include "trace.h"
#include <cmath>
#include <cstring>

namespace simt {

void ldmatrix_x4(uint32_t* fragments, shared_addr row, bool transposed) {
    if (row % 16) fail("ldmatrix: the row's address 0x%x is not a multiple of 16", row);
    struct Argument { uint32_t* fragments; const uint16_t* row; } argument{fragments, (const uint16_t*)shared_pointer(row, 16)};
    shared_access(argument.row, 16, Access::read, __builtin_return_address(0));
    // Lane 8m + i gives row i of the 8 x 8 matrix m. Lane l receives elements 2 (l % 4) and the next of row l / 4, or, transposed, of column l / 4.
    Together plain = [](void** arguments, uint32_t) {
        for (int m = 0; m < 4; m++)
            for (int l = 0; l < 32; l++)
                memcpy(&((Argument*)arguments[l])->fragments[m], ((Argument*)arguments[m * 8 + l / 4])->row + l % 4 * 2, 4);
    };
    Together columns = [](void** arguments, uint32_t) {
        for (int m = 0; m < 4; m++)
            for (int l = 0; l < 32; l++) {
                auto at = [&](int i) { return (uint32_t)((Argument*)arguments[m * 8 + i])->row[l / 4]; };
                ((Argument*)arguments[l])->fragments[m] = at(l % 4 * 2) | at(l % 4 * 2 + 1) << 16;
            }
    };
    collective(full_warp, transposed ? "ldmatrix.trans" : "ldmatrix", &argument, transposed ? columns : plain);
}

void mma_m16n8k16_bf16(float* c, const uint32_t* a, uint32_t b0, uint32_t b1) {
    struct Argument { float* c; const uint32_t* a; uint32_t b[2]; } argument{c, a, {b0, b1}};
    collective(full_warp, "mma.m16n8k16", &argument, [](void** arguments, uint32_t) {
        auto low = [](uint32_t v) { return std::bit_cast<float>(v << 16); };
        auto high = [](uint32_t v) { return std::bit_cast<float>(v & 0xffff0000u); };
        float a[16][16], b[16][8], c[16][8];
        for (int l = 0; l < 32; l++) {
            auto& x = *(Argument*)arguments[l];
            int g = l / 4, p = l % 4 * 2;
            for (int i = 0; i < 4; i++) {
                a[g + i % 2 * 8][p + i / 2 * 8] = low(x.a[i]);
                a[g + i % 2 * 8][p + i / 2 * 8 + 1] = high(x.a[i]);
                c[g + i / 2 * 8][p + i % 2] = x.c[i];
            }
            for (int i = 0; i < 2; i++) {
                b[p + i * 8][g] = low(x.b[i]);
                b[p + i * 8 + 1][g] = high(x.b[i]);
            }
        }
        for (int m = 0; m < 16; m++) {
            float sum[8] = {};
            for (int k = 0; k < 16; k++)
                for (int n = 0; n < 8; n++) sum[n] += a[m][k] * b[k][n];
            for (int n = 0; n < 8; n++) c[m][n] += sum[n];
        }
        for (int l = 0; l < 32; l++)
            for (int i = 0; i < 4; i++) ((Argument*)arguments[l])->c[i] = c[l / 4 + i / 2 * 8][l % 4 * 2 + i % 2];
        if (tracing) traffic.mma_flops += 2 * 16 * 8 * 16;
    });
}

// To the nearest by magnitude, ties away from zero: half of the last kept place is added, and a carry goes into the exponent.
uint32_t to_tf32(float v) {
    constexpr uint32_t dropped = 0x1fff, half = 0x1000, quiet_nan = 0x7fffe000;
    if (v != v) return quiet_nan;
    const uint32_t bits = std::bit_cast<uint32_t>(v);
    return std::isinf(v) ? bits : (bits + half) & ~dropped;
}

void mma_m16n8k8_tf32(float* c, const uint32_t* a, uint32_t b0, uint32_t b1) {
    struct Argument { float* c; const uint32_t* a; uint32_t b[2]; } argument{c, a, {b0, b1}};
    for (uint32_t v : {a[0], a[1], a[2], a[3], b0, b1})
        if (v & 0x1fff) fail("mma.tf32: 0x%08x is no tf32 number (missing cvt.rna.tf32?)", v);
    collective(full_warp, "mma.m16n8k8.tf32", &argument, [](void** arguments, uint32_t) {
        float a[16][8], b[8][8], c[16][8];
        for (int l = 0; l < 32; l++) {
            auto& x = *(Argument*)arguments[l];
            for (int i = 0; i < 4; i++) {
                a[l / 4 + i % 2 * 8][l % 4 + i / 2 * 4] = std::bit_cast<float>(x.a[i]);
                c[l / 4 + i / 2 * 8][l % 4 * 2 + i % 2] = x.c[i];
            }
            for (int i = 0; i < 2; i++) b[l % 4 + i * 4][l / 4] = std::bit_cast<float>(x.b[i]);
        }
        for (int m = 0; m < 16; m++) {
            float sum[8] = {};
            for (int k = 0; k < 8; k++)
                for (int n = 0; n < 8; n++) sum[n] += a[m][k] * b[k][n];
            for (int n = 0; n < 8; n++) c[m][n] += sum[n];
        }
        for (int l = 0; l < 32; l++)
            for (int i = 0; i < 4; i++) ((Argument*)arguments[l])->c[i] = c[l / 4 + i / 2 * 8][l % 4 * 2 + i % 2];
        if (tracing) traffic.mma_flops += 2 * 16 * 8 * 8;
    });
}

}  // namespace simt
