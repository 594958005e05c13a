// wgmma.cpp - wgmma.mma_async m64nNk16 (bf16, fp32 accumulators) and setmaxnreg.
//
// A product is computed when the first warp of the warpgroup waits for its group, from the shared memory of that moment, which must not
// have changed since the issue. From the issue to the wait the accumulators hold a NaN: using them, or writing them, is found.
#include "hopper.h"
#include "sanitizer.h"
#include "trace.h"
#include <algorithm>
#include <cstring>
#include <deque>
#include <memory>
#include <numeric>

namespace simt {

namespace {

constexpr int group_warps = 4, group_threads = 128, max_n = 256;
constexpr uint32_t in_flight_bits = 0x7fa0dead;   // a signalling NaN: arithmetic on it gives a NaN with other bits

struct Accumulators {                             // n / 2 registers of each of 128 threads
    int n = 0;
    float* registers[group_threads] = {};
    std::vector<float> d;                         // the 64 x n matrix
    int outstanding[group_warps] = {};            // products issued by each warp and not yet waited for
    bool captured[group_warps] = {};
    bool idle() const { return std::all_of(outstanding, outstanding + group_warps, [](int o) { return o == 0; }); }
};

struct Product {
    WgmmaOperands operands;
    Accumulators* accumulators = nullptr;
    std::vector<uint16_t> a, b;                   // 64 x 16 and n x 16, k contiguous, as read at the issue
    std::vector<shared_addr> granules;            // the 16 bytes each that it reads
};

struct Warpgroup {
    std::deque<Product> products;                 // products[i] has the number first + i
    uint64_t first = 0, computed = 0;
    uint64_t issued[group_warps] = {}, collected[group_warps] = {};
    std::vector<uint64_t> committed[group_warps]; // the product's number at each commit
    bool fenced[group_warps] = {};
    std::vector<std::unique_ptr<Accumulators>> accumulators;
    std::vector<Fiber*> waiting;
};

std::deque<Warpgroup> groups;
std::vector<unsigned> warp_registers;             // setmaxnreg
unsigned register_pool;                           // for a lane of all warps together: what the block was launched with
std::vector<Fiber*> waiting_for_registers;

Warpgroup& warpgroup(const char* what) {
    size_t g = current->warp() / group_warps;
    if ((g + 1) * group_warps > block.warps.size()) fail("%s: the warpgroup of this warp is not complete", what);
    return groups[g];
}

// The matrix descriptor of the PTX ISA: addresses and offsets in units of 16 bytes, and the swizzle.
struct Descriptor { unsigned start, leading, stride, swizzle; };
Descriptor decode(uint64_t d, char operand) {
    if (d & (3ull << 14 | 3ull << 30 | 7ull << 46 | 0x3ffull << 52))
        fail("wgmma: reserved bits are set in the descriptor of %c (%016llx)", operand, (unsigned long long)d);
    if (d >> 49 & 7) fail("wgmma: the base offset of the descriptor of %c is not 0 (not modelled)", operand);
    static const unsigned swizzle[4] = {0, 3, 2, 1};   // 1 is 128 bytes, 2 is 64, 3 is 32
    Descriptor r{(unsigned)(d & 0x3fff) << 4, (unsigned)(d >> 16 & 0x3fff) << 4, (unsigned)(d >> 32 & 0x3fff) << 4, swizzle[d >> 62]};
    if (r.swizzle && (r.start >> 7 & ((1u << r.swizzle) - 1)))
        fail("wgmma: the descriptor of %c starts at 0x%x, inside a pattern of the swizzle (which needs a base offset)", operand, r.start);
    return r;
}

// Where, before swizzling, the 16 bytes with element (mn, k) lie. The canonical layouts of the PTX ISA; T = 8 elements, W = granules in a
// swizzled line (8, 4 or 2):
//   K-major   swizzled ((8,m),(T,2)) : ((W T, stride), (1, T))          plain ((8,m),(T,2)) : ((T, stride), (1, leading))
//   MN-major  swizzled ((T,W,m),(8,2)) : ((1, T, leading), (W T, stride))   plain ((T,1,m),(8,2)) : ((1, T, stride), (T, leading))
unsigned granule_address(const Descriptor& d, bool mn_major, int mn, int k) {
    int w = 1 << d.swizzle;
    if (!mn_major) return d.start + mn % 8 * 16 * w + mn / 8 * d.stride + k / 8 * (d.swizzle ? 16 : d.leading);
    if (!d.swizzle) return d.start + mn / 8 * d.stride + k % 8 * 16 + k / 8 * d.leading;
    return d.start + mn / 8 % w * 16 + mn / (8 * w) * d.leading + k % 8 * 16 * w + k / 8 * d.stride;
}

// Reads rows x 16 elements, k contiguous. With a list of granules the read is checked and they are added to it.
void read_operand(uint64_t descriptor, bool mn_major, int rows, char operand, uint16_t* out, std::vector<shared_addr>* granules) {
    Descriptor d = decode(descriptor, operand);
    char what[] = "wgmma operand ?";
    what[14] = operand;
    for (int i = 0; i < rows * 2; i++) {
        int mn = mn_major ? i / 16 * 8 : i / 2, k = mn_major ? i % 16 : i % 2 * 8;
        shared_addr address = swizzled(granule_address(d, mn_major, mn, k), d.swizzle);
        if (granules) {
            asynchronous_read(address, 16, what);
            granules->push_back(address);
        }
        uint16_t v[8];
        memcpy(v, shared_pointer(address, 16), 16);
        if (!mn_major) memcpy(out + mn * 16 + k, v, 16);
        else for (int e = 0; e < 8; e++) out[(mn + e) * 16 + k] = v[e];
    }
}

// The element that register i of thread t of the warpgroup holds.
int fragment_row(int t, int i) { return t / 32 * 16 + t % 32 / 4 + i / 2 % 2 * 8; }
int fragment_column(int t, int i) { return i / 4 * 8 + t % 4 * 2 + i % 2; }

void multiply(Product& p) {
    typedef float Lanes __attribute__((vector_size(32), aligned(4)));
    static float bt[16 * max_n];
    int n = p.operands.n;
    for (int j = 0; j < n; j++)
        for (int k = 0; k < 16; k++) bt[k * n + j] = std::bit_cast<float>((uint32_t)p.b[j * 16 + k] << 16);
    std::vector<float>& d = p.accumulators->d;
    if (!p.operands.accumulate) std::fill(d.begin(), d.end(), 0.f);
    for (int r = 0; r < 64; r++) {
        float a[16];
        for (int k = 0; k < 16; k++) a[k] = std::bit_cast<float>((uint32_t)p.a[r * 16 + k] << 16);
        for (int j = 0; j < n; j += 8) {
            Lanes& out = *(Lanes*)&d[r * n + j];
            Lanes sum = out;
            for (int k = 0; k < 16; k++) sum += a[k] * *(const Lanes*)(bt + k * n + j);
            out = sum;
        }
    }
    if (tracing) traffic.wgmma_flops += 2ull * 64 * n * 16;
}

bool same(const WgmmaOperands& x, const WgmmaOperands& y) {
    return x.descriptor_a == y.descriptor_a && x.descriptor_b == y.descriptor_b && x.accumulate == y.accumulate && x.n == y.n
        && x.a_mn_major == y.a_mn_major && x.b_mn_major == y.b_mn_major && !x.a == !y.a;
}

// The registers enter the flight: their values are taken, or must be those that the last product left, and a NaN is left in them.
void take_registers(Accumulators& accumulators, int warp, void** arguments, bool keep, bool fenced) {
    bool known = accumulators.captured[warp];
    if (!fenced) fail("wgmma without a wgmma.fence before it");
    for (int l = 0; l < 32; l++) {
        int t = warp * 32 + l;
        float* d = ((WgmmaOperands*)arguments[l])->d;
        if (known && accumulators.registers[t] != d) fail("wgmma: the accumulators moved between products");
        accumulators.registers[t] = d;
        for (int i = 0; i < accumulators.n / 2; i++) {
            float& element = accumulators.d[fragment_row(t, i) * accumulators.n + fragment_column(t, i)];
            if (known && keep && std::bit_cast<uint32_t>(element) != std::bit_cast<uint32_t>(d[i]))
                fail("wgmma: accumulators changed after the last wgmma.fence");
            element = d[i];
            memcpy(&d[i], &in_flight_bits, 4);
        }
    }
    accumulators.captured[warp] = true;
}

void issue(void** arguments, uint32_t) {
    Warpgroup& g = warpgroup("wgmma");
    int warp = current->warp() % group_warps;
    WgmmaOperands& x = *(WgmmaOperands*)arguments[0];
    for (int l = 1; l < 32; l++)
        if (!same(x, *(WgmmaOperands*)arguments[l])) fail("wgmma: lanes pass different descriptors or shapes");
    if (x.n % 8 || x.n < 8 || x.n > max_n) fail("wgmma: n = %d is not a multiple of 8 in 8..256", x.n);

    Accumulators* accumulators = nullptr;
    for (auto& a : g.accumulators) if (a->registers[warp * 32] == x.d) accumulators = a.get();
    if (accumulators && accumulators->n != x.n) {
        if (!accumulators->idle()) fail("wgmma of another shape on accumulators that are in flight");
        accumulators->registers[warp * 32] = nullptr;
        accumulators = nullptr;
    }
    if (x.a && !g.fenced[warp]) fail("wgmma with A in registers, without a wgmma.fence since the last wait");

    uint64_t number = g.issued[warp];
    if (number == g.first + g.products.size()) {             // the first warp to come creates the product
        Product p{.operands = x, .a = std::vector<uint16_t>(64 * 16), .b = std::vector<uint16_t>(x.n * 16), .granules = {}};
        if (!x.a) read_operand(x.descriptor_a, x.a_mn_major, 64, 'A', p.a.data(), &p.granules);
        read_operand(x.descriptor_b, x.b_mn_major, x.n, 'B', p.b.data(), &p.granules);
        for (shared_addr a : p.granules) for (unsigned done = 0; done < 16; done += chunk_bytes) chunk_at(a + done).reading++;
        g.products.push_back(std::move(p));
    } else                                                   // what the first warp may read, another may not have waited for
        for (shared_addr a : g.products[number - g.first].granules) asynchronous_read(a, 16, "wgmma operand");
    Product& p = g.products[number - g.first];
    if (!same(p.operands, x)) fail("wgmma: the warps of a warpgroup issue different products");
    if (p.accumulators) {
        if (accumulators && accumulators != p.accumulators) fail("wgmma: the warps of a warpgroup use different accumulators");
        accumulators = p.accumulators;
    } else if (!accumulators) {
        g.accumulators.push_back(std::make_unique<Accumulators>());
        accumulators = g.accumulators.back().get();
        accumulators->n = x.n;
        accumulators->d.resize(64 * x.n);
    }
    p.accumulators = accumulators;
    if (accumulators->outstanding[warp] == 0) take_registers(*accumulators, warp, arguments, x.accumulate, g.fenced[warp]);
    accumulators->outstanding[warp]++;
    if (x.a)                                                 // the fragment of A, as that of mma.m16n8k16
        for (int l = 0; l < 32; l++)
            for (int i = 0; i < 4; i++) {
                uint32_t pair = ((WgmmaOperands*)arguments[l])->a[i];
                uint16_t* to = &p.a[(warp * 16 + l / 4 + i % 2 * 8) * 16 + l % 4 * 2 + i / 2 * 8];
                to[0] = (uint16_t)pair;
                to[1] = (uint16_t)(pair >> 16);
            }
    g.issued[warp]++;
    wake_all(g.waiting);
}

void compute_until(Warpgroup& g, uint64_t end) {
    static std::vector<uint16_t> now(max_n * 16);
    for (; g.computed < end; g.computed++) {
        Product& p = g.products[g.computed - g.first];
        const WgmmaOperands& x = p.operands;
        if (!x.a) {
            read_operand(x.descriptor_a, x.a_mn_major, 64, 'A', now.data(), nullptr);
            if (memcmp(now.data(), p.a.data(), p.a.size() * 2)) fail("wgmma: operand A changed while the product was in flight");
        }
        read_operand(x.descriptor_b, x.b_mn_major, x.n, 'B', now.data(), nullptr);
        if (memcmp(now.data(), p.b.data(), p.b.size() * 2)) fail("wgmma: operand B changed while the product was in flight");
        multiply(p);
    }
}

void wait(void** arguments, uint32_t) {
    Warpgroup& g = warpgroup("wgmma.wait_group");
    int warp = current->warp() % group_warps;
    size_t keep = (uintptr_t)arguments[0], committed = g.committed[warp].size();
    if (committed <= keep) return;
    uint64_t end = g.committed[warp][committed - keep - 1];
    if (end <= g.collected[warp]) return;
    while (*std::min_element(g.issued, g.issued + group_warps) < end) {   // a product needs all four warps
        g.waiting.push_back(current);
        wait_for([](const Fiber&) { return std::string("wgmma.wait_group (other warps of the warpgroup did not issue the product)"); }, &g);
    }
    compute_until(g, std::max(end, g.computed));
    // The wait orders what this warp's products have read before what this warp does next, and before nothing of the other warps.
    if (sees_accesses) {
        for (uint64_t n = g.collected[warp]; n < end; n++)
            for (shared_addr a : g.products[n - g.first].granules) product_read(a, 16, current->warp(), (uint32_t)end);
        acquire_products(current->warp(), (uint32_t)end);
    }
    for (; g.collected[warp] < end; g.collected[warp]++) {
        Accumulators& a = *g.products[g.collected[warp] - g.first].accumulators;
        if (--a.outstanding[warp]) continue;
        for (int t = warp * 32; t < warp * 32 + 32; t++)
            for (int i = 0; i < a.n / 2; i++) {
                float& r = a.registers[t][i];
                if (std::bit_cast<uint32_t>(r) != in_flight_bits)
                    fail("accumulators of thread %d of the warpgroup were written while a product was in flight", t);
                r = a.d[fragment_row(t, i) * a.n + fragment_column(t, i)];
            }
        g.fenced[warp] = false;
    }
    uint64_t done = *std::min_element(g.collected, g.collected + group_warps);
    for (; g.first < done; g.first++) {                       // a warp that has not waited may not count on its part
        for (shared_addr a : g.products.front().granules)
            for (unsigned offset = 0; offset < 16; offset += chunk_bytes) chunk_at(a + offset).reading--;
        g.products.pop_front();
    }
}

}  // namespace

void wgmma(const WgmmaOperands& operands) { collective(full_warp, "wgmma", (void*)&operands, issue); }

void wgmma_fence() {
    collective(full_warp, "wgmma.fence", nullptr, [](void**, uint32_t) {
        Warpgroup& g = warpgroup("wgmma.fence");
        int warp = current->warp() % group_warps;
        g.fenced[warp] = true;
        for (auto& a : g.accumulators)                       // take over what the threads wrote
            if (a->captured[warp] && !a->outstanding[warp] && a->registers[warp * 32])
                for (int t = warp * 32; t < warp * 32 + 32; t++)
                    for (int i = 0; i < a->n / 2; i++) a->d[fragment_row(t, i) * a->n + fragment_column(t, i)] = a->registers[t][i];
    });
}

void wgmma_commit() {
    collective(full_warp, "wgmma.commit_group", nullptr, [](void**, uint32_t) {
        Warpgroup& g = warpgroup("wgmma.commit_group");
        int warp = current->warp() % group_warps;
        g.committed[warp].push_back(g.issued[warp]);
    });
}

void wgmma_wait(unsigned keep) { collective(full_warp, "wgmma.wait_group", (void*)(uintptr_t)keep, wait); }

// setmaxnreg moves registers between a warp and the pool of the block; an increase waits until the pool has enough.
void set_max_registers(unsigned registers, bool increase) {
    if (registers < 24 || registers > 256 || registers % 8) fail("setmaxnreg: %u is not a multiple of 8 in 24..256", registers);
    uintptr_t argument = registers | (increase ? 1u << 16 : 0);
    collective(full_warp, "setmaxnreg", (void*)argument, [](void** arguments, uint32_t) {
        uintptr_t a = (uintptr_t)arguments[0];
        unsigned registers = a & 0xffff, warp = current->warp();
        bool increase = a >> 16;
        if (increase ? registers < warp_registers[warp] : registers > warp_registers[warp])
            fail("setmaxnreg.%s to %u from %u", increase ? "inc" : "dec", registers, warp_registers[warp]);
        for (;;) {
            unsigned total = registers;
            for (size_t w = 0; w < warp_registers.size(); w++) if (w != warp) total += warp_registers[w];
            if (total <= register_pool) break;
            waiting_for_registers.push_back(current);
            wait_for([](const Fiber& f) { return "setmaxnreg.inc " + std::to_string(f.detail) + " (the block has not enough registers)"; }, nullptr, registers);
        }
        warp_registers[warp] = registers;
        wake_all(waiting_for_registers);
    });
}

void wgmma_begin() {
    groups.clear();
    groups.resize((block.threads + group_threads - 1) / group_threads);
    // What the compiler gives a kernel whose launch bounds say one block per multiprocessor.
    warp_registers.assign(block.warps.size(), std::min(248u, 65536u / block.threads / 8 * 8));
    register_pool = std::accumulate(warp_registers.begin(), warp_registers.end(), 0u);
    waiting_for_registers.clear();
}

void wgmma_end() {
    for (Warpgroup& g : groups)
        if (!g.products.empty()) block.error = "the block ended with a wgmma that nobody waited for";
}

}  // namespace simt
