// tensors.cuh - all parameters lie in one allocation, and so do their gradients and moments: a table says where each tensor is.
//
// Kernels over all parameters cut each tensor into chunks, one for a block. What a chunk adds up goes to a place of its own, and
// `sum_chunks` (sums.cu) adds the chunks of each tensor in order: the same bits on every device.
#pragma once
#include "ptx.cuh"

constexpr int kChunkElements = 8192;
constexpr int kChunkThreads = 256;

struct TensorSpan {
    long long offset, count;   // elements; both multiples of 8, so that 16 bytes of bf16 are aligned
    int first_chunk;           // chunks of all tensors before this one
    int unit;                  // the unit of the regulariser (regularizer.cu), -1 for none
};
static_assert(sizeof(TensorSpan) == 24);

// The last tensor whose first chunk is not after this one. Tensors without elements have no chunks.
__device__ __forceinline__ int tensor_of_chunk(const TensorSpan* tensors, int tensor_count, int chunk) {
    int low = 0, high = tensor_count - 1;
    while (low < high) {
        const int middle = (low + high + 1) / 2;
        if (tensors[middle].first_chunk <= chunk) low = middle;
        else high = middle - 1;
    }
    return low;
}

struct Chunk {
    int tensor;
    long long begin;   // of the allocation
    int count;
};
__device__ __forceinline__ Chunk chunk_of_block(const TensorSpan* tensors, int tensor_count) {
    const int tensor = tensor_of_chunk(tensors, tensor_count, blockIdx.x);
    const TensorSpan span = tensors[tensor];
    const long long first = (long long)(blockIdx.x - span.first_chunk) * kChunkElements;
    return {tensor, span.offset + first, (int)min((long long)kChunkElements, span.count - first)};
}
