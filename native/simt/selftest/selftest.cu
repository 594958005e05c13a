// selftest.cu - small kernels, right ones and deliberately wrong ones, for the tests of the simulator itself.
#include "hopper.cuh"

// ---- what warps and blocks do together ----
extern "C" __global__ void selftest_shuffles(int* out, const int* in) {
    const int lane = threadIdx.x % 32, v = in[threadIdx.x];
    int* o = out + threadIdx.x * 8;
    o[0] = __shfl_xor_sync(kFullWarp, v, 5);
    o[1] = __shfl_down_sync(kFullWarp, v, 3);
    o[2] = __shfl_up_sync(kFullWarp, v, 3, 8);
    o[3] = __shfl_sync(kFullWarp, v, 17);
    o[4] = (int)__ballot_sync(kFullWarp, v % 3 == 0);
    o[5] = (int)__match_any_sync(kFullWarp, v % 5);
    o[6] = lane < 16 ? __shfl_xor_sync(0x0000ffffu, v, 1) : __shfl_xor_sync(0xffff0000u, v, 2);   // two halves go separate ways
    o[7] = __any_sync(kFullWarp, v == 7) + 2 * __all_sync(kFullWarp, v >= 0);
}

extern "C" __global__ void selftest_sum(int* out, const int* in) {   // each block adds its numbers through shared memory
    __shared__ int partial[32];
    int v = in[blockIdx.x * blockDim.x + threadIdx.x];
    for (int distance = 16; distance > 0; distance /= 2) v += __shfl_xor_sync(kFullWarp, v, distance);
    if (threadIdx.x % 32 == 0) partial[threadIdx.x / 32] = v;
    __syncthreads();
    if (threadIdx.x == 0) {
        int sum = 0;
        for (int warp = 0; warp < blockDim.x / 32; warp++) sum += partial[warp];
        atomicAdd(out, sum);
    }
}

// ---- mistakes ----
extern "C" __global__ void selftest_divergent_barrier() {
    if (threadIdx.x < 40) __syncthreads();
    else if (threadIdx.x < 64) __shfl_sync(kFullWarp, 1, 0);
}
extern "C" __global__ void selftest_lane_outside_mask() { __shfl_sync(0x0000ffffu, 1, 0); }
extern "C" __global__ void selftest_ended_lane() {
    if (threadIdx.x < 4) return;
    __syncwarp();
}
extern "C" __global__ void selftest_different_instructions() {
    if (threadIdx.x < 16) __syncwarp();
    else __ballot_sync(kFullWarp, 1);
}
// The barrier between writing and reading is missing, or (again) the one between reading and overwriting.
extern "C" __global__ void selftest_race(int* out, int kind) {
    __shared__ int word[64];
    word[threadIdx.x] = threadIdx.x;
    if (kind != 0) __syncthreads();
    int v = word[threadIdx.x ^ 32];
    if (kind != 1) __syncthreads();
    word[threadIdx.x] = v;
    out[threadIdx.x] = v;
}
// A thread reads what another adds to: with no barrier between, with one, and (2) where nobody has written.
extern "C" __global__ void selftest_atomic_race(int* out, int kind) {
    __shared__ int count[1];
    if (kind != 2 && threadIdx.x == 0) count[0] = 0;
    __syncthreads();
    if (threadIdx.x == 0 && kind != 2) out[0] = count[0];
    if (kind == 1) __syncthreads();
    if (threadIdx.x >= 32) atomicAdd(&count[0], 1);
}
extern "C" __global__ void selftest_warp_race(int* out, int sync) {
    __shared__ int word[32];
    word[threadIdx.x] = threadIdx.x;
    if (sync) __syncwarp();
    out[threadIdx.x] = word[31 - threadIdx.x];
}
extern "C" __global__ void selftest_barrier_race(int* out, int wait) {   // the first warp hands a word to the second through a named barrier
    __shared__ int word;
    if (threadIdx.x < 32) {
        if (threadIdx.x == 3) word = 42;
        __syncwarp();
        bar_arrive(1, 64);
    } else {
        if (wait) bar_sync(1, 64);
        out[threadIdx.x - 32] = word;
        if (!wait) bar_sync(1, 64);
    }
}
extern "C" __global__ void selftest_block_race(int* out) { *out = blockIdx.x; }
extern "C" __global__ void selftest_uninitialised(int* out) {
    __shared__ int word[64];
    word[threadIdx.x] = 1;
    __syncthreads();
    out[threadIdx.x] = word[threadIdx.x + 1];
}
extern "C" __global__ void selftest_out_of_bounds(int* out, const int* in, int store, int load) {
    if (threadIdx.x == 5) out[store] = in[load];
}
extern "C" __global__ void selftest_shared_out_of_bounds(int index) {
    int* word = (int*)dynamic_shared();
    word[index + threadIdx.x] = 1;
}
extern "C" __global__ void selftest_null(int* out) {
    if (out == nullptr || threadIdx.x == 31) out[threadIdx.x] = 1;
}

// An index past an array, but in memory that the thread may access: AddressSanitizer knows the arrays.
extern "C" __global__ void selftest_static_array(int* out, int index) {
    __shared__ int word[32];
    word[threadIdx.x] = 1;
    __syncthreads();
    if (threadIdx.x == 0) word[index] = 2;
    __syncthreads();
    out[threadIdx.x] = word[threadIdx.x];
}
extern "C" __global__ void selftest_own_array(int* out, int index) {
    volatile int word[4] = {1, 2, 3, 4};
    word[index] = 5;
    out[threadIdx.x] = word[threadIdx.x % 4];
}

// ---- traffic: 4-byte loads `stride` apart, and a column of a 32 x pitch tile of shared memory ----
extern "C" __global__ void selftest_traffic(float* out, const float* in, int stride, int pitch) {
    float* tile = (float*)dynamic_shared();
    tile[threadIdx.x * pitch] = in[threadIdx.x * stride];
    __syncthreads();
    out[threadIdx.x] = tile[threadIdx.x * pitch];
}

// ---- cp.async, ldmatrix, mma: o[16][8] = a[16][16] b[16][8], b transposed on its way ----
extern "C" __global__ void selftest_mma(const bf16* a, const bf16* b, float* o, int wait) {
    const shared_addr tile = shared_address(dynamic_shared());
    const int lane = threadIdx.x;
    cp_async16(tile + lane * 16, a + lane * 8);                        // 16 rows of 32 bytes
    if (lane < 16) cp_async16(tile + 512 + lane * 16, b + lane * 8);   // 16 rows of 16 bytes
    cp_async_commit();
    if (wait) cp_async_wait<0>();
    __syncwarp();
    uint32_t fa[4], fb[4];
    ldmatrix_x4(fa, tile + lane % 16 * 32 + lane / 16 * 16);
    ldmatrix_x4_trans(fb, tile + 512 + lane % 16 * 16);
    float c[4] = {0.f, 0.f, 0.f, 0.f};
    mma_m16n8k16(c, fa, fb[0], fb[1]);
    for (int i = 0; i < 4; i++) o[(lane / 4 + i / 2 * 8) * 8 + lane % 4 * 2 + i % 2] = c[i];
    if (!wait) cp_async_wait<0>();
}

// o[16][8] = a[16][8] b[8][8] in tf32, a by ldmatrix, b by ordinary loads.   mistake: 1 a is not rounded to tf32
extern "C" __global__ void selftest_mma_tf32(const float* a, const float* b, float* o, int mistake) {
    const shared_addr tile = shared_address(dynamic_shared());
    const int lane = threadIdx.x;
    cp_async16(tile + lane * 16, a + lane * 4);   // 16 rows of 32 bytes
    cp_async_commit();
    cp_async_wait<0>();
    __syncwarp();
    uint32_t fa[4];
    ldmatrix_x4(fa, tile + lane % 16 * 32 + lane / 16 * 16);
    if (mistake != 1)
        for (int i = 0; i < 4; i++) fa[i] = to_tf32(__uint_as_float(fa[i]));
    const uint32_t b0 = to_tf32(b[lane % 4 * 8 + lane / 4]), b1 = to_tf32(b[(lane % 4 + 4) * 8 + lane / 4]);
    float c[4] = {0.f, 0.f, 0.f, 0.f};
    mma_m16n8k8_tf32(c, fa, b0, b1);
    for (int i = 0; i < 4; i++) o[(lane / 4 + i / 2 * 8) * 8 + lane % 4 * 2 + i % 2] = c[i];
}

// ---- sm_90: loads a 64 x 64 box by TMA, doubles it with ordinary accesses, stores it by TMA. Warp 0 moves, warps 1 and 2 compute ----
// mistake: 1 no wait for the load, 2 no proxy fence before the store, 3 the store is not waited for, 4 no fence after mbarrier.init
extern "C" __global__ void selftest_tma(const __grid_constant__ CUtensorMap from, const __grid_constant__ CUtensorMap to, int x, int y, int mistake) {
    bf16* tile = (bf16*)dynamic_shared();
    uint64_t* barrier = (uint64_t*)(dynamic_shared() + 64 * 128);
    if (threadIdx.x == 0) {
        mbarrier_init(barrier, 1);
        if (mistake != 4) fence_proxy_async();
    }
    __syncthreads();
    if (threadIdx.x < 32) {
        const bool leader = elect_one();
        if (leader) {
            mbarrier_arrive_expect(barrier, 64 * 128);
            tma_load(tile, &from, barrier, x, y);
        }
        bar_sync(1, 96);
        if (leader) {
            tma_store(&to, tile, x, y);
            tma_store_commit();
            if (mistake != 3) tma_store_wait<0>();
        }
    } else {
        if (mistake != 1) mbarrier_wait(barrier, 0);
        for (int i = threadIdx.x - 32; i < 64 * 64; i += 64) tile[i] = __float2bfloat16_rn(2.f * __bfloat162float(tile[i]));
        if (mistake != 2) fence_proxy_async();
        bar_arrive(1, 96);
    }
}

// Copies the box of 64 x 64 at (x, y) of plane z from one tensor to another, and 64 bytes by a bulk copy to `line`.   mistake: 1 two coordinates
// for three dimensions, 2 a bulk copy of 60 bytes
extern "C" __global__ void selftest_planes(const __grid_constant__ CUtensorMap from, const __grid_constant__ CUtensorMap to, const float* values, float* line, int x,
                                           int y, int z, int mistake) {
    unsigned char* tile = dynamic_shared();
    float* copied = (float*)(tile + 64 * 128);
    uint64_t* barrier = (uint64_t*)(tile + 64 * 128 + 64);
    if (threadIdx.x == 0) {
        mbarrier_init(barrier, 1);
        fence_proxy_async();
        mbarrier_arrive_expect(barrier, 64 * 128 + 64);
        if (mistake == 1) tma_load(tile, &from, barrier, x, y);
        else tma_load(tile, &from, barrier, x, y, z);
        bulk_load(copied, values, mistake == 2 ? 60 : 64, barrier);
    }
    __syncthreads();
    mbarrier_wait(barrier, 0);
    if (threadIdx.x < 16) line[threadIdx.x] = copied[threadIdx.x];
    if (threadIdx.x == 0) {
        tma_store(&to, tile, x, y, z);
        tma_store_commit();
        tma_store_wait<0>();
    }
}

// o = p v for 64 x 64 matrices: p from device memory into registers, v [k][n] by TMA, lines along n. One warpgroup.
extern "C" __global__ void selftest_wgmma_registers(const __grid_constant__ CUtensorMap map, const bf16* p, float* o) {
    unsigned char* tile = dynamic_shared();
    uint64_t* barrier = (uint64_t*)(tile + 64 * 128);
    if (threadIdx.x == 0) {
        mbarrier_init(barrier, 1);
        fence_proxy_async();
        mbarrier_arrive_expect(barrier, 64 * 128);
        tma_load(tile, &map, barrier, 0, 0);
    }
    __syncthreads();
    const int lane = threadIdx.x % 32, row = threadIdx.x / 32 * 16 + lane / 4, column = lane % 4 * 2;
    uint32_t a[4][4];
    for (int s = 0; s < 4; s++)
        for (int i = 0; i < 4; i++) a[s][i] = *(const uint32_t*)(p + (row + i % 2 * 8) * 64 + s * 16 + column + i / 2 * 8);
    float d[32];
    mbarrier_wait(barrier, 0);
    wgmma_fence();
#pragma unroll
    for (int s = 0; s < 4; s++) wgmma_a_registers<64, 1>(d, a[s], wgmma_descriptor(shared_address(tile) + s * 16 * 128, 64 * 128, 1024), s > 0);
    wgmma_commit();
    wgmma_wait<0>();
    hold(d);
#pragma unroll
    for (int i = 0; i < 32; i++) o[(row + i / 2 % 2 * 8) * 64 + i / 4 * 8 + column + i % 2] = d[i];
}

// o = a b^T for 64 x 64 matrices that ordinary stores bring to shared memory, swizzled.
// mistake: 1 no proxy fence, 2 no barrier, 3 no wgmma.fence, 4 no wait for the product
extern "C" __global__ void selftest_wgmma_stored(const bf16* a, const bf16* b, float* o, int mistake) {
    unsigned char* tile = dynamic_shared();
    for (int i = threadIdx.x; i < 64 * 8; i += 128) {
        const int row = i / 8, chunk = i % 8, at = row * 128 + (chunk ^ row % 8) * 16;
        const uint4 va = load16(a + row * 64 + chunk * 8), vb = load16(b + row * 64 + chunk * 8);
        *(uint4*)(tile + at) = va;
        *(uint4*)(tile + 64 * 128 + at) = vb;
    }
    if (mistake != 1) fence_proxy_async();
    if (mistake != 2) __syncthreads();
    float d[32];
#pragma unroll
    for (int i = 0; i < 32; i++) d[i] = 0.f;
    hold(d);
    if (mistake != 3) wgmma_fence();
    const shared_addr start = shared_address(tile);
#pragma unroll
    for (int k = 0; k < 64; k += 16) wgmma<64, 0, 0>(d, wgmma_descriptor(start + k * 2, 16, 1024), wgmma_descriptor(start + 64 * 128 + k * 2, 16, 1024), 1);
    wgmma_commit();
    if (mistake != 4) wgmma_wait<0>();
    hold(d);
    const int lane = threadIdx.x % 32, row = threadIdx.x / 32 * 16 + lane / 4, column = lane % 4 * 2;
#pragma unroll
    for (int i = 0; i < 32; i++) o[(row + i / 2 % 2 * 8) * 64 + i / 4 * 8 + column + i % 2] = d[i];
    if (mistake == 4) wgmma_wait<0>();
}
