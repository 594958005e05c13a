// driver.h - the state of the simulated driver. One lock holds it: a call sees no other call half done.
#pragma once
#include "handles.h"
#include "memory.h"
#include "modules.h"
#include "simcuda.h"
#include "streams.h"
#include <map>
#include <mutex>
#include <random>
#include <string>
#include <unordered_map>
#include <vector>

struct CUctx_st {};

namespace simcuda {

#define SIMCUDA_SHARED __attribute__((visibility("default")))    // used by the simulated cuBLAS

struct Settings {
    int order = SIMCUDA_EAGER;
    uint64_t seed = 0;
    int kernel_order = 0;
    uint64_t kernel_seed = 0;
    bool empty_kernels = false, race_checks = true, printing = true;
    int compute_capability = 90, multiprocessors = 4;
    uint64_t memory = 4ull << 30;
};

struct Failure {
    uint64_t calls_left;
    int code;
    bool asynchronous;
};

// A function of the API.
struct SIMCUDA_SHARED Entry {
    explicit Entry(const char* name);
    const char* name;
    int64_t calls = 0;
};

// The objects of one kind of a library over the driver.
class LibraryObjects {
public:
    virtual void list(std::vector<std::string>& into) const = 0;
    virtual void context_ended() = 0;
    virtual void restart() = 0;

protected:
    ~LibraryObjects() = default;
};

class SIMCUDA_SHARED Driver {
public:
    std::recursive_mutex lock;
    Settings settings;
    bool initialized = false;
    CUresult sticky = CUDA_SUCCESS;
    std::string message;

    int context_references = 0;
    uint64_t context_number = 0;                 // of the primary context; a thread's current context may be an earlier one
    CUctx_st context;

    Memory memory;
    CUstream_st default_stream{.blocking = true};
    Handles<CUstream_st> streams{"stream"};
    Handles<CUevent_st> events{"event"};
    Handles<CUmod_st> modules{"module"};
    Handles<CUfunc_st> functions{"function"};
    Handles<CUgraph_st> graphs{"graph"};
    Handles<CUgraphExec_st> executables{"executable graph"};
    std::vector<std::shared_ptr<Capture>> captures;
    std::vector<LibraryObjects*> libraries;              // of cuBLAS

    int64_t executed_kernels = 0, unpinned_copies = 0, leaked_objects = 0;
    std::unordered_map<std::string, Failure> failures;
    std::vector<Entry*> entries;
    std::mt19937_64 random;

    // ---- work (streams.cpp) ----
    CUstream_st& stream(CUstream handle);
    template <class F> void submit(CUstream_st& stream, F&& work) {
        if (runs_now(stream)) run(work);
        else enqueue(stream, Work(std::forward<F>(work)));
    }
    bool runs_now(const CUstream_st& stream) const {
        return settings.order == SIMCUDA_EAGER && !stream.capture && &stream != &default_stream && stream.queue.empty();
    }
    template <class F> void run(F& work) {
        if (sticky) return;
        try {
            work();
        } catch (const Error& error) {
            set_sticky(error.code, error.text);
        }
    }
    void enqueue(CUstream_st& stream, Work work, std::shared_ptr<Recording> waits_for = {}, std::shared_ptr<Recording> records = {});
    void complete(CUstream_st& stream, uint64_t position);
    void complete_all();
    void set_sticky(CUresult code, const std::string& text);
    void replay(const std::vector<Node>& nodes);
    void invalidate_captures();                  // a call that none of them allows

    // ---- settings (settings.cpp) ----
    void read_environment();
    bool set_failures(const char* specification);

    // ---- life (driver.cpp) ----
    std::vector<std::string> live_objects();
    void destroy_everything();                   // in the context
    void restart();                              // then: settings, counts and errors as at the start
    void print(const std::string& text) const;
    int max_shared_bytes() const;                // of a block that has asked for more than 48 KiB

private:
    void run_front(CUstream_st& stream);
    bool run_step_of_another(CUstream_st& stream);
};

SIMCUDA_SHARED Driver& driver();
double seconds_now();

}  // namespace simcuda
