// mma_tile.cuh - tiles of bf16 in shared memory as ldmatrix and mma.m16n8k16 take them.
//
// A tile has rows of 64 or 128 elements and begins at a multiple of 1024 bytes, or of 256 with rows in multiples of 8. The 16-byte chunk c of
// row r lies in the place of chunk c ^ (r % 8). So nothing that is done to a tile has bank conflicts:
//   * ldmatrix reads one chunk of 8 rows at a time, which differ in r % 8: the exclusive or sends them to 8 different groups of 4 banks;
//   * copies of 16 bytes serve 8 lanes at a time, which move 8 chunks of one row: 128 contiguous bytes in another order;
//   * a store of 4 bytes from each lane of an accumulator fills 4 words of one chunk in 8 rows: again 8 different groups of banks.
// With rows of 64 elements this is the 128-byte swizzle of TMA and wgmma.
#pragma once
#include "vector.cuh"

template <int Columns> __device__ __forceinline__ shared_addr chunk_address(shared_addr tile, int row, int chunk) {
    static_assert(Columns % 64 == 0);
    return tile + row * (Columns * 2) + ((chunk ^ (row & 7)) << 4);
}

// The row of a 16 x 16 block of a tile that this lane gives to ldmatrix_x4, for the two orders of its four 8 x 8 matrices.
//   down first     the second matrix is the next 8 rows: an A operand with the rows as M; transposed, two B operands with the rows as K
//   across first   the second matrix is the next 8 columns: two B operands with the rows as N
template <int Columns> __device__ __forceinline__ shared_addr lane_down_first(shared_addr tile) {
    const int lane = threadIdx.x % 32;
    return chunk_address<Columns>(tile, lane % 16, lane / 16);
}
template <int Columns> __device__ __forceinline__ shared_addr lane_across_first(shared_addr tile) {
    const int lane = threadIdx.x % 32;
    return chunk_address<Columns>(tile, lane % 8 + lane / 16 * 8, lane / 8 % 2);
}
// The same in the block `row` rows (a multiple of 8) down and 16 * block columns across: an exclusive or of the whole address, and an addition
// that the instruction takes as an immediate.
template <int Columns> __device__ __forceinline__ shared_addr block_address(shared_addr lane, int row, int block) {
    return (lane ^ (block << 5)) + row * (Columns * 2);
}

// The accumulators of two neighbouring n8 tiles, rounded to bf16, as the A operand of the next product: the layouts are the same.
__device__ __forceinline__ void accumulators_to_a(uint32_t (&a)[4], const float (&left)[4], const float (&right)[4]) {
    a[0] = pack_bf16(left[0], left[1]);
    a[1] = pack_bf16(left[2], left[3]);
    a[2] = pack_bf16(right[0], right[1]);
    a[3] = pack_bf16(right[2], right[3]);
}

template <int N, int M> __device__ __forceinline__ void set_zero(float (&tiles)[N][M]) {
#pragma unroll
    for (int i = 0; i < N; i++)
#pragma unroll
        for (int j = 0; j < M; j++) tiles[i][j] = 0.f;
}

// The warp's number in its block, taken from lane 0: branches on it need no code for lanes that part.
__device__ __forceinline__ int warp_index() { return __shfl_sync(kFullWarp, (int)threadIdx.x / 32, 0); }
