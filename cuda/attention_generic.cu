// attention_generic.cu - attention.cuh on the ordinary cores, in fp32 throughout: for fp32, and in bf16 for heads that the tensor cores' kernels do
// not have. Any head size that is a multiple of 8 up to 128.
//
// A block owns rows: queries, or keys where dK and dV are summed. It keeps them in shared memory and takes the other side in tiles of 32. A warp has
// 4 Rows of these rows, a lane Rows of them: lane / 8 says which, lane % 8 which four of the 32 columns of a tile of scores, 8 apart. So a row of
// scores lies in 8 lanes, and its softmax needs no other warp. For the product with the tile's rows, whose sum runs over the columns, the scores pass
// through the warp's own part of shared memory: there a column's rows are neighbours, and a lane reads its Rows at once. It has the channels
// 4 (lane % 8) to 4 (lane % 8) + 3 of every 32, of the result's row.
//
// Head sizes in between are computed like the next of 32, 64 and 128: channels past the end are zeros in shared memory, which change no sum, and are
// left out where the scores are summed in whole groups of 32, and in what is stored.
//
//   kernel, hsP for heads of up to P channels, and the same with _f32        block   grid (x, y, z)             rows of a lane and block, P = 32, 64, 128
//   attention_forward_generic_hsP                                            128     ceil(T / rows), NH, B      4: 64      8: 128     4: 64
//   attention_backward_kv_generic_hsP                                        128     ceil(T / rows), NH, B      4: 64      4: 64      2: 32
//   attention_backward_q_generic_hsP                                         128     ceil(T / rows), NH, B      4: 64      4: 64      2: 32
//   shared bytes: 4 P for each row of the block, twice that in the backward pass, 256 P for the two tiles, 128 (4 Rows + 4) for each of 4 warps
//   bytes, s for an element: forward 4 s B T NH HS + 4 B NH T, kv 6 s B T NH HS, q 5 s B T NH HS, and 8 B NH padded T of stats each
//   FLOPs: 4 HS (forward), 8 HS (kv), 6 HS (q) for each pair of query and key that is computed
#include "attention.cuh"

constexpr int kThreads = 128, kWarps = kThreads / 32;
constexpr int kColumns = 32;        // of a tile of scores: rows of the other side
constexpr int kLaneColumns = kColumns / 8;
constexpr int kGroup = 32;          // channels that are summed together

// A block's shared memory and a lane's place in it. P: the channels of a row in shared memory.
template <int P, int Rows> struct Block {
    static constexpr int kWarpRows = 4 * Rows, kRows = kWarps * kWarpRows;
    static constexpr int kRowsBytes = kRows * P * 4, kTileBytes = kColumns * P * 4;
    static constexpr int kPitch = (kWarpRows + 4) * 4;   // bytes of a column of scores, padded so that 8 columns begin in different banks
    static constexpr int kScoresBytes = kColumns * kPitch;
};

// Rows of the block are read by 8 lanes at the same address and need no order; the tile's rows are read by 8 lanes at once, either 8 rows or 8 chunks
// of a row: the exclusive or sends both to different banks.
template <int P> __device__ __forceinline__ shared_addr own_address(shared_addr rows, int row, int chunk) { return rows + row * (P * 4) + chunk * 16; }
template <int P> __device__ __forceinline__ shared_addr tile_address(shared_addr tile, int row, int chunk) {
    return tile + row * (P * 4) + ((chunk ^ (row & 7)) << 4);
}

// Copies rows first .. first + Rows - 1 of a head to shared memory as fp32; rows >= T and channels >= HS become zeros.
template <int P, int Rows, bool Tile, class Element>
__device__ __forceinline__ void load_rows(shared_addr to, const Element* head, int stride, int first, int T, int HS) {
    constexpr int kChunks = P / 4, kStep = kThreads / kChunks, kSteps = Rows / kStep, kAhead = kSteps < 4 ? kSteps : 4;   // loads in flight
    const int row0 = threadIdx.x / kChunks, chunk = threadIdx.x % kChunks;
#pragma unroll 1
    for (int step = 0; step < kSteps; step += kAhead) {
        float v[kAhead][4];
#pragma unroll
        for (int i = 0; i < kAhead; i++) {
            const int t = first + row0 + (step + i) * kStep;
            v[i][0] = v[i][1] = v[i][2] = v[i][3] = 0.f;
            if (t < T && chunk * 4 < HS) unpack(v[i], load_four(head + (size_t)t * stride + chunk * 4));
        }
#pragma unroll
        for (int i = 0; i < kAhead; i++) {
            const int row = row0 + (step + i) * kStep;
            store_shared_floats(Tile ? tile_address<P>(to, row, chunk) : own_address<P>(to, row, chunk), v[i]);
        }
    }
}

// sums[r][j] = row (lane / 8) Rows + r of the warp's times row lane % 8 + 8 j of the tile
template <int P, int Rows>
__device__ __forceinline__ void multiply_rows(float (&sums)[Rows][kLaneColumns], shared_addr own, shared_addr tile, int HS) {
    const int lane = threadIdx.x % 32;
    const shared_addr rows = own_address<P>(own, threadIdx.x / 32 * 4 * Rows + lane / 8 * Rows, 0), columns = tile + lane % 8 * (P * 4);
    set_zero(sums);
#pragma unroll 1
    for (int group = 0; group < HS; group += kGroup)
#pragma unroll
        for (int c = 0; c < kGroup / 4; c++) {
            float a[Rows][4];
#pragma unroll
            for (int r = 0; r < Rows; r++) load_shared_floats(a[r], rows + group * 4 + r * (P * 4) + c * 16);
#pragma unroll
            for (int j = 0; j < kLaneColumns; j++) {
                float b[4];
                load_shared_floats(b, columns + group * 4 + j * 8 * (P * 4) + ((c ^ (lane % 8)) << 4));
#pragma unroll
                for (int e = 0; e < 4; e++)
#pragma unroll
                    for (int r = 0; r < Rows; r++) sums[r][j] = fmaf(a[r][e], b[e], sums[r][j]);
            }
        }
}

// o[r] += the row's scores times the tile: o[r][4 j + e] is channel 32 j + 4 (lane % 8) + e. `scores`: the warp's part of shared memory.
template <int P, int Rows>
__device__ __forceinline__ void add_products(float (&o)[Rows][P / 8], const float (&s)[Rows][kLaneColumns], shared_addr scores, shared_addr tile) {
    constexpr int kPitch = Block<P, Rows>::kPitch;
    const int lane = threadIdx.x % 32;
    const shared_addr column = scores + lane / 8 * (Rows * 4);
    __syncwarp();   // the other lanes have read what was there
#pragma unroll
    for (int j = 0; j < kLaneColumns; j++) {
        float v[Rows];
#pragma unroll
        for (int r = 0; r < Rows; r++) v[r] = s[r][j];
        store_shared_floats(column + (lane % 8 + 8 * j) * kPitch, v);
    }
    __syncwarp();
#pragma unroll 1
    for (int k0 = 0; k0 < kColumns; k0 += 8)
#pragma unroll
        for (int k = 0; k < 8; k++) {
            float p[Rows];
            load_shared_floats(p, column + k0 * kPitch + k * kPitch);
#pragma unroll
            for (int j = 0; j < P / 32; j++) {
                float b[4];
                load_shared_floats(b, tile + k0 * (P * 4) + k * (P * 4) + j * 128 + (((lane % 8) ^ k) << 4));
#pragma unroll
                for (int e = 0; e < 4; e++)
#pragma unroll
                    for (int r = 0; r < Rows; r++) o[r][4 * j + e] = fmaf(p[r], b[e], o[r][4 * j + e]);
            }
        }
}

// Stores the lane's part of its rows, each times its factor; rows >= T and channels >= HS are left out. row0: the lane's first.
template <int P, int Rows, class Element>
__device__ __forceinline__ void store_rows(Element* head, int stride, int row0, int T, int HS, const float (&o)[Rows][P / 8], const float (&factor)[Rows]) {
#pragma unroll
    for (int r = 0; r < Rows; r++)
#pragma unroll
        for (int j = 0; j < P / 32; j++) {
            const int channel = j * 32 + threadIdx.x % 8 * 4;
            float v[4];
#pragma unroll
            for (int e = 0; e < 4; e++) v[e] = o[r][4 * j + e] * factor[r];
            if (row0 + r < T && channel < HS) store_four(head + (size_t)(row0 + r) * stride + channel, v);
        }
}

template <int P, int Rows, class Element>
__device__ __forceinline__ void attention_forward(Element* out, float* lse, const Element* qkv, int T, int NH, int HS, float scale) {
    using B = Block<P, Rows>;
    const shared_addr q_rows = shared_address(dynamic_shared()), k_tile = q_rows + B::kRowsBytes, v_tile = k_tile + B::kTileBytes;
    const int warp = warp_index(), lane = threadIdx.x % 32, head = blockIdx.y, batch = blockIdx.z;
    const shared_addr scores = v_tile + B::kTileBytes + warp * B::kScoresBytes;
    // Later queries see more keys: the long blocks start first, the short ones fill the end.
    const int query0 = (gridDim.x - 1 - blockIdx.x) * B::kRows, warp_query0 = query0 + warp * B::kWarpRows, lane_query0 = warp_query0 + lane / 8 * Rows;
    const int stride = 3 * NH * HS, out_stride = NH * HS, tiles = (min(query0 + B::kRows, T) - 1) / kColumns + 1;
    const Element *q = qkv + (size_t)batch * T * stride + head * HS, *k = q + NH * HS, *v = k + NH * HS;

    load_rows<P, B::kRows, false>(q_rows, q, stride, query0, T, HS);
    float o[Rows][P / 8], row_max[Rows], row_sum[Rows];
    set_zero(o);
#pragma unroll
    for (int r = 0; r < Rows; r++) {
        row_max[r] = -kInfinity;
        row_sum[r] = 0.f;
    }
    const float factor = scale * kLog2e;

    for (int tile = 0; tile < tiles; tile++) {
        const int key0 = tile * kColumns;
        __syncthreads();   // nobody reads the last tile any more
        load_rows<P, kColumns, true>(k_tile, k, stride, key0, T, HS);
        load_rows<P, kColumns, true>(v_tile, v, stride, key0, T, HS);
        __syncthreads();
        if (key0 >= warp_query0 + B::kWarpRows || warp_query0 >= T) continue;   // all masked, or past the end

        float s[Rows][kLaneColumns];
        multiply_rows<P>(s, q_rows, k_tile, HS);
#pragma unroll
        for (int r = 0; r < Rows; r++) {
            float m = -kInfinity;
#pragma unroll
            for (int j = 0; j < kLaneColumns; j++) {
                if (key0 + lane % 8 + 8 * j > lane_query0 + r) s[r][j] = -kInfinity;
                m = fmaxf(m, s[r][j]);
            }
#pragma unroll
            for (int distance = 4; distance > 0; distance /= 2) m = fmaxf(m, __shfl_xor_sync(kFullWarp, m, distance));
            // Finite: the first tile has key 0, which every query sees. So the first correction is exp2(-inf) = 0 and inf - inf cannot occur.
            m = fmaxf(row_max[r], m * factor);
            const float correction = exp2_approx(row_max[r] - m);
            row_max[r] = m;
            row_sum[r] *= correction;
#pragma unroll
            for (int j = 0; j < kLaneColumns; j++) {
                s[r][j] = exp2_approx(fmaf(s[r][j], factor, -m));
                row_sum[r] += s[r][j];
            }
#pragma unroll
            for (int i = 0; i < P / 8; i++) o[r][i] *= correction;
        }
        add_products<P>(o, s, scores, v_tile);
    }

    float inverse[Rows];
#pragma unroll
    for (int r = 0; r < Rows; r++) {
        float sum = row_sum[r];
#pragma unroll
        for (int distance = 4; distance > 0; distance /= 2) sum += __shfl_xor_sync(kFullWarp, sum, distance);
        inverse[r] = reciprocal_approx(sum);
        const int query = lane_query0 + r;
        if (lane % 8 == 0 && query < T) lse[(size_t)(batch * NH + head) * T + query] = row_max[r] * kLn2 + logf(sum);
    }
    store_rows<P>(out + (size_t)batch * T * out_stride + head * HS, out_stride, lane_query0, T, HS, o, inverse);
}

// The block's keys, and the first tile of queries that sees one of them to the last.
template <int P, int Rows, class Element>
__device__ __forceinline__ void attention_backward_kv(Element* dqkv, const Element* qkv, const Element* dout, const float2* stats, int T, int NH, int HS,
                                                      float scale) {
    using B = Block<P, Rows>;
    static_assert(B::kRows % kColumns == 0, "the first tile begins with the block's first key");
    const shared_addr k_rows = shared_address(dynamic_shared()), v_rows = k_rows + B::kRowsBytes;
    const shared_addr q_tile = v_rows + B::kRowsBytes, g_tile = q_tile + B::kTileBytes;
    const int warp = warp_index(), lane = threadIdx.x % 32, head = blockIdx.y, batch = blockIdx.z;
    const shared_addr scores = g_tile + B::kTileBytes + warp * B::kScoresBytes;
    const int key0 = blockIdx.x * B::kRows, warp_key0 = key0 + warp * B::kWarpRows, lane_key0 = warp_key0 + lane / 8 * Rows;
    const int stride = 3 * NH * HS, out_stride = NH * HS;
    const size_t head_at = (size_t)batch * T * stride + head * HS;
    const Element *q = qkv + head_at, *k = q + NH * HS, *v = k + NH * HS, *g = dout + (size_t)batch * T * out_stride + head * HS;
    const float2* head_stats = stats + (size_t)(batch * NH + head) * padded_rows(T);

    load_rows<P, B::kRows, false>(k_rows, k, stride, key0, T, HS);
    load_rows<P, B::kRows, false>(v_rows, v, stride, key0, T, HS);
    float dk[Rows][P / 8], dv[Rows][P / 8];
    set_zero(dk);
    set_zero(dv);
    const float factor = scale * kLog2e;

    for (int query0 = key0; query0 < T; query0 += kColumns) {
        __syncthreads();   // nobody reads the last tile any more
        load_rows<P, kColumns, true>(q_tile, q, stride, query0, T, HS);
        load_rows<P, kColumns, true>(g_tile, g, out_stride, query0, T, HS);
        __syncthreads();
        if (query0 + kColumns <= warp_key0) continue;   // all masked

        float s[Rows][kLaneColumns], dp[Rows][kLaneColumns];   // transposed: rows are keys
        multiply_rows<P>(s, k_rows, q_tile, HS);
        multiply_rows<P>(dp, v_rows, g_tile, HS);
#pragma unroll
        for (int j = 0; j < kLaneColumns; j++) {
            const int query = query0 + lane % 8 + 8 * j;   // inside the padding even past T
            const uint2 of_query = load8(head_stats + query);
            const float query_lse = __uint_as_float(of_query.x), query_d = __uint_as_float(of_query.y);
#pragma unroll
            for (int r = 0; r < Rows; r++) {
                if (lane_key0 + r > query) s[r][j] = -kInfinity;
                s[r][j] = exp2_approx(fmaf(s[r][j], factor, -query_lse));
                dp[r][j] = s[r][j] * (dp[r][j] - query_d);
            }
        }
        add_products<P>(dv, s, scores, g_tile);
        add_products<P>(dk, dp, scores, q_tile);
    }

    float one[Rows], scales[Rows];
#pragma unroll
    for (int r = 0; r < Rows; r++) {
        one[r] = 1.f;
        scales[r] = scale;
    }
    store_rows<P>(dqkv + head_at + NH * HS, stride, lane_key0, T, HS, dk, scales);
    store_rows<P>(dqkv + head_at + 2 * NH * HS, stride, lane_key0, T, HS, dv, one);
}

// The block's queries, and all keys from the first to the last that one of them sees.
template <int P, int Rows, class Element>
__device__ __forceinline__ void attention_backward_q(Element* dqkv, const Element* qkv, const Element* dout, const float2* stats, int T, int NH, int HS,
                                                     float scale) {
    using B = Block<P, Rows>;
    const shared_addr q_rows = shared_address(dynamic_shared()), g_rows = q_rows + B::kRowsBytes;
    const shared_addr k_tile = g_rows + B::kRowsBytes, v_tile = k_tile + B::kTileBytes;
    const int warp = warp_index(), lane = threadIdx.x % 32, head = blockIdx.y, batch = blockIdx.z;
    const shared_addr scores = v_tile + B::kTileBytes + warp * B::kScoresBytes;
    const int query0 = (gridDim.x - 1 - blockIdx.x) * B::kRows, warp_query0 = query0 + warp * B::kWarpRows, lane_query0 = warp_query0 + lane / 8 * Rows;
    const int stride = 3 * NH * HS, out_stride = NH * HS, tiles = (min(query0 + B::kRows, T) - 1) / kColumns + 1;
    const size_t head_at = (size_t)batch * T * stride + head * HS;
    const Element *q = qkv + head_at, *k = q + NH * HS, *v = k + NH * HS, *g = dout + (size_t)batch * T * out_stride + head * HS;
    const float2* head_stats = stats + (size_t)(batch * NH + head) * padded_rows(T);

    load_rows<P, B::kRows, false>(q_rows, q, stride, query0, T, HS);
    load_rows<P, B::kRows, false>(g_rows, g, out_stride, query0, T, HS);
    float dq[Rows][P / 8], row_lse[Rows], row_d[Rows];
    set_zero(dq);
#pragma unroll
    for (int r = 0; r < Rows; r++) {
        const uint2 of_query = load8(head_stats + lane_query0 + r);   // inside the padding even past T
        row_lse[r] = __uint_as_float(of_query.x);
        row_d[r] = __uint_as_float(of_query.y);
    }
    const float factor = scale * kLog2e;

    for (int tile = 0; tile < tiles; tile++) {
        const int key0 = tile * kColumns;
        __syncthreads();   // nobody reads the last tile any more
        load_rows<P, kColumns, true>(k_tile, k, stride, key0, T, HS);
        load_rows<P, kColumns, true>(v_tile, v, stride, key0, T, HS);
        __syncthreads();
        if (key0 >= warp_query0 + B::kWarpRows || warp_query0 >= T) continue;   // all masked, or past the end

        float s[Rows][kLaneColumns], dp[Rows][kLaneColumns];
        multiply_rows<P>(s, q_rows, k_tile, HS);
        multiply_rows<P>(dp, g_rows, v_tile, HS);
#pragma unroll
        for (int r = 0; r < Rows; r++)
#pragma unroll
            for (int j = 0; j < kLaneColumns; j++) {
                if (key0 + lane % 8 + 8 * j > lane_query0 + r) s[r][j] = -kInfinity;
                dp[r][j] = exp2_approx(fmaf(s[r][j], factor, -row_lse[r])) * (dp[r][j] - row_d[r]);
            }
        add_products<P>(dq, dp, scores, k_tile);
    }

    float scales[Rows];
#pragma unroll
    for (int r = 0; r < Rows; r++) scales[r] = scale;
    store_rows<P>(dqkv + head_at, stride, lane_query0, T, HS, dq, scales);
}

// out (B, T, NH, HS), lse (B, NH, T): overwritten.   qkv (B, T, 3, NH, HS)
#define ATTENTION_FORWARD(name, Element, P, ROWS)                                                                                                \
    extern "C" __global__ void __launch_bounds__(kThreads) name(Element* out, float* lse, const Element* qkv, int T, int NH, int HS,             \
                                                                float scale) {                                                                   \
        attention_forward<P, ROWS>(out, lse, qkv, T, NH, HS, scale);                                                                             \
    }
ATTENTION_FORWARD(attention_forward_generic_hs32, bf16, 32, 4)
ATTENTION_FORWARD(attention_forward_generic_hs64, bf16, 64, 8)
ATTENTION_FORWARD(attention_forward_generic_hs128, bf16, 128, 4)
ATTENTION_FORWARD(attention_forward_generic_hs32_f32, float, 32, 4)
ATTENTION_FORWARD(attention_forward_generic_hs64_f32, float, 64, 8)
ATTENTION_FORWARD(attention_forward_generic_hs128_f32, float, 128, 4)

// The parts k and v, or q, of dqkv (B, T, 3, NH, HS): overwritten.   qkv (B, T, 3, NH, HS), dout (B, T, NH, HS), stats (B, NH, padded T)
#define ATTENTION_BACKWARD(PART, name, Element, P, ROWS)                                                                                         \
    extern "C" __global__ void __launch_bounds__(kThreads) name(Element* dqkv, const Element* qkv, const Element* dout, const float2* stats,     \
                                                                int T, int NH, int HS, float scale) {                                            \
        attention_backward_##PART<P, ROWS>(dqkv, qkv, dout, stats, T, NH, HS, scale);                                                            \
    }
ATTENTION_BACKWARD(kv, attention_backward_kv_generic_hs32, bf16, 32, 4)
ATTENTION_BACKWARD(kv, attention_backward_kv_generic_hs64, bf16, 64, 4)
ATTENTION_BACKWARD(kv, attention_backward_kv_generic_hs128, bf16, 128, 2)
ATTENTION_BACKWARD(kv, attention_backward_kv_generic_hs32_f32, float, 32, 4)
ATTENTION_BACKWARD(kv, attention_backward_kv_generic_hs64_f32, float, 64, 4)
ATTENTION_BACKWARD(kv, attention_backward_kv_generic_hs128_f32, float, 128, 2)
ATTENTION_BACKWARD(q, attention_backward_q_generic_hs32, bf16, 32, 4)
ATTENTION_BACKWARD(q, attention_backward_q_generic_hs64, bf16, 64, 4)
ATTENTION_BACKWARD(q, attention_backward_q_generic_hs128, bf16, 128, 2)
ATTENTION_BACKWARD(q, attention_backward_q_generic_hs32_f32, float, 32, 4)
ATTENTION_BACKWARD(q, attention_backward_q_generic_hs64_f32, float, 64, 4)
ATTENTION_BACKWARD(q, attention_backward_q_generic_hs128_f32, float, 128, 2)
