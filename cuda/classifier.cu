// classifier.cu - softmax and cross-entropy of the logits, the loss of each row and the gradient in place of the logits.
//
//   loss[r] = log(sum over v < V of exp(x[r,v])) - x[r,target];   x[r,v] <- scale (exp(x[r,v]) / sum - [v = target]),  0 for V <= v < Vp
//
// One block for each row, which it reads once: the row waits in shared memory, 98 KiB for GPT-2's vocabulary, or as much of it as leaves room for a
// second block. Two share a multiprocessor, so that one computes while the other reads or writes. Each thread reads back only what it copied itself, so
// the copies need no barrier. The maximum is subtracted before anything is multiplied: logits of any finite size are fine.
//
//   rows R, vocabulary V, padded Vp: a multiple of 8
//   kernel                   grid   block   dynamic shared   bytes                    FLOPs
//   softmax_cross_entropy    R      512     2 kept           R (2 V + 2 Vp + 8)       9 R V
#include "reduce.cuh"
#include "vector.cuh"

constexpr int kThreads = 512;
constexpr uint32_t kMinusInfinityPair = 0xff80ff80;   // two bf16

// Eight logits from column on; those from V on are minus infinity.
__device__ __forceinline__ uint4 mask_padding(uint4 v, int column, int V) {
    if (column + 8 <= V) return v;
    uint32_t words[4] = {v.x, v.y, v.z, v.w};
#pragma unroll
    for (int i = 0; i < 4; i++) {
        if (column + 2 * i >= V) words[i] = kMinusInfinityPair;
        else if (column + 2 * i + 1 >= V) words[i] = (words[i] & 0xffff) | (kMinusInfinityPair & 0xffff0000);
    }
    return make_uint4(words[0], words[1], words[2], words[3]);
}

// logits (R, Vp): replaced by the gradient unless scale is 0.   losses (R): overwritten.   targets (R), each below V or equal to ignored: such a row
// has no loss and no gradient.   kept: how many columns, a multiple of 8, wait in shared memory; more are read again, from L2.
extern "C" __global__ void __launch_bounds__(kThreads, 2) softmax_cross_entropy(
        bf16* logits, float* losses, const int* targets, int V, int Vp, int kept, int ignored, float scale) {
    __shared__ float scratch[2][32];
    bf16* row = logits + (size_t)blockIdx.x * Vp;
    const int target = targets[blockIdx.x], start = threadIdx.x * 8;
    constexpr int kStep = kThreads * 8;
    if (target == ignored) {
        if (threadIdx.x == 0) losses[blockIdx.x] = 0.f;
        if (scale != 0.f)
            for (int column = start; column < Vp; column += kStep) store16_streaming(row + column, make_uint4(0, 0, 0, 0));
        return;
    }

    const shared_addr tile = shared_address(dynamic_shared());
    const int in_tile = min(kept, V);
    for (int column = start; column < in_tile; column += kStep) cp_async16(tile + column * 2, row + column);
    cp_async_commit();
    const float target_logit = threadIdx.x == 0 ? to_float(row[target]) : 0.f;
    cp_async_wait<0>();
    // The one pack that the end of the vocabulary cuts is masked where it waits, by the thread that copied it.
    if (V % 8 != 0 && V < kept && V / 8 % kThreads == threadIdx.x) {
        const uint4 v = mask_padding(load_shared16(tile + V / 8 * 16), V / 8 * 8, V);
        const shared_addr at = tile + V / 8 * 16;
        store_shared4(at, v.x); store_shared4(at + 4, v.y); store_shared4(at + 8, v.z); store_shared4(at + 12, v.w);
    }
    auto for_each_pack = [&](auto&& f) {
        int column = start;
#pragma unroll 2
        for (; column < in_tile; column += kStep) f(load_shared16(tile + column * 2), column);
#pragma unroll 1
        for (; column < V; column += kStep) f(mask_padding(load16(row + column), column, V), column);
    };

    float largest = __uint_as_float(0xff800000);
    for_each_pack([&](uint4 v, int) {
        float x[8];
        unpack8(x, v);
#pragma unroll
        for (int i = 0; i < 8; i++) largest = fmaxf(largest, x[i]);
    });
    largest = block_reduce<Max>(largest, scratch[0], __uint_as_float(0xff800000));

    float sum = 0.f;
    for_each_pack([&](uint4 v, int) {
        float x[8];
        unpack8(x, v);
#pragma unroll
        for (int i = 0; i < 8; i++) sum += exp2_approx((x[i] - largest) * kLog2e);
    });
    sum = block_reduce<Sum>(sum, scratch[1], 0.f);
    if (threadIdx.x == 0) losses[blockIdx.x] = logf(sum) + (largest - target_logit);
    if (scale == 0.f) return;

    const float factor = scale / sum;
    for_each_pack([&](uint4 v, int column) {
        float x[8];
        unpack8(x, v);
#pragma unroll
        for (int i = 0; i < 8; i++) x[i] = exp2_approx((x[i] - largest) * kLog2e) * factor;
        if ((unsigned)(target - column) < 8)
#pragma unroll
            for (int i = 0; i < 8; i++)
                if (column + i == target) x[i] -= scale;
        store16_streaming(row + column, pack8(x));
    });
    for (int column = (V + 7) / 8 * 8 + start; column < Vp; column += kStep) store16_streaming(row + column, make_uint4(0, 0, 0, 0));
}
