// attention_backward_mma.cu - the backward pass of attention.cuh for sm_80 and later, after attention_backward_stats: dK and dV, and dQ.
//
// As in the forward pass a warp owns rows of the output, and what one product leaves in the accumulators is the A operand of the next. For dK
// and dV the rows are keys, so the scores are computed transposed: S^T = K Q^T and dP^T = V dO^T. A warp keeps its rows of both A operands and
// its sums in registers, and takes the other side in slices of 16 rows: P and dS of a slice are all that it has besides. The two kernels write
// different parts of dqkv, in any order or at once.
//
//   kernel                          block   grid (x, y, z)            shared bytes   registers
//   attention_backward_kv_hs64      128     ceil(T / 128), NH, B      66560          2 blocks on a multiprocessor
//   attention_backward_kv_hs128     128     ceil(T / 64), NH, B       66048          2 blocks on a multiprocessor
//   attention_backward_q_hs64       128     ceil(T / 128), NH, B      65536          2 blocks on a multiprocessor
//   attention_backward_q_hs128      128     ceil(T / 64), NH, B       65536          2 blocks on a multiprocessor
//   bytes: kv 12 B T NH HS, q 10 B T NH HS, and 8 B NH padded T of stats each; each block reads its part of the other side, mostly from L2
//   FLOPs: 8 HS (kv) and 6 HS (q) for each pair of query and key that is computed: half of T^2, and T times half of a warp's rows
#include "attention_mma.cuh"

template <int HS> struct BackwardTiles;
template <> struct BackwardTiles<64> : Tiles<2, 64> {};
template <> struct BackwardTiles<128> : Tiles<1, 32> {};

// The block's keys, and first tile of queries that sees one of them, to the last.
template <int HS>
__device__ __forceinline__ void attention_backward_kv(bf16* dqkv, const bf16* qkv, const bf16* dout, const float2* stats, int T, int NH, float scale) {
    using C = BackwardTiles<HS>;
    constexpr int kRowTiles = C::kRowTiles, kQueries = C::kColumns, kTileBytes = kQueries * HS * 2, kBufferBytes = 2 * kTileBytes + kQueries * 8;
    static_assert(kBufferBytes % 256 == 0, "a tile starts at a multiple of 256 bytes");
    const shared_addr k_tile = shared_address(dynamic_shared()), v_tile = k_tile + C::kBlockRows * HS * 2;
    const shared_addr buffers = v_tile + C::kBlockRows * HS * 2;   // twice: Q, dO, stats

    const int lane = threadIdx.x % 32, warp = warp_index(), head = blockIdx.y, batch = blockIdx.z;
    const int key0 = blockIdx.x * C::kBlockRows, warp_key0 = key0 + warp * C::kWarpRows;   // early keys are seen by more queries: they start first
    const int stride = 3 * NH * HS, out_stride = NH * HS, first_tile = key0 / kQueries, end_tile = (T + kQueries - 1) / kQueries;
    const size_t head_at = (size_t)batch * T * stride + head * HS;
    const bf16 *q = qkv + head_at, *g = dout + (size_t)batch * T * out_stride + head * HS;
    const float2* head_stats = stats + (size_t)(batch * NH + head) * padded_rows(T);

    auto load_queries = [&](int tile) {
        const shared_addr buffer = buffers + tile % 2 * kBufferBytes;
        load_rows<HS, kQueries>(buffer, q, stride, tile * kQueries, T, qkv);
        load_rows<HS, kQueries>(buffer + kTileBytes, g, out_stride, tile * kQueries, T, qkv);
        if (threadIdx.x < kQueries)   // whole warps
            cp_async8(buffer + 2 * kTileBytes + threadIdx.x * 8, head_stats + opaque(tile * kQueries + (int)threadIdx.x));
        cp_async_commit();
    };
    load_rows<HS, C::kBlockRows>(k_tile, q + NH * HS, stride, key0, T, qkv);
    load_rows<HS, C::kBlockRows>(v_tile, q + 2 * NH * HS, stride, key0, T, qkv);
    load_queries(first_tile);
    cp_async_wait<0>();
    __syncthreads();

    uint32_t k_operand[kRowTiles][HS / 16][4], v_operand[kRowTiles][HS / 16][4];
    float dk[kRowTiles][HS / 8][4], dv[kRowTiles][HS / 8][4];
#pragma unroll
    for (int r = 0; r < kRowTiles; r++) {
        set_zero(dk[r]);
        set_zero(dv[r]);
#pragma unroll
        for (int c = 0; c < HS / 16; c++) {
            ldmatrix_x4(k_operand[r][c], block_address<HS>(lane_down_first<HS>(k_tile), (warp * kRowTiles + r) * 16, c));
            ldmatrix_x4(v_operand[r][c], block_address<HS>(lane_down_first<HS>(v_tile), (warp * kRowTiles + r) * 16, c));
        }
    }
    const float factor = scale * kLog2e;

    for (int tile = first_tile;; tile++) {
        const bool more = tile + 1 < end_tile;
        if (more) load_queries(tile + 1);
        const shared_addr q_tile = buffers + tile % 2 * kBufferBytes, stats_tile = q_tile + 2 * kTileBytes;   // dO follows Q: its rows count from kQueries

#pragma unroll 1
        for (int slice = 0; slice < kQueries / 16; slice++) {
            const int query0 = tile * kQueries + slice * 16;
            if (query0 + 15 < warp_key0 || query0 >= T) continue;   // all masked, or past the end
            // Opaque for the same reason as in load_rows.
            const shared_addr across = opaque(lane_across_first<HS>(q_tile + slice * 16 * HS * 2));

            float s[kRowTiles][2][4], dp[kRowTiles][2][4];   // transposed: rows are keys
#pragma unroll
            for (int r = 0; r < kRowTiles; r++) {
                set_zero(s[r]);
                set_zero(dp[r]);
            }
#pragma unroll
            for (int c = 0; c < HS / 16; c++) {
                uint32_t bq[4], bg[4];
                ldmatrix_x4(bq, block_address<HS>(across, 0, c));
                ldmatrix_x4(bg, block_address<HS>(across, kQueries, c));
#pragma unroll
                for (int r = 0; r < kRowTiles; r++) {
                    mma_m16n8k16(s[r][0], k_operand[r][c], bq[0], bq[1]);
                    mma_m16n8k16(s[r][1], k_operand[r][c], bq[2], bq[3]);
                    mma_m16n8k16(dp[r][0], v_operand[r][c], bg[0], bg[1]);
                    mma_m16n8k16(dp[r][1], v_operand[r][c], bg[2], bg[3]);
                }
            }

            if (query0 < warp_key0 + C::kWarpRows - 1) {   // some key is in some query's future
                const int ahead = warp_key0 + lane / 4 - query0 - lane % 4 * 2;   // key - query of the lane's first element
#pragma unroll
                for (int r = 0; r < kRowTiles; r++)
#pragma unroll
                    for (int n = 0; n < 2; n++)
#pragma unroll
                        for (int e = 0; e < 4; e++)
                            if (ahead + r * 16 + e / 2 * 8 > n * 8 + e % 2) s[r][n][e] = -kInfinity;
            }

            // Columns are queries: a lane needs lse and D of columns 2 (lane % 4) and the next, 16 bytes. Read only now: 8 registers less above.
            uint32_t p[kRowTiles][4], ds[kRowTiles][4];
#pragma unroll
            for (int n = 0; n < 2; n++) {
                const uint4 two = load_shared16(stats_tile + (slice * 16 + n * 8 + lane % 4 * 2) * 8);
                const float column_lse[2] = {__uint_as_float(two.x), __uint_as_float(two.z)}, column_d[2] = {__uint_as_float(two.y), __uint_as_float(two.w)};
#pragma unroll
                for (int r = 0; r < kRowTiles; r++)
#pragma unroll
                    for (int e = 0; e < 4; e++) {
                        s[r][n][e] = exp2_approx(fmaf(s[r][n][e], factor, -column_lse[e % 2]));
                        dp[r][n][e] = s[r][n][e] * (dp[r][n][e] - column_d[e % 2]);
                    }
            }
#pragma unroll
            for (int r = 0; r < kRowTiles; r++) {
                accumulators_to_a(p[r], s[r][0], s[r][1]);
                accumulators_to_a(ds[r], dp[r][0], dp[r][1]);
            }
            // Computed only now: kept across the products above, it would be spilled.
            const shared_addr down = lane_down_first<HS>(q_tile + slice * 16 * HS * 2);
#pragma unroll
            for (int n = 0; n < HS / 16; n++) {
                uint32_t bq[4], bg[4];
                ldmatrix_x4_trans(bg, block_address<HS>(down, kQueries, n));
                ldmatrix_x4_trans(bq, block_address<HS>(down, 0, n));
#pragma unroll
                for (int r = 0; r < kRowTiles; r++) {
                    mma_m16n8k16(dv[r][2 * n], p[r], bg[0], bg[1]);
                    mma_m16n8k16(dv[r][2 * n + 1], p[r], bg[2], bg[3]);
                    mma_m16n8k16(dk[r][2 * n], ds[r], bq[0], bq[1]);
                    mma_m16n8k16(dk[r][2 * n + 1], ds[r], bq[2], bq[3]);
                }
            }
        }
        if (!more) break;
        cp_async_wait<0>();   // this thread's part of the next tile is there
        __syncthreads();      // everybody's is, and nobody reads this one any more
    }

    float one[kRowTiles][2], scales[kRowTiles][2];
#pragma unroll
    for (int r = 0; r < kRowTiles; r++) {
        one[r][0] = one[r][1] = 1.f;
        scales[r][0] = scales[r][1] = scale;
    }
    store_rows<HS, kRowTiles>(dqkv + head_at + NH * HS, stride, k_tile, warp * C::kWarpRows, warp_key0, T, dk, scales);
    store_rows<HS, kRowTiles>(dqkv + head_at + 2 * NH * HS, stride, v_tile, warp * C::kWarpRows, warp_key0, T, dv, one);
}

// The block's queries, and all keys from the first to the last that one of them sees.
template <int HS>
__device__ __forceinline__ void attention_backward_q(bf16* dqkv, const bf16* qkv, const bf16* dout, const float2* stats, int T, int NH, float scale) {
    using C = BackwardTiles<HS>;
    constexpr int kRowTiles = C::kRowTiles, kKeys = C::kColumns, kTileBytes = kKeys * HS * 2;
    const shared_addr q_tile = shared_address(dynamic_shared()), g_tile = q_tile + C::kBlockRows * HS * 2;
    const shared_addr kv_tiles = g_tile + C::kBlockRows * HS * 2;   // K, V, K, V

    const int lane = threadIdx.x % 32, warp = warp_index(), head = blockIdx.y, batch = blockIdx.z;
    const int query0 = (gridDim.x - 1 - blockIdx.x) * C::kBlockRows, warp_query0 = query0 + warp * C::kWarpRows;   // long blocks first
    const int stride = 3 * NH * HS, out_stride = NH * HS, tiles = (min(query0 + C::kBlockRows, T) - 1) / kKeys + 1;
    const size_t head_at = (size_t)batch * T * stride + head * HS;
    const bf16 *q = qkv + head_at, *k = q + NH * HS, *v = k + NH * HS, *g = dout + (size_t)batch * T * out_stride + head * HS;
    const float2* head_stats = stats + (size_t)(batch * NH + head) * padded_rows(T);

    auto load_keys = [&](int tile) {
        const shared_addr buffer = kv_tiles + tile % 2 * 2 * kTileBytes;
        load_rows<HS, kKeys>(buffer, k, stride, tile * kKeys, T, qkv);
        load_rows<HS, kKeys>(buffer + kTileBytes, v, stride, tile * kKeys, T, qkv);
        cp_async_commit();
    };
    load_rows<HS, C::kBlockRows>(q_tile, q, stride, query0, T, qkv);
    load_rows<HS, C::kBlockRows>(g_tile, g, out_stride, query0, T, qkv);
    load_keys(0);
    cp_async_wait<0>();
    __syncthreads();

    uint32_t q_operand[kRowTiles][HS / 16][4], g_operand[kRowTiles][HS / 16][4];
    float dq[kRowTiles][HS / 8][4], row_lse[kRowTiles][2], row_d[kRowTiles][2];
#pragma unroll
    for (int r = 0; r < kRowTiles; r++) {
        set_zero(dq[r]);
#pragma unroll
        for (int c = 0; c < HS / 16; c++) {
            ldmatrix_x4(q_operand[r][c], block_address<HS>(lane_down_first<HS>(q_tile), (warp * kRowTiles + r) * 16, c));
            ldmatrix_x4(g_operand[r][c], block_address<HS>(lane_down_first<HS>(g_tile), (warp * kRowTiles + r) * 16, c));
        }
#pragma unroll
        for (int half = 0; half < 2; half++) {   // inside the padding even past T
            const uint2 row = load8(head_stats + warp_query0 + r * 16 + half * 8 + lane / 4);
            row_lse[r][half] = __uint_as_float(row.x);
            row_d[r][half] = __uint_as_float(row.y);
        }
    }
    const float factor = scale * kLog2e;

    for (int tile = 0; tile < tiles; tile++) {
        if (tile + 1 < tiles) load_keys(tile + 1);
        const shared_addr k_tile = kv_tiles + tile % 2 * 2 * kTileBytes;   // V follows K: its rows count from kKeys

#pragma unroll 1
        for (int slice = 0; slice < kKeys / 16; slice++) {
            const int key0 = tile * kKeys + slice * 16;
            if (key0 >= warp_query0 + C::kWarpRows || warp_query0 >= T) continue;   // all masked, or past the end
            const shared_addr across = lane_across_first<HS>(k_tile + slice * 16 * HS * 2), down = lane_down_first<HS>(k_tile + slice * 16 * HS * 2);

            float s[kRowTiles][2][4], dp[kRowTiles][2][4];   // dp: less D
#pragma unroll
            for (int r = 0; r < kRowTiles; r++) {
                set_zero(s[r]);
#pragma unroll
                for (int n = 0; n < 2; n++)
#pragma unroll
                    for (int e = 0; e < 4; e++) dp[r][n][e] = -row_d[r][e / 2];
            }
#pragma unroll
            for (int c = 0; c < HS / 16; c++) {
                uint32_t bk[4], bv[4];
                ldmatrix_x4(bk, block_address<HS>(across, 0, c));
                ldmatrix_x4(bv, block_address<HS>(across, kKeys, c));
#pragma unroll
                for (int r = 0; r < kRowTiles; r++) {
                    mma_m16n8k16(s[r][0], q_operand[r][c], bk[0], bk[1]);
                    mma_m16n8k16(s[r][1], q_operand[r][c], bk[2], bk[3]);
                    mma_m16n8k16(dp[r][0], g_operand[r][c], bv[0], bv[1]);
                    mma_m16n8k16(dp[r][1], g_operand[r][c], bv[2], bv[3]);
                }
            }
            if (key0 + 15 > warp_query0) {   // some key is in some query's future
#pragma unroll
                for (int r = 0; r < kRowTiles; r++)
#pragma unroll
                    for (int n = 0; n < 2; n++)
#pragma unroll
                        for (int e = 0; e < 4; e++) {
                            const int query = warp_query0 + r * 16 + e / 2 * 8 + lane / 4, key = key0 + n * 8 + lane % 4 * 2 + e % 2;
                            if (key > query) s[r][n][e] = -kInfinity;
                        }
            }
            uint32_t ds[kRowTiles][4];
#pragma unroll
            for (int r = 0; r < kRowTiles; r++) {
#pragma unroll
                for (int n = 0; n < 2; n++)
#pragma unroll
                    for (int e = 0; e < 4; e++) dp[r][n][e] *= exp2_approx(fmaf(s[r][n][e], factor, -row_lse[r][e / 2]));
                accumulators_to_a(ds[r], dp[r][0], dp[r][1]);
            }
#pragma unroll
            for (int n = 0; n < HS / 16; n++) {
                uint32_t b[4];
                ldmatrix_x4_trans(b, block_address<HS>(down, 0, n));
#pragma unroll
                for (int r = 0; r < kRowTiles; r++) {
                    mma_m16n8k16(dq[r][2 * n], ds[r], b[0], b[1]);
                    mma_m16n8k16(dq[r][2 * n + 1], ds[r], b[2], b[3]);
                }
            }
        }
        if (tile + 1 < tiles) {
            cp_async_wait<0>();
            __syncthreads();
        }
    }

    float scales[kRowTiles][2];
#pragma unroll
    for (int r = 0; r < kRowTiles; r++) scales[r][0] = scales[r][1] = scale;
    store_rows<HS, kRowTiles>(dqkv + head_at, stride, q_tile, warp * C::kWarpRows, warp_query0, T, dq, scales);
}

// The parts k and v, or q, of dqkv (B, T, 3, NH, HS): overwritten.   qkv (B, T, 3, NH, HS), dout (B, T, NH, HS), stats (B, NH, padded T)
#define ATTENTION_BACKWARD(PART, HS)                                                                                                                  \
    extern "C" __global__ void __launch_bounds__(kThreads, 2) attention_backward_##PART##_hs##HS(bf16* dqkv, const bf16* qkv, const bf16* dout,       \
                                                                                                 const float2* stats, int T, int NH, float scale) {   \
        attention_backward_##PART<HS>(dqkv, qkv, dout, stats, T, NH, scale);                                                                          \
    }
ATTENTION_BACKWARD(kv, 64)
ATTENTION_BACKWARD(kv, 128)
ATTENTION_BACKWARD(q, 64)
ATTENTION_BACKWARD(q, 128)
