#include "entry.h"

namespace simcuda {

namespace {

thread_local CUcontext current = nullptr;
thread_local uint64_t current_number = 0;        // of the primary context when it became current

// The failure that was asked for, if this call is the one; 0 for none.
int injected_failure(Driver& driver, const Entry& entry, bool& asynchronous) {
    auto found = driver.failures.find(entry.name);
    if (found == driver.failures.end() || --found->second.calls_left > 0) return 0;
    int code = found->second.code;
    asynchronous = found->second.asynchronous;
    driver.failures.erase(found);
    return code;
}

}  // namespace

Entry::Entry(const char* function) : name(function) {
    Driver& d = driver();
    std::lock_guard guard(d.lock);
    d.entries.push_back(this);
}

void set_current_context(CUcontext context) {
    current = context;
    current_number = driver().context_number;
}

CUcontext current_context() { return current; }

bool begin_call(Driver& driver, Entry& entry, Needs needs) {
    entry.calls++;
    if (!driver.failures.empty()) {
        bool asynchronous = false;
        if (int code = injected_failure(driver, entry, asynchronous)) {
            if (!asynchronous) throw InjectedFailure{code};
            driver.set_sticky((CUresult)code, format("%s: %s", entry.name, InjectedFailure::text));
            return false;
        }
    }
    if (needs == Needs::nothing) return true;
    if (!driver.initialized) fail(CUDA_ERROR_NOT_INITIALIZED, "cuInit was not called");
    if (needs == Needs::driver) return true;
    if (!current) fail(CUDA_ERROR_INVALID_CONTEXT, "this thread has no current context");
    if (driver.context_references == 0 || current_number != driver.context_number)
        fail(CUDA_ERROR_CONTEXT_IS_DESTROYED, "the context that is current on this thread was released");
    if (driver.sticky) throw Error{driver.sticky, driver.message};
    if (needs == Needs::context_without_capture) driver.invalidate_captures();
    return true;
}

void call_failed(Driver& driver, const Entry& entry, const Error& error) {
    if (error.code == driver.sticky) return;     // has been said
    driver.message = std::string(entry.name) + ": " + error.text;
    driver.print(driver.message);
}

}  // namespace simcuda
