// memory.h - device memory, which the kernels' simulator guards (simt_api.h), and pinned host memory.
#pragma once
#include "error.h"
#include <map>
#include <vector>

namespace simcuda {

struct Allocation {
    uint64_t address, bytes, number;
};

class Memory {
public:
    uint64_t total = 4ull << 30;

    // Poisoned with 0xff, the bytes of a NaN, unless nothing would read it.
    uint64_t allocate(uint64_t bytes, bool poison);
    void release(uint64_t address);

    // Fails with the code unless all bytes lie in one live allocation.
    void check(uint64_t address, uint64_t bytes, CUresult code, const char* what) const {
        if (address >= recent_.address && address - recent_.address < recent_.bytes && bytes <= recent_.bytes - (address - recent_.address)) return;
        search(address, bytes, code, what);
    }

    uint64_t used() const { return used_; }
    std::vector<Allocation> live() const;
    void release_all();

    void* allocate_host(size_t bytes);
    void release_host(void* pointer);
    // Whether host memory is pinned. Fails when it only begins so, or was.
    bool check_host(const void* pointer, size_t bytes, const char* what) const;
    std::vector<Allocation> live_host() const;

private:
    __attribute__((visibility("default"))) void search(uint64_t address, uint64_t bytes, CUresult code, const char* what) const;
    std::string describe(uint64_t address) const;
    static const Allocation* at_or_below(const std::map<uint64_t, Allocation>& allocations, uint64_t address);

    std::map<uint64_t, Allocation> live_, freed_, host_, freed_host_;
    mutable Allocation recent_{};       // of the last check; no bytes: none
    uint64_t used_ = 0, allocated_ = 0, allocated_host_ = 0;
};

}  // namespace simcuda
