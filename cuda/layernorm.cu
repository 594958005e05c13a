// layernorm.cu - layer normalisation over C channels, with and without the residual add before it, and its gradients.
//
//   n = (x - mean) rstd,  rstd = 1 / sqrt(variance + 1e-5);   y = n w + b                                       (Ba et al. 2016)
//   dx = rstd (dn - mean(dn) - n mean(dn n)),  dn = dy w;   dw = sum over rows of dy n;   db = sum over rows of dy
//
// One structure for all three kernels: a thread owns 8 channels (16 bytes), a block as many threads as a row needs, and it works on kRows rows
// at a time. So a thread has several loads in flight, a barrier serves kRows rows, and the gradients of the parameters stay in registers.
//
//   rows R, channels C: a multiple of 8, at most 4096.   block ceil(C / 8) threads, rounded up to a warp
//   kernel                                grid                  bytes                             FLOPs
//   layernorm_forward                     ceil(R / 4)           R (4 C + 8)                       8 R C
//   residual_layernorm_forward            ceil(R / 4)           R (8 C + 8)                       9 R C
//   layernorm_backward                    min(ceil(R / 4), 512) R (8 C + 8), partial sums 8 C each block   14 R C
//   layernorm_backward_reduce             ceil(C / 16)          8 C (blocks + 2)                  2 C blocks
#include "reduce.cuh"
#include "vector.cuh"

constexpr int kRows = 4;
constexpr int kMaxThreads = 512, kMaxWarps = kMaxThreads / 32;
constexpr float kEpsilon = 1e-5f;

// Sums over the block, N values at once. Each call of a kernel needs scratch of its own, or a barrier in between.
template <int N> __device__ __forceinline__ void block_sums(float (&v)[N], float (&scratch)[kMaxWarps][N]) {
    // Each step halves the values that a lane carries, then the lanes that carry the same: N - 1 + log2(32 / N) shuffles instead of 5 N.
    float c[N];
#pragma unroll
    for (int i = 0; i < N; i++) c[i] = v[i];
    int index = 0, distance = 16;
#pragma unroll
    for (int half = N / 2; half > 0; half /= 2, distance /= 2) {
        const bool upper = threadIdx.x & distance;
#pragma unroll
        for (int i = 0; i < half; i++) {
            const float give = upper ? c[i] : c[i + half], keep = upper ? c[i + half] : c[i];
            c[i] = keep + __shfl_xor_sync(kFullWarp, give, distance);
        }
        index += upper ? half : 0;
    }
#pragma unroll
    for (; distance > 0; distance /= 2) c[0] += __shfl_xor_sync(kFullWarp, c[0], distance);
    if (threadIdx.x % (32 / N) == 0) scratch[threadIdx.x / 32][index] = c[0];
    __syncthreads();
#pragma unroll
    for (int i = 0; i < N; i++) v[i] = 0.f;
    for (int warp = 0; warp < blockDim.x / 32; warp++)
#pragma unroll
        for (int i = 0; i < N; i++) v[i] += scratch[warp][i];
}

// y = LayerNorm(x), and with Residual x = residual + branch first, rounded to bf16 and kept: what the backward pass will read.
template <bool Residual>
__device__ __forceinline__ void layernorm_forward_rows(bf16* sum, bf16* y, float* mean, float* rstd, const bf16* input, const bf16* branch,
                                                       const bf16* weight, const bf16* bias, int rows, int C, float (&scratch)[2][kMaxWarps][kRows]) {
    const int column = threadIdx.x * 8, row0 = blockIdx.x * kRows;
    const bool inside = column < C;
    float x[kRows][8];
    // All loads come before the first store: a row's loads cannot pass another row's store.
    uint4 bits[kRows], more[kRows], weights = make_uint4(0, 0, 0, 0), biases = make_uint4(0, 0, 0, 0);
#pragma unroll
    for (int r = 0; r < kRows; r++) {
        const size_t at = (size_t)(row0 + r) * C + column;
        bits[r] = more[r] = make_uint4(0, 0, 0, 0);
        if (inside && row0 + r < rows) {
            bits[r] = load16(input + at);
            if constexpr (Residual) more[r] = load16_streaming(branch + at);
        }
    }
    if (inside) {
        weights = load16(weight + column);
        biases = load16(bias + column);
    }
    const float inverse = 1.f / C;
#pragma unroll
    for (int r = 0; r < kRows; r++) {
        if constexpr (Residual) {
            float a[8], b[8];
            unpack8(a, bits[r]);
            unpack8(b, more[r]);
            add(a, b);
            bits[r] = pack8(a);
            if (inside && row0 + r < rows) store16(sum + (size_t)(row0 + r) * C + column, bits[r]);
        }
        unpack8(x[r], bits[r]);
    }

    float m[kRows], s[kRows];
#pragma unroll
    for (int r = 0; r < kRows; r++) {
        m[r] = 0.f;
#pragma unroll
        for (int i = 0; i < 8; i++) m[r] += x[r][i];
    }
    block_sums(m, scratch[0]);
#pragma unroll
    for (int r = 0; r < kRows; r++) {
        m[r] *= inverse;
        s[r] = 0.f;
#pragma unroll
        for (int i = 0; i < 8; i++) {
            x[r][i] -= m[r];
            if (inside) s[r] += x[r][i] * x[r][i];
        }
    }
    block_sums(s, scratch[1]);

    float w[8], b[8];
    unpack8(w, weights);
    unpack8(b, biases);
#pragma unroll
    for (int r = 0; r < kRows; r++) {
        if (row0 + r >= rows) break;
        s[r] = rsqrtf(s[r] * inverse + kEpsilon);
        if (inside) {
            float out[8];
#pragma unroll
            for (int i = 0; i < 8; i++) out[i] = x[r][i] * s[r] * w[i] + b[i];
            store16(y + (size_t)(row0 + r) * C + column, pack8(out));
        }
        if (threadIdx.x == 0) {
            mean[row0 + r] = m[r];
            rstd[row0 + r] = s[r];
        }
    }
}

// y (R, C), mean (R), rstd (R): overwritten.   x (R, C), weight (C), bias (C)
extern "C" __global__ void __launch_bounds__(kMaxThreads) layernorm_forward(
        bf16* y, float* mean, float* rstd, const bf16* x, const bf16* weight, const bf16* bias, int rows, int C) {
    __shared__ float scratch[2][kMaxWarps][kRows];
    layernorm_forward_rows<false>(nullptr, y, mean, rstd, x, nullptr, weight, bias, rows, C, scratch);
}

// sum (R, C), y (R, C), mean (R), rstd (R): overwritten.   residual (R, C), branch (R, C), weight (C), bias (C)
extern "C" __global__ void __launch_bounds__(kMaxThreads) residual_layernorm_forward(
        bf16* sum, bf16* y, float* mean, float* rstd, const bf16* residual, const bf16* branch, const bf16* weight, const bf16* bias, int rows,
        int C) {
    __shared__ float scratch[2][kMaxWarps][kRows];
    layernorm_forward_rows<true>(sum, y, mean, rstd, residual, branch, weight, bias, rows, C, scratch);
}

// dx (R, C): +=.   partial (blocks, 2, C) fp32: overwritten, this block's sums for dweight and dbias.
// dy (R, C), x (R, C), weight (C), mean (R), rstd (R)
extern "C" __global__ void __launch_bounds__(kMaxThreads) layernorm_backward(
        bf16* dx, float* partial, const bf16* dy, const bf16* x, const bf16* weight, const float* mean, const float* rstd, int rows, int C) {
    __shared__ float scratch[2][kMaxWarps][2 * kRows];   // in turns: one barrier for each kRows rows is enough
    const int column = threadIdx.x * 8;
    const bool inside = column < C;
    float w[8] = {}, dw[8] = {}, db[8] = {};
    if (inside) unpack8(w, load16(weight + column));

    const float inverse = 1.f / C;
    int turn = 0;
    for (int row0 = blockIdx.x * kRows; row0 < rows; row0 += gridDim.x * kRows, turn ^= 1) {
        uint4 dy_bits[kRows], x_bits[kRows], dx_bits[kRows];
        float m[kRows], s[kRows];
#pragma unroll
        for (int r = 0; r < kRows; r++) {
            const size_t at = (size_t)(row0 + r) * C + column;
            dy_bits[r] = x_bits[r] = dx_bits[r] = make_uint4(0, 0, 0, 0);
            m[r] = s[r] = 0.f;
            if (inside && row0 + r < rows) {
                dy_bits[r] = load16_streaming(dy + at);
                x_bits[r] = load16_streaming(x + at);
                dx_bits[r] = load16(dx + at);
                m[r] = mean[row0 + r];
                s[r] = rstd[row0 + r];
            }
        }

        float sums[2 * kRows];   // of dn and of dn n
#pragma unroll
        for (int r = 0; r < kRows; r++) {
            float g[8], v[8];
            unpack8(g, dy_bits[r]);
            unpack8(v, x_bits[r]);
            sums[2 * r] = sums[2 * r + 1] = 0.f;
#pragma unroll
            for (int i = 0; i < 8; i++) {
                const float n = (v[i] - m[r]) * s[r], dn = g[i] * w[i];
                sums[2 * r] += dn;
                sums[2 * r + 1] += dn * n;
                dw[i] += g[i] * n;
                db[i] += g[i];
            }
        }
        block_sums(sums, scratch[turn]);

#pragma unroll
        for (int r = 0; r < kRows; r++) {
            if (!inside || row0 + r >= rows) break;
            float g[8], v[8], d[8];
            unpack8(g, dy_bits[r]);
            unpack8(v, x_bits[r]);
            unpack8(d, dx_bits[r]);
            const float mean_dn = sums[2 * r] * inverse, mean_dn_n = sums[2 * r + 1] * inverse;
#pragma unroll
            for (int i = 0; i < 8; i++) {
                const float n = (v[i] - m[r]) * s[r];
                d[i] += s[r] * (g[i] * w[i] - mean_dn - n * mean_dn_n);
            }
            store16(dx + (size_t)(row0 + r) * C + column, pack8(d));
        }
    }

    if (inside) {
        float* out = partial + (size_t)blockIdx.x * 2 * C + column;
        store_floats(out, dw);
        store_floats(out + C, db);
    }
}

// dweight (C), dbias (C) fp32: +=.   partial (blocks, 2, C)
// A warp adds up 32 columns; the block's warps share the partial sums out among them.
constexpr int kReduceWarps = 16;
extern "C" __global__ void __launch_bounds__(32 * kReduceWarps) layernorm_backward_reduce(
        float* dweight, float* dbias, const float* partial, int blocks, int C) {
    __shared__ float sums[kReduceWarps][32];
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, column = blockIdx.x * 32 + lane;   // of 2 C
    float sum = 0.f;
    if (column < 2 * C)
#pragma unroll 8
        for (int block = warp; block < blocks; block += kReduceWarps) sum += partial[(size_t)block * 2 * C + column];
    sums[warp][lane] = sum;
    __syncthreads();
    if (warp == 0 && column < 2 * C) {
        float total = 0.f;
#pragma unroll
        for (int w = 0; w < kReduceWarps; w++) total += sums[w][lane];
        float* out = column < C ? dweight + column : dbias + column - C;
        *out += total;
    }
}
