// attention_forward_mma.cu - the forward pass of attention.cuh for sm_80 and later. O and lse.
//
// A warp owns 16 or 32 queries and their rows of S, P and O: what S leaves in the accumulators of mma.m16n8k16 is, register for register, the A
// operand of the product with V, so probabilities never leave the registers. Q stays in registers too; shared memory carries K and V only, in
// two buffers, the next one filled by cp.async during the products.
//
//   kernel                    block   grid (x, y, z)               shared bytes   registers
//   attention_forward_hs64    128     ceil(T / 128), NH, B         49152          2 blocks on a multiprocessor
//   attention_forward_hs128   128     ceil(T / 64), NH, B          81920          2 blocks on a multiprocessor
//   bytes: 8 B T NH HS + 4 B NH T; each block of queries reads the keys and values that it sees, after the first of a head from L2
//   FLOPs: 4 HS for each pair of query and key that is computed: half of T^2, and T times half of a tile's keys
#include "attention_mma.cuh"

template <int HS> struct ForwardTiles;
template <> struct ForwardTiles<64> : Tiles<2, 64> {};
template <> struct ForwardTiles<128> : Tiles<1, 64> {};

// The softmax of one tile of scores s (a warp's rows x keys), which becomes P relative to the new row_max. In powers of two: factor is
// scale log2(e). row_max is the largest factor s so far, rounded as the shift that was used, so that the shift of later tiles and lse agree
// with it to the bit; row_sum is this lane's part. o is what the earlier tiles have left.
template <int HS, int RowTiles, int Keys>
__device__ __forceinline__ void softmax_tile(float (&s)[RowTiles][Keys / 8][4], float (&o)[RowTiles][HS / 8][4], float (&row_max)[RowTiles][2],
                                             float (&row_sum)[RowTiles][2], float factor) {
#pragma unroll
    for (int r = 0; r < RowTiles; r++)
#pragma unroll
        for (int half = 0; half < 2; half++) {
            float m = -kInfinity;
#pragma unroll
            for (int n = 0; n < Keys / 8; n++) m = fmaxf(m, fmaxf(s[r][n][2 * half], s[r][n][2 * half + 1]));
            m = fmaxf(m, __shfl_xor_sync(kFullWarp, m, 1));   // a row lies in 4 lanes
            m = fmaxf(m, __shfl_xor_sync(kFullWarp, m, 2));
            // Finite: the first tile has key 0, which every query sees. So the first correction is exp2(-inf) = 0 and inf - inf cannot occur.
            m = fmaxf(row_max[r][half], m * factor);
            const float correction = exp2_approx(row_max[r][half] - m);
            row_max[r][half] = m;
            float sum = 0.f;
#pragma unroll
            for (int n = 0; n < Keys / 8; n++)
#pragma unroll
                for (int e = 2 * half; e < 2 * half + 2; e++) {
                    s[r][n][e] = exp2_approx(fmaf(s[r][n][e], factor, -m));
                    sum += s[r][n][e];
                }
            row_sum[r][half] = row_sum[r][half] * correction + sum;
#pragma unroll
            for (int n = 0; n < HS / 8; n++) {
                o[r][n][2 * half] *= correction;
                o[r][n][2 * half + 1] *= correction;
            }
        }
}

template <int HS> __device__ __forceinline__ void attention_forward(bf16* out, float* lse, const bf16* qkv, int T, int NH, float scale) {
    using C = ForwardTiles<HS>;
    constexpr int kRowTiles = C::kRowTiles, kKeys = C::kColumns, kTileBytes = kKeys * HS * 2;
    const shared_addr q_tile = shared_address(dynamic_shared()), kv_tiles = q_tile + C::kBlockRows * HS * 2;   // K, V, K, V

    const int lane = threadIdx.x % 32, warp = warp_index(), head = blockIdx.y, batch = blockIdx.z;
    // Later queries see more keys: the long blocks start first, the short ones fill the end. The blocks of a head are neighbours, for L2.
    const int query0 = (gridDim.x - 1 - blockIdx.x) * C::kBlockRows, warp_query0 = query0 + warp * C::kWarpRows;
    const int stride = 3 * NH * HS, out_stride = NH * HS, tiles = (min(query0 + C::kBlockRows, T) - 1) / kKeys + 1;
    const bf16* q = qkv + (size_t)batch * T * stride + head * HS;
    const bf16 *k = q + NH * HS, *v = k + NH * HS;

    auto load_keys = [&](int tile) {
        const shared_addr buffer = kv_tiles + tile % 2 * 2 * kTileBytes;
        load_rows<HS, kKeys>(buffer, k, stride, tile * kKeys, T, qkv);
        load_rows<HS, kKeys>(buffer + kTileBytes, v, stride, tile * kKeys, T, qkv);
        cp_async_commit();
    };
    load_rows<HS, C::kBlockRows>(q_tile, q, stride, query0, T, qkv);
    load_keys(0);
    cp_async_wait<0>();
    __syncthreads();

    uint32_t q_operand[kRowTiles][HS / 16][4];
    float o[kRowTiles][HS / 8][4], row_max[kRowTiles][2], row_sum[kRowTiles][2];
#pragma unroll
    for (int r = 0; r < kRowTiles; r++) {
#pragma unroll
        for (int c = 0; c < HS / 16; c++) ldmatrix_x4(q_operand[r][c], block_address<HS>(lane_down_first<HS>(q_tile), (warp * kRowTiles + r) * 16, c));
        set_zero(o[r]);
        row_max[r][0] = row_max[r][1] = -kInfinity;
        row_sum[r][0] = row_sum[r][1] = 0.f;
    }

    for (int tile = 0; tile < tiles; tile++) {
        // The barrier at the end of the last step has freed the other buffer.
        if (tile + 1 < tiles) load_keys(tile + 1);
        const shared_addr k_tile = kv_tiles + tile % 2 * 2 * kTileBytes, v_tile = k_tile + kTileBytes;
        const int key0 = tile * kKeys;
        if (key0 < warp_query0 + C::kWarpRows && warp_query0 < T) {   // else all masked, or past the end
            float s[kRowTiles][kKeys / 8][4];
#pragma unroll
            for (int r = 0; r < kRowTiles; r++) set_zero(s[r]);
#pragma unroll
            for (int c = 0; c < HS / 16; c++)
#pragma unroll
                for (int n = 0; n < kKeys / 16; n++) {
                    uint32_t b[4];
                    ldmatrix_x4(b, block_address<HS>(lane_across_first<HS>(k_tile), n * 16, c));
#pragma unroll
                    for (int r = 0; r < kRowTiles; r++) {
                        mma_m16n8k16(s[r][2 * n], q_operand[r][c], b[0], b[1]);
                        mma_m16n8k16(s[r][2 * n + 1], q_operand[r][c], b[2], b[3]);
                    }
                }

            if (key0 + kKeys - 1 > warp_query0) {   // some key is in some query's future
#pragma unroll
                for (int r = 0; r < kRowTiles; r++)
#pragma unroll
                    for (int n = 0; n < kKeys / 8; n++)
#pragma unroll
                        for (int e = 0; e < 4; e++) {
                            const int query = warp_query0 + r * 16 + e / 2 * 8 + lane / 4, key = key0 + n * 8 + lane % 4 * 2 + e % 2;
                            if (key > query) s[r][n][e] = -kInfinity;
                        }
            }
            softmax_tile<HS, kRowTiles, kKeys>(s, o, row_max, row_sum, scale * kLog2e);

#pragma unroll
            for (int c = 0; c < kKeys / 16; c++) {
                uint32_t p[kRowTiles][4];
#pragma unroll
                for (int r = 0; r < kRowTiles; r++) accumulators_to_a(p[r], s[r][2 * c], s[r][2 * c + 1]);
#pragma unroll
                for (int n = 0; n < HS / 16; n++) {
                    uint32_t b[4];
                    ldmatrix_x4_trans(b, block_address<HS>(lane_down_first<HS>(v_tile), c * 16, n));
#pragma unroll
                    for (int r = 0; r < kRowTiles; r++) {
                        mma_m16n8k16(o[r][2 * n], p[r], b[0], b[1]);
                        mma_m16n8k16(o[r][2 * n + 1], p[r], b[2], b[3]);
                    }
                }
            }
        }
        if (tile + 1 < tiles) {
            cp_async_wait<0>();   // this thread's part of the next tile is there
            __syncthreads();      // everybody's is, and nobody reads this one any more
        }
    }

    float inverse[kRowTiles][2];
#pragma unroll
    for (int r = 0; r < kRowTiles; r++)
#pragma unroll
        for (int half = 0; half < 2; half++) {
            float sum = row_sum[r][half];
            sum += __shfl_xor_sync(kFullWarp, sum, 1);
            sum += __shfl_xor_sync(kFullWarp, sum, 2);
            inverse[r][half] = reciprocal_approx(sum);
            const int query = warp_query0 + r * 16 + half * 8 + lane / 4;
            if (lane % 4 == 0 && query < T) lse[(size_t)(batch * NH + head) * T + query] = row_max[r][half] * kLn2 + logf(sum);
        }
    store_rows<HS, kRowTiles>(out + (size_t)batch * T * out_stride + head * HS, out_stride, q_tile, warp * C::kWarpRows, warp_query0, T, o, inverse);
}

// out (B, T, NH, HS), lse (B, NH, T): overwritten.   qkv (B, T, 3, NH, HS)
#define ATTENTION_FORWARD(HS)                                                                                                                    \
    extern "C" __global__ void __launch_bounds__(kThreads, 2) attention_forward_hs##HS(bf16* out, float* lse, const bf16* qkv, int T, int NH,    \
                                                                                       float scale) {                                            \
        attention_forward<HS>(out, lse, qkv, T, NH, scale);                                                                                      \
    }
ATTENTION_FORWARD(64)
ATTENTION_FORWARD(128)
