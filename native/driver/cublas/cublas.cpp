// cublas.cpp - the classical cuBLAS: one product, of a stream that belongs to the handle.
#include "library_call.h"
#include <cstring>

using namespace simcuda;

namespace {

constexpr int library_version = 120405;

struct BlasHandle {
    CUstream stream = nullptr;
    uint64_t workspace = 0, workspace_bytes = 0;
    int math = CUBLAS_DEFAULT_MATH;
};

LibraryHandles<BlasHandle>& handles() {
    static auto& all = *new LibraryHandles<BlasHandle>("cuBLAS handle", true);
    return all;
}

BlasHandle& handle_of(cublasHandle_t handle) {
    if (!handles().is_live((BlasHandle*)handle)) refuse(CUBLAS_STATUS_NOT_INITIALIZED, "the handle was not made by cublasCreate, or was destroyed");
    return handles().get((BlasHandle*)handle);
}

Matrix matrix_of(const char* name, const void* address, cudaDataType type, int rows, int columns, int ld) {
    if (ld < rows) refuse(CUBLAS_STATUS_INVALID_VALUE, format("the leading dimension of matrix %s is less than its rows", name));
    return {(uint64_t)address, element_of(type), rows, columns, ld, 0};
}

}  // namespace

cublasStatus_t cublasCreate_v2(cublasHandle_t* handle) {
    SIMCUDA_LIBRARY_CALL(Needs::context, true, {
        require(handle, "handle");
        *handle = (cublasHandle_t)handles().create();
    });
}

cublasStatus_t cublasDestroy_v2(cublasHandle_t handle) {
    SIMCUDA_LIBRARY_CALL(Needs::nothing, true, {
        handle_of(handle);
        handles().destroy((BlasHandle*)handle);
    });
}

cublasStatus_t cublasGetVersion_v2(cublasHandle_t handle, int* version) {
    SIMCUDA_LIBRARY_CALL(Needs::nothing, true, {
        handle_of(handle);
        require(version, "version");
        *version = library_version;
    });
}

cublasStatus_t cublasSetStream_v2(cublasHandle_t handle, cudaStream_t stream) {
    SIMCUDA_LIBRARY_CALL(Needs::context, true, {
        BlasHandle& blas = handle_of(handle);
        d.stream(stream);
        blas.stream = stream;
        blas.workspace = blas.workspace_bytes = 0;       // as documented: the default workspace again
    });
}

cublasStatus_t cublasSetWorkspace_v2(cublasHandle_t handle, void* workspace, size_t bytes) {
    SIMCUDA_LIBRARY_CALL(Needs::context, true, {
        BlasHandle& blas = handle_of(handle);
        if ((uint64_t)workspace % 256 != 0) refuse(CUBLAS_STATUS_INVALID_VALUE, "the workspace is not aligned to 256 bytes");
        if (bytes) d.memory.check((uint64_t)workspace, bytes, CUDA_ERROR_INVALID_VALUE, "the workspace");
        blas.workspace = (uint64_t)workspace;
        blas.workspace_bytes = bytes;
    });
}

cublasStatus_t cublasSetMathMode(cublasHandle_t handle, cublasMath_t mode) {
    SIMCUDA_LIBRARY_CALL(Needs::nothing, true, {
        constexpr int modifier = CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION;
        if (((int)mode & ~modifier) > CUBLAS_TF32_TENSOR_OP_MATH) refuse(CUBLAS_STATUS_INVALID_VALUE, "an unknown mode");
        handle_of(handle).math = mode;
    });
}

cublasStatus_t cublasGemmEx(cublasHandle_t handle, cublasOperation_t a_operation, cublasOperation_t b_operation, int m, int n, int k, const void* alpha,
                            const void* a, cudaDataType a_type, int a_ld, const void* b, cudaDataType b_type, int b_ld, const void* beta, void* c,
                            cudaDataType c_type, int c_ld, cublasComputeType_t compute, cublasGemmAlgo_t) {
    SIMCUDA_LIBRARY_CALL(Needs::context, true, {
        BlasHandle& blas = handle_of(handle);
        CUstream_st& stream = d.stream(blas.stream);
        require(alpha, "alpha");
        require(beta, "beta");
        if (m < 0 || n < 0 || k < 0) refuse(CUBLAS_STATUS_INVALID_VALUE, "a negative dimension");
        if (m == 0 || n == 0) return;
        if (k == 0) refuse(CUBLAS_STATUS_NOT_SUPPORTED, "a product of nothing is not simulated");
        Product product;
        product.m = m;
        product.n = n;
        product.k = k;
        product.transpose_a = a_operation != CUBLAS_OP_N;
        product.transpose_b = b_operation != CUBLAS_OP_N;
        memcpy(&product.alpha, alpha, sizeof product.alpha);
        memcpy(&product.beta, beta, sizeof product.beta);
        product.a = product.transpose_a ? matrix_of("A", a, a_type, k, m, a_ld) : matrix_of("A", a, a_type, m, k, a_ld);
        product.b = product.transpose_b ? matrix_of("B", b, b_type, n, k, b_ld) : matrix_of("B", b, b_type, k, n, b_ld);
        product.c = product.d = matrix_of("C", c, c_type, m, n, c_ld);
        product.set_compute(compute, (blas.math & CUBLAS_TF32_TENSOR_OP_MATH) == CUBLAS_TF32_TENSOR_OP_MATH);
        // Of a graph that is replayed, the library's own workspace would be a race between its replays and other products.
        if (stream.capture && blas.workspace_bytes == 0)
            refuse(CUBLAS_STATUS_NOT_SUPPORTED, "a product is captured without cublasSetWorkspace after cublasSetStream");
        check_memory(d, product, CUDA_ERROR_INVALID_VALUE);
        submit_product(d, stream, product);
    });
}
