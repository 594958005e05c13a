#include "driver.h"
#include "simt_api.h"
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <unistd.h>

namespace simcuda {

namespace {

using Number = unsigned long long;       // as printf takes them
constexpr int leak_status = 86;

// Leaks in what the process leaves behind. It ends with a status of its own if that was asked for.
void report_leaks_at_exit() {
    Driver& d = driver();
    std::vector<std::string> leaks = d.live_objects();
    if (leaks.empty() && d.leaked_objects == 0) return;
    if (!leaks.empty()) {
        fprintf(stderr, "simcuda: %zu objects were not destroyed:\n", leaks.size());
        for (const std::string& leak : leaks) fprintf(stderr, "simcuda:   %s\n", leak.c_str());
    }
    const char* fatal = getenv("SIMCUDA_LEAKS_FATAL");
    if (fatal && *fatal == '1') _exit(leak_status);
}

}  // namespace

Driver& driver() {
    // Never destroyed: other destructors may still call it.
    static Driver& only = []() -> Driver& {
        auto* made = new Driver;
        atexit(report_leaks_at_exit);
        return *made;
    }();
    return only;
}

double seconds_now() {
    timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

void Driver::print(const std::string& text) const {
    if (settings.printing) fprintf(stderr, "simcuda: %s\n", text.c_str());
}

int Driver::max_shared_bytes() const {
    switch (settings.compute_capability) {
        case 80: case 87: return 163 << 10;
        case 86: case 89: return 99 << 10;
        default: return settings.compute_capability >= 90 ? 227 << 10 : 64 << 10;
    }
}

std::vector<std::string> Driver::live_objects() {
    std::vector<std::string> list;
    for (const Allocation& a : memory.live()) list.push_back(format("allocation %llu of device memory, %llu bytes", (Number)a.number, (Number)a.bytes));
    for (const Allocation& a : memory.live_host())
        list.push_back(format("allocation %llu of pinned host memory, %llu bytes", (Number)a.number, (Number)a.bytes));
    auto add = [&list](const auto& handles) {
        for (auto* object : handles.all()) list.push_back(format("%s %llu", handles.kind(), (Number)handles.number(object)));
    };
    add(streams);
    add(events);
    for (CUmodule module : modules.all())
        list.push_back(format("module %llu, with kernel %s", (Number)modules.number(module),
                              module->functions.empty() ? "none" : module->functions.begin()->first.c_str()));
    add(graphs);
    add(executables);
    for (size_t i = 0; i < captures.size(); i++) list.push_back("a capture that was not ended");
    for (const LibraryObjects* objects : libraries) objects->list(list);
    for (int i = 0; i < context_references; i++) list.push_back("a reference to the primary context");
    return list;
}

// Handles stay known as destroyed.
void Driver::destroy_everything() {
    captures.clear();
    default_stream.queue.clear();
    default_stream.completed = default_stream.submitted;
    graphs.destroy_all();
    executables.destroy_all();
    events.destroy_all();
    streams.destroy_all();
    functions.destroy_all();
    modules.destroy_all();
    memory.release_all();
    for (LibraryObjects* objects : libraries) objects->context_ended();
}

void Driver::restart() {
    settings = {};
    memory.total = settings.memory;
    simt_check_races(settings.race_checks);
    sticky = CUDA_SUCCESS;
    message.clear();
    failures.clear();
    context_references = 0;
    executed_kernels = unpinned_copies = leaked_objects = 0;
    for (Entry* entry : entries) entry->calls = 0;
    for (LibraryObjects* objects : libraries) objects->restart();
    streams.restart_numbers();
    events.restart_numbers();
    modules.restart_numbers();
    graphs.restart_numbers();
    executables.restart_numbers();
    random.seed(settings.seed);
}

}  // namespace simcuda
