// gemm.cuh - what the two versions of the matrix products share: which tile a block computes, and sums that leave as fp32.
//
// A product is D[rows][columns] = sum over the depth, in tiles of the depth. A unit of work is a tile of D and a part of the depth.
#pragma once
#include "vector.cuh"

__device__ __forceinline__ int ceil_div(int a, int b) { return (a + b - 1) / b; }

struct GemmUnit { int tile_row, tile_column, split, first, end; };   // of the depth: tiles first to end - 1

// Blocks that run at the same time work on the same split and on neighbouring tiles, eight rows of tiles high: about as many lines of one
// operand as of the other, and each is read from device memory once and from L2 afterwards (the order of Triton's tutorial, Tillet et al. 2019).
constexpr int kGroupRows = 8;
__device__ __forceinline__ GemmUnit gemm_unit(int unit, int tile_rows, int tile_columns, int depth_tiles, int splits) {
    const int tiles = tile_rows * tile_columns, split = unit / tiles, tile = unit % tiles;
    const int group = tile / (kGroupRows * tile_columns), in_group = tile % (kGroupRows * tile_columns);
    const int group_rows = min(kGroupRows, tile_rows - group * kGroupRows);
    return {group * kGroupRows + in_group % group_rows, in_group / group_rows, split,
            (int)((long long)depth_tiles * split / splits), (int)((long long)depth_tiles * (split + 1) / splits)};
}

// The gradients of a weight (rows, columns) and of its bias (rows), fp32. With several splits each has its own sums, (splits, rows * columns + rows),
// and gemm_reduce_splits adds them up.
struct WeightGradient {
    float* weight;
    float* bias;       // or null
    int columns;
    bool accumulate;
};
__device__ __forceinline__ WeightGradient of_split(const WeightGradient& total, float* partial, int rows, int split, int splits) {
    if (splits == 1) return total;
    const size_t weights = (size_t)rows * total.columns;
    float* own = partial + split * (weights + rows);
    return {own, total.bias != nullptr ? own + weights : nullptr, total.columns, false};
}

// Of one row: pairs of columns, the first at `column`, eight columns apart. The four lanes that share a row of a fragment cover a sector of 32
// bytes. All old sums are read before the first is written: a load cannot pass a store.
template <int Pairs> __device__ __forceinline__ void store_sums(const WeightGradient& to, int row, int rows, int column, const float2 (&sums)[Pairs]) {
    float* line = to.weight + (size_t)row * to.columns + column;
    const int inside = row < rows ? to.columns - column : 0;
    uint2 old[Pairs];
#pragma unroll
    for (int i = 0; i < Pairs; i++) {
        old[i] = make_uint2(0, 0);
        if (to.accumulate && i * 8 < inside) old[i] = load8(line + i * 8);
    }
#pragma unroll
    for (int i = 0; i < Pairs; i++) {
        const float x = __uint_as_float(old[i].x) + sums[i].x, y = __uint_as_float(old[i].y) + sums[i].y;
        if (i * 8 < inside) store8(line + i * 8, make_uint2(__float_as_uint(x), __float_as_uint(y)));
    }
}
__device__ __forceinline__ void store_bias_sum(const WeightGradient& to, int row, float sum) { to.bias[row] = to.accumulate ? to.bias[row] + sum : sum; }
