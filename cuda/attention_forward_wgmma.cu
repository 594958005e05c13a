// attention_forward_wgmma.cu - the forward pass of attention.cuh for sm_90a. O and lse.
//
// A warpgroup owns 64 queries, S (64 x 64) and O in its registers, and does one thing after the other: S = Q K^T, softmax, O += P V with P from
// its registers. One warp of the block brings keys and values by TMA, several tiles ahead. What one warpgroup leaves idle, the tensor cores
// during its softmax and the special function unit during its products, the others use: four of them fit on a multiprocessor with HS = 64
// (two blocks, which also cover each other's beginning and end), three with HS = 128 (Shah et al. 2024 make two warpgroups take turns by barriers;
// here there are enough of them to need none). The warpgroups of a block share its keys and values.
//
//   kernel                          block   grid (x, y, z)           shared bytes   registers
//   attention_forward_wgmma_hs64    288     ceil(T / 128), NH, B     82056          2 blocks on a multiprocessor
//   attention_forward_wgmma_hs128   416     ceil(T / 192), NH, B     180360         1 block on a multiprocessor
//   bytes: 8 B T NH HS + 4 B NH T; each block reads the keys and values that it sees, after the first of a head from L2
//   FLOPs: 4 HS for each pair of query and key that is computed: half of T^2, and T times half of a tile's keys
//
// What it should cost for B = 64, NH = 12, T = 1024, HS = 64 on an H200, counted and not measured. A tile of 64 x 64 takes a multiprocessor 256
// clocks of its tensor cores (4096 FLOP/clock), 256 of its special function units (16 exp2/clock), about 230 of the issue slots of each quarter,
// and there are 791 tiles for each: at 1.8 GHz 0.11 ms if all three overlapped wholly, 0.33 ms if they did not at all. The target of 280 TFLOP/s
// for the causal half is 0.37 ms. Blocks of two tiles read 0.9 GB of keys and values from L2.
#include "attention_wgmma.cuh"

template <int HS> struct ForwardBlock;
template <> struct ForwardBlock<64> { static constexpr int kConsumers = 2, kSlots = 8, kBlocks = 2; };
template <> struct ForwardBlock<128> { static constexpr int kConsumers = 3, kSlots = 8, kBlocks = 1; };
template <int HS> constexpr int kThreads = ForwardBlock<HS>::kConsumers * 128 + 32;

// A row's maximum is the shift of its exponents, nothing more: an old one will do until probabilities exceed 2^kSlack. So O is scaled in the first
// few tiles and rarely afterwards.
constexpr float kSlack = 8.f;

// The softmax of one tile of scores, which becomes P relative to row_max. In powers of two: factor is scale log2(e). Register i is of the
// lane's first row for i / 2 even and of its second for odd; a row lies in 4 lanes; row_sum is this lane's part.
template <int HS>
__device__ __forceinline__ void softmax_tile(float (&s)[32], float (&o)[HS / 2], float (&row_max)[2], float (&row_sum)[2], float factor) {
    float m[2] = {-kInfinity, -kInfinity};
#pragma unroll
    for (int i = 0; i < 32; i += 2) m[i / 2 % 2] = fmaxf(m[i / 2 % 2], fmaxf(s[i], s[i + 1]));
#pragma unroll
    for (int half = 0; half < 2; half++) {
        m[half] = fmaxf(m[half], __shfl_xor_sync(kFullWarp, m[half], 1));
        m[half] = fmaxf(m[half], __shfl_xor_sync(kFullWarp, m[half], 2)) * factor;
    }
    // Finite: the first tile has key 0, which every query sees. So the first correction is exp2(-inf) = 0 and inf - inf cannot occur.
    if (__any_sync(kFullWarp, m[0] > row_max[0] + kSlack || m[1] > row_max[1] + kSlack)) {
        float correction[2];
#pragma unroll
        for (int half = 0; half < 2; half++) {
            m[half] = fmaxf(m[half], row_max[half]);
            correction[half] = exp2_approx(row_max[half] - m[half]);
            row_max[half] = m[half];
            row_sum[half] *= correction[half];
        }
#pragma unroll
        for (int i = 0; i < HS / 2; i++) o[i] *= correction[i / 2 % 2];
    }
#pragma unroll
    for (int i = 0; i < 32; i += 2) {
        s[i] = exp2_approx(fmaf(s[i], factor, -row_max[i / 2 % 2]));
        s[i + 1] = exp2_approx(fmaf(s[i + 1], factor, -row_max[i / 2 % 2]));
        row_sum[i / 2 % 2] += s[i] + s[i + 1];
    }
}

template <int HS>
__device__ __forceinline__ void attention_forward(const CUtensorMap* qkv, const CUtensorMap* out, float* lse, int T, int NH, float scale) {
    using C = ForwardBlock<HS>;
    constexpr int kSlots = C::kSlots;
    static_assert(2 * C::kConsumers <= kSlots);
    unsigned char* q_tiles = dynamic_shared();
    unsigned char* buffers = q_tiles + C::kConsumers * kTileBytes<HS>;
    uint64_t* barriers = (uint64_t*)(buffers + kSlots * kTileBytes<HS>);
    uint64_t* q_full = barriers + 2 * kSlots;
    const Ring<kSlots> ring{buffers, kTileBytes<HS>, barriers, barriers + kSlots};   // K, V, K, V, ...

    const int warp = warp_index(), head = blockIdx.y, batch = blockIdx.z;
    // Tiles of queries, one for each warpgroup, from the end: the long blocks start first, and if the last one lacks tiles, they are those before
    // the beginning, in the shortest. The blocks of a head are neighbours, for L2.
    const int first = (T + kRows - 1) / kRows - C::kConsumers * (blockIdx.x + 1), tiles = first + C::kConsumers;
    // A warpgroup releases no keys that only later queries see, and none at all if it has no queries: no other tiles follow in their slots.
    const int working = min(C::kConsumers, tiles);
    if (threadIdx.x == 0) {
        ring.initialise(C::kConsumers * 4);
        mbarrier_init(q_full, 1);
        fence_proxy_async();
    }
    __syncthreads();

    if (warp == C::kConsumers * 4) {
        if (elect_one()) {
            mbarrier_arrive_expect(q_full, working * kTileBytes<HS>);
            for (int w = C::kConsumers - working; w < C::kConsumers; w++)
                load_tile<HS>(q_tiles + w * kTileBytes<HS>, qkv, q_full, head * HS, (first + w) * kRows, batch);
            for (int i = 0; i < 2 * tiles; i++) {
                ring.wait_empty(i);
                ring.expect(i, kTileBytes<HS>);
                load_tile<HS>(ring.buffer(i), qkv, &ring.full[i % kSlots], ((1 + i % 2) * NH + head) * HS, i / 2 * kRows, batch);
            }
        }
        return;
    }

    const int group = warp / 4, own = first + group, lane = threadIdx.x % 32, row = warp % 4 * 16 + lane / 4;
    if (own < 0) return;
    unsigned char* q_tile = q_tiles + group * kTileBytes<HS>;
    float s[32], o[HS / 2], row_max[2] = {-kInfinity, -kInfinity}, row_sum[2] = {0.f, 0.f};
#pragma unroll
    for (int i = 0; i < HS / 2; i++) o[i] = 0.f;

    mbarrier_wait(q_full, 0);
    for (int tile = 0; tile <= own; tile++) {
        ring.wait_full(2 * tile);
        wgmma_fence();
        multiply_rows<HS>(s, shared_address(q_tile), shared_address(ring.buffer(2 * tile)));
        wgmma_commit();
        wgmma_wait<0>();
        hold(s);
        ring.release(2 * tile);

        if (tile == own) {   // the diagonal
#pragma unroll
            for (int i = 0; i < 32; i++)
                if (i / 4 * 8 + lane % 4 * 2 + i % 2 > row + i / 2 % 2 * 8) s[i] = -kInfinity;
        }
        softmax_tile<HS>(s, o, row_max, row_sum, scale * kLog2e);

        uint32_t p[4][4];
        round_to_a(p, s);
        ring.wait_full(2 * tile + 1);
        hold(p);
        hold(o);
        wgmma_fence();
        add_weighted_rows<HS>(o, p, shared_address(ring.buffer(2 * tile + 1)));
        wgmma_commit();
        wgmma_wait<0>();
        hold(o);
        ring.release(2 * tile + 1);
    }

    float inverse[2];
#pragma unroll
    for (int half = 0; half < 2; half++) {
        float sum = row_sum[half];
        sum += __shfl_xor_sync(kFullWarp, sum, 1);
        sum += __shfl_xor_sync(kFullWarp, sum, 2);
        inverse[half] = reciprocal_approx(sum);
        const int query = own * kRows + row + half * 8;
        if (lane % 4 == 0 && query < T) lse[(size_t)(batch * NH + head) * T + query] = row_max[half] * kLn2 + logf(sum);
    }
    store_tile<HS>(out, q_tile, 1 + group, head * HS, own * kRows, batch, o, inverse);
    if (threadIdx.x % 128 == 0) tma_store_wait_read<0>();
}

// out, a map of (B, T, NH HS), and lse (B, NH, T): overwritten.   qkv, a map of (B, T, 3 NH HS).   Boxes of 64 rows x 64 columns
#define ATTENTION_FORWARD(HS)                                                                                                                    \
    extern "C" __global__ void __launch_bounds__(kThreads<HS>, ForwardBlock<HS>::kBlocks) attention_forward_wgmma_hs##HS(                        \
        const __grid_constant__ CUtensorMap qkv, const __grid_constant__ CUtensorMap out, float* lse, int T, int NH, float scale) {              \
        attention_forward<HS>(&qkv, &out, lse, T, NH, scale);                                                                                    \
    }
ATTENTION_FORWARD(64)
ATTENTION_FORWARD(128)
