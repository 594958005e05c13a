#include "tensor_map.h"

namespace simt {

std::string encode_tensor_map(CUtensorMap* map, void* base, uint32_t rank, const uint64_t* extent, const uint64_t* pitch, const uint32_t* box, uint32_t swizzle) {
    constexpr uint32_t element_bytes = 2;
    if ((uintptr_t)map % 64) return "the map is not aligned to 64 bytes";
    if ((uintptr_t)base % 16) return "the tensor's address is not a multiple of 16";
    if (rank != 2 && rank != 3) return "the rank is not 2 or 3 (not modelled)";
    for (uint32_t i = 0; i < rank; i++) {
        if (extent[i] == 0 || extent[i] > 1ull << 32) return "an extent is not in 1..2^32";
        if (box[i] == 0 || box[i] > 256) return "an extent of the box is not in 1..256";
    }
    if (rank == 3 && box[2] != 1) return "the box has more than one plane (not modelled)";
    for (uint32_t i = 0; i + 1 < rank; i++) {
        if (pitch[i] % 16 || pitch[i] >= 1ull << 40) return "a pitch is not a multiple of 16 below 2^40";
        if (pitch[i] < extent[i] * (i == 0 ? element_bytes : pitch[0])) return "a pitch is smaller than a line or a plane";
    }
    if (swizzle > 3) return "unknown swizzle";
    if (box[0] * element_bytes % 16) return "a line of the box is not a multiple of 16 bytes";
    if (swizzle && box[0] * element_bytes > 16u << swizzle) return "a line of the box is longer than the swizzle";
    *map = {tensor_map_magic, (char*)base, {extent[0], extent[1], rank == 3 ? extent[2] : 1}, {pitch[0], rank == 3 ? pitch[1] : 0}, {box[0], box[1]},
            rank, element_bytes, swizzle, {}};
    return "";
}

}  // namespace simt
