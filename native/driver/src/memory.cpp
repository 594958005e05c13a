#include "memory.h"
#include "simt_api.h"
#include <cstdlib>
#include <cstring>

namespace simcuda {

namespace {

using Bytes = unsigned long long;      // as printf takes them
constexpr size_t page_bytes = 4096;
constexpr int poison_byte = 0xff;

}  // namespace

uint64_t Memory::allocate(uint64_t bytes, bool poison) {
    if (bytes == 0) fail(CUDA_ERROR_INVALID_VALUE, "an allocation of 0 bytes");
    if (bytes > total - used_)
        fail(CUDA_ERROR_OUT_OF_MEMORY, "%llu bytes were asked for, and %llu of %llu are in use", (Bytes)bytes, (Bytes)used_, (Bytes)total);
    std::string name = format("allocation %llu", (Bytes)allocated_ + 1);
    void* memory = simt_allocate(bytes, name.c_str());
    if (!memory) fail(CUDA_ERROR_OUT_OF_MEMORY, "the simulator has no %llu bytes", (Bytes)bytes);
    if (poison) memset(memory, poison_byte, bytes);
    uint64_t address = (uint64_t)memory;
    live_[address] = {address, bytes, ++allocated_};
    freed_.erase(address);
    used_ += bytes;
    return address;
}

void Memory::release(uint64_t address) {
    auto found = live_.find(address);
    if (found == live_.end()) fail(CUDA_ERROR_INVALID_VALUE, "%s", describe(address).c_str());
    simt_free((void*)address);
    used_ -= found->second.bytes;
    freed_[address] = found->second;
    live_.erase(found);
    recent_ = {};
}

void Memory::release_all() {
    for (const Allocation& allocation : live()) release(allocation.address);
    for (const Allocation& allocation : live_host()) release_host((void*)allocation.address);
    allocated_ = allocated_host_ = 0;
}

std::vector<Allocation> Memory::live() const {
    std::vector<Allocation> list;
    for (auto& [address, allocation] : live_) list.push_back(allocation);
    return list;
}

std::vector<Allocation> Memory::live_host() const {
    std::vector<Allocation> list;
    for (auto& [address, allocation] : host_) list.push_back(allocation);
    return list;
}

const Allocation* Memory::at_or_below(const std::map<uint64_t, Allocation>& allocations, uint64_t address) {
    auto above = allocations.upper_bound(address);
    return above == allocations.begin() ? nullptr : &std::prev(above)->second;
}

void Memory::search(uint64_t address, uint64_t bytes, CUresult code, const char* what) const {
    const Allocation* found = at_or_below(live_, address);
    if (found && address - found->address < found->bytes && bytes <= found->bytes - (address - found->address)) {
        recent_ = *found;
        return;
    }
    fail(code, "%s, %llu bytes: %s", what, (Bytes)bytes, describe(address).c_str());
}

std::string Memory::describe(uint64_t address) const {
    auto in = [address](const Allocation* a, uint64_t slack) { return a && address - a->address < a->bytes + slack; };
    auto text = [address](const Allocation& a, const char* state) {
        return format("%#llx is byte %llu of %s %llu, which %s %llu bytes", (Bytes)address, (Bytes)(address - a.address), state, (Bytes)a.number,
                      *state == 'f' ? "had" : "has", (Bytes)a.bytes);
    };
    // A little behind an allocation is more likely an overrun of it than anything else.
    constexpr uint64_t slack = page_bytes;
    const Allocation* live = at_or_below(live_, address);
    const Allocation* freed = at_or_below(freed_, address);
    if (in(live, 0)) return text(*live, "allocation");
    if (in(freed, 0)) return text(*freed, "freed allocation");
    if (in(live, slack)) return text(*live, "allocation");
    if (is_pinned((const void*)address, 1)) return format("%#llx is pinned host memory", (Bytes)address);
    return format("%#llx is no device memory", (Bytes)address);
}

void* Memory::allocate_host(size_t bytes) {
    if (bytes == 0) fail(CUDA_ERROR_INVALID_VALUE, "an allocation of 0 bytes");
    void* memory = bytes > PTRDIFF_MAX ? nullptr : aligned_alloc(page_bytes, (bytes + page_bytes - 1) / page_bytes * page_bytes);
    if (!memory) fail(CUDA_ERROR_OUT_OF_MEMORY, "there are no %zu bytes of host memory", bytes);
    memset(memory, poison_byte, bytes);
    host_[(uint64_t)memory] = {(uint64_t)memory, bytes, ++allocated_host_};
    return memory;
}

void Memory::release_host(void* pointer) {
    auto found = host_.find((uint64_t)pointer);
    if (found == host_.end()) fail(CUDA_ERROR_INVALID_VALUE, "%p is not what cuMemHostAlloc returned, or was freed", pointer);
    memset(pointer, poison_byte, found->second.bytes);
    host_.erase(found);
    free(pointer);
}

bool Memory::is_pinned(const void* pointer, size_t bytes) const {
    const Allocation* found = at_or_below(host_, (uint64_t)pointer);
    uint64_t offset = found ? (uint64_t)pointer - found->address : 0;
    return found && offset < found->bytes && bytes <= found->bytes - offset;
}

}  // namespace simcuda
