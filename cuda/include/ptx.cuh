// ptx.cuh - the instructions of sm_80 and later that CUDA C++ has no good word for, each with two bodies: inline PTX for the device, the
// simulator's function for the CPU (native/simt). A kernel that includes only headers of this folder compiles unchanged for both.
#pragma once
#include <cuda_bf16.h>

using bf16 = __nv_bfloat16;

constexpr unsigned kFullWarp = 0xffffffffu;
constexpr float kLog2e = 1.4426950408889634f, kLn2 = 0.6931471805599453f;

#ifdef __CUDACC__
#include <cstdint>

// Shared memory has addresses of 32 bits: half the registers of a pointer, and a swizzle is one exclusive or.
using shared_addr = uint32_t;
__device__ __forceinline__ shared_addr shared_address(const void* p) { return (shared_addr)__cvta_generic_to_shared(p); }

// Dynamic shared memory of the block, aligned to 1024 bytes: a pattern of the 128-byte swizzle.
__device__ __forceinline__ unsigned char* dynamic_shared() {
    extern __shared__ __align__(1024) unsigned char dynamic_shared_memory[];
    return dynamic_shared_memory;
}

// 16 bytes of device memory. "streaming" is for what is not read again soon: it leaves the caches to others.
__device__ __forceinline__ uint4 load16(const void* p) { return *(const uint4*)p; }
__device__ __forceinline__ uint4 load16_streaming(const void* p) { return __ldcs((const uint4*)p); }
// Spelled out: nvcc 12.4 splits the store of a uint4 in four in some kernels.
__device__ __forceinline__ void store16(void* p, uint4 v) {
    asm volatile("st.global.v4.b32 [%0], {%1, %2, %3, %4};" ::"l"(p), "r"(v.x), "r"(v.y), "r"(v.z), "r"(v.w) : "memory");
}
__device__ __forceinline__ void store16_streaming(void* p, uint4 v) {
    asm volatile("st.global.cs.v4.b32 [%0], {%1, %2, %3, %4};" ::"l"(p), "r"(v.x), "r"(v.y), "r"(v.z), "r"(v.w) : "memory");
}
__device__ __forceinline__ uint2 load8(const void* p) { return *(const uint2*)p; }
__device__ __forceinline__ void store8(void* p, uint2 v) { asm volatile("st.global.v2.b32 [%0], {%1, %2};" ::"l"(p), "r"(v.x), "r"(v.y) : "memory"); }

// Shared memory by address.
__device__ __forceinline__ uint4 load_shared16(shared_addr p) {
    uint4 v;
    asm volatile("ld.shared.v4.b32 {%0, %1, %2, %3}, [%4];" : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "r"(p) : "memory");
    return v;
}
__device__ __forceinline__ uint2 load_shared8(shared_addr p) {
    uint2 v;
    asm volatile("ld.shared.v2.b32 {%0, %1}, [%2];" : "=r"(v.x), "=r"(v.y) : "r"(p) : "memory");
    return v;
}
__device__ __forceinline__ uint32_t load_shared4(shared_addr p) {
    uint32_t v;
    asm volatile("ld.shared.b32 %0, [%1];" : "=r"(v) : "r"(p) : "memory");
    return v;
}
__device__ __forceinline__ void store_shared16(shared_addr p, uint4 v) {
    asm volatile("st.shared.v4.b32 [%0], {%1, %2, %3, %4};" ::"r"(p), "r"(v.x), "r"(v.y), "r"(v.z), "r"(v.w) : "memory");
}
__device__ __forceinline__ void store_shared8(shared_addr p, uint2 v) {
    asm volatile("st.shared.v2.b32 [%0], {%1, %2};" ::"r"(p), "r"(v.x), "r"(v.y) : "memory");
}
__device__ __forceinline__ void store_shared4(shared_addr p, uint32_t v) { asm volatile("st.shared.b32 [%0], %1;" ::"r"(p), "r"(v) : "memory"); }

// Starts to copy from device to shared memory, past L1. Where `inside` is false nothing is read and zeros are written.
__device__ __forceinline__ void cp_async16(shared_addr to, const void* from, bool inside = true) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(inside ? 16 : 0) : "memory");
}
__device__ __forceinline__ void cp_async8(shared_addr to, const void* from) {
    asm volatile("cp.async.ca.shared.global [%0], [%1], 8;" ::"r"(to), "l"(from) : "memory");
}
__device__ __forceinline__ void cp_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
// Waits until at most Keep of this thread's committed groups are in flight.
template <int Keep> __device__ __forceinline__ void cp_async_wait() { asm volatile("cp.async.wait_group %0;" ::"n"(Keep) : "memory"); }

// Four 8 x 8 matrices of bf16; lane l gives the address of row l % 8 of matrix l / 8.
__device__ __forceinline__ void ldmatrix_x4(uint32_t (&r)[4], shared_addr row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(row) : "memory");
}
// ... each transposed on its way.
__device__ __forceinline__ void ldmatrix_x4_trans(uint32_t (&r)[4], shared_addr row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(row) : "memory");
}

// c[16][8] += a[16][16] b[16][8], fp32 accumulators. Not volatile: it maps registers to registers and may move.
__device__ __forceinline__ void mma_m16n8k16(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// A float rounded to the 11 significant bits of tf32, ties away from zero; the lower 13 bits of the result are 0. NaN stays NaN.
__device__ __forceinline__ uint32_t to_tf32(float x) {
    uint32_t y;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(y) : "f"(x));
    return y;
}
// c[16][8] += a[16][8] b[8][8] of tf32. ldmatrix gives such fragments too: it moves 16 bytes of a row to 4 lanes, whatever they hold.
__device__ __forceinline__ void mma_m16n8k8_tf32(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
    asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// Barriers 1 to 15 of the block, for a number of its threads (whole warps). `arrive` does not wait.
__device__ __forceinline__ void bar_sync(int id, int threads) { asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory"); }
__device__ __forceinline__ void bar_arrive(int id, int threads) { asm volatile("bar.arrive %0, %1;" ::"r"(id), "r"(threads) : "memory"); }

// 2^x with a relative error of about 2^-22, 0 for -infinity; results below 2^-126 are 0.
__device__ __forceinline__ float exp2_approx(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}
// 1 / x with an error of one unit in the last place.
__device__ __forceinline__ float reciprocal_approx(float x) {
    float y;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

// x, but the compiler cannot tell: what follows from it is computed on the spot instead of being kept in registers.
template <class T> __device__ __forceinline__ T opaque(T x) {
    asm volatile("" : "+r"(x));
    return x;
}

#else

using simt::shared_addr;
using simt::shared_address, simt::dynamic_shared;
namespace simt {
typedef uint32_t Words __attribute__((vector_size(16), may_alias));
typedef uint64_t Pair __attribute__((may_alias));
}  // namespace simt
inline uint4 load16(const void* p) {
    simt::Words v = *(const simt::Words*)p;   // one access of 16 bytes, as on the device
    return {v[0], v[1], v[2], v[3]};
}
inline void store16(void* p, uint4 v) { *(simt::Words*)p = simt::Words{v.x, v.y, v.z, v.w}; }
inline uint2 load8(const void* p) {
    const uint64_t v = *(const simt::Pair*)p;
    return {(uint32_t)v, (uint32_t)(v >> 32)};
}
inline void store8(void* p, uint2 v) { *(simt::Pair*)p = v.x | (uint64_t)v.y << 32; }
inline uint4 load16_streaming(const void* p) { return load16(p); }
inline void store16_streaming(void* p, uint4 v) { store16(p, v); }
inline uint4 load_shared16(shared_addr p) { return load16(simt::shared_pointer(p, 16)); }
inline uint2 load_shared8(shared_addr p) { return load8(simt::shared_pointer(p, 8)); }
inline uint32_t load_shared4(shared_addr p) { return *(uint32_t*)simt::shared_pointer(p, 4); }
inline void store_shared16(shared_addr p, uint4 v) { store16(simt::shared_pointer(p, 16), v); }
inline void store_shared8(shared_addr p, uint2 v) { store8(simt::shared_pointer(p, 8), v); }
inline void store_shared4(shared_addr p, uint32_t v) { *(uint32_t*)simt::shared_pointer(p, 4) = v; }
inline void cp_async16(shared_addr to, const void* from, bool inside = true) { simt::cp_async(to, from, 16, inside ? 16 : 0); }
inline void cp_async8(shared_addr to, const void* from) { simt::cp_async(to, from, 8, 8); }
inline void cp_async_commit() { simt::cp_async_commit(); }
template <int Keep> inline void cp_async_wait() { simt::cp_async_wait(Keep); }
inline void ldmatrix_x4(uint32_t (&r)[4], shared_addr row) { simt::ldmatrix_x4(r, row, false); }
inline void ldmatrix_x4_trans(uint32_t (&r)[4], shared_addr row) { simt::ldmatrix_x4(r, row, true); }
inline void mma_m16n8k16(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) { simt::mma_m16n8k16_bf16(c, a, b0, b1); }
inline uint32_t to_tf32(float x) { return simt::to_tf32(x); }
inline void mma_m16n8k8_tf32(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) { simt::mma_m16n8k8_tf32(c, a, b0, b1); }
inline void bar_sync(int id, int threads) { simt::named_barrier(id, threads, true); }
inline void bar_arrive(int id, int threads) { simt::named_barrier(id, threads, false); }
inline float exp2_approx(float x) { return std::exp2(x); }
inline float reciprocal_approx(float x) { return 1.0f / x; }
template <class T> inline T opaque(T x) { return x; }

#endif
