// reduce.cuh - sums and maxima over a warp and over a block, in an order that depends on the number of threads alone.
#pragma once
#include "ptx.cuh"

struct Sum { template <class T> static __device__ __forceinline__ T of(T a, T b) { return a + b; } };
struct Max { static __device__ __forceinline__ float of(float a, float b) { return fmaxf(a, b); } };

// The result in every lane: a butterfly adds the same pairs in every lane, so that all lanes have the same bits.
template <class Operation, class T> __device__ __forceinline__ T warp_reduce(T v) {
#pragma unroll
    for (int distance = 16; distance > 0; distance /= 2) v = Operation::of(v, __shfl_xor_sync(kFullWarp, v, distance));
    return v;
}

// Over all threads of a block of whole warps, the result in every thread. `scratch` is shared memory for 32 values; a second call may use
// the same only after a barrier.
template <class Operation, class T> __device__ __forceinline__ T block_reduce(T v, T* scratch, T identity) {
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
    v = warp_reduce<Operation>(v);
    if (lane == 0) scratch[warp] = v;
    __syncthreads();
    return warp_reduce<Operation>(lane < warps ? scratch[lane] : identity);
}
