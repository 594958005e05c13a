// compare.cu - how far two tensors are from each other: for the choice among implementations of an operation, not for training steps.
//
//   n elements, B = min(ceil(n / 2048), 1024) blocks of 256; s bytes of an element: 2, or 4 of the kernel that ends in _f32
//   bytes 2 s n + 24 B; FLOPs 5 n
#include "reduce.cuh"
#include "vector.cuh"

constexpr int kCompareThreads = 256;

template <class Element> __device__ __forceinline__ void compare_elements(double* parts, const Element* a, const Element* b, long long count,
                                                                          double (&scratch)[3][32]) {
    constexpr int pack_elements = kPack<Element>;
    const long long step = (long long)gridDim.x * kCompareThreads * pack_elements;
    double squares = 0.0, reference = 0.0, changed = 0.0;
    for (long long at = ((long long)blockIdx.x * kCompareThreads + threadIdx.x) * pack_elements; at < count; at += step) {
        float x[pack_elements], y[pack_elements];
        unpack(x, load16_streaming(a + at));
        unpack(y, load16_streaming(b + at));
        float square = 0.f, square_of_b = 0.f;
        int other = 0;
#pragma unroll
        for (int i = 0; i < pack_elements; i++) {
            square += (x[i] - y[i]) * (x[i] - y[i]);
            square_of_b += y[i] * y[i];
            other += __float_as_uint(x[i]) != __float_as_uint(y[i]);
        }
        squares += square;
        reference += square_of_b;
        changed += other;
    }
    squares = block_reduce<Sum>(squares, scratch[0], 0.0);
    reference = block_reduce<Sum>(reference, scratch[1], 0.0);
    changed = block_reduce<Sum>(changed, scratch[2], 0.0);
    if (threadIdx.x == 0) {
        parts[3 * blockIdx.x] = squares;
        parts[3 * blockIdx.x + 1] = reference;
        parts[3 * blockIdx.x + 2] = changed;
    }
}

// parts (B, 3): overwritten with each block's sum of (a - b)^2, sum of b^2, and count of elements whose bits differ. Where an element is not
// finite, the first two are not.   a, b (n), n a multiple of 8
#define COMPARE(name, Element)                                                                                                                        \
    extern "C" __global__ void __launch_bounds__(kCompareThreads) name(double* parts, const Element* a, const Element* b, long long count) {          \
        __shared__ double scratch[3][32];                                                                                                             \
        compare_elements(parts, a, b, count, scratch);                                                                                                \
    }
COMPARE(compare, bf16)
COMPARE(compare_f32, float)
