// cuda_bf16.h - stands in for the CUDA header of the same name under g++.
#pragma once
#include "simt.h"

struct alignas(2) __nv_bfloat16 { uint16_t bits; };
struct alignas(4) __nv_bfloat162 { __nv_bfloat16 x, y; };

inline float __bfloat162float(__nv_bfloat16 v) { return std::bit_cast<float>((uint32_t)v.bits << 16); }

// Round to nearest, ties to even; every NaN becomes the canonical one, as on the device.
inline __nv_bfloat16 __float2bfloat16_rn(float v) {
    uint32_t bits = std::bit_cast<uint32_t>(v);
    if ((bits & 0x7fffffff) > 0x7f800000) return {0x7fff};
    return {(uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
}
inline __nv_bfloat162 __floats2bfloat162_rn(float x, float y) { return {__float2bfloat16_rn(x), __float2bfloat16_rn(y)}; }
