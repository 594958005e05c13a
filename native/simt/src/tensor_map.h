// tensor_map.h - what cuTensorMapEncodeTiled makes, for two and three dimensions.
#pragma once
#include "simt.h"
#include <string>

namespace simt {

constexpr uint64_t tensor_map_magic = 0x70616d726f736e74ull;

// The rules of the driver for a tensor of 16-bit elements, no interleave, zeros outside. Returns what is wrong, empty for nothing.
std::string encode_tensor_map(CUtensorMap* map, void* base, uint32_t rank, const uint64_t* extent, const uint64_t* pitch, const uint32_t* box, uint32_t swizzle);

}  // namespace simt
