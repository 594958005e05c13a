// gemm_tf32.cu - the matrix products of a linear layer in tf32 on tensor cores, for sm_80 and later: gemm_float.cuh says what the kernels are and how they
// get their tiles. Factors are rounded to 11 significant bits, to the nearest; products and sums are fp32. The bias's gradient, which is no product, is
// summed from what was not rounded.
//
// Launch: a block for each unit of work, ceil(rows / 128) ceil(columns / 128) splits of them, 256 threads, 48 KiB.
// FLOPs: 2 rows columns depth, each rounded up to its tile of 128, 128, 16. Bytes: every operand and result once, if L2 holds what the tiles in flight share.
//
// Each of the 8 warps computes 64 x 32 with mma.m16n8k8. Rounding takes several instructions, and up to four warps read the same element: so each thread
// rounds, in shared memory, what it has copied there itself, between its wait and the barrier that shows the tile to the others.
//
// Tiles in shared memory:
//   along the depth           as in gemm_mma.cu, whose rows of a tile have 64 bytes too: ldmatrix gives the fragments of 4-byte elements likewise
//   along rows or columns     128 of them are a line of 512 bytes for each depth; lanes read 4 depth of 8 rows, one element each: the exclusive or with
//                             twice the depth sends the 4 lines to different banks
#include "gemm_float.cuh"
#include "mma_tile.cuh"

struct Tf32 {
    static constexpr int kWidth = 2;
    // Accumulator i of fragment (m, n): row m * 16 + lane / 4 + i / 2 * 8, column n * 8 + lane % 4 * 2 + i % 2 of the warp's 64 x 32.
    struct Sums {
        float d[4][4][4] = {};
        float bias[4] = {};      // of the rows 4 (thread % 32) to + 3 of the tile, over the depth that this thread copies
    };

    static __device__ __forceinline__ int place_along_depth(int row, int chunk) { return chunk_address<64>(0, row / 2, row % 2 * 4 + chunk); }
    static __device__ __forceinline__ int place_along_rows(int depth, int chunk) { return depth * 512 + (chunk ^ depth % 4 * 2) * 16; }

    template <bool WithBias> static __device__ __forceinline__ void arrived(Sums& sums, shared_addr a, shared_addr b) {
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const shared_addr chunk = (i < 2 ? a : b) + i % 2 * (kTileBytes / 2);
            float v[4];
            load_shared_floats(v, chunk);
            if constexpr (WithBias)
                if (i < 2) add(sums.bias, v);
            store_shared16(chunk, make_uint4(to_tf32(v[0]), to_tf32(v[1]), to_tf32(v[2]), to_tf32(v[3])));
        }
    }

    // The fragments of a warp: 16 rows (of A, or columns of B) and 8 depth each. For A a fragment is the operand of mma, for B its halves are those of two.
    template <bool AlongDepth, bool IsA> struct FragmentReader {
        shared_addr base;

        __device__ __forceinline__ FragmentReader(shared_addr tile, int first) {
            // Opaque: a few integer instructions for each tile cost less than addresses that are kept, and spilled, from tile to tile.
            const int lane = opaque((int)threadIdx.x) % 32, low = lane / 8 % 2, high = lane / 16;
            if constexpr (AlongDepth) base = tile + place_along_depth(first + lane % 8 + (IsA ? low : high) * 8, IsA ? high : low);
            else base = tile + place_along_rows(lane % 4, first / 4 + lane / 16) + lane / 4 % 4 * 4;
        }
        __device__ __forceinline__ void read(uint32_t (&r)[4], int fragment, int step) const {
            if constexpr (AlongDepth) ldmatrix_x4(r, (base ^ step * 32) + fragment * 16 * 64);
            else
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    const int rows = fragment * 16 + (IsA ? i % 2 : i / 2) * 8, depth = step * 8 + (IsA ? i / 2 : i % 2) * 4;
                    r[i] = load_shared4((base ^ rows * 4) + depth * 512);
                }
        }
    };

    template <bool AAlongDepth, bool BAlongDepth, bool WithBias> static __device__ __forceinline__ void multiply(Sums& sums, shared_addr a, shared_addr b) {
        const int warp = threadIdx.x / 32;
        const FragmentReader<AAlongDepth, true> read_a(a, warp / 4 * 64);
        const FragmentReader<BAlongDepth, false> read_b(b, warp % 4 * 32);
#pragma unroll
        for (int step = 0; step < kTileDepth / 8; step++) {
            uint32_t fa[4][4], fb[2][4];
#pragma unroll
            for (int n = 0; n < 2; n++) read_b.read(fb[n], n, step);
#pragma unroll
            for (int m = 0; m < 4; m++) read_a.read(fa[m], m, step);
#pragma unroll
            for (int m = 0; m < 4; m++)
#pragma unroll
                for (int n = 0; n < 4; n++) mma_m16n8k8_tf32(sums.d[m][n], fa[m], fb[n / 2][n % 2 * 2], fb[n / 2][n % 2 * 2 + 1]);
        }
    }

    template <class F> static __device__ __forceinline__ void for_each(Sums& sums, F&& f) {
        const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
        const int row = opaque(warp / 4 * 64 + lane / 4), column = opaque(warp % 4 * 32 + lane % 4 * 2);
#pragma unroll
        for (int m = 0; m < 4; m++)
#pragma unroll
            for (int half = 0; half < 2; half++)
#pragma unroll
                for (int n = 0; n < 4; n++) {
                    float v[2] = {sums.d[m][n][half * 2], sums.d[m][n][half * 2 + 1]};
                    f(row + m * 16 + half * 8, column + n * 8, v);
                    sums.d[m][n][half * 2] = v[0];
                    sums.d[m][n][half * 2 + 1] = v[1];
                }
    }

    // Each warp has its part of the depth: the parts meet in shared memory and are added in order.
    static __device__ __forceinline__ void store_bias(const Sums& sums, const WeightGradient& to, int first, int rows) {
        const shared_addr parts = shared_address(dynamic_shared());
        __syncthreads();         // every warp has read the last tile
        store_shared_floats(parts + threadIdx.x * 16, sums.bias);
        __syncthreads();
        const int row = first + threadIdx.x * 4;
        if (threadIdx.x >= kTile / 4 || row >= rows) return;
        float sum[4] = {};
        if (to.accumulate) load_floats(sum, to.bias + row);
#pragma unroll
        for (int warp = 0; warp < kThreads / 32; warp++) {
            float part[4];
            load_shared_floats(part, parts + warp * (kTile * 4) + threadIdx.x * 16);
            add(sum, part);
        }
        store_floats(to.bias + row, sum);
    }
};

GEMM_FLOAT_KERNELS(tf32, Tf32)
