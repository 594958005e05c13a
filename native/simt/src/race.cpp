#include "race.h"
#include <algorithm>

namespace simt {

bool races_are_checked = true;

struct Clock { int references; Known known; };

namespace {

struct Reader { uint32_t stamp, lanes; int16_t warp; int32_t next; };
std::vector<Reader> readers;      // of one block: those that do not fit into their cells
bool any_clock = false;
uint32_t copy_unit_count = 0;

void drop(Clock*& clock) {
    if (clock && --clock->references == 0) delete clock;
    clock = nullptr;
}

void join(Known& into, const Known& from) {
    if (into.size() < from.size()) into.resize(from.size());
    for (size_t i = 0; i < from.size(); i++) into[i] = std::max(into[i], from[i]);
}

// Whoever reads or writes without being a thread has a number after theirs.
int copy_unit() { return block.threads; }
int products_of(int warp) { return block.threads + 1 + warp; }
size_t known_size() { return products_of((int)block.warps.size()); }

bool happened_before(int thread, uint32_t stamp) {
    if (thread == current->id) return true;
    return current->clock && current->clock->known[thread] >= stamp;
}

bool all_happened_before(int16_t warp, uint32_t lanes, uint32_t stamp) {
    for (; lanes; lanes &= lanes - 1)
        if (!happened_before(warp * warp_lanes + std::countr_zero(lanes), stamp)) return false;
    return true;
}

void add_reader(Cell& cell, int reader, uint32_t stamp) {
    const int16_t warp = (int16_t)(reader / (int)warp_lanes);
    const uint32_t bit = 1u << reader % warp_lanes;
    if (cell.read_block != block.serial || cell.read_epoch != block.epoch || cell.readers == 0) {
        cell.read_block = block.serial;
        cell.read_epoch = block.epoch;
        cell.read_warp = warp;
        cell.read_stamp = stamp;
        cell.readers = bit;
        cell.more_readers = -1;
        return;
    }
    if (cell.read_warp == warp && cell.read_stamp == stamp) { cell.readers |= bit; return; }
    for (int32_t i = cell.more_readers; i >= 0; i = readers[i].next)
        if (readers[i].warp == warp && readers[i].stamp == stamp) { readers[i].lanes |= bit; return; }
    // Whoever is ordered after a thread's read is ordered after reads that happened before it.
    if (reader == current->id && all_happened_before(cell.read_warp, cell.readers, cell.read_stamp)) {
        cell.read_warp = warp;
        cell.read_stamp = stamp;
        cell.readers = bit;
        return;
    }
    readers.push_back({stamp, bit, warp, cell.more_readers});
    cell.more_readers = (int32_t)readers.size() - 1;
}

int unordered_reader(const Cell& cell) {
    if (cell.read_block != block.serial || cell.read_epoch != block.epoch) return -1;
    auto search = [](int16_t warp, uint32_t lanes, uint32_t stamp) {
        for (; lanes; lanes &= lanes - 1) {
            int thread = warp * warp_lanes + std::countr_zero(lanes);
            if (!happened_before(thread, stamp)) return thread;
        }
        return -1;
    };
    int thread = search(cell.read_warp, cell.readers, cell.read_stamp);
    for (int32_t i = cell.more_readers; i >= 0 && thread < 0; i = readers[i].next) thread = search(readers[i].warp, readers[i].lanes, readers[i].stamp);
    return thread;
}

[[noreturn]] void race(const char* what, int thread, Name name, const void* object, size_t offset) {
    std::string who = thread < block.threads ? "thread " + std::to_string(thread)
        : thread == copy_unit() ? "an asynchronous copy" : "a wgmma of warp " + std::to_string(thread - products_of(0));
    fail("race on %s: %s %s, and nothing orders the two", name(object, offset).c_str(), what, who.c_str());
}

}  // namespace

void race_begin() {
    readers.clear();
    copy_unit_count = 0;
    for (Fiber& fiber : block.fibers) drop(fiber.clock);
    any_clock = false;
}

void forget_clocks() {
    if (!any_clock) return;
    for (int i = 0; i < block.threads; i++) drop(block.fibers[i].clock);
    any_clock = false;
}

void release_into(Known& known) {
    uint32_t& count = block.warps[current->warp()].release;
    if (known.size() < known_size()) known.resize(known_size());
    if (current->clock) join(known, current->clock->known);
    known[current->id] = count++;
}

void acquire_from(const Known& known, Fiber& fiber) {
    if (known.empty()) return;
    Clock* joined = new Clock{1, known};
    if (fiber.clock) join(joined->known, fiber.clock->known);
    drop(fiber.clock);
    fiber.clock = joined;
    any_clock = true;
}

uint32_t copy_unit_release(Known& known) {
    if (known.size() < known_size()) known.resize(known_size());
    return known[copy_unit()] = ++copy_unit_count;
}

void acquire_products(int warp, uint32_t stamp) {
    Known known(known_size());
    known[products_of(warp)] = stamp;
    for (unsigned l = 0; l < warp_lanes; l++) acquire_from(known, block.fibers[warp * warp_lanes + l]);
}

void order_lanes(int warp, uint32_t mask) {
    Clock* joined = new Clock{0, Known(known_size())};
    Clock* last = nullptr;
    uint32_t& count = block.warps[warp].release;
    for (uint32_t lanes = mask; lanes; lanes &= lanes - 1) {
        Fiber& fiber = block.fibers[warp * warp_lanes + std::countr_zero(lanes)];
        if (fiber.clock && fiber.clock != last) join(joined->known, fiber.clock->known);
        last = fiber.clock;
    }
    for (uint32_t lanes = mask; lanes; lanes &= lanes - 1) {
        Fiber& fiber = block.fibers[warp * warp_lanes + std::countr_zero(lanes)];
        joined->known[fiber.id] = count;
        joined->references++;
        drop(fiber.clock);
        fiber.clock = joined;
    }
    count++;
    any_clock = true;
}

void check_order(const Cell& cell, Access access, uint8_t bytes, Name name, const void* object, size_t offset) {
    bool written = cell.block >= block.first_serial && cell.writer >= 0;      // in this launch
    bool conflict = written && (cell.bytes & bytes) && !(access == Access::atomic && cell.atomic);
    const char* verb = access == Access::read ? "reads what was written by" : "overwrites what was written by";
    if (conflict) {
        if (cell.block != block.serial) fail("race on %s: this block %s another block of the same launch", name(object, offset).c_str(), verb);
        if (cell.epoch == block.epoch && !happened_before(cell.writer, cell.stamp)) race(verb, cell.writer, name, object, offset);
    }
}

void check_access(Cell& cell, Access access, uint8_t bytes, Name name, const void* object, size_t offset) {
    check_order(cell, access, bytes, name, object, offset);
    if (access == Access::read) {
        if (cell.read_block >= block.first_serial && cell.read_block != block.serial) cell.read_by_blocks = true;
        else if (cell.read_block < block.first_serial) cell.read_by_blocks = false;
        add_reader(cell, current->id, block.warps[current->warp()].release);
        return;
    }
    if (cell.read_block >= block.first_serial && (cell.read_block != block.serial || cell.read_by_blocks))
        fail("race on %s: this block overwrites what another block of the same launch reads", name(object, offset).c_str());
    if (int reader = unordered_reader(cell); reader >= 0) race("overwrites what is read by", reader, name, object, offset);
    cell.block = block.serial;
    cell.epoch = block.epoch;
    cell.stamp = block.warps[current->warp()].release;
    cell.writer = current->id;
    cell.bytes = bytes;
    cell.atomic = access == Access::atomic;
    cell.fences = current->proxy_fences;
    cell.readers = 0;
    cell.more_readers = -1;
    cell.read_block = 0;
    cell.read_by_blocks = false;
}

void product_read(Cell& cell, int warp, uint32_t stamp) { add_reader(cell, products_of(warp), stamp); }

}  // namespace simt
