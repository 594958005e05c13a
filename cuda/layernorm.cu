// layernorm.cu - layer normalisation over C channels, with and without the residual add before it, and its gradients.
//
//   n = (x - mean) rstd,  rstd = 1 / sqrt(variance + 1e-5);   y = n w + b                                       (Ba et al. 2016)
//   dx = rstd (dn - mean(dn) - n mean(dn n)),  dn = dy w;   dw = sum over rows of dy n;   db = sum over rows of dy
//
// One structure for all three kernels: a thread owns 16 bytes of channels, a block as many threads as a row needs, and it works on several rows at
// a time. So a thread has several loads in flight, a barrier serves all these rows, and the gradients of the parameters stay in registers.
//
//   rows R, channels C: a multiple of 8, at most 4096; s bytes of an element: 2, or 4 of the kernels that end in _f32
//   block: ceil(C s / 16) threads, rounded up to a warp; of layernorm_backward_reduce 512
//   kernel                                grid                  bytes                             FLOPs
//   layernorm_forward                     ceil(R / (8 / s))     R (2 s C + 8)                     8 R C
//   residual_layernorm_forward            ceil(R / (8 / s))     R (4 s C + 8)                     9 R C
//   layernorm_backward                    min(ceil(R / 4), 512) R (4 s C + 8), partial sums 8 C each block   14 R C
//   layernorm_backward_reduce             ceil(C / 16)          8 C (blocks + 2)                  2 C blocks
#include "reduce.cuh"
#include "vector.cuh"

// A block of fp32 may have 1024 threads, which leaves each 64 registers: too few for four rows.
template <class Element> constexpr int kRows = sizeof(Element) == 2 ? 4 : 2;
template <class Element> constexpr int kMaxThreads = 4096 / kPack<Element>;
template <class Element> constexpr int kMaxWarps = kMaxThreads<Element> / 32;
constexpr float kEpsilon = 1e-5f;

// Sums over the block, N values at once. Each call of a kernel needs scratch of its own, or a barrier in between.
template <int N, int MaxWarps> __device__ __forceinline__ void block_sums(float (&v)[N], float (&scratch)[MaxWarps][N]) {
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

// y = LayerNorm(x), and with Residual x = residual + branch first, rounded to the element's type and kept: what the backward pass will read.
template <bool Residual, class Element>
__device__ __forceinline__ void forward_rows(Element* sum, Element* y, float* mean, float* rstd, const Element* input, const Element* branch,
                                             const Element* weight, const Element* bias, int rows, int C,
                                             float (&scratch)[2][kMaxWarps<Element>][kRows<Element>]) {
    constexpr int pack_elements = kPack<Element>, group = kRows<Element>;
    const int column = threadIdx.x * pack_elements, row0 = blockIdx.x * group;
    const bool inside = column < C;
    float x[group][pack_elements];
    // All loads come before the first store: a row's loads cannot pass another row's store.
    uint4 bits[group], more[group], weights = make_uint4(0, 0, 0, 0), biases = make_uint4(0, 0, 0, 0);
#pragma unroll
    for (int r = 0; r < group; r++) {
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
    for (int r = 0; r < group; r++) {
        if constexpr (Residual) {
            float a[pack_elements], b[pack_elements];
            unpack(a, bits[r]);
            unpack(b, more[r]);
            add(a, b);
            bits[r] = pack(a);
            if (inside && row0 + r < rows) store16(sum + (size_t)(row0 + r) * C + column, bits[r]);
        }
        unpack(x[r], bits[r]);
    }

    float m[group], s[group];
#pragma unroll
    for (int r = 0; r < group; r++) {
        m[r] = 0.f;
#pragma unroll
        for (int i = 0; i < pack_elements; i++) m[r] += x[r][i];
    }
    block_sums(m, scratch[0]);
#pragma unroll
    for (int r = 0; r < group; r++) {
        m[r] *= inverse;
        s[r] = 0.f;
#pragma unroll
        for (int i = 0; i < pack_elements; i++) {
            x[r][i] -= m[r];
            if (inside) s[r] += x[r][i] * x[r][i];
        }
    }
    block_sums(s, scratch[1]);

    float w[pack_elements], b[pack_elements];
    unpack(w, weights);
    unpack(b, biases);
#pragma unroll
    for (int r = 0; r < group; r++) {
        if (row0 + r >= rows) break;
        s[r] = rsqrtf(s[r] * inverse + kEpsilon);
        if (inside) {
            float out[pack_elements];
#pragma unroll
            for (int i = 0; i < pack_elements; i++) out[i] = x[r][i] * s[r] * w[i] + b[i];
            store16(y + (size_t)(row0 + r) * C + column, pack(out));
        }
        if (threadIdx.x == 0) {
            mean[row0 + r] = m[r];
            rstd[row0 + r] = s[r];
        }
    }
}

// y (R, C), mean (R), rstd (R): overwritten.   x (R, C), weight (C), bias (C)
#define LAYERNORM_FORWARD(name, Element)                                                                                                         \
    extern "C" __global__ void __launch_bounds__(kMaxThreads<Element>) name(                                                                     \
            Element* y, float* mean, float* rstd, const Element* x, const Element* weight, const Element* bias, int rows, int C) {               \
        __shared__ float scratch[2][kMaxWarps<Element>][kRows<Element>];                                                                         \
        forward_rows<false, Element>(nullptr, y, mean, rstd, x, nullptr, weight, bias, rows, C, scratch);                                        \
    }
LAYERNORM_FORWARD(layernorm_forward, bf16)
LAYERNORM_FORWARD(layernorm_forward_f32, float)

// sum (R, C), y (R, C), mean (R), rstd (R): overwritten.   residual (R, C), branch (R, C), weight (C), bias (C)
#define RESIDUAL_LAYERNORM_FORWARD(name, Element)                                                                                                \
    extern "C" __global__ void __launch_bounds__(kMaxThreads<Element>) name(                                                                     \
            Element* sum, Element* y, float* mean, float* rstd, const Element* residual, const Element* branch, const Element* weight,           \
            const Element* bias, int rows, int C) {                                                                                              \
        __shared__ float scratch[2][kMaxWarps<Element>][kRows<Element>];                                                                         \
        forward_rows<true>(sum, y, mean, rstd, residual, branch, weight, bias, rows, C, scratch);                                                \
    }
RESIDUAL_LAYERNORM_FORWARD(residual_layernorm_forward, bf16)
RESIDUAL_LAYERNORM_FORWARD(residual_layernorm_forward_f32, float)

template <class Element>
__device__ __forceinline__ void backward_rows(Element* dx, float* partial, const Element* dy, const Element* x, const Element* weight, const float* mean,
                                              const float* rstd, int rows, int C, float (&scratch)[2][kMaxWarps<Element>][2 * kRows<Element>]) {
    constexpr int pack_elements = kPack<Element>, group = kRows<Element>;
    const int column = threadIdx.x * pack_elements;
    const bool inside = column < C;
    float w[pack_elements] = {}, dw[pack_elements] = {}, db[pack_elements] = {};
    if (inside) unpack(w, load16(weight + column));

    const float inverse = 1.f / C;
    int turn = 0;
    for (int row0 = blockIdx.x * group; row0 < rows; row0 += gridDim.x * group, turn ^= 1) {
        uint4 dy_bits[group], x_bits[group], dx_bits[group];
        float m[group], s[group];
#pragma unroll
        for (int r = 0; r < group; r++) {
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

        float sums[2 * group];   // of dn and of dn n
#pragma unroll
        for (int r = 0; r < group; r++) {
            float g[pack_elements], v[pack_elements];
            unpack(g, dy_bits[r]);
            unpack(v, x_bits[r]);
            sums[2 * r] = sums[2 * r + 1] = 0.f;
#pragma unroll
            for (int i = 0; i < pack_elements; i++) {
                const float n = (v[i] - m[r]) * s[r], dn = g[i] * w[i];
                sums[2 * r] += dn;
                sums[2 * r + 1] += dn * n;
                dw[i] += g[i] * n;
                db[i] += g[i];
            }
        }
        block_sums(sums, scratch[turn]);   // in turns: one barrier for each group of rows is enough

#pragma unroll
        for (int r = 0; r < group; r++) {
            if (!inside || row0 + r >= rows) break;
            float g[pack_elements], v[pack_elements], d[pack_elements];
            unpack(g, dy_bits[r]);
            unpack(v, x_bits[r]);
            unpack(d, dx_bits[r]);
            const float mean_dn = sums[2 * r] * inverse, mean_dn_n = sums[2 * r + 1] * inverse;
#pragma unroll
            for (int i = 0; i < pack_elements; i++) {
                const float n = (v[i] - m[r]) * s[r];
                d[i] += s[r] * (g[i] * w[i] - mean_dn - n * mean_dn_n);
            }
            store16(dx + (size_t)(row0 + r) * C + column, pack(d));
        }
    }

    if (inside) {
        float* out = partial + (size_t)blockIdx.x * 2 * C + column;
        store_floats(out, dw);
        store_floats(out + C, db);
    }
}

// dx (R, C): +=.   partial (blocks, 2, C) fp32: overwritten, this block's sums for dweight and dbias.
// dy (R, C), x (R, C), weight (C), mean (R), rstd (R)
#define LAYERNORM_BACKWARD(name, Element)                                                                                                        \
    extern "C" __global__ void __launch_bounds__(kMaxThreads<Element>) name(                                                                     \
            Element* dx, float* partial, const Element* dy, const Element* x, const Element* weight, const float* mean, const float* rstd,       \
            int rows, int C) {                                                                                                                   \
        __shared__ float scratch[2][kMaxWarps<Element>][2 * kRows<Element>];                                                                     \
        backward_rows(dx, partial, dy, x, weight, mean, rstd, rows, C, scratch);                                                                 \
    }
LAYERNORM_BACKWARD(layernorm_backward, bf16)
LAYERNORM_BACKWARD(layernorm_backward_f32, float)

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
