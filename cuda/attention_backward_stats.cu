// attention_backward_stats.cu - what the backward pass of attention.cuh needs of each query, for all versions of its kernels.
//
//   stats[row] = (lse in powers of two, D = rowsum(dO O)); rows from T to padded T get (+inf, 0), which makes their probabilities zero
//
//   kernel                                 block   grid (x, y, z)             heads
//   attention_backward_stats_hs64          128     padded T / 16, NH, B       of 64 channels, bf16
//   attention_backward_stats_hs128         128     padded T / 16, NH, B       of 128 channels, bf16
//   attention_backward_stats_generic       128     padded T / 16, NH, B       of any multiple of 8 channels, bf16
//   attention_backward_stats_generic_f32   128     padded T / 16, NH, B       of any multiple of 8 channels, fp32
//   bytes, s for an element: 2 s B T NH HS read, 4 B NH T read, 8 B NH padded T written          FLOPs: 2 B NH T HS
//   8 neighbouring lanes share a row, 16 bytes at a time, so that a warp's 4 rows of stats are a whole sector
#include "attention.cuh"

constexpr int kThreads = 128, kLanes = 8, kRows = kThreads / kLanes;

template <class Element>
__device__ __forceinline__ void backward_stats(float2* stats, const float* lse, const Element* out, const Element* dout, int T, int NH, int HS) {
    constexpr int pack_elements = kPack<Element>;
    const int padded = gridDim.x * kRows, t = blockIdx.x * kRows + threadIdx.x / kLanes, part = threadIdx.x % kLanes;
    const size_t row = blockIdx.z * NH + blockIdx.y;
    float sum = 0.f;
    if (t < T) {
        const size_t at = (((size_t)blockIdx.z * T + t) * NH + blockIdx.y) * HS;
#pragma unroll
        for (int c = 0; c < HS; c += kLanes * pack_elements) {
            const int column = c + part * pack_elements;
            if (column >= HS) break;
            float o[pack_elements], g[pack_elements];
            unpack(o, load16(out + at + column));
            unpack(g, load16(dout + at + column));
#pragma unroll
            for (int i = 0; i < pack_elements; i++) sum += o[i] * g[i];
        }
    }
#pragma unroll
    for (int distance = kLanes / 2; distance > 0; distance /= 2) sum += __shfl_xor_sync(kFullWarp, sum, distance);
    const float log_sum = part == 0 && t < T ? lse[row * T + t] * kLog2e : kInfinity;
    // The first lane of every second row stores 16 bytes: its own row and the next.
    const float two[4] = {log_sum, sum, __shfl_down_sync(kFullWarp, log_sum, kLanes), __shfl_down_sync(kFullWarp, sum, kLanes)};
    if (part == 0 && t % 2 == 0) store_floats((float*)(stats + row * padded + t), two);
}

// stats (B, NH, padded T): overwritten.   lse (B, NH, T), out (B, T, NH, HS), dout (B, T, NH, HS)
#define ATTENTION_BACKWARD_STATS(HS)                                                                                                             \
    extern "C" __global__ void __launch_bounds__(kThreads) attention_backward_stats_hs##HS(float2* stats, const float* lse, const bf16* out,     \
                                                                                           const bf16* dout, int T, int NH) {                    \
        backward_stats(stats, lse, out, dout, T, NH, HS);                                                                                        \
    }
ATTENTION_BACKWARD_STATS(64)
ATTENTION_BACKWARD_STATS(128)

#define ATTENTION_BACKWARD_STATS_GENERIC(name, Element)                                                                                          \
    extern "C" __global__ void __launch_bounds__(kThreads) name(float2* stats, const float* lse, const Element* out, const Element* dout, int T, \
                                                                int NH, int HS) {                                                                \
        backward_stats(stats, lse, out, dout, T, NH, HS);                                                                                        \
    }
ATTENTION_BACKWARD_STATS_GENERIC(attention_backward_stats_generic, bf16)
ATTENTION_BACKWARD_STATS_GENERIC(attention_backward_stats_generic_f32, float)
