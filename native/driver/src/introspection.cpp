// introspection.cpp - the functions of simcuda.h.
#include "driver.h"
#include "simt_api.h"
#include <cstdio>
#include <cstring>

using namespace simcuda;

namespace {

int copy_text(const std::string& from, char* text, int size) {
    if (text && size > 0) snprintf(text, (size_t)size, "%s", from.c_str());
    return (int)from.size();
}

}  // namespace

void simcudaSetOrder(int order, uint64_t seed) {
    Driver& d = driver();
    std::lock_guard guard(d.lock);
    d.complete_all();
    d.settings.order = order;
    d.settings.seed = seed;
    d.random.seed(seed);
}

void simcudaSetDevice(int compute_capability, int multiprocessors, uint64_t memory) {
    Driver& d = driver();
    std::lock_guard guard(d.lock);
    if (compute_capability) d.settings.compute_capability = compute_capability;
    if (multiprocessors) d.settings.multiprocessors = multiprocessors;
    if (memory) d.settings.memory = memory;
    d.memory.total = d.settings.memory;
}

void simcudaSetKernelOrder(int order, uint64_t seed) {
    Driver& d = driver();
    std::lock_guard guard(d.lock);
    d.settings.kernel_order = order;
    d.settings.kernel_seed = seed;
}

int simcudaSetFailures(const char* specification) {
    Driver& d = driver();
    std::lock_guard guard(d.lock);
    return d.set_failures(specification) ? (int)d.failures.size() : -1;
}

void simcudaSetEmptyKernels(int empty) {
    Driver& d = driver();
    std::lock_guard guard(d.lock);
    d.settings.empty_kernels = empty != 0;
}

void simcudaSetRaceChecks(int on) {
    Driver& d = driver();
    std::lock_guard guard(d.lock);
    d.settings.race_checks = on != 0;
    simt_check_races(on);
}

void simcudaSetPrinting(int on) {
    Driver& d = driver();
    std::lock_guard guard(d.lock);
    d.settings.printing = on != 0;
}

int64_t simcudaCallCount(const char* function) {
    Driver& d = driver();
    std::lock_guard guard(d.lock);
    for (const Entry* entry : d.entries)
        if (strcmp(entry->name, function) == 0) return entry->calls;
    return 0;
}

int64_t simcudaExecutedKernels(void) {
    Driver& d = driver();
    std::lock_guard guard(d.lock);
    return d.executed_kernels;
}

int64_t simcudaUnpinnedCopies(void) {
    Driver& d = driver();
    std::lock_guard guard(d.lock);
    return d.unpinned_copies;
}

int simcudaLiveObjects(char* text, int size) {
    Driver& d = driver();
    std::lock_guard guard(d.lock);
    std::string all;
    std::vector<std::string> objects = d.live_objects();
    for (const std::string& object : objects) all += object + "\n";
    copy_text(all, text, size);
    return (int)objects.size();
}

int64_t simcudaLeakedObjects(void) {
    Driver& d = driver();
    std::lock_guard guard(d.lock);
    return d.leaked_objects;
}

size_t simcudaUsedMemory(void) {
    Driver& d = driver();
    std::lock_guard guard(d.lock);
    return d.memory.used();
}

int simcudaLastMessage(char* text, int size) {
    Driver& d = driver();
    std::lock_guard guard(d.lock);
    return copy_text(d.message, text, size);
}

void simcudaReset(void) {
    Driver& d = driver();
    std::lock_guard guard(d.lock);
    d.destroy_everything();
    d.restart();
    if (d.initialized) d.read_environment();
}
