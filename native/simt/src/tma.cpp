// tma.cpp - tile copies between device and shared memory (cp.async.bulk.tensor, two and three dimensions).
#include "hopper.h"
#include "memory.h"
#include "tensor_map.h"
#include "trace.h"
#include <cstring>
#include <deque>
#include <map>

namespace simt {

namespace {

struct Load { CUtensorMap map; shared_addr destination; uint64_t* barrier; BoxStart start; Known known; };
struct Store { CUtensorMap map; shared_addr source; BoxStart start; bool read = false; };
struct Stores { std::vector<Store> open; std::deque<std::vector<Store>> groups; };

std::vector<Load> loads;
std::map<int, Stores> stores;          // by thread

constexpr unsigned granule = 16;       // the swizzle moves 16 bytes at a time

unsigned box_bytes(const CUtensorMap& m) { return m.box[0] * m.box[1] * m.element_bytes; }

// How many bytes of a granule lie inside the tensor, counted from its start, and where.
struct Inside { char* at; unsigned before, bytes; };

// Calls f(shared address, what of it is inside) for each 16 bytes of a box.
template <class F> void for_each_granule(const CUtensorMap& m, shared_addr address, BoxStart start, F&& f) {
    unsigned line_bytes = m.box[0] * m.element_bytes;
    int64_t elements = granule / m.element_bytes;
    for (unsigned r = 0; r < m.box[1]; r++)
        for (unsigned g = 0; g < line_bytes / granule; g++) {
            int64_t line = (int64_t)start.y + r, first = start.x + g * elements;
            int64_t from = std::max<int64_t>(first, 0), to = std::min<int64_t>(first + elements, m.extent[0]);
            Inside in{};
            if (start.z >= 0 && start.z < (int64_t)m.extent[2] && line >= 0 && line < (int64_t)m.extent[1] && from < to)
                in = {m.base + start.z * m.pitch[1] + line * m.pitch[0] + from * m.element_bytes, (unsigned)((from - first) * m.element_bytes),
                      (unsigned)((to - from) * m.element_bytes)};
            f(swizzled(address + r * line_bytes + g * granule, m.swizzle), in);
        }
}

void check(const CUtensorMap* map, shared_addr address, unsigned rank, const char* what) {
    if ((uintptr_t)map % 64 || map->magic != tensor_map_magic) fail("%s: not a tensor map (it must be a __grid_constant__ parameter)", what);
    if (map->rank != rank) fail("%s: %u coordinates for a tensor of %u dimensions", what, rank, map->rank);
    if (map->swizzle && map->box[0] * map->element_bytes != granule << map->swizzle)
        fail("%s: a line of the box is shorter than the swizzle (not modelled)", what);
    unsigned align = map->swizzle ? 128u << map->swizzle : 128u;   // one pattern
    if (address % align) fail("%s: the shared address 0x%x is not a multiple of the %u bytes of the swizzle's pattern", what, address, align);
}

void trace_box(const CUtensorMap& m, BoxStart start, bool store) {
    if (!tracing || start.z < 0 || start.z >= (int64_t)m.extent[2]) return;
    int64_t from = std::max(start.x, 0), to = std::min<int64_t>((int64_t)start.x + m.box[0], m.extent[0]);
    for (int64_t line = std::max(start.y, 0); line < (int64_t)start.y + m.box[1] && line < (int64_t)m.extent[1]; line++)
        if (from < to) trace_tile(m.base + start.z * m.pitch[1] + line * m.pitch[0] + from * m.element_bytes, (to - from) * m.element_bytes, store);
}

void set_reading(const Store& s, int by) {
    for_each_granule(s.map, s.source, s.start, [&](shared_addr a, const Inside&) {
        for (unsigned done = 0; done < granule; done += chunk_bytes) chunk_at(a + done).reading += by;
    });
}

// Both ends happen now: what was in shared memory in between could not have changed.
void finish_read(Store& s) {
    if (s.read) return;
    s.read = true;
    set_reading(s, -1);
    for_each_granule(s.map, s.source, s.start, [&](shared_addr a, const Inside& in) {
        asynchronous_read_done(a, granule);
        if (in.bytes) memcpy(in.at, (char*)dynamic_base + (a - window_start) + in.before, in.bytes);
    });
}

void start_load(void* to, const CUtensorMap& map, uint64_t* barrier, BoxStart start) {
    mbarrier_ready_for_copies(barrier);
    Load load{map, shared_address(to), barrier, start, {}};
    release_into(load.known);            // its arrival also orders what came before its issue
    for_each_granule(map, load.destination, start, [&](shared_addr a, const Inside& in) {
        if (in.bytes) global_check(in.at, in.bytes, Access::read);
        asynchronous_write(a, granule, "TMA load", Proxy::asynchronous);
        for (unsigned done = 0; done < granule; done += chunk_bytes) chunk_at(a + done).arriving++;
        memset(dynamic_base + (a - window_start), 0xff, granule);
    });
    loads.push_back(std::move(load));
    trace_box(map, start, false);
}

}  // namespace

void copies_begin() {
    loads.clear();
    stores.clear();
}

void tma_load(void* to, const CUtensorMap* map, uint64_t* barrier, BoxStart start) {
    check(map, shared_address(to), start.rank, "TMA load");
    start_load(to, *map, barrier, start);
}

// As a box that is the whole of a tensor with one line.
void bulk_load(void* to, const void* from, unsigned bytes, uint64_t* barrier) {
    if (bytes % granule || (uintptr_t)from % granule || (uintptr_t)to % granule)
        fail("bulk copy: addresses and the %u bytes must be multiples of %u", bytes, granule);
    constexpr unsigned element_bytes = 2;
    const unsigned elements = bytes / element_bytes;
    const CUtensorMap line{tensor_map_magic, (char*)from, {elements, 1, 1}, {bytes, 0}, {elements, 1}, 2, element_bytes, 0, {}};
    start_load(to, line, barrier, {0, 0, 0, 2});
}

bool finish_one_transfer() {
    if (loads.empty()) return false;
    size_t i = block.order.kind == OrderKind::random ? random_bits() % loads.size() : 0;   // arrivals have no order
    Load load = std::move(loads[i]);
    loads.erase(loads.begin() + i);
    uint32_t stamp = copy_unit_release(load.known);
    for_each_granule(load.map, load.destination, load.start, [&](shared_addr a, const Inside& in) {
        unsigned char* d = dynamic_base + (a - window_start);
        memset(d, 0, granule);           // outside the tensor
        if (in.bytes) memcpy(d + in.before, in.at, in.bytes);
        for (unsigned done = 0; done < granule; done += chunk_bytes) chunk_at(a + done).arriving--;
        copy_unit_wrote(a, granule, stamp);
    });
    mbarrier_complete(load.barrier, box_bytes(load.map), load.known);   // the whole box counts, its outside part too
    return true;
}

void tma_store(const CUtensorMap* map, const void* from, BoxStart start) {
    Store store{*map, shared_address(from), start};
    check(map, store.source, start.rank, "TMA store");
    for_each_granule(*map, store.source, start, [&](shared_addr a, const Inside& in) {
        asynchronous_read(a, granule, "TMA store");
        if (in.bytes) global_check(in.at, in.bytes, Access::write);
    });
    set_reading(store, 1);
    trace_box(*map, start, true);
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
