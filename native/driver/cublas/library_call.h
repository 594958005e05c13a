// library_call.h - what all functions of the simulated cuBLAS do; see entry.h.
#pragma once
#include "cublas_abi.h"
#include "entry.h"
#include "product.h"

namespace simcuda {

struct Refusal {
    cublasStatus_t status;
    std::string text;
};

[[noreturn]] inline void refuse(cublasStatus_t status, const std::string& text) { throw Refusal{status, text}; }

// A refusal that is an answer, like "not supported" of a heuristic, is not printed.
template <class F> cublasStatus_t library_call(Entry& entry, Needs needs, bool print_refusals, F&& body) {
    Driver& d = driver();
    std::lock_guard guard(d.lock);
    try {
        if (begin_call(d, entry, needs)) body(d);
        return CUBLAS_STATUS_SUCCESS;
    } catch (const Refusal& refusal) {
        d.message = std::string(entry.name) + ": " + refusal.text;
        if (print_refusals) d.print(d.message);
        return refusal.status;
    } catch (const InjectedFailure& failure) {
        d.message = std::string(entry.name) + ": " + InjectedFailure::text;
        return (cublasStatus_t)failure.code;
    } catch (const Error& error) {
        call_failed(d, entry, error);
        if (d.sticky) return CUBLAS_STATUS_EXECUTION_FAILED;
        return error.code == CUDA_ERROR_INVALID_VALUE || error.code == CUDA_ERROR_INVALID_HANDLE ? CUBLAS_STATUS_INVALID_VALUE : CUBLAS_STATUS_NOT_INITIALIZED;
    }
}

// The objects of a library. Those that belong to the context are destroyed with it.
template <class T> class LibraryHandles : public Handles<T>, public LibraryObjects {
public:
    LibraryHandles(const char* kind, bool in_context) : Handles<T>(kind), in_context_(in_context) { driver().libraries.push_back(this); }

    void list(std::vector<std::string>& into) const override {
        for (T* object : this->all()) into.push_back(format("%s %llu", this->kind(), (unsigned long long)this->number(object)));
    }
    void context_ended() override {
        if (in_context_) this->destroy_all();
    }
    void restart() override {
        this->destroy_all();
        this->restart_numbers();
    }

private:
    bool in_context_;
};

inline Element element_of(int type) {
    if (type == CUDA_R_32F) return Element::fp32;
    if (type == CUDA_R_16BF) return Element::bf16;
    refuse(CUBLAS_STATUS_NOT_SUPPORTED, "elements of type " + std::to_string(type) + " are not simulated: fp32 and bf16 are");
}

}  // namespace simcuda

#define SIMCUDA_LIBRARY_CALL(needs, print_refusals, ...)                \
    static simcuda::Entry entry(__func__);                              \
    return simcuda::library_call(entry, needs, print_refusals, [&]([[maybe_unused]] simcuda::Driver& d) __VA_ARGS__)
