#include "memory.h"
#include "simt_api.h"
#include <cstring>
#include <sys/mman.h>

namespace simcuda {

namespace {

using Bytes = unsigned long long;      // as printf takes them
constexpr size_t page_bytes = 4096;
constexpr int poison_byte = 0xff;

}  // namespace

uint64_t Memory::allocate(uint64_t bytes, bool poison) {
    if (bytes == 0) fail(CUDA_ERROR_INVALID_VALUE, "an allocation of 0 bytes");
    if (used_ > total || bytes > total - used_)
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
    if (const Allocation* host = at_or_below(host_, address); in(host, 0)) return format("%#llx is pinned host memory", (Bytes)address);
    return format("%#llx is no device memory", (Bytes)address);
}

// Between the pinned allocations lie pages that cannot be accessed, and those of a freed one stay so: the host's own mistakes end the process.
void* Memory::allocate_host(size_t bytes) {
    if (bytes == 0) fail(CUDA_ERROR_INVALID_VALUE, "an allocation of 0 bytes");
    constexpr size_t limit = 1ull << 40;
    size_t mapped = bytes > limit ? limit : (bytes + page_bytes - 1) / page_bytes * page_bytes;
    void* memory = bytes > limit ? MAP_FAILED : mmap(nullptr, mapped + page_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED || mprotect(memory, mapped, PROT_READ | PROT_WRITE) != 0)
        fail(CUDA_ERROR_OUT_OF_MEMORY, "there are no %zu bytes of host memory", bytes);
    memset(memory, poison_byte, bytes);
    host_[(uint64_t)memory] = {(uint64_t)memory, bytes, ++allocated_host_};
    return memory;
}

void Memory::release_host(void* pointer) {
    auto found = host_.find((uint64_t)pointer);
    if (found == host_.end()) fail(CUDA_ERROR_INVALID_VALUE, "%p is not what cuMemHostAlloc returned, or was freed", pointer);
    freed_host_[found->first] = found->second;
    madvise(pointer, found->second.bytes, MADV_DONTNEED);
    mprotect(pointer, found->second.bytes, PROT_NONE);
    host_.erase(found);
}

bool Memory::check_host(const void* pointer, size_t bytes, const char* what) const {
    uint64_t address = (uint64_t)pointer;
    const Allocation* live = at_or_below(host_, address);
    if (live && address - live->address < live->bytes) {
        uint64_t left = live->bytes - (address - live->address);
        if (bytes > left)
            fail(CUDA_ERROR_INVALID_VALUE, "%s has %zu bytes, and %llu are left of allocation %llu of pinned host memory", what, bytes, (Bytes)left,
                 (Bytes)live->number);
        return true;
    }
    const Allocation* freed = at_or_below(freed_host_, address);
    if (freed && address - freed->address < freed->bytes)
        fail(CUDA_ERROR_INVALID_VALUE, "%s lies in the freed allocation %llu of pinned host memory", what, (Bytes)freed->number);
    return false;
}

}  // namespace simcuda
