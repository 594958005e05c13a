// attention_backward_wgmma.cu - the backward pass of attention.cuh for sm_90a, after attention_backward_stats: dK and dV, and dQ.
//
// As in attention_backward_mma.cu, with warpgroups that own 64 rows: keys, with scores computed transposed, S^T = K Q^T and dP^T = V dO^T, for
// dK and dV; queries for dQ. Both operands of S and dP lie in shared memory; P and dS go from the accumulators into the A operand of the last
// products. One warp brings the tiles of the other side by TMA, several ahead, and the queries' stats with them. Its warpgroup gives its registers
// to the others. What one warpgroup leaves idle during its exponentials, the others use. The two kernels write different parts of dqkv, in any
// order or at once.
//
//   kernel                              block   grid (x, y, z)           shared bytes   registers: consumers, producer
//   attention_backward_kv_wgmma_hs64    512     ceil(T / 192), NH, B     116808         160, 32
//   attention_backward_kv_wgmma_hs128   384     ceil(T / 128), NH, B     198728         240, 24
//   attention_backward_q_wgmma_hs64     512     ceil(T / 192), NH, B     114760         160, 32
//   attention_backward_q_wgmma_hs128    512     ceil(T / 192), NH, B     229448         160, 32
//   bytes: kv 12 B T NH HS, q 10 B T NH HS, and 8 B NH padded T of stats each; each block reads its part of the other side, mostly from L2
//   FLOPs: 8 HS (kv) and 6 HS (q) for each pair of query and key that is computed: half of T^2, and T times half of a tile
//
// What it should cost for B = 64, NH = 12, T = 1024, HS = 64 on an H200, counted and not measured. A tile of 64 x 64 takes a multiprocessor 512
// clocks of its tensor cores for kv and 384 for q, 256 of its special function units and about 300 of the issue slots of each quarter; its shared
// memory 550 (kv: operands 384, stats 128, copies 43) and 360. There are 791 tiles for each: at 1.8 GHz 0.24 ms and 0.17 ms, if what limits most
// never waited. Blocks of three tiles finish apart (51 steps where 45 would do), and 35 of them for each multiprocessor begin and end alone, about
// 2 us each. With the rest half to two thirds busy: 0.9 to 1.1 ms, stats included, where the target of 200 TFLOP/s for the causal half of five
// products is 1.29 ms. A sum of dQ in memory instead of the second kernel would save a third of the products, and would have to add 0.9 GB of
// fp32 in an order that does not depend on the device.
#include "attention_wgmma.cuh"

// kConsumers: warpgroups with rows of their own, as many as have their accumulators in the multiprocessor's registers. kRegisters: of each of
// their threads, and of the producer's.
template <int HS> struct KvBlock;
template <> struct KvBlock<64> { static constexpr int kConsumers = 3, kRegisters = 160, kProducerRegisters = 32; };
template <> struct KvBlock<128> { static constexpr int kConsumers = 2, kRegisters = 240, kProducerRegisters = 24; };
template <int HS> struct QBlock { static constexpr int kConsumers = 3, kRegisters = 160, kProducerRegisters = 32; };
template <class C> constexpr int kThreads = (C::kConsumers + 1) * 128;
template <class C> constexpr bool kRegistersSuffice = (C::kConsumers * C::kRegisters + C::kProducerRegisters) * 128 <= registers_of_block(kThreads<C>);
static_assert(kRegistersSuffice<KvBlock<64>> && kRegistersSuffice<KvBlock<128>> && kRegistersSuffice<QBlock<64>>);
constexpr int kSlots = 4;   // of the ring: a tile of the other side takes a block longer than memory takes to bring it

// The block's tiles of keys, and all tiles of queries from the first that sees one of them.
template <int HS>
__device__ __forceinline__ void attention_backward_kv(const CUtensorMap* qkv, const CUtensorMap* dout, const CUtensorMap* dqkv, const float2* stats, int T,
                                                      int NH, float scale) {
    using C = KvBlock<HS>;
    constexpr int kConsumers = C::kConsumers, kStatsBytes = kRows * 8;
    static_assert(kConsumers <= kSlots);
    unsigned char *k_tiles = dynamic_shared(), *v_tiles = k_tiles + kConsumers * kTileBytes<HS>, *buffers = v_tiles + kConsumers * kTileBytes<HS>;
    unsigned char* stats_buffers = buffers + kSlots * 2 * kTileBytes<HS>;
    uint64_t* barriers = (uint64_t*)(stats_buffers + kSlots * kStatsBytes);
    uint64_t* kv_full = barriers + 2 * kSlots;
    const Ring<kSlots> ring{buffers, 2 * kTileBytes<HS>, barriers, barriers + kSlots};   // Q and dO of a tile of queries

    const int group = warp_index() / 4, head = blockIdx.y, batch = blockIdx.z;
    // Early keys are seen by more queries: they start first. Of the last block's warpgroups some may have no keys: its tiles fill no slot twice.
    const int first = blockIdx.x * kConsumers, end = (T + kRows - 1) / kRows, working = min(kConsumers, end - first);
    if (threadIdx.x == 0) {
        ring.initialise(kConsumers * 4);
        mbarrier_init(kv_full, 1);
        fence_proxy_async();
    }
    __syncthreads();

    if (group == kConsumers) {
        give_registers<C::kProducerRegisters>();
        if (warp_index() % 4 == 0 && elect_one()) {
            mbarrier_arrive_expect(kv_full, 2 * working * kTileBytes<HS>);
            for (int w = 0; w < working; w++) {
                load_tile<HS>(k_tiles + w * kTileBytes<HS>, qkv, kv_full, (NH + head) * HS, (first + w) * kRows, batch);
                load_tile<HS>(v_tiles + w * kTileBytes<HS>, qkv, kv_full, (2 * NH + head) * HS, (first + w) * kRows, batch);
            }
            const float2* head_stats = stats + (size_t)(batch * NH + head) * padded_rows(T);
            for (int i = 0; i < end - first; i++) {
                const int query0 = (first + i) * kRows, slot = i % kSlots;
                ring.wait_empty(i);
                ring.expect(i, 2 * kTileBytes<HS> + kStatsBytes);
                load_tile<HS>(ring.buffer(i), qkv, &ring.full[slot], head * HS, query0, batch);
                load_tile<HS>(ring.buffer(i) + kTileBytes<HS>, dout, &ring.full[slot], head * HS, query0, batch);
                bulk_load(stats_buffers + slot * kStatsBytes, head_stats + query0, kStatsBytes, &ring.full[slot]);
            }
        }
        return;
    }
    take_registers<C::kRegisters>();
    if (group >= working) return;

    const int lane = threadIdx.x % 32, row = threadIdx.x / 32 % 4 * 16 + lane / 4, own = first + group;
    const shared_addr k_tile = shared_address(k_tiles + group * kTileBytes<HS>), v_tile = shared_address(v_tiles + group * kTileBytes<HS>);
    const float factor = scale * kLog2e;
    float dk[HS / 2], dv[HS / 2];
#pragma unroll
    for (int i = 0; i < HS / 2; i++) dk[i] = dv[i] = 0.f;

    mbarrier_wait(kv_full, 0);
    for (int i = 0; i < end - first; i++) {
        ring.wait_full(i);
        if (first + i < own) {   // queries that see none of this warpgroup's keys
            ring.release(i);
            continue;
        }
        const shared_addr q_tile = shared_address(ring.buffer(i)), g_tile = q_tile + kTileBytes<HS>;
        const shared_addr lane_stats = shared_address(stats_buffers + i % kSlots * kStatsBytes) + lane % 4 * 16;   // of columns 2 (lane % 4) and the next
        float s[32], dp[32];   // transposed: rows are keys
        wgmma_fence();
        multiply_rows<HS>(s, k_tile, q_tile);
        wgmma_commit();
        multiply_rows<HS>(dp, v_tile, g_tile);
        wgmma_commit();
        wgmma_wait<1>();
        hold(s);
        if (first + i == own) {   // the diagonal
#pragma unroll
            for (int e = 0; e < 32; e++)
                if (row + e / 2 % 2 * 8 > e / 4 * 8 + lane % 4 * 2 + e % 2) s[e] = -kInfinity;
        }
#pragma unroll
        for (int n = 0; n < 8; n++) {
            const uint4 two = load_shared16(lane_stats + n * 64);
#pragma unroll
            for (int e = 4 * n; e < 4 * n + 4; e++) s[e] = exp2_approx(fmaf(s[e], factor, -__uint_as_float(e % 2 ? two.z : two.x)));
        }
        uint32_t p[4][4], ds[4][4];
        round_to_a(p, s);
        wgmma_wait<0>();
        hold(dp);
#pragma unroll
        for (int n = 0; n < 8; n++) {
            const uint4 two = load_shared16(lane_stats + n * 64);
#pragma unroll
            for (int e = 4 * n; e < 4 * n + 4; e++) dp[e] = s[e] * (dp[e] - __uint_as_float(e % 2 ? two.w : two.y));
        }
        round_to_a(ds, dp);
        hold(p);
        hold(ds);
        hold(dv);
        hold(dk);
        wgmma_fence();
        add_weighted_rows<HS>(dv, p, g_tile);
        add_weighted_rows<HS>(dk, ds, q_tile);
        wgmma_commit();
        wgmma_wait<0>();
        hold(dv);
        hold(dk);
        fence_proxy_async();   // the next copy overwrites the stats, which all lanes have read
        __syncwarp();
        ring.release(i);
    }

    const float one[2] = {1.f, 1.f}, scales[2] = {scale, scale};
    store_tile<HS>(dqkv, k_tiles + group * kTileBytes<HS>, 1 + group, (NH + head) * HS, own * kRows, batch, dk, scales);
    store_tile<HS>(dqkv, v_tiles + group * kTileBytes<HS>, 1 + group, (2 * NH + head) * HS, own * kRows, batch, dv, one);
    if (threadIdx.x % 128 == 0) tma_store_wait_read<0>();
}

// The block's tiles of queries, and all tiles of keys to the last that one of them sees.
template <int HS>
__device__ __forceinline__ void attention_backward_q(const CUtensorMap* qkv, const CUtensorMap* dout, const CUtensorMap* dqkv, const float2* stats, int T,
                                                     int NH, float scale) {
    using C = QBlock<HS>;
    constexpr int kConsumers = C::kConsumers;
    static_assert(kConsumers <= kSlots);
    unsigned char *q_tiles = dynamic_shared(), *g_tiles = q_tiles + kConsumers * kTileBytes<HS>, *buffers = g_tiles + kConsumers * kTileBytes<HS>;
    uint64_t* barriers = (uint64_t*)(buffers + kSlots * 2 * kTileBytes<HS>);
    uint64_t* q_full = barriers + 2 * kSlots;
    const Ring<kSlots> ring{buffers, 2 * kTileBytes<HS>, barriers, barriers + kSlots};   // K and V of a tile of keys

    const int group = warp_index() / 4, head = blockIdx.y, batch = blockIdx.z;
    // From the end, as in the forward pass: the long blocks start first, and tiles before the beginning are missing in the shortest. And as there a
    // warpgroup releases no keys that it does not see.
    const int first = (T + kRows - 1) / kRows - kConsumers * (blockIdx.x + 1), tiles = first + kConsumers, working = min(kConsumers, tiles);
    if (threadIdx.x == 0) {
        ring.initialise(kConsumers * 4);
        mbarrier_init(q_full, 1);
        fence_proxy_async();
    }
    __syncthreads();

    if (group == kConsumers) {
        give_registers<C::kProducerRegisters>();
        if (warp_index() % 4 == 0 && elect_one()) {
            mbarrier_arrive_expect(q_full, 2 * working * kTileBytes<HS>);
            for (int w = kConsumers - working; w < kConsumers; w++) {
                load_tile<HS>(q_tiles + w * kTileBytes<HS>, qkv, q_full, head * HS, (first + w) * kRows, batch);
                load_tile<HS>(g_tiles + w * kTileBytes<HS>, dout, q_full, head * HS, (first + w) * kRows, batch);
            }
            for (int i = 0; i < tiles; i++) {
                ring.wait_empty(i);
                ring.expect(i, 2 * kTileBytes<HS>);
                load_tile<HS>(ring.buffer(i), qkv, &ring.full[i % kSlots], (NH + head) * HS, i * kRows, batch);
                load_tile<HS>(ring.buffer(i) + kTileBytes<HS>, qkv, &ring.full[i % kSlots], (2 * NH + head) * HS, i * kRows, batch);
            }
        }
        return;
    }
    take_registers<C::kRegisters>();
    const int lane = threadIdx.x % 32, row = threadIdx.x / 32 % 4 * 16 + lane / 4, own = first + group;
    if (own < 0) return;

    const shared_addr q_tile = shared_address(q_tiles + group * kTileBytes<HS>), g_tile = shared_address(g_tiles + group * kTileBytes<HS>);
    const float factor = scale * kLog2e;
    float row_lse[2], row_d[2], dq[HS / 2];
#pragma unroll
    for (int half = 0; half < 2; half++) {   // inside the padding even past T
        const uint2 v = load8(stats + (size_t)(batch * NH + head) * padded_rows(T) + own * kRows + row + half * 8);
        row_lse[half] = __uint_as_float(v.x);
        row_d[half] = __uint_as_float(v.y);
    }
#pragma unroll
    for (int i = 0; i < HS / 2; i++) dq[i] = 0.f;

    mbarrier_wait(q_full, 0);
    for (int i = 0; i <= own; i++) {
        ring.wait_full(i);
        const shared_addr k_tile = shared_address(ring.buffer(i)), v_tile = k_tile + kTileBytes<HS>;
        float s[32], dp[32];
        wgmma_fence();
        multiply_rows<HS>(s, q_tile, k_tile);
        wgmma_commit();
        multiply_rows<HS>(dp, g_tile, v_tile);
        wgmma_commit();
        wgmma_wait<1>();
        hold(s);
        if (i == own) {   // the diagonal
#pragma unroll
            for (int e = 0; e < 32; e++)
                if (e / 4 * 8 + lane % 4 * 2 + e % 2 > row + e / 2 % 2 * 8) s[e] = -kInfinity;
        }
#pragma unroll
        for (int e = 0; e < 32; e++) s[e] = exp2_approx(fmaf(s[e], factor, -row_lse[e / 2 % 2]));
        wgmma_wait<0>();
        hold(dp);
#pragma unroll
        for (int e = 0; e < 32; e++) dp[e] = s[e] * (dp[e] - row_d[e / 2 % 2]);
        uint32_t ds[4][4];
        round_to_a(ds, dp);
        hold(ds);
        hold(dq);
        wgmma_fence();
        add_weighted_rows<HS>(dq, ds, k_tile);
        wgmma_commit();
        wgmma_wait<0>();
        hold(dq);
        ring.release(i);
    }

    const float scales[2] = {scale, scale};
    store_tile<HS>(dqkv, q_tiles + group * kTileBytes<HS>, 1 + group, head * HS, own * kRows, batch, dq, scales);
    if (threadIdx.x % 128 == 0) tma_store_wait_read<0>();
}

// The parts k and v, or q, of dqkv, a map of (B, T, 3 NH HS): overwritten.   qkv, a map of the same shape, dout, a map of (B, T, NH HS),
// stats (B, NH, padded T).   Boxes of 64 rows x 64 columns
#define ATTENTION_BACKWARD(PART, HS, BLOCK)                                                                                                      \
    extern "C" __global__ void __launch_bounds__(kThreads<BLOCK<HS>>, 1) attention_backward_##PART##_wgmma_hs##HS(                               \
        const __grid_constant__ CUtensorMap qkv, const __grid_constant__ CUtensorMap dout, const __grid_constant__ CUtensorMap dqkv,             \
        const float2* stats, int T, int NH, float scale) {                                                                                       \
        attention_backward_##PART<HS>(&qkv, &dout, &dqkv, stats, T, NH, scale);                                                                  \
    }
ATTENTION_BACKWARD(kv, 64, KvBlock)
ATTENTION_BACKWARD(kv, 128, KvBlock)
ATTENTION_BACKWARD(q, 64, QBlock)
ATTENTION_BACKWARD(q, 128, QBlock)
