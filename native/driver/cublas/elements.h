// elements.h - bf16, tf32, and reading and writing of matrix elements as fp32.
#pragma once
#include "product.h"
#include <bit>
#include <cmath>

namespace simcuda {

inline float from_bf16(uint16_t bits) { return std::bit_cast<float>((uint32_t)bits << 16); }

// To the nearest, ties to even.
inline uint16_t to_bf16(float value) {
    if (std::isnan(value)) return 0x7fff;
    uint32_t bits = std::bit_cast<uint32_t>(value);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

// To the nearest with 10 bits of mantissa, ties away from zero, as cvt.rna.tf32.f32 does.
inline float to_tf32(float value) {
    if (!std::isfinite(value)) return value;
    return std::bit_cast<float>((std::bit_cast<uint32_t>(value) + 0x1000) & ~0x1fffu);
}

inline float load(uint64_t address, Element element, int64_t index) {
    return element == Element::fp32 ? ((const float*)address)[index] : from_bf16(((const uint16_t*)address)[index]);
}

inline void store(uint64_t address, Element element, int64_t index, float value) {
    if (element == Element::fp32) ((float*)address)[index] = value;
    else ((uint16_t*)address)[index] = to_bf16(value);
}

}  // namespace simcuda
