// gemm_reduce.cu - adds up what the splits of a weight's gradient have left, always in the same order: no atomics, so the same bits every time.
//
//   dweight (N, K) += sum over the splits of partial (splits, N K + N),  dbias (N) likewise    (or = instead of +=)
//
// Launch: a thread for every four of the N K + N sums, in blocks of 256.
// Bytes: 4 (splits + 1, with += 2) (N K + N).   FLOPs: splits (N K + N)
#include "vector.cuh"

constexpr int kReduceThreads = 256;

// dweight (N, K), dbias (N) or null, fp32: += or, without accumulate, overwritten.   partial (splits, N K + N) fp32. N and K multiples of 8
extern "C" __global__ void __launch_bounds__(kReduceThreads) gemm_reduce_splits(float* dweight, float* dbias, const float* partial, int N, int K, int splits,
                                                                                int accumulate) {
    const size_t weights = (size_t)N * K, sums = weights + N, at = ((size_t)blockIdx.x * kReduceThreads + threadIdx.x) * 4;
    if (at >= (dbias != nullptr ? sums : weights)) return;
    float* to = at < weights ? dweight + at : dbias + (at - weights);
    float sum[4] = {};
    if (accumulate) load_floats(sum, to);
#pragma unroll 4
    for (int split = 0; split < splits; split++) {
        float v[4];
        load_floats(v, partial + split * sums + at);
        add(sum, v);
    }
    store_floats(to, sum);
}
