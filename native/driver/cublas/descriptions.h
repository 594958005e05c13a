// descriptions.h - what the opaque descriptors of cuBLASLt hold here.
#pragma once
#include "library_call.h"

namespace simcuda {

struct MatmulDescription {
    int32_t compute = CUBLAS_COMPUTE_32F, scale = CUDA_R_32F, pointer_mode = 0;
    int32_t transpose_a = CUBLAS_OP_N, transpose_b = CUBLAS_OP_N;
    uint32_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
    uint64_t bias = 0, auxiliary = 0;
    int64_t auxiliary_ld = 0;
    int32_t bias_type = -1, auxiliary_type = -1;     // -1: D's
    int32_t multiprocessors = 0;
};

struct MatrixLayout {
    int32_t type;
    uint64_t rows, columns;
    int64_t ld;
    int32_t order = 0;                               // column by column
    int32_t batch = 1;
    int64_t stride = 0;
};

struct MatmulPreference {
    uint32_t search_mode = 0;
    uint64_t workspace_bytes = 0;
    uint32_t reduction_schemes = CUBLASLT_REDUCTION_SCHEME_MASK;
    uint32_t alignment[4] = {256, 256, 256, 256};    // of A, B, C and D: the least that callers promise
    float max_waves = 0;
    uint64_t implementations = UINT64_MAX;
};

struct BlasLtHandle {};

LibraryHandles<BlasLtHandle>& lt_handles();
MatmulDescription& description_of(cublasLtMatmulDesc_t handle);
MatrixLayout& layout_of(cublasLtMatrixLayout_t handle);
MatmulPreference& preference_of(cublasLtMatmulPreference_t handle);

// The product that the descriptors describe, without addresses. Refuses what no algorithm computes.
Product product_of(const MatmulDescription& description, const MatrixLayout& a, const MatrixLayout& b, const MatrixLayout& c, const MatrixLayout& d);

// ---- algorithms.cpp ----
// What can compute a product, best first, within the preference.
std::vector<Algorithm> algorithms_for(const Product& product, const MatmulPreference& preference);
cublasLtMatmulAlgo_t encode(const Algorithm& algorithm, const Product& product, const MatmulPreference& preference);
// Refuses an algorithm that was chosen for another product, or is none.
Algorithm decode(const cublasLtMatmulAlgo_t& encoded, const Product& product);
Algorithm decode(const cublasLtMatmulAlgo_t& encoded);
uint32_t promised_alignment(const cublasLtMatmulAlgo_t& encoded, int matrix);      // 0 to 3: A to D
uint32_t reduction_scheme(const Algorithm& algorithm);

}  // namespace simcuda
