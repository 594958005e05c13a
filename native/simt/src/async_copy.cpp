// async_copy.cpp - cp.async. The bytes arrive as late as is legal: at the wait of the thread that asked for them.
#include "memory.h"
#include "shared.h"
#include "trace.h"
#include <cstring>

namespace simt {

namespace {

void set_arriving(const AsyncCopy& copy, int by) {
    for (unsigned done = 0; done < copy.bytes; done += chunk_bytes) chunk_at(copy.destination + done).arriving += by;
}

void arrive(const AsyncCopy& copy) {
    set_arriving(copy, -1);
    asynchronous_write(copy.destination, copy.bytes, "cp.async", Proxy::generic);   // now it is the thread's own write, ordered by its next barrier
    auto* to = (unsigned char*)shared_pointer(copy.destination, copy.bytes);
    memcpy(to, copy.source, copy.source_bytes);
    memset(to + copy.source_bytes, 0, copy.bytes - copy.source_bytes);
}

}  // namespace

void cp_async(shared_addr destination, const void* source, unsigned bytes, unsigned source_bytes) {
    if (bytes != 8 && bytes != 16) fail("cp.async: %u bytes are not modelled, only 8 and 16", bytes);
    if (destination % bytes || (uintptr_t)source % bytes) fail("cp.async: addresses must be multiples of the %u bytes copied", bytes);
    const void* instruction = __builtin_return_address(0);
    if (source_bytes) global_access(source, source_bytes, Access::read, instruction);
    AsyncCopy copy{destination, source, bytes, source_bytes};
    asynchronous_write(destination, bytes, "cp.async", Proxy::generic);
    set_arriving(copy, 1);
    void* to = shared_pointer(destination, bytes);
    memset(to, 0xff, bytes);
    if (tracing) trace_access(to, bytes, Access::write, (const char*)instruction + 1);
    current->open_copies.push_back(copy);
}

void cp_async_commit() {
    current->copy_groups.push_back(std::move(current->open_copies));
    current->open_copies.clear();
}

void cp_async_wait(unsigned keep) {
    auto& groups = current->copy_groups;
    while (groups.size() > keep) {
        for (const AsyncCopy& copy : groups.front()) arrive(copy);
        groups.erase(groups.begin());
    }
}

}  // namespace simt
