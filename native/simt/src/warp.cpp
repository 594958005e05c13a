// warp.cpp - what the lanes of a warp do together, and the named barriers of a block.
#include "core.h"
#include "race.h"
#include <algorithm>

namespace simt {

void collective(uint32_t mask, const char* name, void* argument, Together f) {
    Fiber* self = current;
    Warp& warp = block.warps[self->warp()];
    if (!(mask & self->bit())) fail("%s: the mask %08x does not contain the lane that executes it", name, mask);
    if (mask & ~warp.live) fail("%s: the mask %08x names lanes that have ended (live: %08x)", name, mask, warp.live);
    // Groups of lanes that have parted are in instructions with different masks; those of one mask are in the same one.
    auto open = std::find_if(warp.open.begin(), warp.open.end(), [&](const Collective& c) { return c.mask == mask; });
    if (open == warp.open.end()) open = warp.open.insert(open, {mask, 0, name});
    else if (open->name != name) fail("lanes of one warp disagree: %s here, %s elsewhere (mask %08x)", name, open->name, mask);
    self->argument = argument;
    open->arrived |= self->bit();
    if (open->arrived != mask) {
        wait_for([](const Fiber& fiber) { return std::string((const char*)fiber.object) + ", which not all lanes of its mask reach"; }, name);
        return;
    }
    void* arguments[warp_lanes];
    for (unsigned i = 0; i < warp_lanes; i++) arguments[i] = mask >> i & 1 ? block.fibers[self->warp() * warp_lanes + i].argument : nullptr;
    warp.open.erase(open);
    f(arguments, mask);
    for (uint32_t others = mask; others; others &= others - 1) wake(&block.fibers[self->warp() * warp_lanes + std::countr_zero(others)]);
}

void sync_warp(uint32_t mask) {
    collective(mask, "__syncwarp", nullptr, [](void**, uint32_t mask) { order_lanes(current->warp(), mask); });
}

uint64_t shuffle(uint32_t mask, uint64_t value, int operand, int width, Shuffle mode) {
    struct Argument { uint64_t in, out; int operand, width; Shuffle mode; } argument{value, value, operand, width, mode};
    collective(mask, "__shfl_sync", &argument, [](void** arguments, uint32_t mask) {
        for (int lane = 0; lane < 32; lane++) {
            auto* a = (Argument*)arguments[lane];
            if (!a) continue;
            int base = lane & ~(a->width - 1), from = lane;
            switch (a->mode) {
                case Shuffle::exclusive_or: from = lane ^ a->operand; break;
                case Shuffle::down: from = lane + a->operand; break;
                case Shuffle::up: from = lane - a->operand; break;
                case Shuffle::index: from = base + (a->operand & (a->width - 1)); break;
            }
            if (from < base || from >= base + a->width) from = lane;
            if (!(mask >> from & 1)) fail("__shfl_sync: lane %d reads lane %d, which is not in the mask %08x", lane, from, mask);
            a->out = ((Argument*)arguments[from])->in;
        }
    });
    return argument.out;
}

uint32_t ballot(uint32_t mask, bool predicate) {
    struct Argument { bool in; uint32_t out; } argument{predicate, 0};
    collective(mask, "__ballot_sync", &argument, [](void** arguments, uint32_t) {
        uint32_t votes = 0;
        for (int lane = 0; lane < 32; lane++) if (arguments[lane] && ((Argument*)arguments[lane])->in) votes |= 1u << lane;
        for (int lane = 0; lane < 32; lane++) if (arguments[lane]) ((Argument*)arguments[lane])->out = votes;
    });
    return argument.out;
}

uint32_t match_any(uint32_t mask, uint64_t value) {
    struct Argument { uint64_t in; uint32_t out; } argument{value, 0};
    collective(mask, "__match_any_sync", &argument, [](void** arguments, uint32_t) {
        for (int lane = 0; lane < 32; lane++) if (auto* a = (Argument*)arguments[lane])
            for (int other = 0; other < 32; other++)
                if (arguments[other] && ((Argument*)arguments[other])->in == a->in) a->out |= 1u << other;
    });
    return argument.out;
}

bool elect_one() {
    bool leader = false;
    collective(full_warp, "elect.sync", &leader, [](void** arguments, uint32_t) {
        *(bool*)arguments[block.order.kind == OrderKind::forward ? 0 : 31] = true;   // which lane it is is not specified
    });
    return leader;
}

namespace {
struct NamedBarrier { unsigned threads = 0, arrived = 0; std::vector<Fiber*> waiting; Known known; };
NamedBarrier barriers[16];
}

void barriers_begin() { for (NamedBarrier& barrier : barriers) barrier = NamedBarrier{}; }

void named_barrier(unsigned id, unsigned threads, bool wait) {
    if (id < 1 || id > 15) fail("bar.sync: the barrier %u is not in 1..15 (0 is that of __syncthreads)", id);
    if (threads == 0 || threads % warp_lanes) fail("bar.sync %u: %u threads are not a multiple of a warp", id, threads);
    NamedBarrier& barrier = barriers[id];
    if (barrier.arrived == 0) barrier.threads = threads;
    else if (barrier.threads != threads) fail("bar.sync %u: threads disagree on their number (%u and %u)", id, barrier.threads, threads);
    release_into(barrier.known);
    if (wait) barrier.waiting.push_back(current);
    if (++barrier.arrived < threads) {
        if (wait) wait_for([](const Fiber& fiber) {
            auto* b = (const NamedBarrier*)fiber.object;
            return "bar.sync " + std::to_string(b - barriers) + " (" + std::to_string(b->arrived) + " of " + std::to_string(b->threads) + " threads came)";
        }, &barrier);
        return;
    }
    for (Fiber* fiber : barrier.waiting) acquire_from(barrier.known, *fiber);
    barrier.arrived = 0;
    std::vector<Fiber*> waiting = std::move(barrier.waiting);
    barrier.waiting.clear();
    barrier.known.clear();
    wake_all(waiting);
}

}  // namespace simt
