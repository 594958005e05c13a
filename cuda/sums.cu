// sums.cu - sums over all parameters or gradients, tensor by tensor, in two deterministic stages; and what the diagnostics make of them.
//
// Stage one leaves the sums of each chunk (tensors.cuh), stage two adds the chunks of each tensor in order. A thread adds at most 32 numbers in fp32,
// everything after that in double precision. A number that is not finite, or whose square is not, makes the sum so.
//
//   n elements, K chunks, N tensors, Q quantities
//   kernel         grid   block   bytes                  FLOPs
//   square_sums    K      256     4 n + 8 K              2 n
//   pair_sums      K      256     8 n + 40 K             12 n
//   sum_chunks     N      256     8 Q K + 8 Q N          Q K
//   angles         1      256     56 N                   -
//   mean           1      1024    4 n                    n
#include "reduce.cuh"
#include "tensors.cuh"
#include "vector.cuh"

constexpr int kStep = kChunkThreads * 4;              // elements that a block reads at once
constexpr int kIterations = kChunkElements / kStep;

// partial (K): the sum of squares of each chunk.
extern "C" __global__ void __launch_bounds__(kChunkThreads) square_sums(
        double* partial, const float* values, const TensorSpan* tensors, int tensor_count) {
    __shared__ double scratch[32];
    const Chunk chunk = chunk_of_block(tensors, tensor_count);
    float v[kIterations][4] = {};
#pragma unroll
    for (int k = 0; k < kIterations; k++) {
        const int i = k * kStep + threadIdx.x * 4;
        if (i < chunk.count) load_floats(v[k], values + chunk.begin + i);
    }
    float sum = 0.f;
#pragma unroll
    for (int k = 0; k < kIterations; k++)
#pragma unroll
        for (int e = 0; e < 4; e++) sum += v[k][e] * v[k][e];
    const double total = block_reduce<Sum>((double)sum, scratch, 0.0);
    if (threadIdx.x == 0) partial[blockIdx.x] = total;
}

// partial (K, 5): sums of a a, b b, a b, (a - b)^2 and (a - b)(a + b).
constexpr int kPairQuantities = 5;
extern "C" __global__ void __launch_bounds__(kChunkThreads) pair_sums(
        double* partial, const float* a, const float* b, const TensorSpan* tensors, int tensor_count) {
    __shared__ double scratch[kPairQuantities][32];
    const Chunk chunk = chunk_of_block(tensors, tensor_count);
    float sum[kPairQuantities] = {};
#pragma unroll 4
    for (int i = threadIdx.x * 4; i < chunk.count; i += kStep) {
        float x[4], y[4];
        load_floats(x, a + chunk.begin + i);
        load_floats(y, b + chunk.begin + i);
#pragma unroll
        for (int e = 0; e < 4; e++) {
            const float difference = x[e] - y[e];
            sum[0] += x[e] * x[e];
            sum[1] += y[e] * y[e];
            sum[2] += x[e] * y[e];
            sum[3] += difference * difference;
            sum[4] += difference * (x[e] + y[e]);
        }
    }
#pragma unroll
    for (int q = 0; q < kPairQuantities; q++) {
        const double total = block_reduce<Sum>((double)sum[q], scratch[q], 0.0);
        if (threadIdx.x == 0) partial[(size_t)blockIdx.x * kPairQuantities + q] = total;
    }
}

// sums (N, Q): overwritten.   partial (K, Q)
extern "C" __global__ void __launch_bounds__(kChunkThreads) sum_chunks(double* sums, const double* partial, const TensorSpan* tensors, int quantities) {
    __shared__ double scratch[2][32];
    const TensorSpan span = tensors[blockIdx.x];
    const int chunks = (int)((span.count + kChunkElements - 1) / kChunkElements);
    for (int q = 0; q < quantities; q++) {
        double sum = 0.0;
        for (int c = threadIdx.x; c < chunks; c += kChunkThreads) sum += partial[(size_t)(span.first_chunk + c) * quantities + q];
        sum = block_reduce<Sum>(sum, scratch[q % 2], 0.0);
        if (threadIdx.x == 0) sums[(size_t)blockIdx.x * quantities + q] = sum;
    }
}

// Of each tensor: cosine of the angle between a and b, and the angle in radians; NaN where one of them is zero.   angles (N, 2): overwritten.
// sums (N, 5) of pair_sums. The angle is 2 asin(|a/|a| - b/|b|| / 2), which is good for small angles where acos is not; with
//   |a/|a| - b/|b||^2 = ((a - b)^2 - (|a| - |b|)^2) / (|a| |b|),   |a| - |b| = (a - b)(a + b) / (|a| + |b|)
// no two large numbers are subtracted.
extern "C" __global__ void angles(double* out, const double* sums, int tensor_count) {
    for (int t = threadIdx.x; t < tensor_count; t += blockDim.x) {
        const double* s = sums + (size_t)t * kPairQuantities;
        const double a = sqrt(s[0]), b = sqrt(s[1]), difference = s[4] / (a + b);
        const double square = (s[3] - difference * difference) / (a * b);
        out[2 * t] = s[2] / (a * b);
        out[2 * t + 1] = 2.0 * asin(fmin(0.5 * sqrt(fmax(square, 0.0)), 1.0));
        if (!(a * b > 0.0)) out[2 * t + 1] = out[2 * t];
    }
}

// *out: scale times the mean of the values, added to what is there or in its place: the losses of micro-batches add up where they are.
extern "C" __global__ void __launch_bounds__(1024) mean(double* out, const float* values, int count, double scale, int accumulate) {
    __shared__ double scratch[32];
    double sum = 0.0;
    for (int i = threadIdx.x; i < count; i += blockDim.x) sum += values[i];
    sum = block_reduce<Sum>(sum, scratch, 0.0);
    // The product is rounded before it is added, as on the CPU.
    if (threadIdx.x == 0) *out = (accumulate ? *out : 0.0) + __dmul_rn(scale, sum / count);
}
