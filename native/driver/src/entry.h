// entry.h - what all functions of the API do: count the call, fail when a test asked for it, and look at the state of the driver.
#pragma once
#include "driver.h"

namespace simcuda {

enum class Needs {
    nothing,
    driver,                                      // cuInit
    context,                                     // and a current one without an error
    context_without_capture,                     // may not happen while a stream captures: it could wait for other work
};

// A test has asked for it.
struct InjectedFailure {
    static constexpr const char* text = "a failure that was asked for";
    int code;
};

// Fails when the call may not go on. Returns false when a test has asked for an asynchronous failure of its work, which has happened now.
SIMCUDA_SHARED bool begin_call(Driver& driver, Entry& entry, Needs needs);
void set_current_context(CUcontext context);
CUcontext current_context();
SIMCUDA_SHARED void call_failed(Driver& driver, const Entry& entry, const Error& error);

// The body returns nothing or a code that is no failure, like CUDA_ERROR_NOT_READY.
template <class F> CUresult call(Entry& entry, Needs needs, F&& body) {
    Driver& d = driver();
    std::lock_guard guard(d.lock);
    try {
        if (!begin_call(d, entry, needs)) return CUDA_SUCCESS;
        if constexpr (std::is_void_v<decltype(body(d))>) {
            body(d);
            return CUDA_SUCCESS;
        } else {
            return body(d);
        }
    } catch (const InjectedFailure& failure) {
        d.message = std::string(entry.name) + ": " + InjectedFailure::text;
        return (CUresult)failure.code;
    } catch (const Error& error) {
        call_failed(d, entry, error);
        return error.code;
    }
}

template <class T> void require(T* pointer, const char* what) {
    if (!pointer) fail(CUDA_ERROR_INVALID_VALUE, "%s is null", what);
}

}  // namespace simcuda

// The body of an exported function, whose name is that of the entry.
#define SIMCUDA_CALL(needs, ...)                                        \
    static simcuda::Entry entry(__func__);                              \
    return simcuda::call(entry, needs, [&]([[maybe_unused]] simcuda::Driver& d) __VA_ARGS__)
