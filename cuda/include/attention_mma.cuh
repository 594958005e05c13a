// attention_mma.cuh - what the attention kernels for sm_80 and later have in common: how rows come into a block and leave it.
#pragma once
#include "attention.cuh"

constexpr int kThreads = 128, kWarps = kThreads / 32;

// kRowTiles: the 16-row tiles of mma that a warp owns. kColumns: the rows of the other side that a block takes at a time. Every B operand
// read from shared memory serves kRowTiles products, so 2 halves that traffic; with HS = 128 the accumulators are twice as wide and leave
// registers for 1.
template <int RowTiles, int Columns> struct Tiles {
    static constexpr int kRowTiles = RowTiles, kColumns = Columns, kWarpRows = 16 * RowTiles, kBlockRows = kWarps * kWarpRows;
};

// Starts to copy rows first .. first + Rows - 1 of a head into a tile; rows >= T become zeros. For these nothing is read, but `readable` is
// still a valid address: a kernel's parameter, which takes no registers.
template <int HS, int Rows>
__device__ __forceinline__ void load_rows(shared_addr tile, const bf16* head, int stride, int first, int T, const bf16* readable) {
    constexpr int kChunks = HS / 8, kStep = kThreads / kChunks;
    static_assert(kStep % 8 == 0 && Rows % kStep == 0, "the swizzle must not change from step to step");
    // Opaque: a few integer instructions for each tile cost less than addresses that are kept, and spilled, from tile to tile.
    const int thread = opaque((int)threadIdx.x), row = thread / kChunks, chunk = thread % kChunks, t = first + row;
    const shared_addr to = chunk_address<HS>(tile, row, chunk);
    unsigned at = t * stride + chunk * 8;
#pragma unroll
    for (int i = 0; i < Rows / kStep; i++) {
        const bool inside = t + i * kStep < T;
        cp_async16(to + i * kStep * HS * 2, inside ? head + at : readable, inside);
        at += kStep * stride;
    }
}

// Stores a warp's rows of accumulators as bf16, each times its factor; rows >= T are left out. The rows pass through the warp's own part of a
// tile, because an accumulator's row lies in 4 lanes, and device memory wants 16 bytes from each. No other warp uses them.
template <int HS, int RowTiles>
__device__ __forceinline__ void store_rows(bf16* head, int stride, shared_addr tile, int tile_row, int first, int T, const float (&rows)[RowTiles][HS / 8][4],
                                           const float (&factor)[RowTiles][2]) {
    const int lane = threadIdx.x % 32;
    __syncwarp();   // the other lanes have read what these rows held
#pragma unroll
    for (int r = 0; r < RowTiles; r++)
#pragma unroll
        for (int n = 0; n < HS / 8; n++)
#pragma unroll
            for (int half = 0; half < 2; half++)
                store_shared4(chunk_address<HS>(tile, tile_row + r * 16 + half * 8 + lane / 4, n) + lane % 4 * 4,
                              pack_bf16(rows[r][n][2 * half] * factor[r][half], rows[r][n][2 * half + 1] * factor[r][half]));
    __syncwarp();
    constexpr int kChunks = HS / 8;
#pragma unroll
    for (int i = 0; i < 16 * RowTiles * kChunks / 32; i++) {
        const int c = lane + i * 32, row = c / kChunks, chunk = c % kChunks;
        const uint4 v = load_shared16(chunk_address<HS>(tile, tile_row + row, chunk));
        if (first + row < T) store16(head + (size_t)(first + row) * stride + chunk * 8, v);
    }
}
