// cublaslt.cpp - handles, the heuristic and the product of cuBLASLt.
#include "descriptions.h"
#include <cstring>

using namespace simcuda;

namespace {

constexpr size_t library_version = 120405;

BlasLtHandle& handle_of(cublasLtHandle_t handle) {
    if (!lt_handles().is_live((BlasLtHandle*)handle)) refuse(CUBLAS_STATUS_NOT_INITIALIZED, "the handle was not made by cublasLtCreate, or was destroyed");
    return lt_handles().get((BlasLtHandle*)handle);
}

// Any of the 32-bit settings of an algorithm.
int32_t setting_of(const Algorithm& algorithm, cublasLtMatmulAlgoConfigAttributes_t attribute) {
    switch (attribute) {
        case CUBLASLT_ALGO_CONFIG_ID: return algorithm.id;
        case CUBLASLT_ALGO_CONFIG_SPLITK_NUM: return algorithm.splits;
        case CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME: return (int32_t)reduction_scheme(algorithm);
        case CUBLASLT_ALGO_CONFIG_TILE_ID:
        case CUBLASLT_ALGO_CONFIG_CTA_SWIZZLING:
        case CUBLASLT_ALGO_CONFIG_CUSTOM_OPTION:
        case CUBLASLT_ALGO_CONFIG_STAGES_ID: return 0;
        default: refuse(CUBLAS_STATUS_NOT_SUPPORTED, format("setting %d of an algorithm is not simulated", (int)attribute));
    }
}

void check_alignment(const Product& product, const cublasLtMatmulAlgo_t& algorithm) {
    constexpr const char* names[] = {"A", "B", "C", "D"};
    const Matrix* matrices[] = {&product.a, &product.b, &product.c, &product.d};
    for (int i = 0; i < 4; i++) {
        if (matrices[i] == &product.c && product.beta == 0) continue;
        uint32_t promised = promised_alignment(algorithm, i);
        if (promised && matrices[i]->address % promised != 0)
            refuse(CUBLAS_STATUS_INVALID_VALUE, format("matrix %s at %#llx is not aligned to the %u bytes that the preference promised", names[i],
                                                       (unsigned long long)matrices[i]->address, promised));
    }
    if (product.has_auxiliary() && product.auxiliary % 16 != 0) refuse(CUBLAS_STATUS_INVALID_VALUE, "the auxiliary matrix is not aligned to 16 bytes");
}

}  // namespace

cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) {
    SIMCUDA_LIBRARY_CALL(Needs::context, true, {
        require(handle, "handle");
        *handle = (cublasLtHandle_t)lt_handles().create();
    });
}

cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) {
    SIMCUDA_LIBRARY_CALL(Needs::nothing, true, {
        handle_of(handle);
        lt_handles().destroy((BlasLtHandle*)handle);
    });
}

size_t cublasLtGetVersion(void) { return library_version; }

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t description, cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d_layout, cublasLtMatmulPreference_t preference_handle,
                                              int requested, cublasLtMatmulHeuristicResult_t results[], int* returned) {
    SIMCUDA_LIBRARY_CALL(Needs::context, false, {
        handle_of(handle);
        require(results, "results");
        require(returned, "returned");
        *returned = 0;
        if (requested < 1) refuse(CUBLAS_STATUS_INVALID_VALUE, "no result was asked for");
        Product product = product_of(description_of(description), layout_of(a), layout_of(b), layout_of(c), layout_of(d_layout));
        MatmulPreference preference = preference_handle ? preference_of(preference_handle) : MatmulPreference{};
        std::vector<Algorithm> algorithms = algorithms_for(product, preference);
        if (algorithms.empty()) refuse(CUBLAS_STATUS_NOT_SUPPORTED, "no algorithm is within the preference");
        for (const Algorithm& algorithm : algorithms) {
            if (*returned == requested) break;
            results[(*returned)++] = {encode(algorithm, product, preference), algorithm.workspace_bytes, CUBLAS_STATUS_SUCCESS, 1, {}};
        }
    });
}

cublasStatus_t cublasLtMatmulAlgoCheck(cublasLtHandle_t handle, cublasLtMatmulDesc_t description, cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                       cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d_layout, const cublasLtMatmulAlgo_t* encoded,
                                       cublasLtMatmulHeuristicResult_t* result) {
    SIMCUDA_LIBRARY_CALL(Needs::context, false, {
        handle_of(handle);
        require(encoded, "algorithm");
        require(result, "result");
        Product product = product_of(description_of(description), layout_of(a), layout_of(b), layout_of(c), layout_of(d_layout));
        Algorithm algorithm = decode(*encoded, product);
        *result = {*encoded, algorithm.workspace_bytes, CUBLAS_STATUS_SUCCESS, 1, {}};
    });
}

cublasStatus_t cublasLtMatmulAlgoConfigGetAttribute(const cublasLtMatmulAlgo_t* encoded, cublasLtMatmulAlgoConfigAttributes_t attribute, void* value,
                                                    size_t bytes, size_t* written) {
    SIMCUDA_LIBRARY_CALL(Needs::nothing, true, {
        require(encoded, "algorithm");
        int32_t setting = setting_of(decode(*encoded), attribute);
        if (bytes == 0) require(written, "where the number of bytes goes");
        if (written) *written = sizeof setting;
        if (bytes == 0) return;
        if (!value || bytes != sizeof setting) refuse(CUBLAS_STATUS_INVALID_VALUE, format("the setting has %zu bytes, not %zu", sizeof setting, bytes));
        memcpy(value, &setting, sizeof setting);
    });
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t description, const void* alpha, const void* a, cublasLtMatrixLayout_t a_layout,
                              const void* b, cublasLtMatrixLayout_t b_layout, const void* beta, const void* c, cublasLtMatrixLayout_t c_layout, void* d_address,
                              cublasLtMatrixLayout_t d_layout, const cublasLtMatmulAlgo_t* encoded, void* workspace, size_t workspace_bytes,
                              cudaStream_t stream) {
    SIMCUDA_LIBRARY_CALL(Needs::context, true, {
        handle_of(handle);
        require(alpha, "alpha");
        require(beta, "beta");
        Product product = product_of(description_of(description), layout_of(a_layout), layout_of(b_layout), layout_of(c_layout), layout_of(d_layout));
        memcpy(&product.alpha, alpha, sizeof product.alpha);
        memcpy(&product.beta, beta, sizeof product.beta);
        product.a.address = (uint64_t)a;
        product.b.address = (uint64_t)b;
        product.c.address = (uint64_t)c;
        product.d.address = (uint64_t)d_address;
        product.workspace = (uint64_t)workspace;
        if (encoded) {
            product.algorithm = decode(*encoded, product);
            check_alignment(product, *encoded);
        } else {
            // As the library does: the first that the heuristic finds for this workspace.
            MatmulPreference preference;
            preference.workspace_bytes = workspace_bytes;
            product.algorithm = algorithms_for(product, preference).front();
        }
        if (product.algorithm.workspace_bytes > workspace_bytes)
            refuse(CUBLAS_STATUS_INVALID_VALUE, format("the algorithm needs a workspace of %llu bytes, and there are %zu",
                                                       (unsigned long long)product.algorithm.workspace_bytes, workspace_bytes));
        if (product.algorithm.workspace_bytes && product.workspace % 256 != 0) refuse(CUBLAS_STATUS_INVALID_VALUE, "the workspace is not aligned to 256 bytes");
        check_memory(d, product, CUDA_ERROR_INVALID_VALUE);
        submit_product(d, d.stream(stream), product);
    });
}
