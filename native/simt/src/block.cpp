// block.cpp - fibers, their order, and the launch of a grid.
#include "core.h"
#include "race.h"
#include "sanitizer.h"
#include "shared.h"
#include <cstdarg>
#include <cstdio>
#include <map>
#include <sys/mman.h>
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

extern "C" { const simt::Position* simt_position; }

namespace simt {

Block block;
Fiber* current = nullptr;

namespace {

#if defined(__SANITIZE_ADDRESS__)
const void* main_stack;                     // that of the caller, which the first fiber of a block learns
size_t main_stack_bytes;
bool entering = false;
void* fake_stack;
#endif

// Saves the registers that a function must preserve on the old stack and restores them from the new one. The return is a jump: the
// processor's prediction of returns would always be wrong here.
extern "C" void simt_switch(void** save, void* to);
asm(".text\n.p2align 4\n.hidden simt_switch\n.globl simt_switch\nsimt_switch:\n"
    "pushq %rbp\npushq %rbx\npushq %r12\npushq %r13\npushq %r14\npushq %r15\n"
    "movq %rsp,(%rdi)\nmovq %rsi,%rsp\n"
    "popq %r15\npopq %r14\npopq %r13\npopq %r12\npopq %rbx\npopq %rbp\npopq %rcx\njmp *%rcx\n");

void switch_stack(void** save, void* to, [[maybe_unused]] const void* bottom, [[maybe_unused]] size_t bytes) {
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_start_switch_fiber(&fake_stack, bottom, bytes);
#endif
    simt_switch(save, to);
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(nullptr, nullptr, nullptr);
#endif
}

void switch_to(Fiber* next) {
    if (next == current) return;
    Fiber* old = current;
    current = next;
    simt_position = &next->position;
    switch_stack(&old->stack_pointer, next->stack_pointer, next->stack, stack_bytes);
}

[[noreturn]] void leave_block() {
    Fiber* old = current;
#if defined(__SANITIZE_ADDRESS__)
    switch_stack(&old->stack_pointer, block.main_stack_pointer, main_stack, main_stack_bytes);
#else
    switch_stack(&old->stack_pointer, block.main_stack_pointer, nullptr, 0);
#endif
    __builtin_unreachable();
}

Fiber* lane_of(unsigned warp, uint32_t ready, bool last) {
    int lane = last ? 31 - std::countl_zero(ready) : std::countr_zero(ready);
    return &block.fibers[warp * warp_lanes + lane];
}

// The running thread's own warp first, round robin, then the others; all of it mirrored when reversed; anybody when random.
Fiber* next_ready() {
    unsigned warps = block.warps.size(), warp = current->warp(), lane = current->lane();
    bool reversed = block.order.kind == OrderKind::reversed;
    if (block.order.kind == OrderKind::random) {
        unsigned first = random_bits() % warps;
        for (unsigned i = 0; i < warps; i++) {
            unsigned w = (first + i) % warps;
            uint32_t ready = block.warps[w].ready;
            if (!ready) continue;
            for (unsigned skip = random_bits() % std::popcount(ready); skip > 0; skip--) ready &= ready - 1;
            return lane_of(w, ready, false);
        }
        return nullptr;
    }
    if (uint32_t ready = block.warps[warp].ready) {
        uint32_t ahead = reversed ? ready & ((1u << lane) - 1) : lane == 31 ? 0 : ready & ~((2u << lane) - 1);
        return lane_of(warp, ahead ? ahead : ready, reversed);
    }
    for (unsigned i = 1; i < warps; i++) {
        unsigned w = reversed ? (warp + warps - i) % warps : (warp + i) % warps;
        if (uint32_t ready = block.warps[w].ready) return lane_of(w, ready, reversed);
    }
    return nullptr;
}

[[noreturn]] void deadlock() {
    std::map<std::string, std::pair<int, int>> reasons;   // what is waited for: how many threads, and the first
    for (int i = 0; i < block.threads; i++) {
        const Fiber& f = block.fibers[i];
        if (block.warps[f.warp()].live & f.bit()) reasons.try_emplace(f.reason ? f.reason(f) : "unknown", 0, i).first->second.first++;
    }
    std::string text;
    for (auto& [reason, who] : reasons) {
        if (text.size() > 600) { text += "; ..."; break; }
        if (!text.empty()) text += "; ";
        text += std::to_string(who.first) + " thread(s) from " + std::to_string(who.second) + " on wait at " + reason;
    }
    fail("deadlock: %s", text.c_str());
}

// The running thread cannot go on, or has ended.
void reschedule() {
    if (randomly(8)) finish_one_transfer();
    for (;;) {
        if (Fiber* next = next_ready()) { switch_to(next); return; }
        if (!block.live) leave_block();
        if (!finish_one_transfer()) deadlock();
    }
}

void release_barrier() {
    block.epoch++;
    forget_clocks();
    wake_all(block.at_barrier);
}

void fiber_entry() {
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(nullptr, entering ? &main_stack : nullptr, entering ? &main_stack_bytes : nullptr);
    entering = false;
#endif
    block.body(block.body_argument);
    Fiber* self = current;
    if (!self->open_copies.empty() || !self->copy_groups.empty()) fail("the thread ends while cp.async is in flight");
    Warp& warp = block.warps[self->warp()];
    for (const Collective& open : warp.open)
        if (open.mask & self->bit()) fail("the thread ends while other lanes wait for it at %s", open.name);
    warp.live &= ~self->bit();
    warp.ready &= ~self->bit();
    block.live--;
    if (block.live && (int)block.at_barrier.size() == block.live) release_barrier();
    reschedule();
    __builtin_unreachable();
}

void make_fibers(int count) {
    while ((int)block.fibers.size() < count) {
        Fiber f;
        f.stack = (char*)mmap(nullptr, stack_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        mprotect(f.stack, 4096, PROT_NONE);   // an overflow stops the program instead of corrupting a neighbour
        block.fibers.push_back(f);
    }
}

void run_block(const Launch& launch, dim3 index) {
    block.serial++;
    block.epoch++;
    block.warps.assign((block.threads + warp_lanes - 1) / warp_lanes, Warp{});
    block.live = block.threads;
    block.at_barrier.clear();
    race_begin();
    shared_begin(launch.shared_bytes);
    barriers_begin();
    hopper_begin();
    int id = 0;
    for (unsigned z = 0; z < launch.block.z; z++)
        for (unsigned y = 0; y < launch.block.y; y++)
            for (unsigned x = 0; x < launch.block.x; x++, id++) {
                Fiber& f = block.fibers[id];
                char* stack = f.stack;
                Clock* clock = f.clock;
                f = Fiber{};
                f.stack = stack;
                f.clock = clock;
                f.position = {{x, y, z}, index, launch.block, launch.grid};
                f.id = id;
                // Stacks that all begin at the same distance from a power of two would share cache sets.
                void** sp = (void**)(f.stack + stack_bytes - (id * 192 & 0x7fff));
                *--sp = nullptr;
                *--sp = (void*)fiber_entry;
                for (int r = 0; r < 6; r++) *--sp = nullptr;
                f.stack_pointer = sp;
                block.warps[f.warp()].live |= f.bit();
                block.warps[f.warp()].ready |= f.bit();
            }
    current = &block.fibers[block.order.kind == OrderKind::reversed ? block.threads - 1
                            : block.order.kind == OrderKind::random ? random_bits() % block.threads : 0];
    simt_position = &current->position;
#if defined(__SANITIZE_ADDRESS__)
    entering = true;
#endif
    switch_stack(&block.main_stack_pointer, current->stack_pointer, current->stack, stack_bytes);
    if (block.error.empty()) hopper_end();
    if (block.error.empty()) trace_end_of_block();
    current = nullptr;
}

}  // namespace

std::string thread_name() {
    const Position& p = current->position;
    char text[160];
    snprintf(text, sizeof text, "block (%u, %u, %u), thread (%u, %u, %u): ", p.block.x, p.block.y, p.block.z, p.thread.x, p.thread.y, p.thread.z);
    return text;
}

void fail(const char* format, ...) {
    char text[1000];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    if (block.error.empty()) block.error = thread_name() + text;
    leave_block();
}

uint64_t random_bits() {
    uint64_t& x = block.random_state;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return x >> 11;
}

void wake(Fiber* fiber) {
    fiber->reason = nullptr;
    block.warps[fiber->warp()].ready |= fiber->bit();
}

void wake_all(std::vector<Fiber*>& list) {
    for (Fiber* fiber : list) wake(fiber);
    list.clear();
}

void wait_for(Reason reason, const void* object, unsigned detail) {
    Fiber* self = current;
    self->reason = reason;
    self->object = object;
    self->detail = detail;
    block.warps[self->warp()].ready &= ~self->bit();
    reschedule();
}

void sync_threads() {
    block.at_barrier.push_back(current);
    if ((int)block.at_barrier.size() == block.live) release_barrier();
    else wait_for([](const Fiber&) { return std::string("__syncthreads, which not all threads reach (divergent barrier)"); }, nullptr);
}

std::string run(const Launch& launch) {
    unsigned long long threads = (unsigned long long)launch.block.x * launch.block.y * launch.block.z;
    if (threads == 0 || threads > max_threads) return "a block has " + std::to_string(threads) + " threads, not 1 to 1024";
    if (launch.grid.x == 0 || launch.grid.y == 0 || launch.grid.z == 0) return "the grid is empty";
    if (launch.block.z > 64) return "the block's z exceeds 64";
    if (launch.grid.y > 65535 || launch.grid.z > 65535) return "the grid's y or z exceeds 65535";
    if (launch.shared_bytes > dynamic_limit)
        return std::to_string(launch.shared_bytes) + " bytes of dynamic shared memory are more than the " + std::to_string(dynamic_limit) + " of a block";
    block.threads = (int)threads;
    block.body = launch.body;
    block.body_argument = launch.body_argument;
    block.order = launch.order;
    block.random_state = launch.order.seed * 0x9e3779b97f4a7c15ull + 0x2545f4914f6cdd1dull;
    block.error.clear();
    block.first_serial = block.serial + 1;
    make_fibers(block.threads);
    reports_begin();

    uint64_t blocks = (uint64_t)launch.grid.x * launch.grid.y * launch.grid.z;
    std::vector<uint32_t> order(blocks);
    for (uint64_t i = 0; i < blocks; i++) order[i] = launch.order.kind == OrderKind::reversed ? blocks - 1 - i : i;
    if (launch.order.kind == OrderKind::random)
        for (uint64_t i = blocks - 1; i > 0; i--) std::swap(order[i], order[random_bits() % (i + 1)]);
    for (uint32_t i : order) {
        run_block(launch, dim3(i % launch.grid.x, i / launch.grid.x % launch.grid.y, i / launch.grid.x / launch.grid.y));
        if (!block.error.empty()) break;
    }
    reports_end();
    return block.error;
}

}  // namespace simt
