// embedding.cu - token plus position embedding and the gradients of both tables.
//
//   forward     out[b,t] = tokenTable[tokens[b,t]] + positionTable[t]
//   positions   dPositionTable[t] += sum over b of dout[b,t]
//   tokens      dTokenTable[v] += sum over all rows whose token is v of dout[row]
//
// Many rows may have the same token, and a sum has to have one order. So rows are sorted by token on the device (a stable radix sort), and the
// sorted rows are cut into chunks of 32: a warp adds up each run of equal tokens in its chunk. A run that lies inside a chunk is added to the
// table at once; of one that crosses the end of a chunk each chunk leaves its part, and a second kernel adds the parts in order. The work is
// even however often a token occurs, and no atomic decides an order.
//
//   rows R = B T, channels C: a multiple of 8; chunks K = ceil(R / 32); s bytes of an element: 2, or 4 of the kernels that end in _f32
//   kernel                              grid                                block   bytes                                FLOPs
//   embedding_forward                   ceil(R C s / 16 / 256)              256     R (s C + 4), tables s C (tokens + T)  R C
//   embedding_backward_positions        ceil(T C / 4 / 256)                 256     s R C + 8 T C                         R C
//   embedding_sort_tokens               1                                   1024    4 R, and 16 R for each pass of 8 bits  0
//   embedding_backward_tokens           (ceil(K / 4), ceil(C / 128))        128     s R C + 8 C tokens, 8 R               R C
//   embedding_backward_tokens_finish    (ceil(K / 4), ceil(C / 128))        128     8 C for each crossed end of a chunk   -
#include "vector.cuh"

constexpr int kThreads = 256;
constexpr int kChunk = 32;          // rows: one for each lane to look at
constexpr int kChunkWarps = 4;      // chunks of a block
constexpr int kSlab = 128;          // channels of a warp, 4 for each lane

template <class Element>
__device__ __forceinline__ void forward(Element* out, const int* tokens, const Element* tokenTable, const Element* positionTable, int rows, int T, int C) {
    constexpr int pack_elements = kPack<Element>;
    const unsigned i = blockIdx.x * kThreads + threadIdx.x, packs = C / pack_elements;
    const int row = i / packs, column = i % packs * pack_elements;
    if (row >= rows) return;
    float a[pack_elements], b[pack_elements];
    unpack(a, load16(tokenTable + (size_t)tokens[row] * C + column));
    unpack(b, load16(positionTable + (size_t)(row % T) * C + column));
    add(a, b);
    store16(out + (size_t)row * C + column, pack(a));
}

// out (R, C): overwritten.   tokens (R), tokenTable (V, C), positionTable (maximum T, C)
#define EMBEDDING_FORWARD(name, Element)                                                                                                         \
    extern "C" __global__ void __launch_bounds__(kThreads) name(                                                                                 \
            Element* out, const int* tokens, const Element* tokenTable, const Element* positionTable, int rows, int T, int C) {                  \
        forward(out, tokens, tokenTable, positionTable, rows, T, C);                                                                             \
    }
EMBEDDING_FORWARD(embedding_forward, bf16)
EMBEDDING_FORWARD(embedding_forward_f32, float)

// Four channels for each lane: 512 contiguous bytes of a warp in fp32, 256 in bf16.
__device__ __forceinline__ void add_to(float* out, const float (&v)[4]) {
    float sum[4];
    load_floats(sum, out);
    add(sum, v);
    store_floats(out, sum);
}
template <class Bits> __device__ __forceinline__ void add_bits(float (&sum)[4], Bits bits) {
    float v[4];
    unpack(v, bits);
    add(sum, v);
}

template <class Element> __device__ __forceinline__ void backward_positions(float* dPositionTable, const Element* dout, int B, int T, int C) {
    const int i = blockIdx.x * kThreads + threadIdx.x;
    if (i >= T * C / 4) return;
    float sum[4] = {};
    const Element* from = dout + (size_t)i * 4;   // (t, channel) of the first sequence
#pragma unroll 8
    for (int b = 0; b < B; b++, from += (size_t)T * C) add_bits(sum, load_four(from));
    add_to(dPositionTable + (size_t)i * 4, sum);
}

// dPositionTable (maximum T, C) fp32: +=.   dout (B, T, C)
#define EMBEDDING_BACKWARD_POSITIONS(name, Element)                                                                                              \
    extern "C" __global__ void __launch_bounds__(kThreads) name(float* dPositionTable, const Element* dout, int B, int T, int C) {               \
        backward_positions(dPositionTable, dout, B, T, C);                                                                                       \
    }
EMBEDDING_BACKWARD_POSITIONS(embedding_backward_positions, bf16)
EMBEDDING_BACKWARD_POSITIONS(embedding_backward_positions_f32, float)

constexpr int kSortThreads = 1024, kSortWarps = kSortThreads / 32, kDigits = 256;

// sorted (R): (token, row), ordered by token and then by row.   scratch (R).   tokens (R), below 2^(8 passes)
// Least significant digit first (Knuth, vol. 3, 5.2.5). A warp owns a stretch of the rows, so that rank = all smaller digits + the same digit in
// earlier warps + the same digit earlier in this warp keeps the order of equal digits.
extern "C" __global__ void __launch_bounds__(kSortThreads) embedding_sort_tokens(uint2* sorted, uint2* scratch, const int* tokens, int rows, int passes) {
    __shared__ unsigned count[kSortWarps][kDigits], digitStart[kDigits];
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const int stretch = (rows + kSortThreads - 1) / kSortThreads * 32, first = min(warp * stretch, rows), end = min(first + stretch, rows);

    for (int pass = 0; pass < passes; pass++) {
        const uint2* from = (passes - pass) % 2 == 0 ? sorted : scratch;
        uint2* to = (passes - pass) % 2 == 0 ? scratch : sorted;
        auto entry = [&](int i) { return pass == 0 ? make_uint2(tokens[i], i) : from[i]; };
        auto digit = [&](uint2 e) { return e.x >> (8 * pass) & (kDigits - 1); };

        for (int i = threadIdx.x; i < kSortWarps * kDigits; i += kSortThreads) count[i / kDigits][i % kDigits] = 0;
        __syncthreads();
        for (int i = first + lane; i < end; i += 32) atomicAdd(&count[warp][digit(entry(i))], 1u);
        __syncthreads();

        // Where each digit of each warp starts: a sum over the warps for each digit, then one over the digits.
        if (threadIdx.x < kDigits) {
            unsigned sum = 0;
            for (int w = 0; w < kSortWarps; w++) {
                const unsigned n = count[w][threadIdx.x];
                count[w][threadIdx.x] = sum;
                sum += n;
            }
            digitStart[threadIdx.x] = sum;
        }
        __syncthreads();
        if (warp == 0) {
            unsigned own[kDigits / 32], sum = 0;
            for (int i = 0; i < kDigits / 32; i++) {
                own[i] = sum;
                sum += digitStart[lane * (kDigits / 32) + i];
            }
            unsigned before = sum;
            for (int distance = 1; distance < 32; distance *= 2) {
                const unsigned v = __shfl_up_sync(kFullWarp, before, distance);
                if (lane >= distance) before += v;
            }
            for (int i = 0; i < kDigits / 32; i++) digitStart[lane * (kDigits / 32) + i] = before - sum + own[i];
        }
        __syncthreads();

        for (int base = first; base < end; base += 32) {
            const bool inside = base + lane < end;
            const uint2 e = inside ? entry(base + lane) : make_uint2(0, 0);
            const unsigned d = inside ? digit(e) : kDigits;      // lanes past the end are equal to themselves alone
            const unsigned equal = __match_any_sync(kFullWarp, d), earlier = equal & ((1u << lane) - 1);
            unsigned start = 0;
            if (inside) {
                start = count[warp][d];
                to[digitStart[d] + start + __popc(earlier)] = e;
            }
            __syncwarp();
            if (inside && earlier == 0) count[warp][d] = start + __popc(equal);
            __syncwarp();
        }
        __syncthreads();
    }
}

// A chunk of sorted rows as seen by a warp: lane i holds the i-th.
struct TokenChunk {
    uint2 own;
    int rows;
    bool goes_on, came;   // the last run goes on in the next chunk; the first one came from the previous
};
__device__ __forceinline__ TokenChunk read_chunk(const uint2* sorted, int chunk, int rows, int lane) {
    const int first = chunk * kChunk;
    TokenChunk c;
    c.rows = min(kChunk, rows - first);
    c.own = sorted[first + min(lane, c.rows - 1)];   // past the end the last row again, so that every lane has one that exists
    const unsigned head = __shfl_sync(kFullWarp, c.own.x, 0), last = __shfl_sync(kFullWarp, c.own.x, c.rows - 1);
    c.came = first > 0 && sorted[first - 1].x == head;
    c.goes_on = first + kChunk < rows && sorted[first + kChunk].x == last;
    return c;
}

template <class Element>
__device__ __forceinline__ void backward_tokens(float* dTokenTable, float* parts, const Element* dout, const uint2* sorted, int rows, int C) {
    const int lane = threadIdx.x % 32, chunk = blockIdx.x * kChunkWarps + threadIdx.x / 32;
    if (chunk * kChunk >= rows) return;
    const TokenChunk c = read_chunk(sorted, chunk, rows, lane);
    const int column = blockIdx.y * kSlab + lane * 4;
    const bool inside = column < C;

    // Lanes beyond the channels and rows beyond the chunk load what others load too, and drop it: a load under a condition would wait for the last one.
    const int readable = min(column, C - 4);
    constexpr int kAhead = 32 / sizeof(Element);   // loads in flight
    float sum[4] = {};
    bool first_run = true;
    for (int base = 0; base < c.rows; base += kAhead) {
        decltype(load_four(dout)) bits[kAhead];
#pragma unroll
        for (int i = 0; i < kAhead; i++) {
            const unsigned row = __shfl_sync(kFullWarp, c.own.y, base + i);
            bits[i] = load_four(dout + (size_t)row * C + readable);
        }
#pragma unroll
        for (int i = 0; i < kAhead; i++) {
            if (base + i >= c.rows) break;
            add_bits(sum, bits[i]);
            const unsigned token = __shfl_sync(kFullWarp, c.own.x, base + i), next = __shfl_sync(kFullWarp, c.own.x, (base + i + 1) % 32);
            const bool last = base + i == c.rows - 1;
            if (!last && next == token) continue;
            if (inside) {
                float* part = parts + (size_t)chunk * 2 * C + column;
                if (first_run && c.came) store_floats(part, sum);
                else if (last && c.goes_on) store_floats(part + C, sum);
                else add_to(dTokenTable + (size_t)token * C + column, sum);
            }
#pragma unroll
            for (int e = 0; e < 4; e++) sum[e] = 0.f;
            first_run = false;
        }
    }
}

// dTokenTable (V, C) fp32: += the runs inside a chunk.   parts (K, 2, C) fp32: [0] of a run that came from the previous chunk, [1] of one that begins here
// and goes on.   dout (R, C), sorted (R) of embedding_sort_tokens
#define EMBEDDING_BACKWARD_TOKENS(name, Element)                                                                                                 \
    extern "C" __global__ void __launch_bounds__(32 * kChunkWarps) name(                                                                         \
            float* dTokenTable, float* parts, const Element* dout, const uint2* sorted, int rows, int C) {                                       \
        backward_tokens(dTokenTable, parts, dout, sorted, rows, C);                                                                              \
    }
EMBEDDING_BACKWARD_TOKENS(embedding_backward_tokens, bf16)
EMBEDDING_BACKWARD_TOKENS(embedding_backward_tokens_f32, float)

// dTokenTable: += the runs that cross ends of chunks; the chunk in which a run begins adds it up. Arguments as above.
extern "C" __global__ void __launch_bounds__(32 * kChunkWarps) embedding_backward_tokens_finish(
        float* dTokenTable, const float* parts, const uint2* sorted, int rows, int C) {
    const int lane = threadIdx.x % 32, chunk = blockIdx.x * kChunkWarps + threadIdx.x / 32;
    if (chunk * kChunk >= rows) return;
    const TokenChunk c = read_chunk(sorted, chunk, rows, lane);
    const unsigned token = __shfl_sync(kFullWarp, c.own.x, c.rows - 1);
    const bool one_run = __shfl_sync(kFullWarp, c.own.x, 0) == token;
    if (!c.goes_on || (one_run && c.came)) return;
    int end = chunk + 1;   // of the chunks that the run reaches
    for (;; end += 32) {
        const long long first = (long long)(end + lane) * kChunk;
        const unsigned over = __ballot_sync(kFullWarp, first >= rows || sorted[first].x != token);
        if (over != 0) {
            end += __ffs(over) - 1;
            break;
        }
    }
    const int column = blockIdx.y * kSlab + lane * 4;
    if (column >= C) return;

    float sum[4];
    load_floats(sum, parts + ((size_t)chunk * 2 + 1) * C + column);
#pragma unroll 8
    for (int next = chunk + 1; next < end; next++) {
        float part[4];
        load_floats(part, parts + (size_t)next * 2 * C + column);
        add(sum, part);
    }
    add_to(dTokenTable + (size_t)token * C + column, sum);
}
