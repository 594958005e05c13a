// simt.h - the CUDA language for g++. A .cu file is compiled unchanged: it reaches this header through cuda/include/ptx.cuh in place of
// the compiler's own definitions.
//
// Every CUDA thread is a fiber; what threads do together is a function of the simulator (below), everything else is plain C++. Loads and
// stores are not written differently: the compiler reports them (-fsanitize=thread, src/hooks.cpp), so that the simulator sees each.
#pragma once
#include <bit>
#include <cmath>
#include <cstring>
#include <cstddef>
#include <cstdint>

#define __global__
#define __device__
#define __host__
#define __constant__ static const
// A section of its own tells the simulator where static shared memory lies. Sections and templates do not go together in g++: static
// shared arrays are declared in kernels, templates take dynamic shared memory or a pointer.
#define __shared__ static __attribute__((section("simt_shared")))
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __grid_constant__
#define __restrict__ __restrict
#define __align__(n) __attribute__((aligned(n)))

struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};
struct uint3 { unsigned x, y, z; };
struct alignas(8) int2 { int x, y; };
struct alignas(8) uint2 { unsigned x, y; };
struct alignas(8) float2 { float x, y; };
struct alignas(16) int4 { int x, y, z, w; };
struct alignas(16) uint4 { unsigned x, y, z, w; };
struct alignas(16) float4 { float x, y, z, w; };
struct alignas(16) double2 { double x, y; };
inline int2 make_int2(int x, int y) { return {x, y}; }
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline double2 make_double2(double x, double y) { return {x, y}; }

// What the driver packs into the opaque 128 bytes of a tensor map, for tensors of two or three dimensions.
struct alignas(64) CUtensorMap {
    uint64_t magic;
    char* base;
    uint64_t extent[3];       // elements of a line (contiguous), lines, planes
    uint64_t pitch[2];        // bytes from one line to the next, from one plane to the next
    uint32_t box[2];          // elements and lines; of one plane
    uint32_t rank;
    uint32_t element_bytes;
    uint32_t swizzle;         // the driver's enumeration: 0 none, 1 32 bytes, 2 64 bytes, 3 128 bytes
    uint32_t unused[13];
};
static_assert(sizeof(CUtensorMap) == 128);

namespace simt {

struct Fiber;
struct Position { uint3 thread; dim3 block, block_extent, grid_extent; };

extern "C" __attribute__((visibility("hidden"))) const Position* simt_position;

// Where the running thread is. Read by an instruction that the compiler does not know as a load: it would report it, thread by thread and
// use by use. The position of a thread never changes, so the compiler may keep it.
__forceinline__ const Position& position() {
    const Position* p;
    asm("movq simt_position(%%rip), %0" : "=r"(p));
    return *p;
}

constexpr uint32_t full_warp = 0xffffffffu;
using shared_addr = uint32_t;   // an address in the 32-bit window of shared memory

// ---- blocks and warps (block.cpp, warp.cpp) ----
void sync_threads();
void sync_warp(uint32_t mask);
void named_barrier(unsigned id, unsigned threads, bool wait);
uint32_t ballot(uint32_t mask, bool predicate);
uint32_t match_any(uint32_t mask, uint64_t value);
enum class Shuffle { exclusive_or, down, up, index };
uint64_t shuffle(uint32_t mask, uint64_t value, int operand, int width, Shuffle mode);
bool elect_one();
void set_max_registers(unsigned registers, bool increase);

// ---- memory (memory.cpp, shared.cpp) ----
unsigned char* dynamic_shared();
shared_addr shared_address(const void* pointer);
void* shared_pointer(shared_addr address, unsigned bytes);   // checked
uint32_t atomic_add(uint32_t* p, uint32_t v);
uint64_t atomic_add(uint64_t* p, uint64_t v);
float atomic_add(float* p, float v);
uint32_t atomic_or(uint32_t* p, uint32_t v);
uint32_t atomic_max(uint32_t* p, uint32_t v);

// ---- sm_80 (async_copy.cpp, tensor_core.cpp) ----
void cp_async(shared_addr destination, const void* source, unsigned bytes, unsigned source_bytes);
void cp_async_commit();
void cp_async_wait(unsigned keep);
void ldmatrix_x4(uint32_t* fragments, shared_addr row, bool transposed);
void mma_m16n8k16_bf16(float* c, const uint32_t* a, uint32_t b0, uint32_t b1);
uint32_t to_tf32(float v);
void mma_m16n8k8_tf32(float* c, const uint32_t* a, uint32_t b0, uint32_t b1);

// ---- sm_90 (mbarrier.cpp, tma.cpp, wgmma.cpp) ----
void fence_proxy_async();
void mbarrier_init(uint64_t* barrier, unsigned count);
void mbarrier_arrive(uint64_t* barrier, unsigned expected_bytes);
void mbarrier_wait(uint64_t* barrier, unsigned parity);
struct BoxStart { int x, y, z; unsigned rank; };
void tma_load(void* destination, const CUtensorMap* map, uint64_t* barrier, BoxStart start);
void tma_store(const CUtensorMap* map, const void* source, BoxStart start);
void bulk_load(void* destination, const void* source, unsigned bytes, uint64_t* barrier);
void tma_store_commit();
void tma_store_wait(unsigned keep, bool only_read);
struct WgmmaOperands {
    float* d;                 // n / 2 accumulators
    const uint32_t* a;        // four registers, or null: A from shared memory
    uint64_t descriptor_a, descriptor_b;
    int n;
    bool accumulate, a_mn_major, b_mn_major;
};
void wgmma(const WgmmaOperands& operands);
void wgmma_fence();
void wgmma_commit();
void wgmma_wait(unsigned keep);

}  // namespace simt

#define threadIdx (simt::position().thread)
#define blockIdx (simt::position().block)
#define blockDim (simt::position().block_extent)
#define gridDim (simt::position().grid_extent)
constexpr int warpSize = 32;

inline void __syncthreads() { simt::sync_threads(); }
inline void __syncwarp(unsigned mask = simt::full_warp) { simt::sync_warp(mask); }
inline unsigned __ballot_sync(unsigned mask, int predicate) { return simt::ballot(mask, predicate); }
inline int __any_sync(unsigned mask, int predicate) { return simt::ballot(mask, predicate) != 0; }
inline int __all_sync(unsigned mask, int predicate) { return simt::ballot(mask, !predicate) == 0; }
template <class T> unsigned __match_any_sync(unsigned mask, T v) {
    uint64_t bits = 0;
    __builtin_memcpy(&bits, &v, sizeof v);
    return simt::match_any(mask, bits);
}
namespace simt {
template <class T> T shuffle_as(uint32_t mask, T v, int operand, int width, Shuffle mode) {
    static_assert(sizeof(T) == 4 || sizeof(T) == 8);
    uint64_t bits = 0;
    __builtin_memcpy(&bits, &v, sizeof v);
    bits = shuffle(mask, bits, operand, width, mode);
    __builtin_memcpy(&v, &bits, sizeof v);
    return v;
}
}  // namespace simt
template <class T> T __shfl_sync(unsigned m, T v, int lane, int width = 32) { return simt::shuffle_as(m, v, lane, width, simt::Shuffle::index); }
template <class T> T __shfl_xor_sync(unsigned m, T v, int bits, int width = 32) { return simt::shuffle_as(m, v, bits, width, simt::Shuffle::exclusive_or); }
template <class T> T __shfl_down_sync(unsigned m, T v, int by, int width = 32) { return simt::shuffle_as(m, v, by, width, simt::Shuffle::down); }
template <class T> T __shfl_up_sync(unsigned m, T v, int by, int width = 32) { return simt::shuffle_as(m, v, by, width, simt::Shuffle::up); }

inline int atomicAdd(int* p, int v) { return (int)simt::atomic_add((uint32_t*)p, (uint32_t)v); }
inline unsigned atomicAdd(unsigned* p, unsigned v) { return simt::atomic_add((uint32_t*)p, v); }
inline unsigned long long atomicAdd(unsigned long long* p, unsigned long long v) { return simt::atomic_add((uint64_t*)p, (uint64_t)v); }
inline float atomicAdd(float* p, float v) { return simt::atomic_add(p, v); }
inline unsigned atomicOr(unsigned* p, unsigned v) { return simt::atomic_or((uint32_t*)p, v); }
inline unsigned atomicMax(unsigned* p, unsigned v) { return simt::atomic_max((uint32_t*)p, v); }

inline int min(int a, int b) { return a < b ? a : b; }
inline int max(int a, int b) { return a > b ? a : b; }
inline unsigned min(unsigned a, unsigned b) { return a < b ? a : b; }
inline unsigned max(unsigned a, unsigned b) { return a > b ? a : b; }
inline long long min(long long a, long long b) { return a < b ? a : b; }
inline long long max(long long a, long long b) { return a > b ? a : b; }
inline int __popc(unsigned v) { return std::popcount(v); }
inline int __ffs(int v) { return __builtin_ffs(v); }
inline int __clz(int v) { return v == 0 ? 32 : __builtin_clz((unsigned)v); }
inline unsigned __umulhi(unsigned a, unsigned b) { return (unsigned)((uint64_t)a * b >> 32); }
inline unsigned __float_as_uint(float v) { return std::bit_cast<unsigned>(v); }
inline int __float_as_int(float v) { return std::bit_cast<int>(v); }
inline float __uint_as_float(unsigned v) { return std::bit_cast<float>(v); }
inline float __int_as_float(int v) { return std::bit_cast<float>(v); }
inline float rsqrtf(float v) { return 1.0f / std::sqrt(v); }
inline float __fdividef(float a, float b) { return a / b; }
inline double __dmul_rn(double a, double b) {
    double product = a * b;
    asm("" : "+x"(product));   // so that no compiler makes one instruction of it and a sum that follows
    return product;
}
using std::isfinite;
using std::isnan;
