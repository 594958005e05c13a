#include "tensor_map.h"

namespace simt {

std::string encode_tensor_map(CUtensorMap* map, void* base, const uint64_t extent[2], uint64_t pitch, const uint32_t box[2], uint32_t swizzle) {
    constexpr uint32_t element_bytes = 2;
    if ((uintptr_t)map % 64) return "the map is not aligned to 64 bytes";
    if ((uintptr_t)base % 16) return "the tensor's address is not a multiple of 16";
    for (int i = 0; i < 2; i++) {
        if (extent[i] == 0 || extent[i] > 1ull << 32) return "an extent is not in 1..2^32";
        if (box[i] == 0 || box[i] > 256) return "an extent of the box is not in 1..256";
    }
    if (pitch % 16 || pitch >= 1ull << 40) return "the pitch is not a multiple of 16 below 2^40";
    if (pitch < extent[0] * element_bytes) return "the pitch is smaller than a line";
    if (swizzle > 3) return "unknown swizzle";
    if (box[0] * element_bytes % 16) return "a line of the box is not a multiple of 16 bytes";
    if (swizzle && box[0] * element_bytes > 16u << swizzle) return "a line of the box is longer than the swizzle";
    *map = {tensor_map_magic, (char*)base, {extent[0], extent[1]}, pitch, {box[0], box[1]}, element_bytes, swizzle, {}};
    return "";
}

}  // namespace simt
