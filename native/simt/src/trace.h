// trace.h - counts what the memory system would have to do: sectors of device memory, conflicts between banks of shared memory.
#pragma once
#include "memory.h"

namespace simt {

struct Traffic {
    uint64_t load_requests = 0, load_sectors = 0;      // device memory: instructions of a warp, and the 32-byte sectors they touch
    uint64_t store_requests = 0, store_sectors = 0;
    uint64_t loaded_bytes = 0, stored_bytes = 0;       // different bytes: what a perfect cache would leave to move
    uint64_t shared_phases = 0, shared_conflicts = 0;  // groups of lanes served together, and the extra ones that conflicts cost
    uint64_t mma_flops = 0, wgmma_flops = 0;           // of tensor cores, two for a multiply-add
};
extern Traffic traffic;
extern bool tracing;

void trace_begin();
void trace_access(const void* p, unsigned bytes, Access access, const void* instruction);   // of the running thread, device or shared memory
void trace_tile(const void* p, size_t bytes, bool store);                                   // a line of an asynchronous tile copy
void trace_end();

}  // namespace simt
