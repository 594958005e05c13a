// gemm_mma.cu - the matrix products of a linear layer for sm_80 and later, with what follows them fused. bf16 operands, fp32 sums, each output
// rounded once. R rows, a layer from K to N channels; R at least 1, N and K multiples of 8. All matrices are row-major.
//
//   gemm_forward_mma               y (R, N) = x (R, K) weight (N, K)^T + bias
//   gemm_forward_gelu_mma          the same as pre (R, N), and y = GELU(pre)
//   gemm_backward_input_mma        dx (R, K) = dy (R, N) weight (N, K)
//   gemm_backward_input_dgelu_mma  dx = (dy weight) GELU'(pre (R, K))
//   gemm_backward_weight_mma       dweight (N, K) += dy (R, N)^T x (R, K),  dbias (N) += column sums of dy    (or = instead of +=)
//
//   D (rows, columns) = the product, depth its sum:   rows  columns  depth    A lies along    B lies along
//     forward                                         R     N        K        depth           depth
//     backward input                                  R     K        N        depth           columns
//     backward weight                                 N     K        R        rows            columns
//
// Launch: a block for each unit of work (gemm.cuh), ceil(rows / 128) ceil(columns / 128) splits of them, 256 threads, kGemmSharedBytes.
// FLOPs: 2 rows columns depth, each rounded up to its tile of 128, 128, 32; dbias: 16 N R more, on the blocks of the first column of tiles.
// Bytes: every operand and result once, if L2 holds what the tiles in flight share.
//
// A block computes 128 x 128 of D, each of its 8 warps 64 x 32 with mma.m16n8k16: 64 accumulators a thread, so that two blocks fit a
// multiprocessor and the epilogue of one runs beside the products of the other. cp.async brings tiles of 32 depth into a ring of 4 stages, 3
// tiles ahead. For a k16 step a warp reads 3 KiB of shared memory and computes 16 mma: 24 cycles of one against 32 of the other.
//
// Tiles in shared memory have no padding; the 16-byte chunks of a line are permuted (mma_tile.cuh) so that the eight rows of an ldmatrix, and the
// eight lanes that cp.async stores together, fall into different banks:
//   along the depth     a row of 32 depth is half a line of 128 bytes
//   along rows/columns  128 of them are a line of 256 bytes for each depth; ldmatrix transposes
// The bias's gradient is one more column of the product, dy^T 1: an mma whose B is all ones. Every warp of a row of warps reads the same A, so
// each computes a quarter of it, from a fragment that it reads once more: cheaper than to choose among registers.
//
// Source: the multistage pipeline of CUTLASS 2 for Ampere (NVIDIA 2020).
#include "gelu.cuh"
#include "gemm.cuh"
#include "mma_tile.cuh"

constexpr int kTile = 128, kTileDepth = 32, kStages = 4, kThreads = 256;
constexpr int kTileBytes = kTile * kTileDepth * 2, kStageBytes = 2 * kTileBytes;     // A, then B
constexpr int kGemmSharedBytes = kStages * kStageBytes;
constexpr int kOutputBytes = kTile * kTile * 2;                                      // a tile of D as bf16
static_assert(2 * kOutputBytes <= kGemmSharedBytes, "the epilogue of the GELU stages two outputs");

constexpr int kNever = 0x7fffffff;

// A thread's share of loading an operand: two chunks of 16 bytes of each tile.
template <bool AlongDepth> struct TileLoader {
    const bf16* from;        // the first chunk
    size_t second, next;     // elements from it to the second chunk, and to the next tile
    int left, bound[2];      // depth that is left from the first chunk on; chunk i is inside while that exceeds its bound
    int to;                  // byte in the tile; the second chunk lies half a tile further

    __device__ __forceinline__ TileLoader(const bf16* matrix, int extent, int pitch, int first, int depth, int depth_end) {
        const int t = threadIdx.x;
        if constexpr (AlongDepth) {
            const int row = t / 4, chunk = t % 4;
            from = matrix + (size_t)(first + row) * pitch + depth + chunk * 8;
            second = (size_t)(kTile / 2) * pitch;
            next = kTileDepth;
            left = depth_end - depth - chunk * 8;
            bound[0] = first + row < extent ? 0 : kNever;
            bound[1] = first + row + kTile / 2 < extent ? 0 : kNever;
            to = chunk_address<64>(0, row / 2, row % 2 * 4 + chunk);
        } else {
            const int row = t / 16, chunk = t % 16;
            from = matrix + (size_t)(depth + row) * pitch + first + chunk * 8;
            second = (size_t)(kTileDepth / 2) * pitch;
            next = (size_t)kTileDepth * pitch;
            left = depth_end - depth - row;
            const bool inside = first + chunk * 8 < extent;
            bound[0] = inside ? 0 : kNever;
            bound[1] = inside ? kTileDepth / 2 : kNever;
            to = chunk_address<128>(0, row, chunk);
        }
    }
    __device__ __forceinline__ void load(shared_addr tile) {
        cp_async16(tile + to, from, left > bound[0]);
        cp_async16(tile + to + kTileBytes / 2, from + second, left > bound[1]);
        from += next;
        left -= kTileDepth;
    }
};

// The fragments of a warp: 16 rows (of A, or columns of B) and 16 depth each, read by one ldmatrix.x4. For A a fragment is the operand of mma,
// for B its halves are those of two.
template <bool AlongDepth, bool IsA> struct FragmentReader {
    int base;                // byte in the tile that this lane addresses for the first fragment

    __device__ __forceinline__ explicit FragmentReader(int first) {
        // Which of the four 8 x 8 matrices is further along the rows, and which along the depth, differs between A and B.
        const int lane = threadIdx.x % 32, low = lane / 8 % 2, high = lane / 16, along_rows = IsA ? low : high, along_depth = IsA ? high : low;
        if constexpr (AlongDepth) {
            const int row = first + along_rows * 8 + lane % 8;
            base = chunk_address<64>(0, row / 2, row % 2 * 4 + along_depth);
        } else {
            base = chunk_address<128>(0, along_depth * 8 + lane % 8, first / 8 + along_rows);
        }
    }
    __device__ __forceinline__ void read(uint32_t (&r)[4], shared_addr tile, int fragment, int step) const {
        if constexpr (AlongDepth) ldmatrix_x4(r, tile + (base ^ step * 32) + fragment * 16 * 64);
        else ldmatrix_x4_trans(r, tile + (base ^ fragment * 32) + step * 16 * 256);
    }
};

// Accumulator i of fragment (m, n): row m * 16 + lane / 4 + i / 2 * 8, column n * 8 + lane % 4 * 2 + i % 2 of the warp's 64 x 32.
struct Sums {
    float d[4][4][4] = {};
    float bias[4] = {};      // of the 16 rows that are this warp's
};

// ... of the unit's tile, summed over its part of the depth. WithBias: the row sums of A too.
template <bool AAlongDepth, bool BAlongDepth, bool WithBias>
__device__ __forceinline__ void multiply(Sums& sums, const bf16* a, const bf16* b, int rows, int columns, int depth, const GemmUnit& unit) {
    const shared_addr ring = shared_address(dynamic_shared());
    const int warp = threadIdx.x / 32, first = unit.first * kTileDepth, tiles = unit.end - unit.first;
    TileLoader<AAlongDepth> load_a(a, rows, AAlongDepth ? depth : rows, unit.tile_row * kTile, first, depth);
    TileLoader<BAlongDepth> load_b(b, columns, BAlongDepth ? depth : columns, unit.tile_column * kTile, first, depth);
    const FragmentReader<AAlongDepth, true> read_a(warp / 4 * 64), read_own(warp / 4 * 64 + warp % 4 * 16);
    const FragmentReader<BAlongDepth, false> read_b(warp % 4 * 32);

    auto load = [&](int tile) {
        const shared_addr stage = ring + tile % kStages * kStageBytes;
        if (tile < tiles) {
            load_a.load(stage);
            load_b.load(stage + kTileBytes);
        }
        cp_async_commit();
    };
#pragma unroll
    for (int tile = 0; tile < kStages - 1; tile++) load(tile);
    for (int tile = 0; tile < tiles; tile++) {
        cp_async_wait<kStages - 2>();
        __syncthreads();
        load(tile + kStages - 1);            // into the stage of the tile before: every warp has read it
        const shared_addr stage = ring + tile % kStages * kStageBytes;
#pragma unroll
        for (int step = 0; step < kTileDepth / 16; step++) {
            uint32_t fa[4][4], fb[2][4];
#pragma unroll
            for (int n = 0; n < 2; n++) read_b.read(fb[n], stage + kTileBytes, n, step);
#pragma unroll
            for (int m = 0; m < 4; m++) read_a.read(fa[m], stage, m, step);
#pragma unroll
            for (int m = 0; m < 4; m++)
#pragma unroll
                for (int n = 0; n < 4; n++) mma_m16n8k16(sums.d[m][n], fa[m], fb[n / 2][n % 2 * 2], fb[n / 2][n % 2 * 2 + 1]);
            if constexpr (WithBias) {
                uint32_t own[4];
                constexpr uint32_t ones = 0x3f803f80;
                read_own.read(own, stage, 0, step);
                mma_m16n8k16(sums.bias, own, ones, ones);
            }
        }
    }
    cp_async_wait<0>();
    __syncthreads();
}

// A tile of a bf16 matrix in shared memory: lines of 256 bytes, permuted likewise. A thread's 4 bytes of a fragment, and its 8 chunks on the
// way to or from device memory, a line to 16 threads.
struct OutputTile {
    shared_addr at;
    int rows, columns, row, column;          // of the matrix; this thread's first chunk

    __device__ __forceinline__ OutputTile(int index, int rows, int columns, const GemmUnit& unit)
        : at(shared_address(dynamic_shared()) + index * kOutputBytes), rows(rows), columns(columns),
          row(unit.tile_row * kTile + (int)threadIdx.x / 16), column(unit.tile_column * kTile + (int)threadIdx.x % 16 * 8) {}
    __device__ __forceinline__ shared_addr pair(int m, int n, int half) const {
        const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
        return chunk_address<128>(at, warp / 4 * 64 + m * 16 + half * 8 + lane / 4, warp % 4 * 4 + n) + lane % 4 * 4;
    }
    template <class F> __device__ __forceinline__ void for_each_chunk(F&& f) const {
        const int row = opaque(this->row);
        const shared_addr first = chunk_address<128>(at, threadIdx.x / 16, threadIdx.x % 16);
#pragma unroll
        for (int i = 0; i < kTile / 16; i++) f(first + i * 16 * 256, (size_t)(row + i * 16) * columns + column, row + i * 16 < rows && column < columns);
    }
    __device__ __forceinline__ void store(bf16* matrix) const {
        for_each_chunk([&](shared_addr chunk, size_t to, bool inside) {
            if (inside) store16(matrix + to, load_shared16(chunk));
        });
    }
    __device__ __forceinline__ void load(const bf16* matrix) const {
        for_each_chunk([&](shared_addr chunk, size_t from, bool inside) { cp_async16(chunk, matrix + from, inside); });
        cp_async_commit();
    }
};

template <class F> __device__ __forceinline__ void for_each_pair(const Sums& sums, F&& f) {
#pragma unroll
    for (int n = 0; n < 4; n++)
#pragma unroll
        for (int m = 0; m < 4; m++)
#pragma unroll
            for (int half = 0; half < 2; half++) f(m, n, half, sums.d[m][n][half * 2], sums.d[m][n][half * 2 + 1]);
}

template <bool Gelu>
__device__ __forceinline__ void forward(bf16* y, bf16* pre, const bf16* x, const bf16* weight, const bf16* bias, int rows, int N, int K) {
    const GemmUnit unit = gemm_unit(blockIdx.x, ceil_div(rows, kTile), ceil_div(N, kTile), ceil_div(K, kTileDepth), 1);
    Sums sums;
    multiply<true, true, false>(sums, x, weight, rows, N, K, unit);

    float2 b[4];                             // the bias of this thread's columns
#pragma unroll
    for (int n = 0; n < 4; n++) {
        const int column = unit.tile_column * kTile + threadIdx.x / 32 % 4 * 32 + n * 8 + threadIdx.x % 4 * 2;
        const uint32_t pair = bias != nullptr && column < N ? *(const uint32_t*)(bias + column) : 0;
        b[n] = make_float2(bf16_low(pair), bf16_high(pair));
    }
    const OutputTile output(0, rows, N, unit), before(1, rows, N, unit);
    for_each_pair(sums, [&](int m, int n, int half, float v0, float v1) {
        v0 += b[n].x;
        v1 += b[n].y;
        if constexpr (Gelu) {
            store_shared4(before.pair(m, n, half), pack_bf16(v0, v1));
            v0 = gelu(v0);
            v1 = gelu(v1);
        }
        store_shared4(output.pair(m, n, half), pack_bf16(v0, v1));
    });
    __syncthreads();
    if constexpr (Gelu) before.store(pre);
    output.store(y);
}

template <bool DGelu>
__device__ __forceinline__ void backward_input(bf16* dx, const bf16* dy, const bf16* weight, const bf16* pre, int rows, int N, int K) {
    const GemmUnit unit = gemm_unit(blockIdx.x, ceil_div(rows, kTile), ceil_div(K, kTile), ceil_div(N, kTileDepth), 1);
    Sums sums;
    multiply<true, false, false>(sums, dy, weight, rows, K, N, unit);

    const OutputTile output(0, rows, K, unit);
    if constexpr (DGelu) {                   // what went into the GELU comes to where its gradient will be
        output.load(pre);
        cp_async_wait<0>();
        __syncthreads();
    }
    for_each_pair(sums, [&](int m, int n, int half, float v0, float v1) {
        if constexpr (DGelu) {
            const uint32_t pair = load_shared4(output.pair(m, n, half));
            v0 *= gelu_derivative(bf16_low(pair));
            v1 *= gelu_derivative(bf16_high(pair));
        }
        store_shared4(output.pair(m, n, half), pack_bf16(v0, v1));
    });
    __syncthreads();
    output.store(dx);
}

__device__ __forceinline__ void store_weight_gradient(const Sums& sums, const WeightGradient& to, const GemmUnit& unit, int N) {
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const int row0 = unit.tile_row * kTile + warp / 4 * 64 + lane / 4, column0 = unit.tile_column * kTile + warp % 4 * 32 + lane % 4 * 2;
#pragma unroll
    for (int i = 0; i < 8; i++) {
        float2 pairs[4];
#pragma unroll
        for (int n = 0; n < 4; n++) pairs[n] = make_float2(sums.d[i / 2][n][i % 2 * 2], sums.d[i / 2][n][i % 2 * 2 + 1]);
        store_sums(to, row0 + i * 8, N, column0, pairs);
    }
}

#define GEMM_KERNEL(name) extern "C" __global__ void __launch_bounds__(kThreads, 2) name

// y (R, N): overwritten.   x (R, K), weight (N, K), bias (N) or null
GEMM_KERNEL(gemm_forward_mma)(bf16* y, const bf16* x, const bf16* weight, const bf16* bias, int rows, int N, int K) {
    forward<false>(y, nullptr, x, weight, bias, rows, N, K);
}
// y (R, N), pre (R, N): overwritten.   x (R, K), weight (N, K), bias (N) or null
GEMM_KERNEL(gemm_forward_gelu_mma)(bf16* y, bf16* pre, const bf16* x, const bf16* weight, const bf16* bias, int rows, int N, int K) {
    forward<true>(y, pre, x, weight, bias, rows, N, K);
}
// dx (R, K): overwritten.   dy (R, N), weight (N, K)
GEMM_KERNEL(gemm_backward_input_mma)(bf16* dx, const bf16* dy, const bf16* weight, int rows, int N, int K) {
    backward_input<false>(dx, dy, weight, nullptr, rows, N, K);
}
// dx (R, K): overwritten.   dy (R, N), weight (N, K), pre (R, K)
GEMM_KERNEL(gemm_backward_input_dgelu_mma)(bf16* dx, const bf16* dy, const bf16* weight, const bf16* pre, int rows, int N, int K) {
    backward_input<true>(dx, dy, weight, pre, rows, N, K);
}
// dweight (N, K), dbias (N) or null, fp32: += or, without accumulate, overwritten.   dy (R, N), x (R, K)
// partial (splits, N K + N) fp32: overwritten in their place when there are several splits, at most one for each 32 rows.
GEMM_KERNEL(gemm_backward_weight_mma)(float* dweight, float* dbias, float* partial, const bf16* dy, const bf16* x, int rows, int N, int K, int splits,
                                      int accumulate) {
    const GemmUnit unit = gemm_unit(blockIdx.x, ceil_div(N, kTile), ceil_div(K, kTile), ceil_div(rows, kTileDepth), splits);
    const WeightGradient to = of_split({dweight, dbias, K, accumulate != 0}, partial, N, unit.split, splits);
    Sums sums;
    if (dbias != nullptr && unit.tile_column == 0) {
        multiply<false, false, true>(sums, dy, x, N, K, rows, unit);
        const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, row = unit.tile_row * kTile + warp / 4 * 64 + warp % 4 * 16 + lane / 4;
        if (lane % 4 == 0) {                 // all columns of the product with ones are the same
            if (row < N) store_bias_sum(to, row, sums.bias[0]);
            if (row + 8 < N) store_bias_sum(to, row + 8, sums.bias[2]);
        }
    } else multiply<false, false, false>(sums, dy, x, N, K, rows, unit);
    store_weight_gradient(sums, to, unit, N);
}
