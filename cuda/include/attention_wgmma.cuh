// attention_wgmma.cuh - what the attention kernels for sm_90a have in common: tiles of 64 rows of one head, brought by TMA into a ring, and how
// wgmma reads them.
//
// A tile has a box of 64 rows x 64 columns (128 bytes, the width of the swizzle) for each 64 channels. The tensor maps have three dimensions,
// columns, T rows, B planes: what a box has behind the last row of a sequence is zero when loaded and left out when stored.
#pragma once
#include "attention.cuh"
#include "hopper.cuh"

constexpr int kRows = 64;   // the rows of a tile: what a warpgroup owns, and what it takes of the other side at a time
constexpr int kBoxBytes = kRows * 128;
template <int HS> constexpr int kTileBytes = HS / 64 * kBoxBytes;

template <int HS> __device__ __forceinline__ void load_tile(unsigned char* tile, const CUtensorMap* map, uint64_t* barrier, int column, int row, int batch) {
#pragma unroll
    for (int c = 0; c < HS / 64; c++) tma_load(tile + c * kBoxBytes, map, barrier, column + c * 64, row, batch);
}

// Operands in a tile. "across": the tile's rows are M or N, step counts 16 channels. "down": the channels are N, step counts 16 rows.
__device__ __forceinline__ uint64_t across(shared_addr tile, int step) { return wgmma_descriptor(tile + step / 4 * kBoxBytes + step % 4 * 32, 16, 8 * 128); }
__device__ __forceinline__ uint64_t down(shared_addr tile, int step) { return wgmma_descriptor(tile + step * 16 * 128, kBoxBytes, 8 * 128); }

// s = x y^T for two tiles: 64 x 64 scores.
template <int HS> __device__ __forceinline__ void multiply_rows(float (&s)[32], shared_addr x, shared_addr y) {
#pragma unroll
    for (int step = 0; step < HS / 16; step++) wgmma<64, 0, 0>(s, across(x, step), across(y, step), step > 0);
}
// o += p x for 64 x 64 weights in registers and a tile.
template <int HS> __device__ __forceinline__ void add_weighted_rows(float (&o)[HS / 2], const uint32_t (&p)[4][4], shared_addr x) {
#pragma unroll
    for (int step = 0; step < 4; step++) wgmma_a_registers<HS, 1>(o, p[step], down(x, step), 1);
}
// 64 x 64 accumulators, rounded to bf16, as the A operand of the next product: the layouts are the same.
__device__ __forceinline__ void round_to_a(uint32_t (&a)[4][4], const float (&s)[32]) {
#pragma unroll
    for (int i = 0; i < 16; i++) a[i / 4][i % 4] = pack_bf16(s[2 * i], s[2 * i + 1]);
}

// A ring of Slots buffers, filled in turn by the producer. Item i has its place in slot i % Slots. `full` completes when the bytes are there,
// `empty` when every consumer warp has read them.
template <int Slots> struct Ring {
    unsigned char* buffers;
    int slot_bytes;
    uint64_t *full, *empty;

    __device__ __forceinline__ void initialise(int consumer_warps) const {
        for (int i = 0; i < Slots; i++) {
            mbarrier_init(&full[i], 1);
            mbarrier_init(&empty[i], consumer_warps);
        }
    }
    __device__ __forceinline__ unsigned char* buffer(int i) const { return buffers + i % Slots * slot_bytes; }
    __device__ __forceinline__ void wait_empty(int i) const {
        if (i >= Slots) mbarrier_wait(&empty[i % Slots], (i / Slots - 1) & 1);
    }
    __device__ __forceinline__ void expect(int i, int bytes) const { mbarrier_arrive_expect(&full[i % Slots], bytes); }
    __device__ __forceinline__ void wait_full(int i) const { mbarrier_wait(&full[i % Slots], i / Slots & 1); }
    // By all lanes of a consumer warp, when its products with the item are complete.
    __device__ __forceinline__ void release(int i) const {
        if (threadIdx.x % 32 == 0) mbarrier_arrive(&empty[i % Slots]);
    }
};

// Stores 64 rows of accumulators as bf16, those of each half of a lane's rows times its factor, through `tile`, which the warpgroup has
// finished with. `barrier` is one of the block's, for this warpgroup. What shared memory holds must stay until store_wait.
template <int HS>
__device__ __forceinline__ void store_tile(const CUtensorMap* map, unsigned char* tile, int barrier, int column, int row, int batch, const float (&o)[HS / 2],
                                           const float (&factor)[2]) {
    const int lane = threadIdx.x % 32, tile_row = threadIdx.x / 32 % 4 * 16 + lane / 4;
    const shared_addr start = shared_address(tile);
    bar_sync(barrier, 128);   // the products of all four warps have read it
#pragma unroll
    for (int i = 0; i < HS / 2; i += 2) {
        const int half = i / 2 % 2, chunk = i / 4;
        store_shared4(chunk_address<64>(start + chunk / 8 * kBoxBytes, tile_row + half * 8, chunk % 8) + lane % 4 * 4,
                      pack_bf16(o[i] * factor[half], o[i + 1] * factor[half]));
    }
    fence_proxy_async();
    bar_sync(barrier, 128);
    if (threadIdx.x % 128 == 0) {
#pragma unroll
        for (int c = 0; c < HS / 64; c++) tma_store(map, tile + c * kBoxBytes, column + c * 64, row, batch);
        tma_store_commit();
    }
}
