// core.h - the state of the one running block, and how its threads take turns (x86-64 System V, g++ 11 or later, C++20).
//
// The blocks of a grid run one after the other. Inside a block every thread is a fiber with a stack of its own: it runs until it must
// wait for others and then hands over to the next thread that can go on. Instructions that lanes execute together are collectives: the
// last lane to arrive does the work for all. One kernel runs at a time in a process, so the state is in plain globals, which makes
// `__shared__` a plain static.
#pragma once
#include "simt.h"
#include <string>
#include <vector>

namespace simt {

constexpr unsigned warp_lanes = 32, max_threads = 1024;
#if defined(__SANITIZE_ADDRESS__)
constexpr size_t stack_bytes = 512 << 10;   // of a fiber; red zones around every array
#else
constexpr size_t stack_bytes = 128 << 10;
#endif

struct Clock;   // race.h

// ---- who runs next ----
enum class OrderKind { forward, reversed, random };
struct Order { OrderKind kind = OrderKind::forward; uint64_t seed = 0; };

using Reason = std::string (*)(const Fiber&);   // what a thread waits for, in words

struct AsyncCopy { shared_addr destination; const void* source; unsigned bytes, source_bytes; };

struct Fiber {
    Position position;
    void* stack_pointer = nullptr;
    char* stack = nullptr;
    int id = 0;                          // linear thread number in the block
    void* argument = nullptr;            // of the collective that this lane takes part in
    Reason reason = nullptr;
    const void* object = nullptr;        // what it waits for, and a detail, for `reason`
    unsigned detail = 0;
    std::vector<AsyncCopy> open_copies;  // cp.async not yet committed, and the committed groups
    std::vector<std::vector<AsyncCopy>> copy_groups;
    uint32_t proxy_fences = 0;           // fence.proxy.async executed so far
    Clock* clock = nullptr;              // what is known to have happened before; null: nothing since the last __syncthreads

    int warp() const { return id >> 5; }
    int lane() const { return id & 31; }
    uint32_t bit() const { return 1u << lane(); }
};

struct Collective { uint32_t mask = 0, arrived = 0; const char* name = nullptr; };

struct Warp {
    uint32_t live = 0, ready = 0;
    std::vector<Collective> open;        // in progress; their masks differ
    uint32_t release = 1;                // race.h: counts this warp's releases
};

struct Block {
    std::vector<Fiber> fibers;           // as many as the largest block so far; the first `threads` are in use
    std::vector<Warp> warps;
    int threads = 0, live = 0;
    std::vector<Fiber*> at_barrier;      // of __syncthreads
    uint32_t serial = 0;                 // counts blocks over all launches; never 0 while a block runs
    uint32_t first_serial = 0;           // of this launch
    uint32_t epoch = 0;                  // counts __syncthreads over all launches
    Order order;
    uint64_t random_state = 0;
    std::string error;
    void* main_stack_pointer = nullptr;
    void (*body)(void*) = nullptr;
    void* body_argument = nullptr;
};

extern Block block;
extern Fiber* current;                   // the running thread; null outside a kernel

std::string thread_name();               // block and thread, as errors begin

// Ends the launch: the message and the thread become its error, unless it has one. Does not return.
[[noreturn]] void fail(const char* format, ...) __attribute__((format(printf, 1, 2)));

uint64_t random_bits();
inline bool randomly(unsigned one_in) { return block.order.kind == OrderKind::random && random_bits() % one_in == 0; }

// Puts the running thread to sleep until somebody wakes it.
void wait_for(Reason reason, const void* object, unsigned detail = 0);
void wake(Fiber* fiber);
void wake_all(std::vector<Fiber*>& list);

// Every lane of the mask passes an argument; the last to arrive runs f(arguments, mask), with null for lanes outside the mask.
using Together = void (*)(void** arguments, uint32_t mask);
void collective(uint32_t mask, const char* name, void* argument, Together f);

// Runs a grid. Returns the error, empty for none.
struct Launch { dim3 grid, block; unsigned shared_bytes; void (*body)(void*); void* body_argument; Order order; };
std::string run(const Launch& launch);

// ---- the parts that have a state for each block ----
void shared_begin(unsigned dynamic_bytes);
void barriers_begin();                   // named barriers
void hopper_begin();
void hopper_end();
bool finish_one_transfer();              // nobody can run: let one asynchronous transfer arrive; false if there is none
void race_begin();
void trace_end_of_block();

}  // namespace simt
