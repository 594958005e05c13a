// gemm_f32.cu - the matrix products of a linear layer in fp32 on the ordinary cores: gemm_float.cuh says what the kernels are and how they get their
// tiles. Each output is a chain of fused multiply-adds in the order of the depth.
//
// Launch: a block for each unit of work, ceil(rows / 128) ceil(columns / 128) splits of them, 256 threads, 48 KiB.
// FLOPs: 2 rows columns depth, each rounded up to its tile of 128, 128, 16. Bytes: every operand and result once, if L2 holds what the tiles in flight share.
//
// A warp computes 32 x 64 of the tile, a lane 8 x 8: rows 4 (lane / 8) to + 3 and 16 further, columns 4 (lane % 8) to + 3 and 32 further, so that 8 lanes
// store 128 neighbouring bytes. For 2 depth a lane reads 128 bytes of shared memory and does 128 multiply-adds, 32 cycles of each.
//
// Tiles in shared memory:
//   along the depth           a row's 4 chunks are half a line of 128 bytes. 8 lanes read the same chunk of rows 4 apart: chunks are permuted by row / 4
//   along rows or columns     128 of them are a line of 512 bytes for each depth. 8 lanes read neighbouring chunks: in order
#include "gemm_float.cuh"

struct Float32 {
    static constexpr int kWidth = 4;
    struct Sums {
        float d[8][8] = {};
        float bias[8] = {};
    };

    static __device__ __forceinline__ int place_along_depth(int row, int chunk) { return row / 2 * 128 + ((row % 2 * 4 + chunk) ^ (row / 4 & 7)) * 16; }
    static __device__ __forceinline__ int place_along_rows(int depth, int chunk) { return depth * 512 + chunk * 16; }

    // This lane's first row and column of the tile; the others are 0 to 3, and (rows) 16 or (columns) 32 further.
    static __device__ __forceinline__ int first_row() { return threadIdx.x / 64 * 32 + threadIdx.x % 32 / 8 * 4; }
    static __device__ __forceinline__ int first_column() { return threadIdx.x / 32 % 2 * 64 + threadIdx.x % 8 * 4; }

    template <bool WithBias> static __device__ __forceinline__ void arrived(Sums&, shared_addr, shared_addr) {}

    // 4 rows (of A, or columns of B) and 2 depth, in the order in which they lie in the tile.
    template <bool AlongDepth> struct Fragment {
        float f[AlongDepth ? 4 : 2][AlongDepth ? 2 : 4];
        __device__ __forceinline__ float at(int row, int depth) const { return AlongDepth ? f[row][depth] : f[depth][row]; }
    };

    // Reads the fragments of a lane; `first` is its first row, a multiple of 4.
    template <bool AlongDepth> struct FragmentReader {
        shared_addr base;

        __device__ __forceinline__ FragmentReader(shared_addr tile, int first)
            : base(tile + (AlongDepth ? place_along_depth(first, 0) : place_along_rows(0, first / 4))) {}

        // Rows first + offset, a multiple of 16, to + 3.
        __device__ __forceinline__ void read(Fragment<AlongDepth>& fragment, int offset, int depth) const {
#pragma unroll
            for (int i = 0; i < (AlongDepth ? 4 : 2); i++) {
                // A permuted place is an exclusive or with the chunk in its line and, 16 rows further, with 4: few different addresses in all.
                const int chunk = (i % 2 * 4 + depth / 4) ^ (offset / 4 & 7);
                load_shared_floats(fragment.f[i], AlongDepth ? (base ^ chunk * 16) + (offset + i) / 2 * 128 + depth % 4 * 4
                                                             : base + (depth + i) * 512 + offset * 4);
            }
        }
    };

    template <bool AAlongDepth, bool BAlongDepth, bool WithBias> static __device__ __forceinline__ void multiply(Sums& sums, shared_addr a, shared_addr b) {
        const FragmentReader<AAlongDepth> read_a(a, first_row());
        const FragmentReader<BAlongDepth> read_b(b, first_column());
        // Not unrolled: fragments that are read ahead would be spilled.
#pragma unroll 1
        for (int depth = 0; depth < kTileDepth; depth += 2) {
            Fragment<AAlongDepth> fa[2];
#pragma unroll
            for (int m = 0; m < 2; m++) read_a.read(fa[m], m * 16, depth);
#pragma unroll
            for (int n = 0; n < 2; n++) {
                Fragment<BAlongDepth> fb;
                read_b.read(fb, n * 32, depth);
#pragma unroll
                for (int k = 0; k < 2; k++)
#pragma unroll
                    for (int i = 0; i < 8; i++)
#pragma unroll
                        for (int j = 0; j < 4; j++) sums.d[i][n * 4 + j] = fmaf(fa[i / 4].at(i % 4, k), fb.at(j, k), sums.d[i][n * 4 + j]);
            }
            if constexpr (WithBias)
#pragma unroll
                for (int k = 0; k < 2; k++)
#pragma unroll
                    for (int i = 0; i < 8; i++) sums.bias[i] += fa[i / 4].at(i % 4, k);
        }
    }

    template <class F> static __device__ __forceinline__ void for_each(Sums& sums, F&& f) {
        const int row = opaque(first_row()), column = opaque(first_column());
#pragma unroll
        for (int i = 0; i < 8; i++)
#pragma unroll
            for (int n = 0; n < 2; n++) {
                float v[4];
#pragma unroll
                for (int j = 0; j < 4; j++) v[j] = sums.d[i][n * 4 + j];
                f(row + i / 4 * 16 + i % 4, column + n * 32, v);
#pragma unroll
                for (int j = 0; j < 4; j++) sums.d[i][n * 4 + j] = v[j];
            }
    }

    // Lanes of the same rows have the same sums.
    static __device__ __forceinline__ void store_bias(const Sums& sums, const WeightGradient& to, int first, int rows) {
        if (first_column() != 0) return;
#pragma unroll
        for (int m = 0; m < 2; m++) {
            const int row = first + first_row() + m * 16;
            if (row >= rows) continue;       // whole fours: a multiple of 8
            float v[4] = {};
            if (to.accumulate) load_floats(v, to.bias + row);
#pragma unroll
            for (int i = 0; i < 4; i++) v[i] += sums.bias[m * 4 + i];
            store_floats(to.bias + row, v);
        }
    }
};

GEMM_FLOAT_KERNELS(f32, Float32)
