// trace.cpp - each lane keeps a list of its accesses; at the end of a block the lists of a warp are laid side by side. Accesses by the
// same instruction that stand next in their lists are one access of the warp.
#include "trace.h"
#include "shared.h"
#include <algorithm>

namespace simt {

Traffic traffic;
bool tracing = false;

namespace {

constexpr unsigned sector_bytes = 32, banks = 32;

struct Event { const void* instruction; uintptr_t address; uint16_t bytes; bool store; };
std::vector<Event> events[max_threads];

void mark(std::vector<uint64_t>& bits, size_t offset, size_t bytes) {
    for (size_t i = offset / 2; i < (offset + bytes + 1) / 2; i++) bits[i / 64] |= 1ull << i % 64;
}

void count_device(const std::vector<Event>& group) {
    uintptr_t sectors[2 * warp_lanes];
    size_t n = 0;
    for (const Event& e : group)
        for (uintptr_t s = e.address / sector_bytes; s <= (e.address + e.bytes - 1) / sector_bytes; s++) sectors[n++] = s;
    std::sort(sectors, sectors + n);
    n = std::unique(sectors, sectors + n) - sectors;
    (group[0].store ? traffic.store_requests : traffic.load_requests)++;
    (group[0].store ? traffic.store_sectors : traffic.load_sectors) += n;
}

// Eight lanes of 16 bytes, sixteen of 8, or all 32 are served together, if no two want different words of one bank.
void count_shared(const std::vector<Event>& group, const unsigned* lanes) {
    unsigned together = std::min(warp_lanes, 128u / std::max<unsigned>(group[0].bytes, 4));
    for (unsigned first = 0; first < warp_lanes; first += together) {
        uintptr_t words[4 * warp_lanes];
        size_t n = 0;
        for (size_t i = 0; i < group.size(); i++)
            if (lanes[i] >= first && lanes[i] < first + together)
                for (unsigned b = 0; b < std::max<unsigned>(group[i].bytes, 4); b += 4) words[n++] = (group[i].address + b) / 4;
        if (n == 0) continue;
        std::sort(words, words + n);
        n = std::unique(words, words + n) - words;
        unsigned load[banks] = {}, worst = 0;
        for (size_t i = 0; i < n; i++) worst = std::max(worst, ++load[words[i] % banks]);
        traffic.shared_phases++;
        traffic.shared_conflicts += worst - 1;
    }
}

}  // namespace

void trace_begin() {
    tracing = true;
    traffic = Traffic{};
    for (auto& list : events) list.clear();
    for (Buffer* b : all_buffers()) {
        b->loaded.assign(b->bytes / 128 + 1, 0);
        b->stored.assign(b->bytes / 128 + 1, 0);
    }
}

void trace_access(const void* p, unsigned bytes, Access access, const void* instruction) {
    events[current->id].push_back({instruction, (uintptr_t)p, (uint16_t)bytes, access != Access::read});
    if (!in_arena(p)) return;
    Buffer& b = buffer_of(p, bytes, "accesses");
    mark(access == Access::read ? b.loaded : b.stored, (const unsigned char*)p - b.data, bytes);
}

void trace_tile(const void* p, size_t bytes, bool store) {
    Buffer& b = buffer_of(p, bytes, "accesses");
    mark(store ? b.stored : b.loaded, (const unsigned char*)p - b.data, bytes);
    uintptr_t first = (uintptr_t)p / sector_bytes, last = ((uintptr_t)p + bytes - 1) / sector_bytes;
    (store ? traffic.store_requests : traffic.load_requests)++;
    (store ? traffic.store_sectors : traffic.load_sectors) += last - first + 1;
}

void trace_end_of_block() {
    if (!tracing) return;
    std::vector<Event> group;
    for (size_t w = 0; w < block.warps.size(); w++) {
        size_t next[warp_lanes] = {};
        for (;;) {
            const Event* leader = nullptr;
            unsigned lanes[warp_lanes];
            group.clear();
            for (unsigned l = 0; l < warp_lanes && (int)(w * warp_lanes + l) < block.threads; l++) {
                auto& list = events[w * warp_lanes + l];
                if (next[l] == list.size()) continue;
                const Event& e = list[next[l]];
                if (!leader) leader = &e;
                if (e.instruction != leader->instruction) continue;
                lanes[group.size()] = l;
                group.push_back(e);
                next[l]++;
            }
            if (group.empty()) break;
            if (in_arena((const void*)group[0].address)) count_device(group);
            else count_shared(group, lanes);
        }
    }
    for (int i = 0; i < block.threads; i++) events[i].clear();
}

void trace_end() {
    tracing = false;
    auto bytes = [](const std::vector<uint64_t>& bits) {
        uint64_t n = 0;
        for (uint64_t b : bits) n += std::popcount(b);
        return 2 * n;
    };
    for (Buffer* b : all_buffers()) {
        traffic.loaded_bytes += bytes(b->loaded);
        traffic.stored_bytes += bytes(b->stored);
    }
}

}  // namespace simt
