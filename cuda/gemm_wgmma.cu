// gemm_wgmma.cu - the matrix products of gemm_mma.cu for sm_90a: TMA brings tiles, wgmma multiplies them. Same operations and precision.
//
//   gemm_forward_wgmma_W               y (R, N) = x (R, K) weight (N, K)^T + bias
//   gemm_forward_gelu_wgmma_W          the same as pre (R, N), and y = GELU(pre)
//   gemm_backward_input_wgmma_W        dx (R, K) = dy (R, N) weight (N, K)
//   gemm_backward_input_dgelu_wgmma_W  dx = (dy weight) GELU'(pre (R, K))
//   gemm_backward_weight_wgmma_W       dweight (N, K) += dy (R, N)^T x (R, K),  dbias (N) += column sums of dy    (or = instead of +=)
//
// W is the width of a tile of the result: 128, 192 or 256. The wider, the fewer bytes each product needs from L2 (2 (128 + W) for 128 W); but the
// tiles should also fill the multiprocessors, and GPT-2's widths are multiples of 192 or of 256.
//
// Launch: min(units of work (gemm.cuh), multiprocessors) blocks, which take every gridDim.x-th unit, 384 threads, Layout::kBytes.
// FLOPs: 2 rows columns depth, each rounded up to its tile of 128, W, 64; dbias: 16 N R more, on the first column of tiles.
// Bytes: every operand and result once, if L2 holds what the tiles in flight share.
//
// A block has three warpgroups. One thread of the first produces: it fills a ring of stages, tiles of A (128 x 64) and B (W x 64), waiting
// for a stage to be empty before and announcing its bytes to the barrier that says it is full. The other two consume, 64 rows each; the ring goes
// on across units, so that the next tile arrives during an epilogue. Registers move from the producer to the consumers.
//
// The consumers wait for one another only through the ring. The second starts when half a ring has arrived, so it is about that far behind,
// and stays so: when the first is in its epilogue the second has the tensor cores for itself and catches up, and gives the lead back in its own.
// So the epilogue of one runs beside the products of the other.
//
// Tiles lie as lines of 128 bytes with the 128-byte swizzle. Along the depth: a line for each row, 64 depth. Along rows or columns: boxes of 64 by
// 64, a line for each depth.
//
// bf16 results leave through slabs of 64 rows x 64 columns in shared memory, swizzled likewise, so that the four bytes a lane stores fall into
// different banks. Every consumer has a ring of slabs of its own. TMA stores them, asynchronously, and leaves out what is beyond the matrix. What
// GELU' needs is fetched into the slabs during the products, and replaced there by the result.
// The bias's gradient is one more product, dy^T 1, eight columns wide, with a tile of ones in shared memory.
//
// Source: warp-specialised, persistent, two cooperating consumers, as the kernels of CUTLASS 3 for Hopper (NVIDIA 2023).
#include "gelu.cuh"
#include "gemm.cuh"
#include "hopper.cuh"
#include "mma_tile.cuh"

constexpr int kTileRows = 128, kTileDepth = 64, kThreads = 384, kConsumers = 2, kConsumerThreads = 128;
constexpr int kLine = 128, kSlabColumns = 64, kSlabBytes = 64 * kLine;
constexpr int kProducerRegisters = 40, kConsumerRegisters = 232;
static_assert((kProducerRegisters + kConsumers * kConsumerRegisters) * kConsumerThreads <= registers_of_block(kThreads));
constexpr int kMaxSharedBytes = 227 * 1024;
static_assert(kTileDepth * 2 == kLine, "a line of a tile along the depth is one line of the swizzle");

enum class Epilogue { plain, bias, gelu, dgelu, sums };

// Shared memory: the ring, the slabs of each consumer, the ones, the barriers. As many stages as there is room for.
template <int W, Epilogue E> struct Layout {
    static constexpr int kTileA = kTileRows * kLine, kStageBytes = (kTileRows + W) * kLine;
    static constexpr int kSlabs = E == Epilogue::sums ? 0 : E == Epilogue::dgelu || W == 192 ? W / kSlabColumns : 2;
    static constexpr int kOnesBytes = E == Epilogue::sums ? 8 * kLine : 0, kBarrierBytes = 1024;
    static constexpr int kStages = (kMaxSharedBytes - kConsumers * kSlabs * kSlabBytes - kOnesBytes - kBarrierBytes) / kStageBytes;
    static constexpr int kSlabsAt = kStages * kStageBytes, kOnesAt = kSlabsAt + kConsumers * kSlabs * kSlabBytes, kBarriersAt = kOnesAt + kOnesBytes;
    static constexpr int kBytes = kBarriersAt + kBarrierBytes;
    static_assert(kStages >= 3, "one stage is multiplied, one is finishing, one arrives");
    static_assert((2 * kStages + kConsumers) * 8 <= kBarrierBytes && kBytes <= kMaxSharedBytes);
};

struct Barriers {
    uint64_t *full, *empty;      // of each stage
    uint64_t* before;            // of each consumer: what goes into GELU' has arrived
};

// The place in the ring, and how often it came round: the parity of its barriers' phase.
template <int Stages> struct RingPosition {
    int stage = 0;
    uint32_t parity = 0;
    __device__ __forceinline__ void advance() {
        if (++stage == Stages) {
            stage = 0;
            parity ^= 1;
        }
    }
};

struct Problem {
    int rows, columns, depth, splits;
    __device__ __forceinline__ int tile_rows() const { return ceil_div(rows, kTileRows); }
    template <int W> __device__ __forceinline__ int units() const { return tile_rows() * ceil_div(columns, W) * splits; }
    template <int W> __device__ __forceinline__ GemmUnit unit(int i) const {
        return gemm_unit(i, tile_rows(), ceil_div(columns, W), ceil_div(depth, kTileDepth), splits);
    }
};

// A tile of an operand: Extent rows (or columns) and 64 depth.
template <bool AlongDepth, int Extent>
__device__ __forceinline__ void load_tile(unsigned char* to, const CUtensorMap* map, uint64_t* full, int first, int depth) {
    if constexpr (AlongDepth) tma_load(to, map, full, depth, first);
    else
#pragma unroll
        for (int i = 0; i < Extent; i += 64) tma_load(to + i * kLine, map, full, first + i, depth);
}

// 16 depth of it, from `step` * 16 on.
template <bool AlongDepth> __device__ __forceinline__ uint64_t operand(shared_addr tile, int step) {
    return AlongDepth ? wgmma_descriptor(tile + step * 32, 16, 8 * kLine) : wgmma_descriptor(tile + step * 16 * kLine, 64 * kLine, 8 * kLine);
}

template <bool AAlongDepth, bool BAlongDepth, int W, Epilogue E>
__device__ __forceinline__ void produce(const CUtensorMap* a, const CUtensorMap* b, const Barriers& barriers, const Problem& problem) {
    using L = Layout<W, E>;
    tma_prefetch(a);
    tma_prefetch(b);
    RingPosition<L::kStages> at;
    for (int i = blockIdx.x; i < problem.units<W>(); i += gridDim.x) {
        const GemmUnit unit = problem.unit<W>(i);
        for (int tile = unit.first; tile < unit.end; tile++, at.advance()) {
            unsigned char* stage = dynamic_shared() + at.stage * L::kStageBytes;
            uint64_t* full = barriers.full + at.stage;
            mbarrier_wait(barriers.empty + at.stage, at.parity ^ 1);     // passes at once in the first round
            mbarrier_arrive_expect(full, L::kStageBytes);
            load_tile<AAlongDepth, kTileRows>(stage, a, full, unit.tile_row * kTileRows, tile * kTileDepth);
            load_tile<BAlongDepth, W>(stage + L::kTileA, b, full, unit.tile_column * W, tile * kTileDepth);
        }
    }
}

// Register i of thread t of the consumer: row t / 32 * 16 + t % 32 / 4 + i / 2 % 2 * 8, column i / 4 * 8 + t % 4 * 2 + i % 2.
// Zeros at first, though the first product of a unit overwrites them: ptxas serialises wgmma on registers that nothing has defined.
template <int W> struct Sums {
    float d[W / 2] = {};
    float bias[4] = {};          // every column the same
};

// The products of one tile of the depth, with the column of ones or without: a branch inside the group would cut it into pieces.
template <bool AAlongDepth, bool BAlongDepth, bool WithBias, int W>
__device__ __forceinline__ void issue_products(Sums<W>& sums, shared_addr a, shared_addr b, shared_addr ones, bool first) {
    wgmma_fence();
#pragma unroll
    for (int step = 0; step < kTileDepth / 16; step++) {
        const bool keep = !first || step > 0;
        wgmma<W, !AAlongDepth, !BAlongDepth>(sums.d, operand<AAlongDepth>(a, step), operand<BAlongDepth>(b, step), keep);
        if constexpr (WithBias) wgmma<8, !AAlongDepth, 0>(sums.bias, operand<AAlongDepth>(a, step), operand<true>(ones, 0), keep);
    }
    wgmma_commit();
}

// The consumer's 64 rows of a unit's tile, summed over its tiles of the depth, at least one. A stage is given back when the products of the next
// one have been issued: then those of its own are done. `meanwhile` is called once, beside the first products.
template <bool AAlongDepth, bool BAlongDepth, int W, Epilogue E, class F>
__device__ __forceinline__ void multiply(Sums<W>& sums, RingPosition<Layout<W, E>::kStages>& at, const Barriers& barriers, int consumer, int tiles,
                                         bool with_bias, F&& meanwhile) {
    using L = Layout<W, E>;
    const shared_addr ring = shared_address(dynamic_shared()), ones = ring + L::kOnesAt;
    const bool first_lane = threadIdx.x % 32 == 0;
    const int own = consumer * 64 * kLine;       // in either way of lying the second 64 rows of A follow the first
    uint64_t* previous = nullptr;
    for (int tile = 0; tile < tiles; tile++, at.advance()) {
        const shared_addr a = ring + at.stage * L::kStageBytes + own, b = ring + at.stage * L::kStageBytes + L::kTileA;
        mbarrier_wait(barriers.full + at.stage, at.parity);
        hold(sums.d);
        hold(sums.bias);
        if (E == Epilogue::sums && with_bias) issue_products<AAlongDepth, BAlongDepth, true>(sums, a, b, ones, tile == 0);
        else issue_products<AAlongDepth, BAlongDepth, false>(sums, a, b, ones, tile == 0);
        if (tile == 0) meanwhile();
        wgmma_wait<1>();
        if (tile > 0 && first_lane) mbarrier_arrive(previous);
        previous = barriers.empty + at.stage;
    }
    wgmma_wait<0>();
    hold(sums.d);
    hold(sums.bias);
    if (first_lane) mbarrier_arrive(previous);
}

// The slabs of one consumer, by their byte in shared memory. A thread writes pairs of columns, 8 j + 2 (t % 4) and the next, of two rows.
template <int Slabs> struct SlabRing {
    int first, consumer, next = 0;

    __device__ __forceinline__ int slab(int i) const { return first + i * kSlabBytes; }
    // Rows 8 apart have the same swizzle.
    static __device__ __forceinline__ shared_addr pair(int slab, int j, int half) {
        const int t = threadIdx.x % kConsumerThreads, row = t / 32 * 16 + t % 32 / 4;
        return chunk_address<kSlabColumns>(shared_address(dynamic_shared()) + slab, row, j) + half * 8 * kLine + t % 4 * 4;
    }
    static __device__ __forceinline__ bool leads() { return threadIdx.x % kConsumerThreads == 0; }

    // Stores a slab that the threads have written. From the barrier on the next one is free: at most the last Slabs - 2 are still being read.
    __device__ __forceinline__ void store(const CUtensorMap* map, int slab, int column, int row) {
        fence_proxy_async();
        if (leads()) tma_store_wait_read<Slabs - 2>();
        bar_sync(1 + consumer, kConsumerThreads);
        if (leads()) {
            tma_store(map, dynamic_shared() + slab, column, row);
            tma_store_commit();
        }
        next = next + 1 == Slabs ? 0 : next + 1;
    }
};

// Calls f(j, half, v0, v1) for the pairs of slab s of the tile.
template <int W, class F> __device__ __forceinline__ void for_each_pair(const Sums<W>& sums, int s, F&& f) {
#pragma unroll
    for (int j = 0; j < 8; j++)
#pragma unroll
        for (int half = 0; half < 2; half++) f(j, half, sums.d[(s * 8 + j) * 4 + half * 2], sums.d[(s * 8 + j) * 4 + half * 2 + 1]);
}

struct Output {
    const CUtensorMap *result, *before;      // before: what goes into the GELU, stored or loaded
    const bf16* bias;                        // or null
};

// Starts to load what the derivative needs, a slab for each 64 columns, once the stores from them are done.
template <int Slabs>
__device__ __forceinline__ void load_before(const SlabRing<Slabs>& slabs, const CUtensorMap* map, uint64_t* arrived, int column, int columns, int row) {
    const int count = min(Slabs, ceil_div(columns - column, kSlabColumns));
    tma_store_wait_read<0>();
    mbarrier_arrive_expect(arrived, count * kSlabBytes);
    for (int s = 0; s < count; s++) tma_load(dynamic_shared() + slabs.slab(s), map, arrived, column + s * kSlabColumns, row);
}

template <int W, Epilogue E, int Slabs>
__device__ __forceinline__ void store_tile(const Sums<W>& sums, SlabRing<Slabs>& slabs, const Output& output, int column, int columns, int row) {
#pragma unroll
    for (int s = 0; s < W / kSlabColumns; s++, column += kSlabColumns) {
        if (column >= columns) break;
        if constexpr (E == Epilogue::dgelu) {
            for_each_pair(sums, s, [&](int j, int half, float v0, float v1) {
                const shared_addr at = slabs.pair(slabs.slab(s), j, half);
                const uint32_t before = load_shared4(at);
                store_shared4(at, pack_bf16(v0 * gelu_derivative(bf16_low(before)), v1 * gelu_derivative(bf16_high(before))));
            });
            slabs.store(output.result, slabs.slab(s), column, row);
        } else {
            float2 b[8];
#pragma unroll
            for (int j = 0; j < 8; j++) {
                const int own = column + j * 8 + threadIdx.x % 4 * 2;
                const uint32_t pair = E != Epilogue::plain && output.bias != nullptr && own < columns ? *(const uint32_t*)(output.bias + own) : 0;
                b[j] = make_float2(bf16_low(pair), bf16_high(pair));
            }
            auto put = [&](const CUtensorMap* map, auto&& function) {
                const int slab = slabs.slab(slabs.next);
                for_each_pair(sums, s, [&](int j, int half, float v0, float v1) {
                    store_shared4(slabs.pair(slab, j, half), pack_bf16(function(v0 + b[j].x), function(v1 + b[j].y)));
                });
                slabs.store(map, slab, column, row);
            };
            if constexpr (E == Epilogue::gelu) {
                put(output.before, [](float v) { return v; });
                put(output.result, [](float v) { return gelu(v); });
            } else put(output.result, [](float v) { return v; });
        }
    }
}

template <bool BAlongDepth, int W, Epilogue E>
__device__ __forceinline__ void consume_rounded(const Output& output, const Barriers& barriers, const Problem& problem, int consumer) {
    using L = Layout<W, E>;
    RingPosition<L::kStages> at;
    SlabRing<L::kSlabs> slabs{L::kSlabsAt + consumer * L::kSlabs * kSlabBytes, consumer};
    uint32_t parity = 0;         // of the unit, for what goes into GELU'
    Sums<W> sums;
    for (int i = blockIdx.x; i < problem.units<W>(); i += gridDim.x, parity ^= 1) {
        const GemmUnit unit = problem.unit<W>(i);
        const int row = unit.tile_row * kTileRows + consumer * 64, column = unit.tile_column * W;
        multiply<true, BAlongDepth, W, E>(sums, at, barriers, consumer, unit.end - unit.first, false, [&] {
            if constexpr (E == Epilogue::dgelu)
                if (slabs.leads()) load_before(slabs, output.before, barriers.before + consumer, column, problem.columns, row);
        });
        if constexpr (E == Epilogue::dgelu) mbarrier_wait(barriers.before + consumer, parity);
        store_tile<W, E>(sums, slabs, output, column, problem.columns, row);
    }
    if (slabs.leads()) tma_store_wait_read<0>();
}

template <int W>
__device__ __forceinline__ void consume_sums(const WeightGradient& total, float* partial, const Barriers& barriers, const Problem& problem, int consumer) {
    constexpr Epilogue E = Epilogue::sums;
    RingPosition<Layout<W, E>::kStages> at;
    const int t = threadIdx.x % kConsumerThreads;
    Sums<W> sums;
    for (int i = blockIdx.x; i < problem.units<W>(); i += gridDim.x) {
        const GemmUnit unit = problem.unit<W>(i);
        const WeightGradient to = of_split(total, partial, problem.rows, unit.split, problem.splits);
        const int row = unit.tile_row * kTileRows + consumer * 64 + t / 32 * 16 + t % 32 / 4, column = unit.tile_column * W + t % 4 * 2;
        const bool with_bias = total.bias != nullptr && unit.tile_column == 0;
        multiply<false, false, W, E>(sums, at, barriers, consumer, unit.end - unit.first, with_bias, [] {});
        if (with_bias && t % 4 == 0) {
            if (row < problem.rows) store_bias_sum(to, row, sums.bias[0]);
            if (row + 8 < problem.rows) store_bias_sum(to, row + 8, sums.bias[2]);
        }
#pragma unroll
        for (int s = 0; s < W / 64; s++)
#pragma unroll
            for (int half = 0; half < 2; half++) {
                float2 pairs[8];
#pragma unroll
                for (int j = 0; j < 8; j++) pairs[j] = make_float2(sums.d[(s * 8 + j) * 4 + half * 2], sums.d[(s * 8 + j) * 4 + half * 2 + 1]);
                store_sums(to, row + half * 8, problem.rows, column + s * 64, pairs);
            }
    }
}

template <bool AAlongDepth, bool BAlongDepth, int W, Epilogue E, class F>
__device__ __forceinline__ void gemm(const CUtensorMap* a, const CUtensorMap* b, const Problem& problem, F&& consume) {
    using L = Layout<W, E>;
    unsigned char* shared = dynamic_shared();
    uint64_t* first = (uint64_t*)(shared + L::kBarriersAt);
    const Barriers barriers{first, first + L::kStages, first + 2 * L::kStages};
    if (threadIdx.x == 0) {
        for (int i = 0; i < L::kStages; i++) {
            mbarrier_init(barriers.full + i, 1);
            mbarrier_init(barriers.empty + i, kConsumers * kConsumerThreads / 32);
        }
        for (int i = 0; i < kConsumers; i++) mbarrier_init(barriers.before + i, 1);
    }
    for (int i = threadIdx.x * 4; i < L::kOnesBytes; i += kThreads * 4) *(uint32_t*)(shared + L::kOnesAt + i) = 0x3f803f80;
    fence_proxy_async();
    __syncthreads();

    const int group = warp_index() / 4;
    if (group == 0) {
        give_registers<kProducerRegisters>();
        if (threadIdx.x == 0) produce<AAlongDepth, BAlongDepth, W, E>(a, b, barriers, problem);
    } else {
        take_registers<kConsumerRegisters>();
        const GemmUnit unit = problem.unit<W>(blockIdx.x);
        if (group == 2) mbarrier_wait(barriers.full + min(L::kStages / 2, unit.end - unit.first - 1), 0);
        consume(barriers, group - 1);
    }
}

template <bool BAlongDepth, int W, Epilogue E>
__device__ __forceinline__ void gemm_rounded(const CUtensorMap* a, const CUtensorMap* b, const Output& output, const Problem& problem) {
    gemm<true, BAlongDepth, W, E>(a, b, problem, [&](const Barriers& barriers, int consumer) {
        consume_rounded<BAlongDepth, W, E>(output, barriers, problem, consumer);
    });
}

#define GEMM_KERNEL(name) extern "C" __global__ void __launch_bounds__(kThreads, 1) name
#define MAP const __grid_constant__ CUtensorMap

// Boxes of the tensor maps, columns x rows, all with the 128-byte swizzle: 64 x 128 for an A and 64 x W for a B along the depth, 64 x 64 for the
// others and for results.
// forward         y (R, N), pre (R, N): overwritten.   x (R, K) is A, weight (N, K) is B, both along the depth. bias (N) or null
// backward input  dx (R, K): overwritten.              dy (R, N) is A, along the depth, weight (N, K) is B, along columns. pre (R, K)
// backward weight dweight (N, K), dbias (N) or null, fp32: += or, without accumulate, overwritten.  dy (R, N) is A, x (R, K) is B
//                 partial (splits, N K + N) fp32: overwritten in their place when there are several splits, at most one for each 64 rows.
#define GEMM_KERNELS(W)                                                                                                                                \
    GEMM_KERNEL(gemm_forward_wgmma_##W)(MAP y, MAP x, MAP weight, const bf16* bias, int rows, int N, int K) {                                         \
        gemm_rounded<true, W, Epilogue::bias>(&x, &weight, {&y, nullptr, bias}, {rows, N, K, 1});                                                      \
    }                                                                                                                                                  \
    GEMM_KERNEL(gemm_forward_gelu_wgmma_##W)(MAP y, MAP pre, MAP x, MAP weight, const bf16* bias, int rows, int N, int K) {                           \
        gemm_rounded<true, W, Epilogue::gelu>(&x, &weight, {&y, &pre, bias}, {rows, N, K, 1});                                                         \
    }                                                                                                                                                  \
    GEMM_KERNEL(gemm_backward_input_wgmma_##W)(MAP dx, MAP dy, MAP weight, int rows, int N, int K) {                                                  \
        gemm_rounded<false, W, Epilogue::plain>(&dy, &weight, {&dx, nullptr, nullptr}, {rows, K, N, 1});                                               \
    }                                                                                                                                                  \
    GEMM_KERNEL(gemm_backward_input_dgelu_wgmma_##W)(MAP dx, MAP dy, MAP weight, MAP pre, int rows, int N, int K) {                                   \
        gemm_rounded<false, W, Epilogue::dgelu>(&dy, &weight, {&dx, &pre, nullptr}, {rows, K, N, 1});                                                  \
    }                                                                                                                                                  \
    GEMM_KERNEL(gemm_backward_weight_wgmma_##W)(float* dweight, float* dbias, float* partial, MAP dy, MAP x, int rows, int N, int K, int splits,      \
                                                int accumulate) {                                                                                     \
        const Problem problem{N, K, rows, splits};                                                                                                     \
        const WeightGradient total{dweight, dbias, K, accumulate != 0};                                                                                \
        gemm<false, false, W, Epilogue::sums>(&dy, &x, problem, [&](const Barriers& barriers, int consumer) {                                          \
            consume_sums<W>(total, partial, barriers, problem, consumer);                                                                              \
        });                                                                                                                                            \
    }
GEMM_KERNELS(128)
GEMM_KERNELS(192)
GEMM_KERNELS(256)
