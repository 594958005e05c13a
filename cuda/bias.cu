// bias.cu - the gradient of a linear layer's bias: the sum over the rows of dy, in two deterministic stages.
//
//   dbias (N) += sum over r of dy[r, n]    (or = instead of +=)
//
// For products that come from cuBLAS; our own compute it beside the gradient of the weight. A warp reads 512 contiguous bytes of a row, a thread
// 16 of them; a block owns those columns and every so-many-th group of 8 rows, and leaves one sum for each column.
//
//   rows R, columns N: a multiple of 8; s bytes of an element: 2, or 4 of the kernel that ends in _f32
//   kernel                 grid                                            block   bytes                        FLOPs
//   bias_gradient          (ceil(N s / 512), B), B = min(ceil(R / 64), 256)  256   s R N, partial sums 4 B N    R N
//   bias_gradient_reduce   ceil(N / 32)                                      512   4 N (B + 1, with += 2)       B N
#include "vector.cuh"

constexpr int kBiasWarps = 8;
constexpr int kBiasUnroll = 4;   // loads that a thread has in flight

// Where a lane's element waits for the other warps' sums: lanes that store the same element, and those that then read neighbouring columns, meet
// 32 different banks.
template <int Pack> __device__ __forceinline__ int slot(int lane, int element) { return element * 32 + (lane + element * (32 / Pack)) % 32; }

template <class Element> __device__ __forceinline__ void sum_columns(float* partial, const Element* dy, int rows, int N,
                                                                     float (&sums)[kBiasWarps][32 * kPack<Element>]) {
    constexpr int pack_elements = kPack<Element>, width = 32 * pack_elements;
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, left = blockIdx.x * width, column = left + lane * pack_elements;
    const int step = gridDim.y * kBiasWarps;
    float sum[pack_elements] = {};
    if (column < N)
        for (int row0 = blockIdx.y * kBiasWarps + warp; row0 < rows; row0 += kBiasUnroll * step) {
            uint4 bits[kBiasUnroll];
#pragma unroll
            for (int i = 0; i < kBiasUnroll; i++) {
                const int row = row0 + i * step;
                bits[i] = row < rows ? load16_streaming(dy + (size_t)row * N + column) : make_uint4(0, 0, 0, 0);
            }
#pragma unroll
            for (int i = 0; i < kBiasUnroll; i++) {
                float v[pack_elements];
                unpack(v, bits[i]);
                add(sum, v);
            }
        }

#pragma unroll
    for (int i = 0; i < pack_elements; i++) sums[warp][slot<pack_elements>(lane, i)] = sum[i];
    __syncthreads();
    if (threadIdx.x < width && left + threadIdx.x < N) {
        float total = 0.f;
#pragma unroll
        for (int w = 0; w < kBiasWarps; w++) total += sums[w][slot<pack_elements>(threadIdx.x / pack_elements, threadIdx.x % pack_elements)];
        partial[(size_t)blockIdx.y * N + left + threadIdx.x] = total;
    }
}

// partial (B, N) fp32: overwritten.   dy (R, N)
#define BIAS_GRADIENT(name, Element)                                                                                                   \
    extern "C" __global__ void __launch_bounds__(32 * kBiasWarps) name(float* partial, const Element* dy, int rows, int N) {           \
        __shared__ float sums[kBiasWarps][32 * kPack<Element>];                                                                        \
        sum_columns(partial, dy, rows, N, sums);                                                                                       \
    }
BIAS_GRADIENT(bias_gradient, bf16)
BIAS_GRADIENT(bias_gradient_f32, float)

// dbias (N) fp32: += or, without accumulate, overwritten.   partial (parts, N)
// A warp adds up 32 columns; the block's warps share the parts out among them.
constexpr int kBiasReduceWarps = 16;
extern "C" __global__ void __launch_bounds__(32 * kBiasReduceWarps) bias_gradient_reduce(float* dbias, const float* partial, int parts, int N, int accumulate) {
    __shared__ float sums[kBiasReduceWarps][32];
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, column = blockIdx.x * 32 + lane;
    float sum = 0.f;
    if (column < N)
#pragma unroll 8
        for (int part = warp; part < parts; part += kBiasReduceWarps) sum += partial[(size_t)part * N + column];
    sums[warp][lane] = sum;
    __syncthreads();
    if (warp == 0 && column < N) {
        float total = accumulate ? dbias[column] : 0.f;
#pragma unroll
        for (int w = 0; w < kBiasReduceWarps; w++) total += sums[w][lane];
        dbias[column] = total;
    }
}
