// mbarrier.cpp - arrival barriers with a count of bytes, and the fence between ordinary and asynchronous accesses.
#include "hopper.h"
#include "trace.h"
#include <unordered_map>

namespace simt {

namespace {

struct Mbarrier {
    unsigned count = 0, pending = 0, phase = 0;
    int bytes = 0;                         // still expected; negative: arrived before they were announced
    int initialiser = 0;                   // the thread, and how many proxy fences it had executed
    uint32_t fences = 0;
    uint64_t cookie = 0;
    Known arriving, completed;             // what the arrivals of this phase, and of all completed ones, release
    std::vector<Fiber*> waiting;
};
std::unordered_map<uint64_t*, Mbarrier> mbarriers;

std::string name_of(const void* p) { return "mbarrier at " + address_name(shared_address(p)); }

Mbarrier& get(uint64_t* p, const char* what) {
    auto found = mbarriers.find(p);
    if (found == mbarriers.end()) fail("%s: the %s was not initialised", what, name_of(p).c_str());
    if (*p != found->second.cookie) fail("%s: the %s was overwritten", what, name_of(p).c_str());
    return found->second;
}

void complete_phase(Mbarrier& m) {
    if (m.pending || m.bytes) return;
    m.phase++;
    m.pending = m.count;
    if (m.completed.size() < m.arriving.size()) m.completed.resize(m.arriving.size());
    for (size_t i = 0; i < m.arriving.size(); i++) m.completed[i] = std::max(m.completed[i], m.arriving[i]);
    wake_all(m.waiting);
}

}  // namespace

void mbarriers_begin() { mbarriers.clear(); }

void fence_proxy_async() { current->proxy_fences++; }

void mbarrier_init(uint64_t* p, unsigned count) {
    if ((uintptr_t)p % 8) fail("mbarrier.init: the address is not a multiple of 8");
    if (count == 0 || count >= 1u << 20) fail("mbarrier.init: the count %u is not in 1..2^20 - 1", count);
    shared_access(p, 8, Access::write, __builtin_return_address(0));
    Mbarrier& m = mbarriers[p];
    if (!m.waiting.empty()) fail("mbarrier.init: threads wait on the %s", name_of(p).c_str());
    m = Mbarrier{};
    m.count = m.pending = count;
    m.initialiser = current->id;
    m.fences = current->proxy_fences;
    m.cookie = *p = 0xb0b0000000000000ull ^ (uintptr_t)p;
}

void mbarrier_arrive(uint64_t* p, unsigned expected_bytes) {
    Mbarrier& m = get(p, "mbarrier.arrive");
    shared_access(p, 8, Access::read, __builtin_return_address(0));   // ordered after the initialisation
    if (m.pending == 0) fail("mbarrier.arrive: more than %u arrivals in phase %u of the %s", m.count, m.phase, name_of(p).c_str());
    if (expected_bytes >= 1u << 20) fail("mbarrier.arrive.expect_tx: %u bytes are more than it can count", expected_bytes);
    m.bytes += (int)expected_bytes;
    m.pending--;
    release_into(m.arriving);
    complete_phase(m);
}

void mbarrier_complete(uint64_t* p, unsigned bytes, const Known& known) {
    Mbarrier& m = get(p, "arrival of an asynchronous copy");
    m.bytes -= (int)bytes;
    if (m.bytes <= -(1 << 20)) fail("arrival of an asynchronous copy: the %s has more bytes than it can count", name_of(p).c_str());
    if (m.arriving.size() < known.size()) m.arriving.resize(known.size());
    for (size_t i = 0; i < known.size(); i++) m.arriving[i] = std::max(m.arriving[i], known[i]);
    complete_phase(m);
}

void mbarrier_ready_for_copies(uint64_t* p) {
    Mbarrier& m = get(p, "asynchronous copy");
    if (block.fibers[m.initialiser].proxy_fences <= m.fences)
        fail("asynchronous copy: the %s was initialised without a fence.proxy.async after it", name_of(p).c_str());
}

// Waits for the phase with this parity: passes at once when the barrier is in a phase of the other parity.
void mbarrier_wait(uint64_t* p, unsigned parity) {
    if (parity > 1) fail("mbarrier.try_wait: the parity %u is not 0 or 1", parity);
    shared_access(p, 8, Access::read, __builtin_return_address(0));
    for (;;) {
        Mbarrier& m = get(p, "mbarrier.try_wait");
        if ((m.phase & 1) != parity) {
            acquire_from(m.completed, *current);
            return;
        }
        m.waiting.push_back(current);
        wait_for([](const Fiber& fiber) {
            const Mbarrier& m = mbarriers.at((uint64_t*)fiber.object);
            return "the " + name_of(fiber.object) + ", parity " + std::to_string(fiber.detail) + " (phase " + std::to_string(m.phase) + ", "
                + std::to_string(m.pending) + " of " + std::to_string(m.count) + " arrivals and " + std::to_string(m.bytes) + " bytes missing)";
        }, p, parity);
    }
}

void hopper_begin() {
    mbarriers_begin();
    copies_begin();
    wgmma_begin();
}
void hopper_end() {
    copies_end();
    wgmma_end();
}

}  // namespace simt
