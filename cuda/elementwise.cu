// elementwise.cu - casts, fills, weight averages and the GELU over flat arrays: four elements for each thread, contiguous in a warp.
//
//   n elements, a multiple of 4; grid ceil(n / 1024), block 256
//   kernel             bytes    FLOPs
//   cast_to_bf16       6 n      0
//   cast_to_float      6 n      0
//   fill               4 n      0
//   update_average     12 n     3 n
//   gelu_forward       4 n      8 n
//   gelu_forward_f32   8 n      8 n
#include "gelu.cuh"
#include "rounding.cuh"

constexpr int kThreads = 256;

__device__ __forceinline__ long long first_element() { return ((long long)blockIdx.x * kThreads + threadIdx.x) * 4; }

// to (n) bf16: overwritten.   from (n) fp32.   rounding: Rounding; step and seed choose the random numbers.
extern "C" __global__ void __launch_bounds__(kThreads) cast_to_bf16(bf16* to, const float* from, long long n, int rounding, uint32_t step, uint32_t seed) {
    const long long i = first_element();
    if (i >= n) return;
    float v[4];
    load_floats(v, from + i);
    store8(to + i, round4(v, rounding, RandomFor::cast, i, step, seed));
}

// to (n) fp32: overwritten.   from (n) bf16
extern "C" __global__ void __launch_bounds__(kThreads) cast_to_float(float* to, const bf16* from, long long n) {
    const long long i = first_element();
    if (i >= n) return;
    const uint2 bits = load8(from + i);
    const float v[4] = {bf16_low(bits.x), bf16_high(bits.x), bf16_low(bits.y), bf16_high(bits.y)};
    store_floats(to + i, v);
}

// to (n) fp32: every element becomes the value.
extern "C" __global__ void __launch_bounds__(kThreads) fill(float* to, long long n, float value) {
    const long long i = first_element();
    if (i >= n) return;
    const float v[4] = {value, value, value, value};
    store_floats(to + i, v);
}

// average (n) fp32 <- c average + (1 - c) weights: an exponential moving average (Polyak and Juditsky 1992).   weights (n) fp32
extern "C" __global__ void __launch_bounds__(kThreads) update_average(float* average, const float* weights, long long n, float c) {
    const long long i = first_element();
    if (i >= n) return;
    float a[4], w[4];
    load_floats(a, average + i);
    load_floats(w, weights + i);
#pragma unroll
    for (int e = 0; e < 4; e++) a[e] = c * a[e] + (1.f - c) * w[e];
    store_floats(average + i, a);
}

template <class Element> __device__ __forceinline__ void gelu_of_four(Element* out, const Element* pre, long long n) {
    const long long i = first_element();
    if (i >= n) return;
    float v[4];
    unpack(v, load_four(pre + i));
#pragma unroll
    for (int e = 0; e < 4; e++) v[e] = gelu(v[e]);
    store_four(out + i, v);
}

// out (n): overwritten with the GELU of pre (n), which a forward product has left: an activation that was not kept is made again.
#define GELU_FORWARD(name, Element)                                                                                                             \
    extern "C" __global__ void __launch_bounds__(kThreads) name(Element* out, const Element* pre, long long n) { gelu_of_four(out, pre, n); }
GELU_FORWARD(gelu_forward, bf16)
GELU_FORWARD(gelu_forward_f32, float)
