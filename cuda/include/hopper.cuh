// hopper.cuh - the asynchronous instructions of sm_90a, each with two bodies as in ptx.cuh: arrival barriers, tile copies (TMA), products of
// warpgroups (wgmma), and what orders them. Names and semantics are those of the PTX ISA.
#pragma once
#include "ptx.cuh"

// Describes a wgmma operand in shared memory with the 128-byte swizzle; distances in bytes, the tile aligned to 1024.
//   K-major   lines of 64 k (128 bytes), one for each m or n.   stride: 8 lines; leading is not used.   k + 16: 32 bytes further
//   MN-major  lines of 64 m or n (128 bytes), one for each k.   stride: 8 k; leading: the next 64 m or n.   k + 16: 16 lines further
__device__ __forceinline__ uint64_t wgmma_descriptor(shared_addr start, uint32_t leading, uint32_t stride) {
    constexpr uint64_t swizzle128 = 1;
    return (uint64_t)((start & 0x3ffff) >> 4) | (uint64_t)(leading >> 4) << 16 | (uint64_t)(stride >> 4) << 32 | swizzle128 << 62;
}

// What the warps of a block can share by setmaxnreg: what it was launched with, which for one block on a multiprocessor is the file of 65536, divided
// among its threads in steps of 8.
constexpr int registers_of_block(int threads) { return 65536 / threads / 8 * 8 * threads; }

#ifdef __CUDACC__
#include <cuda.h>   // CUtensorMap

// Orders this thread's earlier ordinary accesses to shared memory (mbarrier.init too) before later ones by TMA and wgmma.
__device__ __forceinline__ void fence_proxy_async() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

__device__ __forceinline__ void mbarrier_init(uint64_t* barrier, uint32_t arrivals) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(barrier)), "r"(arrivals) : "memory");
}
__device__ __forceinline__ void mbarrier_arrive(uint64_t* barrier) {
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(barrier)) : "memory");
}
// Arrives, and makes the phase wait for that many bytes of tile copies.
__device__ __forceinline__ void mbarrier_arrive_expect(uint64_t* barrier, uint32_t bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(barrier)), "r"(bytes) : "memory");
}
// Returns when the phase with this parity is complete.
__device__ __forceinline__ void mbarrier_wait(uint64_t* barrier, uint32_t parity) {
    asm volatile("{\n.reg .pred done;\nAGAIN:\nmbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n@!done bra AGAIN;\n}"
                 ::"r"(shared_address(barrier)), "r"(parity) : "memory");
}

__device__ __forceinline__ void tma_prefetch(const CUtensorMap* map) { asm volatile("prefetch.tensormap [%0];" ::"l"(map) : "memory"); }
// Copies the box whose first element is (x, y), x along the lines. The bytes count for the barrier; what is outside the tensor is zero.
// With three coordinates the tensor has planes, and the box lies in plane z.
__device__ __forceinline__ void tma_load(void* to, const CUtensorMap* map, uint64_t* barrier, int x, int y) {
    asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4}], [%2];"
                 ::"r"(shared_address(to)), "l"(map), "r"(shared_address(barrier)), "r"(x), "r"(y) : "memory");
}
__device__ __forceinline__ void tma_load(void* to, const CUtensorMap* map, uint64_t* barrier, int x, int y, int z) {
    asm volatile("cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4, %5}], [%2];"
                 ::"r"(shared_address(to)), "l"(map), "r"(shared_address(barrier)), "r"(x), "r"(y), "r"(z) : "memory");
}
// Copies a number of consecutive bytes, all three multiples of 16.
__device__ __forceinline__ void bulk_load(void* to, const void* from, uint32_t bytes, uint64_t* barrier) {
    asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];"
                 ::"r"(shared_address(to)), "l"(from), "r"(bytes), "r"(shared_address(barrier)) : "memory");
}
__device__ __forceinline__ void tma_store(const CUtensorMap* map, const void* from, int x, int y, int z) {
    asm volatile("cp.async.bulk.tensor.3d.global.shared::cta.tile.bulk_group [%0, {%2, %3, %4}], [%1];"
                 ::"l"(map), "r"(shared_address(from)), "r"(x), "r"(y), "r"(z) : "memory");
}
__device__ __forceinline__ void tma_store(const CUtensorMap* map, const void* from, int x, int y) {
    asm volatile("cp.async.bulk.tensor.2d.global.shared::cta.tile.bulk_group [%0, {%2, %3}], [%1];"
                 ::"l"(map), "r"(shared_address(from)), "r"(x), "r"(y) : "memory");
}
__device__ __forceinline__ void tma_store_commit() { asm volatile("cp.async.bulk.commit_group;" ::: "memory"); }
// Waits until at most Keep of this thread's groups still read shared memory.
template <int Keep> __device__ __forceinline__ void tma_store_wait_read() { asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(Keep) : "memory"); }
template <int Keep> __device__ __forceinline__ void tma_store_wait() { asm volatile("cp.async.bulk.wait_group %0;" ::"n"(Keep) : "memory"); }

__device__ __forceinline__ void wgmma_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ __forceinline__ void wgmma_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
template <int Keep> __device__ __forceinline__ void wgmma_wait() { asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(Keep) : "memory"); }

// The compiler knows nothing of registers in flight: this keeps their uses on their side of a fence or wait. Of accumulators, and of A.
template <int N> __device__ __forceinline__ void hold(float (&d)[N]) {
#pragma unroll
    for (int i = 0; i < N; i++) asm volatile("" : "+f"(d[i])::"memory");
}
template <int N> __device__ __forceinline__ void hold(uint32_t (&a)[N][4]) {
#pragma unroll
    for (int i = 0; i < N * 4; i++) asm volatile("" : "+r"(a[i / 4][i % 4])::"memory");
}

#define WGMMA_8(a, b, c, d, e, f, g, h) "%" #a ", %" #b ", %" #c ", %" #d ", %" #e ", %" #f ", %" #g ", %" #h
#define WGMMA_REGISTERS_4 "%0, %1, %2, %3"
#define WGMMA_REGISTERS_32                                                                                     \
    WGMMA_8(0, 1, 2, 3, 4, 5, 6, 7) ", " WGMMA_8(8, 9, 10, 11, 12, 13, 14, 15) ", "                            \
    WGMMA_8(16, 17, 18, 19, 20, 21, 22, 23) ", " WGMMA_8(24, 25, 26, 27, 28, 29, 30, 31)
#define WGMMA_REGISTERS_64                                                                                     \
    WGMMA_REGISTERS_32 ", " WGMMA_8(32, 33, 34, 35, 36, 37, 38, 39) ", " WGMMA_8(40, 41, 42, 43, 44, 45, 46, 47) ", " \
    WGMMA_8(48, 49, 50, 51, 52, 53, 54, 55) ", " WGMMA_8(56, 57, 58, 59, 60, 61, 62, 63)
#define WGMMA_REGISTERS_96                                                                                     \
    WGMMA_REGISTERS_64 ", " WGMMA_8(64, 65, 66, 67, 68, 69, 70, 71) ", " WGMMA_8(72, 73, 74, 75, 76, 77, 78, 79) ", " \
    WGMMA_8(80, 81, 82, 83, 84, 85, 86, 87) ", " WGMMA_8(88, 89, 90, 91, 92, 93, 94, 95)
#define WGMMA_REGISTERS_128                                                                                    \
    WGMMA_REGISTERS_96 ", " WGMMA_8(96, 97, 98, 99, 100, 101, 102, 103) ", " WGMMA_8(104, 105, 106, 107, 108, 109, 110, 111) ", " \
    WGMMA_8(112, 113, 114, 115, 116, 117, 118, 119) ", " WGMMA_8(120, 121, 122, 123, 124, 125, 126, 127)
#define WGMMA_OUT_4(i) "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3])
#define WGMMA_OUT_16(i) WGMMA_OUT_4(i), WGMMA_OUT_4(i + 4), WGMMA_OUT_4(i + 8), WGMMA_OUT_4(i + 12)
#define WGMMA_OUT_32 WGMMA_OUT_16(0), WGMMA_OUT_16(16)
#define WGMMA_OUT_64 WGMMA_OUT_32, WGMMA_OUT_16(32), WGMMA_OUT_16(48)
#define WGMMA_OUT_96 WGMMA_OUT_64, WGMMA_OUT_16(64), WGMMA_OUT_16(80)
#define WGMMA_OUT_128 WGMMA_OUT_96, WGMMA_OUT_16(96), WGMMA_OUT_16(112)
// After the registers: the descriptors (or A's four registers and B's descriptor), whether to accumulate, and how the operands lie.
#define WGMMA_SS(n, registers, out, a, b, keep, ta, tb)                                                                        \
    asm volatile("{\n.reg .pred keep;\nsetp.ne.b32 keep, %" #keep ", 0;\nwgmma.mma_async.sync.aligned.m64n" #n "k16.f32.bf16.bf16 {" \
                 registers "}, %" #a ", %" #b ", keep, 1, 1, %" #ta ", %" #tb ";\n}"                                           \
                 : out : "l"(a_descriptor), "l"(b_descriptor), "r"(accumulate), "n"(AMajorMN), "n"(BMajorMN))
#define WGMMA_RS(n, registers, out, a0, a1, a2, a3, b, keep, tb)                                                               \
    asm volatile("{\n.reg .pred keep;\nsetp.ne.b32 keep, %" #keep ", 0;\nwgmma.mma_async.sync.aligned.m64n" #n "k16.f32.bf16.bf16 {" \
                 registers "}, {%" #a0 ", %" #a1 ", %" #a2 ", %" #a3 "}, %" #b ", keep, 1, 1, %" #tb ";\n}"                    \
                 : out : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b_descriptor), "r"(accumulate), "n"(BMajorMN))

// d[64][N] = a[64][16] b[16][N] + (accumulate ? d : 0), asynchronously. Register i of thread t holds row t / 32 * 16 + t % 32 / 4 + i / 2 % 2 * 8,
// column i / 4 * 8 + t % 4 * 2 + i % 2. MajorMN: the operand's lines run along m or n.
template <int N, int AMajorMN, int BMajorMN>
__device__ __forceinline__ void wgmma(float (&d)[N / 2], uint64_t a_descriptor, uint64_t b_descriptor, int accumulate) {
    static_assert(N == 8 || N == 64 || N == 128 || N == 192 || N == 256, "add the list of registers");
    if constexpr (N == 8) WGMMA_SS(8, WGMMA_REGISTERS_4, WGMMA_OUT_4(0), 4, 5, 6, 7, 8);
    else if constexpr (N == 64) WGMMA_SS(64, WGMMA_REGISTERS_32, WGMMA_OUT_32, 32, 33, 34, 35, 36);
    else if constexpr (N == 128) WGMMA_SS(128, WGMMA_REGISTERS_64, WGMMA_OUT_64, 64, 65, 66, 67, 68);
    else if constexpr (N == 192) WGMMA_SS(192, WGMMA_REGISTERS_96, WGMMA_OUT_96, 96, 97, 98, 99, 100);
    else WGMMA_SS(256, WGMMA_REGISTERS_128, WGMMA_OUT_128, 128, 129, 130, 131, 132);
}
// The same with A in registers, laid out as the A operand of mma.m16n8k16 for the warp's 16 rows.
template <int N, int BMajorMN>
__device__ __forceinline__ void wgmma_a_registers(float (&d)[N / 2], const uint32_t (&a)[4], uint64_t b_descriptor, int accumulate) {
    static_assert(N == 64 || N == 128 || N == 192 || N == 256, "add the list of registers");
    if constexpr (N == 64) WGMMA_RS(64, WGMMA_REGISTERS_32, WGMMA_OUT_32, 32, 33, 34, 35, 36, 37, 38);
    else if constexpr (N == 128) WGMMA_RS(128, WGMMA_REGISTERS_64, WGMMA_OUT_64, 64, 65, 66, 67, 68, 69, 70);
    else if constexpr (N == 192) WGMMA_RS(192, WGMMA_REGISTERS_96, WGMMA_OUT_96, 96, 97, 98, 99, 100, 101, 102);
    else WGMMA_RS(256, WGMMA_REGISTERS_128, WGMMA_OUT_128, 128, 129, 130, 131, 132, 133, 134);
}

// Registers move between the warps of a block; each warpgroup asks once, in a branch of its own.
template <int Registers> __device__ __forceinline__ void give_registers() { asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(Registers)); }
template <int Registers> __device__ __forceinline__ void take_registers() { asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(Registers)); }

// True in exactly one lane of a full warp.
__device__ __forceinline__ bool elect_one() {
    uint32_t elected;
    asm volatile("{\n.reg .pred p;\nelect.sync _|p, 0xffffffff;\nselp.u32 %0, 1, 0, p;\n}" : "=r"(elected));
    return elected != 0;
}

#else

using simt::fence_proxy_async, simt::mbarrier_init, simt::mbarrier_wait, simt::tma_store_commit, simt::bulk_load;
using simt::wgmma_fence, simt::wgmma_commit, simt::elect_one;
inline void mbarrier_arrive(uint64_t* barrier) { simt::mbarrier_arrive(barrier, 0); }
inline void mbarrier_arrive_expect(uint64_t* barrier, uint32_t bytes) { simt::mbarrier_arrive(barrier, bytes); }
inline void tma_prefetch(const CUtensorMap*) {}
inline void tma_load(void* to, const CUtensorMap* map, uint64_t* barrier, int x, int y) { simt::tma_load(to, map, barrier, {x, y, 0, 2}); }
inline void tma_load(void* to, const CUtensorMap* map, uint64_t* barrier, int x, int y, int z) { simt::tma_load(to, map, barrier, {x, y, z, 3}); }
inline void tma_store(const CUtensorMap* map, const void* from, int x, int y) { simt::tma_store(map, from, {x, y, 0, 2}); }
inline void tma_store(const CUtensorMap* map, const void* from, int x, int y, int z) { simt::tma_store(map, from, {x, y, z, 3}); }
template <int Keep> inline void tma_store_wait_read() { simt::tma_store_wait(Keep, true); }
template <int Keep> inline void tma_store_wait() { simt::tma_store_wait(Keep, false); }
template <int Keep> inline void wgmma_wait() { simt::wgmma_wait(Keep); }
template <int N> inline void hold(float (&)[N]) {}
template <int N> inline void hold(uint32_t (&)[N][4]) {}
template <int N, int AMajorMN, int BMajorMN> inline void wgmma(float (&d)[N / 2], uint64_t a, uint64_t b, int accumulate) {
    simt::wgmma({d, nullptr, a, b, N, accumulate != 0, AMajorMN != 0, BMajorMN != 0});
}
template <int N, int BMajorMN> inline void wgmma_a_registers(float (&d)[N / 2], const uint32_t (&a)[4], uint64_t b, int accumulate) {
    simt::wgmma({d, a, 0, b, N, accumulate != 0, false, BMajorMN != 0});
}
template <int Registers> inline void give_registers() { simt::set_max_registers(Registers, false); }
template <int Registers> inline void take_registers() { simt::set_max_registers(Registers, true); }

#endif
