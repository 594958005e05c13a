// hooks.cpp - kernels are compiled with -fsanitize=thread and not linked with that sanitizer: the compiler calls the functions below
// before each load and store of memory that others can see, and here they belong to the simulator. In the build with AddressSanitizer only
// atomics are seen.
#include "memory.h"
#include "shared.h"

namespace simt {

namespace {

inline void access(const void* p, unsigned bytes, Access kind, const void* instruction) {
    if (in_arena(p)) global_access(p, bytes, kind, instruction);
    else if (in_dynamic(p) || in_static(p)) shared_access(p, bytes, kind, instruction);
    else if ((uintptr_t)p < null_bytes) fail("%s", misplaced(p, bytes, kind == Access::read ? "reads" : "writes").c_str());
    // Everything else is a thread's own stack or read-only data.
}

#if !defined(__SANITIZE_ADDRESS__)
void access_range(const void* p, size_t bytes, Access kind, const void* instruction) {
    if (!in_arena(p) && !in_dynamic(p) && !in_static(p)) return access(p, 4, kind, instruction);
    auto* at = (const unsigned char*)p;
    for (size_t done = 0; done < bytes;) {
        unsigned part = 16;
        while (part > bytes - done || ((uintptr_t)(at + done) & (part - 1))) part /= 2;
        access(at + done, part, kind, instruction);
        done += part;
    }
}
#endif

}  // namespace

template <class T> T atomic(T* p, T (*change)(T, T), T v, const void* instruction) {
    access(p, sizeof(T), Access::atomic, instruction);
    T old = *p;
    *p = change(old, v);
    return old;
}

uint32_t atomic_add(uint32_t* p, uint32_t v) { return atomic<uint32_t>(p, [](uint32_t a, uint32_t b) { return a + b; }, v, __builtin_return_address(0)); }
uint64_t atomic_add(uint64_t* p, uint64_t v) { return atomic<uint64_t>(p, [](uint64_t a, uint64_t b) { return a + b; }, v, __builtin_return_address(0)); }
float atomic_add(float* p, float v) { return atomic<float>(p, [](float a, float b) { return a + b; }, v, __builtin_return_address(0)); }
uint32_t atomic_or(uint32_t* p, uint32_t v) { return atomic<uint32_t>(p, [](uint32_t a, uint32_t b) { return a | b; }, v, __builtin_return_address(0)); }
uint32_t atomic_max(uint32_t* p, uint32_t v) { return atomic<uint32_t>(p, [](uint32_t a, uint32_t b) { return a > b ? a : b; }, v, __builtin_return_address(0)); }

}  // namespace simt

#if !defined(__SANITIZE_ADDRESS__)

using simt::Access;

#define HOOK(bytes)                                                                                                          \
    void __tsan_read##bytes(void* p) { simt::access(p, bytes, Access::read, __builtin_return_address(0)); }                  \
    void __tsan_write##bytes(void* p) { simt::access(p, bytes, Access::write, __builtin_return_address(0)); }                \
    void __tsan_volatile_read##bytes(void* p) { simt::access(p, bytes, Access::read, __builtin_return_address(0)); }         \
    void __tsan_volatile_write##bytes(void* p) { simt::access(p, bytes, Access::write, __builtin_return_address(0)); }       \
    void __tsan_unaligned_read##bytes(void* p) { simt::access_range(p, bytes, Access::read, __builtin_return_address(0)); }  \
    void __tsan_unaligned_write##bytes(void* p) { simt::access_range(p, bytes, Access::write, __builtin_return_address(0)); }

extern "C" {
void __tsan_init() {}
HOOK(1)
HOOK(2)
HOOK(4)
HOOK(8)
HOOK(16)
void __tsan_read_range(void* p, size_t bytes) { simt::access_range(p, bytes, Access::read, __builtin_return_address(0)); }
void __tsan_write_range(void* p, size_t bytes) { simt::access_range(p, bytes, Access::write, __builtin_return_address(0)); }
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void**, void*) {}
}

#endif
