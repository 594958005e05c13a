// descriptions.cpp - the descriptors of cuBLASLt: made, changed, destroyed, and read together as a product.
#include "descriptions.h"
#include <cstring>

using namespace simcuda;

namespace simcuda {

namespace {

constexpr bool in_context = true, on_host = false;

LibraryHandles<MatmulDescription>& descriptions() {
    static auto& all = *new LibraryHandles<MatmulDescription>("cuBLASLt matrix product description", on_host);
    return all;
}

LibraryHandles<MatrixLayout>& layouts() {
    static auto& all = *new LibraryHandles<MatrixLayout>("cuBLASLt matrix layout", on_host);
    return all;
}

LibraryHandles<MatmulPreference>& preferences() {
    static auto& all = *new LibraryHandles<MatmulPreference>("cuBLASLt preference", on_host);
    return all;
}

template <class T> void set(T& field, const void* value, size_t bytes) {
    if (!value || bytes != sizeof(T)) refuse(CUBLAS_STATUS_INVALID_VALUE, format("the attribute has %zu bytes, not %zu", sizeof(T), bytes));
    memcpy(&field, value, bytes);
}

[[noreturn]] void refuse_attribute(int attribute) { refuse(CUBLAS_STATUS_NOT_SUPPORTED, format("attribute %d is not simulated", attribute)); }

void set_attribute(MatmulDescription& x, cublasLtMatmulDescAttributes_t attribute, const void* value, size_t bytes) {
    switch (attribute) {
        case CUBLASLT_MATMUL_DESC_COMPUTE_TYPE: return set(x.compute, value, bytes);
        case CUBLASLT_MATMUL_DESC_SCALE_TYPE: return set(x.scale, value, bytes);
        case CUBLASLT_MATMUL_DESC_POINTER_MODE: return set(x.pointer_mode, value, bytes);
        case CUBLASLT_MATMUL_DESC_TRANSA: return set(x.transpose_a, value, bytes);
        case CUBLASLT_MATMUL_DESC_TRANSB: return set(x.transpose_b, value, bytes);
        case CUBLASLT_MATMUL_DESC_EPILOGUE: return set(x.epilogue, value, bytes);
        case CUBLASLT_MATMUL_DESC_BIAS_POINTER: return set(x.bias, value, bytes);
        case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER: return set(x.auxiliary, value, bytes);
        case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD: return set(x.auxiliary_ld, value, bytes);
        case CUBLASLT_MATMUL_DESC_SM_COUNT_TARGET: return set(x.multiprocessors, value, bytes);
        case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_DATA_TYPE: return set(x.auxiliary_type, value, bytes);
        case CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE: return set(x.bias_type, value, bytes);
        default: refuse_attribute((int)attribute);
    }
}

void set_attribute(MatrixLayout& x, cublasLtMatrixLayoutAttribute_t attribute, const void* value, size_t bytes) {
    switch (attribute) {
        case CUBLASLT_MATRIX_LAYOUT_TYPE: return set(x.type, value, bytes);
        case CUBLASLT_MATRIX_LAYOUT_ORDER: return set(x.order, value, bytes);
        case CUBLASLT_MATRIX_LAYOUT_ROWS: return set(x.rows, value, bytes);
        case CUBLASLT_MATRIX_LAYOUT_COLS: return set(x.columns, value, bytes);
        case CUBLASLT_MATRIX_LAYOUT_LD: return set(x.ld, value, bytes);
        case CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT: return set(x.batch, value, bytes);
        case CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET: return set(x.stride, value, bytes);
        default: refuse_attribute((int)attribute);
    }
}

void set_attribute(MatmulPreference& x, cublasLtMatmulPreferenceAttributes_t attribute, const void* value, size_t bytes) {
    switch (attribute) {
        case CUBLASLT_MATMUL_PREF_SEARCH_MODE: return set(x.search_mode, value, bytes);
        case CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES: return set(x.workspace_bytes, value, bytes);
        case CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK: return set(x.reduction_schemes, value, bytes);
        case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES: return set(x.alignment[0], value, bytes);
        case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES: return set(x.alignment[1], value, bytes);
        case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES: return set(x.alignment[2], value, bytes);
        case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES: return set(x.alignment[3], value, bytes);
        case CUBLASLT_MATMUL_PREF_MAX_WAVES_COUNT: return set(x.max_waves, value, bytes);
        case CUBLASLT_MATMUL_PREF_IMPL_MASK: return set(x.implementations, value, bytes);
        default: refuse_attribute((int)attribute);
    }
}

Matrix matrix_of(const MatrixLayout& layout, const char* name) {
    if (layout.order != 0) refuse(CUBLAS_STATUS_NOT_SUPPORTED, format("matrix %s is not stored column by column, which is not simulated", name));
    if (layout.rows == 0 || layout.columns == 0) refuse(CUBLAS_STATUS_INVALID_VALUE, format("matrix %s is empty", name));
    if (layout.ld < (int64_t)layout.rows) refuse(CUBLAS_STATUS_INVALID_VALUE, format("the leading dimension of matrix %s is less than its rows", name));
    return {0, element_of(layout.type), (int64_t)layout.rows, (int64_t)layout.columns, layout.ld, layout.stride};
}

void check_epilogue(const Product& product, const MatmulDescription& x, const MatrixLayout& d) {
    constexpr int64_t auxiliary_multiple = 8;
    switch (product.epilogue) {
        case CUBLASLT_EPILOGUE_DEFAULT:
        case CUBLASLT_EPILOGUE_BIAS:
        case CUBLASLT_EPILOGUE_GELU:
        case CUBLASLT_EPILOGUE_GELU_BIAS:
        case CUBLASLT_EPILOGUE_GELU_AUX:
        case CUBLASLT_EPILOGUE_GELU_AUX_BIAS:
        case CUBLASLT_EPILOGUE_DGELU:
        case CUBLASLT_EPILOGUE_DGELU_BGRAD:
        case CUBLASLT_EPILOGUE_BGRADA:
        case CUBLASLT_EPILOGUE_BGRADB: break;
        default: refuse(CUBLAS_STATUS_NOT_SUPPORTED, format("epilogue %u is not simulated", product.epilogue));
    }
    if (product.batch > 1 && product.epilogue != CUBLASLT_EPILOGUE_DEFAULT) refuse(CUBLAS_STATUS_NOT_SUPPORTED, "an epilogue of a batch is not simulated");
    if ((product.adds_bias() || product.writes_bias()) && x.bias_type >= 0 && x.bias_type != d.type)
        refuse(CUBLAS_STATUS_NOT_SUPPORTED, "a bias with other elements than D's");
    if (!product.has_auxiliary()) return;
    if (x.auxiliary_type >= 0 && x.auxiliary_type != d.type) refuse(CUBLAS_STATUS_NOT_SUPPORTED, "an auxiliary matrix with other elements than D's");
    if (x.auxiliary_ld < product.m || x.auxiliary_ld % auxiliary_multiple != 0)
        refuse(CUBLAS_STATUS_INVALID_VALUE, "the auxiliary matrix needs a leading dimension of at least its rows, divisible by 8");
}

bool transposes(int operation) {
    if (operation != CUBLAS_OP_N && operation != CUBLAS_OP_T && operation != CUBLAS_OP_C) refuse(CUBLAS_STATUS_INVALID_VALUE, "an unknown operation");
    return operation != CUBLAS_OP_N;
}

}  // namespace

LibraryHandles<BlasLtHandle>& lt_handles() {
    static auto& all = *new LibraryHandles<BlasLtHandle>("cuBLASLt handle", in_context);
    return all;
}

MatmulDescription& description_of(cublasLtMatmulDesc_t handle) { return descriptions().get((MatmulDescription*)handle); }
MatrixLayout& layout_of(cublasLtMatrixLayout_t handle) { return layouts().get((MatrixLayout*)handle); }
MatmulPreference& preference_of(cublasLtMatmulPreference_t handle) { return preferences().get((MatmulPreference*)handle); }

Product product_of(const MatmulDescription& x, const MatrixLayout& a, const MatrixLayout& b, const MatrixLayout& c, const MatrixLayout& d) {
    Product p;
    p.a = matrix_of(a, "A");
    p.b = matrix_of(b, "B");
    p.c = matrix_of(c, "C");
    p.d = matrix_of(d, "D");
    p.transpose_a = transposes(x.transpose_a);
    p.transpose_b = transposes(x.transpose_b);
    p.m = p.transpose_a ? p.a.columns : p.a.rows;
    p.k = p.transpose_a ? p.a.rows : p.a.columns;
    p.n = p.transpose_b ? p.b.rows : p.b.columns;
    if ((p.transpose_b ? p.b.columns : p.b.rows) != p.k) refuse(CUBLAS_STATUS_INVALID_VALUE, "A has not as many columns as B has rows");
    for (const Matrix* result : {&p.c, &p.d})
        if (result->rows != p.m || result->columns != p.n) refuse(CUBLAS_STATUS_INVALID_VALUE, "C or D has another shape than the product");
    if (a.batch < 1 || a.batch != b.batch || a.batch != c.batch || a.batch != d.batch) refuse(CUBLAS_STATUS_INVALID_VALUE, "the batches differ");
    p.batch = a.batch;
    if (x.scale != CUDA_R_32F || x.pointer_mode != 0) refuse(CUBLAS_STATUS_NOT_SUPPORTED, "only alpha and beta as fp32 in host memory are simulated");
    p.epilogue = x.epilogue;
    p.bias = x.bias;
    p.auxiliary = x.auxiliary;
    p.auxiliary_ld = x.auxiliary_ld;
    p.set_compute(x.compute, false);
    check_epilogue(p, x, d);
    return p;
}

}  // namespace simcuda

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* description, cublasComputeType_t compute, cudaDataType_t scale) {
    SIMCUDA_LIBRARY_CALL(Needs::nothing, true, {
        require(description, "description");
        *description = (cublasLtMatmulDesc_t)descriptions().create(MatmulDescription{.compute = compute, .scale = scale});
    });
}

cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t description) {
    SIMCUDA_LIBRARY_CALL(Needs::nothing, true, { descriptions().destroy((MatmulDescription*)description); });
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t description, cublasLtMatmulDescAttributes_t attribute, const void* value, size_t bytes) {
    SIMCUDA_LIBRARY_CALL(Needs::nothing, true, { set_attribute(description_of(description), attribute, value, bytes); });
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* layout, cudaDataType type, uint64_t rows, uint64_t columns, int64_t ld) {
    SIMCUDA_LIBRARY_CALL(Needs::nothing, true, {
        require(layout, "layout");
        *layout = (cublasLtMatrixLayout_t)layouts().create(MatrixLayout{.type = type, .rows = rows, .columns = columns, .ld = ld});
    });
}

cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) {
    SIMCUDA_LIBRARY_CALL(Needs::nothing, true, { layouts().destroy((MatrixLayout*)layout); });
}

cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t layout, cublasLtMatrixLayoutAttribute_t attribute, const void* value, size_t bytes) {
    SIMCUDA_LIBRARY_CALL(Needs::nothing, true, { set_attribute(layout_of(layout), attribute, value, bytes); });
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* preference) {
    SIMCUDA_LIBRARY_CALL(Needs::nothing, true, {
        require(preference, "preference");
        *preference = (cublasLtMatmulPreference_t)preferences().create();
    });
}

cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
    SIMCUDA_LIBRARY_CALL(Needs::nothing, true, { preferences().destroy((MatmulPreference*)preference); });
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference, cublasLtMatmulPreferenceAttributes_t attribute, const void* value,
                                                    size_t bytes) {
    SIMCUDA_LIBRARY_CALL(Needs::nothing, true, { set_attribute(preference_of(preference), attribute, value, bytes); });
}
