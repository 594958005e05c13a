// tma.cpp - tile copies between device and shared memory (cp.async.bulk.tensor, two dimensions).
#include "hopper.h"
#include "memory.h"
#include "tensor_map.h"
#include "trace.h"
#include <cstring>
#include <deque>
#include <map>

namespace simt {

namespace {

struct Load { CUtensorMap map; shared_addr destination; uint64_t* barrier; int x, y; Known known; };
struct Store { CUtensorMap map; shared_addr source; int x, y; bool read = false; };
struct Stores { std::vector<Store> open; std::deque<std::vector<Store>> groups; };

std::vector<Load> loads;
std::map<int, Stores> stores;          // by thread

constexpr unsigned granule = 16;       // the swizzle moves 16 bytes at a time

unsigned box_bytes(const CUtensorMap& m) { return m.box[0] * m.box[1] * m.element_bytes; }

// Calls f(shared address, line, first element) for each 16 bytes of a box.
template <class F> void for_each_granule(const CUtensorMap& m, shared_addr address, int x, int y, F&& f) {
    unsigned line = m.box[0] * m.element_bytes, elements = granule / m.element_bytes;
    for (unsigned r = 0; r < m.box[1]; r++)
        for (unsigned g = 0; g < line / granule; g++)
            f(swizzled(address + r * line + g * granule, m.swizzle), (int64_t)y + r, (int64_t)x + g * elements);
}

// How many bytes of the granule at (line, first element) lie inside the tensor, counted from its start, and where.
struct Inside { char* at; unsigned before, bytes; };
Inside inside(const CUtensorMap& m, int64_t line, int64_t first) {
    int64_t elements = granule / m.element_bytes, from = std::max<int64_t>(first, 0), to = std::min<int64_t>(first + elements, m.extent[0]);
    if (line < 0 || line >= (int64_t)m.extent[1] || from >= to) return {nullptr, 0, 0};
    return {m.base + line * m.pitch + from * m.element_bytes, (unsigned)((from - first) * m.element_bytes), (unsigned)((to - from) * m.element_bytes)};
}

void check(const CUtensorMap* map, shared_addr address, const char* what) {
    if ((uintptr_t)map % 64 || map->magic != tensor_map_magic) fail("%s: not a tensor map (it must be a __grid_constant__ parameter)", what);
    if (map->swizzle && map->box[0] * map->element_bytes != granule << map->swizzle) fail("%s: a line of the box is shorter than the swizzle (not modelled)", what);
    unsigned align = map->swizzle ? 128u << map->swizzle : 128u;   // one pattern
    if (address % align) fail("%s: the shared address 0x%x is not a multiple of the %u bytes of the swizzle's pattern", what, address, align);
}

void trace_box(const CUtensorMap& m, int x, int y, bool store) {
    if (!tracing) return;
    int64_t from = std::max(x, 0), to = std::min<int64_t>((int64_t)x + m.box[0], m.extent[0]);
    for (int64_t line = std::max(y, 0); line < (int64_t)y + m.box[1] && line < (int64_t)m.extent[1]; line++)
        if (from < to) trace_tile(m.base + line * m.pitch + from * m.element_bytes, (to - from) * m.element_bytes, store);
}

void set_reading(const Store& s, int by) {
    for_each_granule(s.map, s.source, s.x, s.y, [&](shared_addr a, int64_t, int64_t) {
        for (unsigned done = 0; done < granule; done += chunk_bytes) chunk_at(a + done).reading += by;
    });
}

// Both ends happen now: what was in shared memory in between could not have changed.
void finish_read(Store& s) {
    if (s.read) return;
    s.read = true;
    set_reading(s, -1);
    for_each_granule(s.map, s.source, s.x, s.y, [&](shared_addr a, int64_t line, int64_t first) {
        asynchronous_read_done(a, granule);
        Inside in = inside(s.map, line, first);
        if (in.bytes) memcpy(in.at, (char*)dynamic_base + (a - window_start) + in.before, in.bytes);
    });
}

}  // namespace

void copies_begin() {
    loads.clear();
    stores.clear();
}

void tma_load(void* to, const CUtensorMap* map, uint64_t* barrier, int x, int y) {
    shared_addr destination = shared_address(to);
    check(map, destination, "TMA load");
    mbarrier_ready_for_copies(barrier);
    Load load{*map, destination, barrier, x, y, {}};
    release_into(load.known);            // its arrival also orders what came before its issue
    for_each_granule(*map, destination, x, y, [&](shared_addr a, int64_t line, int64_t first) {
        Inside in = inside(*map, line, first);
        if (in.bytes) global_check(in.at, in.bytes, Access::read);
        asynchronous_write(a, granule, "TMA load");
        for (unsigned done = 0; done < granule; done += chunk_bytes) chunk_at(a + done).arriving++;
        memset(dynamic_base + (a - window_start), 0xff, granule);
    });
    loads.push_back(std::move(load));
    trace_box(*map, x, y, false);
}

bool finish_one_transfer() {
    if (loads.empty()) return false;
    size_t i = block.order.kind == OrderKind::random ? random_bits() % loads.size() : 0;   // arrivals have no order
    Load load = std::move(loads[i]);
    loads.erase(loads.begin() + i);
    uint32_t stamp = copy_unit_release(load.known);
    for_each_granule(load.map, load.destination, load.x, load.y, [&](shared_addr a, int64_t line, int64_t first) {
        Inside in = inside(load.map, line, first);
        unsigned char* d = dynamic_base + (a - window_start);
        memset(d, 0, granule);           // outside the tensor
        if (in.bytes) memcpy(d + in.before, in.at, in.bytes);
        for (unsigned done = 0; done < granule; done += chunk_bytes) chunk_at(a + done).arriving--;
        copy_unit_wrote(a, granule, stamp);
    });
    mbarrier_complete(load.barrier, box_bytes(load.map), load.known);   // the whole box counts, its outside part too
    return true;
}

void tma_store(const CUtensorMap* map, const void* from, int x, int y) {
    Store store{*map, shared_address(from), x, y};
    check(map, store.source, "TMA store");
    for_each_granule(*map, store.source, x, y, [&](shared_addr a, int64_t line, int64_t first) {
        asynchronous_read(a, granule, "TMA store");
        Inside in = inside(*map, line, first);
        if (in.bytes) global_check(in.at, in.bytes, Access::write);
    });
    set_reading(store, 1);
    trace_box(*map, x, y, true);
    stores[current->id].open.push_back(store);
}

void tma_store_commit() {
    Stores& s = stores[current->id];
    s.groups.push_back(std::move(s.open));
    s.open.clear();
}

void tma_store_wait(unsigned keep, bool only_read) {
    auto& groups = stores[current->id].groups;
    for (size_t i = 0; i + keep < groups.size(); i++)
        for (Store& s : groups[i]) finish_read(s);
    if (!only_read)
        while (groups.size() > keep) groups.pop_front();
}

void copies_end() {
    if (!loads.empty()) block.error = "the block ended while a TMA load was in flight";
    for (auto& [thread, s] : stores) {
        if (!s.open.empty()) block.error = "the block ended with a TMA store that was not committed";
        for (auto& group : s.groups)
            for (Store& store : group)
                if (!store.read) block.error = "the block ended while a TMA store still read its shared memory";
    }
}

}  // namespace simt
