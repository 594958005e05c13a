// product.h - D = epilogue(alpha op(A) op(B) + beta C), on the CPU. Matrices are stored column by column, as in BLAS.
#pragma once
#include "cublas_abi.h"
#include "driver.h"

namespace simcuda {

enum class Element { fp32, bf16 };
inline size_t bytes_of(Element element) { return element == Element::fp32 ? sizeof(float) : sizeof(uint16_t); }

struct Matrix {
    uint64_t address = 0;
    Element element = Element::fp32;
    int64_t rows = 0, columns = 0;           // as it is stored
    int64_t ld = 0;                          // elements from one column to the next
    int64_t stride = 0;                      // elements from one matrix of a batch to the next
};

// How the sum over k is split. All ways give the same result but for rounding.
struct Algorithm {
    int id = 0;
    int splits = 1;                          // parts of k that are summed apart from each other, and then added
    int k_block = 256;                       // products that are summed before they are added to the rest
    bool chained = true;                     // the sum goes on in the next block, instead of beginning at 0 and being added
    uint64_t workspace_bytes = 0;
};

struct Product {
    int64_t m = 0, n = 0, k = 0;
    int batch = 1;
    bool transpose_a = false, transpose_b = false;
    bool tf32 = false;                       // inputs are rounded to 10 bits of mantissa
    float alpha = 1, beta = 0;
    Matrix a, b, c, d;
    uint32_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
    uint64_t bias = 0;                       // read, or written as a gradient; elements like D's
    uint64_t auxiliary = 0;                  // what GELU was applied to: written forward, read backward; elements like D's
    int64_t auxiliary_ld = 0;
    Algorithm algorithm;
    uint64_t workspace = 0;

    // From a cublasComputeType_t, the elements being known. Refuses what the library does not compute.
    SIMCUDA_SHARED void set_compute(int compute, bool tf32_allowed);

    bool writes_bias() const {
        return epilogue == CUBLASLT_EPILOGUE_DGELU_BGRAD || epilogue == CUBLASLT_EPILOGUE_BGRADA || epilogue == CUBLASLT_EPILOGUE_BGRADB;
    }
    bool adds_bias() const { return epilogue & CUBLASLT_EPILOGUE_BIAS; }
    bool applies_gelu() const { return (epilogue & CUBLASLT_EPILOGUE_GELU) != 0; }
    bool differentiates_gelu() const { return (epilogue & CUBLASLT_EPILOGUE_DGELU) == CUBLASLT_EPILOGUE_DGELU; }
    bool has_auxiliary() const {
        constexpr uint32_t auxiliary_bit = CUBLASLT_EPILOGUE_GELU_AUX & ~CUBLASLT_EPILOGUE_GELU;
        return epilogue & auxiliary_bit;
    }
};

// Fails with the code unless everything that the product touches is live device memory, and what it writes overlaps nothing that it reads.
SIMCUDA_SHARED void check_memory(const Driver& driver, const Product& product, CUresult code);

// Into the stream, or at once. The memory has been checked.
SIMCUDA_SHARED void submit_product(Driver& driver, CUstream_st& stream, const Product& product);

void multiply(const Product& product);

}  // namespace simcuda
