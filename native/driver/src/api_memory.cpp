// api_memory.cpp - device memory, pinned host memory, copies and fills.
#include "entry.h"
#include <cstring>

using namespace simcuda;

namespace {

// Fails unless the device's side of a copy is live. When the work runs, and not when it is submitted, the fault is the device's.
void check_device_side(Driver& d, uint64_t address, size_t bytes, const char* what, CUresult code) { d.memory.check(address, bytes, code, what); }

// Returns whether the source is pinned.
bool copy_to_device(Driver& d, uint64_t to, const void* from, size_t bytes, CUstream_st& stream) {
    if (bytes == 0) return true;
    check_device_side(d, to, bytes, "the destination", CUDA_ERROR_INVALID_VALUE);
    require(from, "the source");
    bool pinned = d.memory.check_host(from, bytes, "the source");
    auto copy = [&d, to, bytes](const void* source) {
        check_device_side(d, to, bytes, "the destination of a copy", CUDA_ERROR_ILLEGAL_ADDRESS);
        memcpy((void*)to, source, bytes);
    };
    if (d.runs_now(stream)) {
        auto now = [&] { copy(from); };
        d.run(now);
    } else if (pinned || stream.capture) {
        d.enqueue(stream, [&d, copy, from, bytes] {
            d.memory.check_host(from, bytes, "the source of a copy");
            copy(from);
        });
    } else {
        // What is not pinned, the driver has read when the call returns.
        auto staged = std::make_shared<std::vector<char>>((const char*)from, (const char*)from + bytes);
        d.enqueue(stream, [copy, staged] { copy(staged->data()); });
    }
    return pinned;
}

// Returns whether the destination is pinned. What is not, and that of a captured copy, is the caller's.
bool copy_to_host(Driver& d, void* to, uint64_t from, size_t bytes, CUstream_st& stream) {
    if (bytes == 0) return true;
    check_device_side(d, from, bytes, "the source", CUDA_ERROR_INVALID_VALUE);
    require(to, "the destination");
    bool pinned = d.memory.check_host(to, bytes, "the destination");
    d.submit(stream, [&d, to, from, bytes] {
        check_device_side(d, from, bytes, "the source of a copy", CUDA_ERROR_ILLEGAL_ADDRESS);
        d.memory.check_host(to, bytes, "the destination of a copy");
        memcpy(to, (const void*)from, bytes);
    });
    return pinned;
}

template <class T> void fill(Driver& d, uint64_t to, T value, size_t count, CUstream_st& stream) {
    if (count == 0) return;
    size_t bytes = count * sizeof(T);
    if (to % sizeof(T) != 0) fail(CUDA_ERROR_INVALID_VALUE, "the address is not a multiple of %zu", sizeof(T));
    check_device_side(d, to, bytes, "the memory to fill", CUDA_ERROR_INVALID_VALUE);
    d.submit(stream, [&d, to, value, count, bytes] {
        check_device_side(d, to, bytes, "the memory to fill", CUDA_ERROR_ILLEGAL_ADDRESS);
        if (!d.settings.empty_kernels) std::fill_n((T*)to, count, value);
    });
}

}  // namespace

CUresult cuMemGetInfo_v2(size_t* free, size_t* total) {
    SIMCUDA_CALL(Needs::context, {
        require(free, "free");
        require(total, "total");
        *free = d.memory.total - std::min(d.memory.used(), d.memory.total);
        *total = d.memory.total;
    });
}

CUresult cuMemAlloc_v2(CUdeviceptr* pointer, size_t bytes) {
    SIMCUDA_CALL(Needs::context_without_capture, {
        require(pointer, "pointer");
        *pointer = d.memory.allocate(bytes, !d.settings.empty_kernels);
    });
}

CUresult cuMemFree_v2(CUdeviceptr pointer) {
    SIMCUDA_CALL(Needs::context_without_capture, {
        if (pointer == 0) return;
        d.complete_all();                        // as a card does: pending work may use the memory
        d.memory.release(pointer);
    });
}

CUresult cuMemHostAlloc(void** pointer, size_t bytes, unsigned flags) {
    SIMCUDA_CALL(Needs::context_without_capture, {
        require(pointer, "pointer");
        constexpr unsigned known = CU_MEMHOSTALLOC_PORTABLE | CU_MEMHOSTALLOC_DEVICEMAP | CU_MEMHOSTALLOC_WRITECOMBINED;
        if (flags & ~known) fail(CUDA_ERROR_INVALID_VALUE, "flags %#x", flags);
        *pointer = d.memory.allocate_host(bytes);
    });
}

CUresult cuMemFreeHost(void* pointer) {
    SIMCUDA_CALL(Needs::context_without_capture, {
        d.complete_all();
        d.memory.release_host(pointer);
    });
}

CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void* from, size_t bytes, CUstream stream) {
    SIMCUDA_CALL(Needs::context, {
        if (!copy_to_device(d, to, from, bytes, d.stream(stream))) d.unpinned_copies++;
    });
}

CUresult cuMemcpyDtoHAsync_v2(void* to, CUdeviceptr from, size_t bytes, CUstream stream) {
    SIMCUDA_CALL(Needs::context, {
        CUstream_st& s = d.stream(stream);
        if (copy_to_host(d, to, from, bytes, s)) return;
        d.unpinned_copies++;
        // Memory that is not pinned is written when the call returns.
        if (!s.capture) d.complete(s, s.submitted);
    });
}

CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream) {
    SIMCUDA_CALL(Needs::context, {
        CUstream_st& s = d.stream(stream);
        if (bytes == 0) return;
        check_device_side(d, to, bytes, "the destination", CUDA_ERROR_INVALID_VALUE);
        check_device_side(d, from, bytes, "the source", CUDA_ERROR_INVALID_VALUE);
        if (to < from + bytes && from < to + bytes) fail(CUDA_ERROR_INVALID_VALUE, "source and destination overlap, and the result would be undefined");
        d.submit(s, [&d, to, from, bytes] {
            check_device_side(d, to, bytes, "the destination of a copy", CUDA_ERROR_ILLEGAL_ADDRESS);
            check_device_side(d, from, bytes, "the source of a copy", CUDA_ERROR_ILLEGAL_ADDRESS);
            if (!d.settings.empty_kernels) memcpy((void*)to, (const void*)from, bytes);
        });
    });
}

CUresult cuMemcpyHtoD_v2(CUdeviceptr to, const void* from, size_t bytes) {
    SIMCUDA_CALL(Needs::context_without_capture, {
        copy_to_device(d, to, from, bytes, d.default_stream);
        return d.sticky;
    });
}

CUresult cuMemcpyDtoH_v2(void* to, CUdeviceptr from, size_t bytes) {
    SIMCUDA_CALL(Needs::context_without_capture, {
        copy_to_host(d, to, from, bytes, d.default_stream);
        return d.sticky;
    });
}

CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t count, CUstream stream) {
    SIMCUDA_CALL(Needs::context, { fill(d, to, value, count, d.stream(stream)); });
}

CUresult cuMemsetD32Async(CUdeviceptr to, unsigned value, size_t count, CUstream stream) {
    SIMCUDA_CALL(Needs::context, { fill(d, to, value, count, d.stream(stream)); });
}
