// status.cpp - names of the results of cuBLAS.
#include "cublas_abi.h"

namespace {

struct Description {
    cublasStatus_t status;
    const char* name;
    const char* text;
};

#define STATUS(name, text) {name, #name, text}
constexpr Description descriptions[] = {
    STATUS(CUBLAS_STATUS_SUCCESS, "the operation completed successfully"),
    STATUS(CUBLAS_STATUS_NOT_INITIALIZED, "the library was not initialized"),
    STATUS(CUBLAS_STATUS_ALLOC_FAILED, "the resource allocation failed"),
    STATUS(CUBLAS_STATUS_INVALID_VALUE, "an unsupported value or parameter was passed to the function"),
    STATUS(CUBLAS_STATUS_ARCH_MISMATCH, "the function requires an architectural feature absent from the architecture of the device"),
    STATUS(CUBLAS_STATUS_MAPPING_ERROR, "an access to GPU memory space failed"),
    STATUS(CUBLAS_STATUS_EXECUTION_FAILED, "the function failed to launch on the GPU"),
    STATUS(CUBLAS_STATUS_INTERNAL_ERROR, "an internal operation failed"),
    STATUS(CUBLAS_STATUS_NOT_SUPPORTED, "the functionality is not supported"),
    STATUS(CUBLAS_STATUS_LICENSE_ERROR, "an error was detected when checking the license"),
};
#undef STATUS

const Description* find(cublasStatus_t status) {
    for (const Description& description : descriptions)
        if (description.status == status) return &description;
    return nullptr;
}

}  // namespace

const char* cublasLtGetStatusName(cublasStatus_t status) {
    const Description* description = find(status);
    return description ? description->name : "unknown status";
}

const char* cublasLtGetStatusString(cublasStatus_t status) {
    const Description* description = find(status);
    return description ? description->text : "unknown status";
}
