// gemm_float.cuh - the matrix products of a linear layer with fp32 matrices, but for how a block multiplies two tiles: that is the parameter Product,
// in fp32 on the ordinary cores (gemm_f32.cu) or in tf32 on tensor cores (gemm_tf32.cu). Kernels, arguments and units of work are those of gemm_mma.cu.
//
//   D (rows, columns) = the product, depth its sum:   rows  columns  depth    A lies along    B lies along
//     forward                                         R     N        K        depth           depth
//     backward input                                  R     K        N        depth           columns
//     backward weight                                 N     K        R        rows            columns
//
// A Product has
//   Sums               this thread's part of 128 x 128 sums, and the sums of A's rows
//   kWidth             how many neighbouring columns a thread has at a time
//   for_each           calls f(row, column, values[kWidth]) for each part of the sums
//   place_...          the byte of a tile at which a chunk of 16 bytes lies: without conflicts between banks for cp.async, which stores 8 chunks along the
//                      line at once, and for multiply. The second half of a tile is placed like the first.
//   arrived            what a thread does to the chunks that it has copied itself, before others may read them
//   multiply           sums += A B, of two tiles
//   store_bias         the sums of A's rows
//
// cp.async brings tiles of 16 depth into a ring of 3 stages, 2 tiles ahead: 48 KiB, so that two blocks fit every multiprocessor.
#pragma once
#include "gelu.cuh"
#include "gemm.cuh"

constexpr int kTile = 128, kTileDepth = 16, kStages = 3, kThreads = 256;
constexpr int kTileBytes = kTile * kTileDepth * 4, kStageBytes = 2 * kTileBytes;     // A, then B
constexpr int kNever = 0x7fffffff;

// A thread's share of loading an operand: two chunks of 16 bytes of each tile.
template <class Product, bool AlongDepth> struct TileLoader {
    const float* from;       // the first chunk
    size_t second, next;     // elements from it to the second chunk, and to the next tile
    int left, bound[2];      // depth that is left from the first chunk on; chunk i is inside while that exceeds its bound
    int to;                  // byte in the tile; the second chunk lies half a tile further

    __device__ __forceinline__ TileLoader(const float* matrix, int extent, int pitch, int first, int depth, int depth_end) {
        const int t = threadIdx.x;
        if constexpr (AlongDepth) {
            const int row = t / 4, chunk = t % 4;
            from = matrix + (size_t)(first + row) * pitch + depth + chunk * 4;
            second = (size_t)(kTile / 2) * pitch;
            next = kTileDepth;
            left = depth_end - depth - chunk * 4;
            bound[0] = first + row < extent ? 0 : kNever;
            bound[1] = first + row + kTile / 2 < extent ? 0 : kNever;
            to = Product::place_along_depth(row, chunk);
        } else {
            const int row = t / 32, chunk = t % 32;
            from = matrix + (size_t)(depth + row) * pitch + first + chunk * 4;
            second = (size_t)(kTileDepth / 2) * pitch;
            next = (size_t)kTileDepth * pitch;
            left = depth_end - depth - row;
            const bool inside = first + chunk * 4 < extent;
            bound[0] = inside ? 0 : kNever;
            bound[1] = inside ? kTileDepth / 2 : kNever;
            to = Product::place_along_rows(row, chunk);
        }
    }
    __device__ __forceinline__ void load(shared_addr tile) {
        cp_async16(tile + to, from, left > bound[0]);
        cp_async16(tile + to + kTileBytes / 2, from + second, left > bound[1]);
        from += next;
        left -= kTileDepth;
    }
};

// The unit's tile, summed over its part of the depth. WithBias: the row sums of A too.
template <class Product, bool AAlongDepth, bool BAlongDepth, bool WithBias>
__device__ __forceinline__ void multiply(typename Product::Sums& sums, const float* a, const float* b, int rows, int columns, int depth, const GemmUnit& unit) {
    const shared_addr ring = shared_address(dynamic_shared());
    const int first = unit.first * kTileDepth, tiles = unit.end - unit.first;
    TileLoader<Product, AAlongDepth> load_a(a, rows, AAlongDepth ? depth : rows, unit.tile_row * kTile, first, depth);
    TileLoader<Product, BAlongDepth> load_b(b, columns, BAlongDepth ? depth : columns, unit.tile_column * kTile, first, depth);
    auto load = [&](int tile, shared_addr stage) {
        if (tile < tiles) {
            load_a.load(stage);
            load_b.load(stage + kTileBytes);
        }
        cp_async_commit();
    };
#pragma unroll
    for (int tile = 0; tile < kStages - 1; tile++) load(tile, ring + tile * kStageBytes);
    shared_addr stage = ring, free = ring + (kStages - 1) * kStageBytes;
    for (int tile = 0; tile < tiles; tile++) {
        cp_async_wait<kStages - 2>();
        Product::template arrived<WithBias>(sums, stage + load_a.to, stage + kTileBytes + load_b.to);
        __syncthreads();
        load(tile + kStages - 1, free);      // into the stage of the tile before: every warp has read it
        Product::template multiply<AAlongDepth, BAlongDepth, WithBias>(sums, stage, stage + kTileBytes);
        free = stage;
        stage = stage == ring + (kStages - 1) * kStageBytes ? ring : stage + kStageBytes;
    }
    cp_async_wait<0>();
}

// Calls f(values, row, column) for what lies inside the matrix of rows x columns.
template <class Product, class F>
__device__ __forceinline__ void for_each_inside(typename Product::Sums& sums, int rows, int columns, const GemmUnit& unit, F&& f) {
    Product::for_each(sums, [&](int row, int column, float (&values)[Product::kWidth]) {
        row += unit.tile_row * kTile;
        column += unit.tile_column * kTile;
        if (row < rows && column < columns) f(values, row, column);
    });
}

template <class Product, bool Gelu>
__device__ __forceinline__ void forward(float* y, float* pre, const float* x, const float* weight, const float* bias, int rows, int N, int K) {
    constexpr int kWidth = Product::kWidth;
    const GemmUnit unit = gemm_unit(blockIdx.x, ceil_div(rows, kTile), ceil_div(N, kTile), ceil_div(K, kTileDepth), 1);
    typename Product::Sums sums;
    multiply<Product, true, true, false>(sums, x, weight, rows, N, K, unit);
    if (bias != nullptr)
        for_each_inside<Product>(sums, rows, N, unit, [&](float (&v)[kWidth], int, int column) {
            float b[kWidth];
            load_floats(b, bias + column);
            add(v, b);
        });
    for_each_inside<Product>(sums, rows, N, unit, [&](float (&v)[kWidth], int row, int column) {
        const size_t at = (size_t)row * N + column;
        if constexpr (Gelu) {
            store_floats(pre + at, v);
#pragma unroll
            for (int i = 0; i < kWidth; i++) v[i] = gelu(v[i]);
        }
        store_floats(y + at, v);
    });
}

template <class Product, bool DGelu>
__device__ __forceinline__ void backward_input(float* dx, const float* dy, const float* weight, const float* pre, int rows, int N, int K) {
    constexpr int kWidth = Product::kWidth;
    const GemmUnit unit = gemm_unit(blockIdx.x, ceil_div(rows, kTile), ceil_div(K, kTile), ceil_div(N, kTileDepth), 1);
    typename Product::Sums sums;
    multiply<Product, true, false, false>(sums, dy, weight, rows, K, N, unit);
    // All loads come before the first store, which none can pass.
    if constexpr (DGelu)
        for_each_inside<Product>(sums, rows, K, unit, [&](float (&v)[kWidth], int row, int column) {
            float p[kWidth];
            load_floats(p, pre + (size_t)row * K + column);
#pragma unroll
            for (int i = 0; i < kWidth; i++) v[i] *= gelu_derivative(p[i]);
        });
    for_each_inside<Product>(sums, rows, K, unit, [&](float (&v)[kWidth], int row, int column) { store_floats(dx + (size_t)row * K + column, v); });
}

template <class Product>
__device__ __forceinline__ void backward_weight(float* dweight, float* dbias, float* partial, const float* dy, const float* x, int rows, int N, int K,
                                                int splits, int accumulate) {
    constexpr int kWidth = Product::kWidth;
    const GemmUnit unit = gemm_unit(blockIdx.x, ceil_div(N, kTile), ceil_div(K, kTile), ceil_div(rows, kTileDepth), splits);
    const WeightGradient to = of_split({dweight, dbias, K, accumulate != 0}, partial, N, unit.split, splits);
    typename Product::Sums sums;
    if (dbias != nullptr && unit.tile_column == 0) {
        multiply<Product, false, false, true>(sums, dy, x, N, K, rows, unit);
        Product::store_bias(sums, to, unit.tile_row * kTile, N);
    } else multiply<Product, false, false, false>(sums, dy, x, N, K, rows, unit);
    if (to.accumulate)
        for_each_inside<Product>(sums, N, K, unit, [&](float (&v)[kWidth], int row, int column) {
            float old[kWidth];
            load_floats(old, to.weight + (size_t)row * K + column);
            add(v, old);
        });
    for_each_inside<Product>(sums, N, K, unit, [&](float (&v)[kWidth], int row, int column) { store_floats(to.weight + (size_t)row * K + column, v); });
}

// The five kernels of a Product; `suffix` ends their names. R at least 1, N and K multiples of 8; partial as in gemm_mma.cu, with splits of 16 rows.
//   forward                 y (R, N): overwritten.   x (R, K), weight (N, K), bias (N) or null
//   forward_gelu            y (R, N), pre (R, N): overwritten.   x (R, K), weight (N, K), bias (N) or null
//   backward_input          dx (R, K): overwritten.   dy (R, N), weight (N, K)
//   backward_input_dgelu    dx (R, K): overwritten.   dy (R, N), weight (N, K), pre (R, K)
//   backward_weight         dweight (N, K), dbias (N) or null: += or, without accumulate, overwritten.   dy (R, N), x (R, K)
#define GEMM_FLOAT_KERNEL(name) extern "C" __global__ void __launch_bounds__(kThreads, 2) name
#define GEMM_FLOAT_KERNELS(suffix, Product)                                                                                                     \
    GEMM_FLOAT_KERNEL(gemm_forward_##suffix)(float* y, const float* x, const float* weight, const float* bias, int rows, int N, int K) {        \
        forward<Product, false>(y, nullptr, x, weight, bias, rows, N, K);                                                                       \
    }                                                                                                                                           \
    GEMM_FLOAT_KERNEL(gemm_forward_gelu_##suffix)(float* y, float* pre, const float* x, const float* weight, const float* bias, int rows,       \
                                                  int N, int K) {                                                                               \
        forward<Product, true>(y, pre, x, weight, bias, rows, N, K);                                                                            \
    }                                                                                                                                           \
    GEMM_FLOAT_KERNEL(gemm_backward_input_##suffix)(float* dx, const float* dy, const float* weight, int rows, int N, int K) {                  \
        backward_input<Product, false>(dx, dy, weight, nullptr, rows, N, K);                                                                    \
    }                                                                                                                                           \
    GEMM_FLOAT_KERNEL(gemm_backward_input_dgelu_##suffix)(float* dx, const float* dy, const float* weight, const float* pre, int rows, int N,   \
                                                          int K) {                                                                              \
        backward_input<Product, true>(dx, dy, weight, pre, rows, N, K);                                                                         \
    }                                                                                                                                           \
    GEMM_FLOAT_KERNEL(gemm_backward_weight_##suffix)(float* dweight, float* dbias, float* partial, const float* dy, const float* x, int rows,   \
                                                     int N, int K, int splits, int accumulate) {                                                \
        backward_weight<Product>(dweight, dbias, partial, dy, x, rows, N, K, splits, accumulate);                                               \
    }
