#include "product.h"
#include "library_call.h"

namespace simcuda {

namespace {

struct Range {
    const char* name;
    uint64_t address, bytes;

    bool overlaps(const Range& other) const { return bytes && other.bytes && address < other.address + other.bytes && other.address < address + bytes; }
};

Range range_of(const char* name, const Matrix& matrix, int batch) {
    int64_t elements = (matrix.columns - 1) * matrix.ld + matrix.rows + (batch - 1) * matrix.stride;
    return {name, matrix.address, (uint64_t)elements * bytes_of(matrix.element)};
}

}  // namespace

void Product::set_compute(int compute, bool tf32_allowed) {
    bool fp32_inputs = a.element == Element::fp32;
    if (a.element != b.element || c.element != d.element) refuse(CUBLAS_STATUS_NOT_SUPPORTED, "A and B, or C and D, have different elements");
    if (fp32_inputs && d.element != Element::fp32) refuse(CUBLAS_STATUS_NOT_SUPPORTED, "a bf16 result of fp32 matrices");
    switch (compute) {
        case CUBLAS_COMPUTE_32F: tf32 = tf32_allowed && fp32_inputs; return;
        case CUBLAS_COMPUTE_32F_PEDANTIC: return;
        case CUBLAS_COMPUTE_32F_FAST_TF32:
            if (!fp32_inputs) refuse(CUBLAS_STATUS_NOT_SUPPORTED, "TF32 of matrices that are not fp32");
            tf32 = true;
            return;
        default: refuse(CUBLAS_STATUS_NOT_SUPPORTED, format("compute type %d is not simulated", compute));
    }
}

void check_memory(const Driver& driver, const Product& p, CUresult code) {
    size_t element = bytes_of(p.d.element);
    uint64_t bias_elements = (uint64_t)(p.epilogue == CUBLASLT_EPILOGUE_BGRADB ? p.n : p.m);
    bool has_bias = p.adds_bias() || p.writes_bias();
    Range a = range_of("matrix A", p.a, p.batch), b = range_of("matrix B", p.b, p.batch), d = range_of("matrix D", p.d, p.batch);
    Range c = p.beta != 0 ? range_of("matrix C", p.c, p.batch) : Range{"matrix C", 0, 0};
    Range bias{"the bias", p.bias, has_bias ? bias_elements * element : 0};
    Range auxiliary{"the auxiliary matrix", p.auxiliary, p.has_auxiliary() ? (uint64_t)((p.n - 1) * p.auxiliary_ld + p.m) * element : 0};
    Range workspace{"the workspace", p.workspace, p.algorithm.workspace_bytes};
    for (const Range& range : {a, b, c, d, bias, auxiliary, workspace})
        if (range.bytes) driver.memory.check(range.address, range.bytes, code, range.name);

    // C may be D itself; anything else that overlaps would be read before or after it is written.
    auto apart = [code](const Range& written, const Range& other) {
        if (written.overlaps(other)) fail(code, "%s, which is written, overlaps %s", written.name, other.name);
    };
    for (const Range& other : {a, b, bias, auxiliary, workspace}) apart(d, other);
    if (d.overlaps(c) && (c.address != d.address || p.c.ld != p.d.ld || p.c.stride != p.d.stride || p.c.element != p.d.element))
        fail(code, "matrix C overlaps matrix D and is not the same");
    for (const Range& other : {a, b, c, bias, auxiliary}) apart(workspace, other);
    if (p.writes_bias())
        for (const Range& other : {a, b, c, auxiliary}) apart(bias, other);
    if (p.applies_gelu())
        for (const Range& other : {a, b, c, bias}) apart(auxiliary, other);
}

void submit_product(Driver& driver, CUstream_st& stream, const Product& product) {
    driver.submit(stream, [&driver, product] {
        check_memory(driver, product, CUDA_ERROR_ILLEGAL_ADDRESS);
        driver.executed_kernels++;
        if (!driver.settings.empty_kernels) multiply(product);
    });
}

}  // namespace simcuda
