// classifier.cu - softmax and cross-entropy of the logits, the loss of each row and the gradient in place of the logits.
//
//   loss[r] = log(sum over v < V of exp(x[r,v])) - x[r,target];   x[r,v] <- scale (exp(x[r,v]) / sum - [v = target]),  0 for V <= v < Vp
//
// One block for each row, which it reads once: the row waits in shared memory, 98 KiB for GPT-2's vocabulary in bf16, or as much of it as leaves room for
// a second block. Two share a multiprocessor, so that one computes while the other reads or writes. Each thread reads back only what it copied itself, so
// the copies need no barrier. The maximum is subtracted before anything is multiplied: logits of any finite size are fine.
//
//   rows R, vocabulary V, padded Vp: a multiple of 8; s bytes of a logit
//   kernel                       s   grid   block   dynamic shared   bytes                    FLOPs
//   softmax_cross_entropy        2   R      512     s kept           R (s V + s Vp + 8)       9 R V
//   softmax_cross_entropy_f32    4   R      512     s kept           R (s V + s Vp + 8)       9 R V      and what is not kept twice more
#include "reduce.cuh"
#include "vector.cuh"

constexpr int kThreads = 512;
constexpr uint32_t kMinusInfinity = 0xff800000, kMinusInfinityPair = 0xff80ff80;   // one float, two bf16

// A pack of logits from column on; those from V on are minus infinity.
template <class Element> __device__ __forceinline__ uint4 mask_padding(uint4 v, int column, int V) {
    if (column + kPack<Element> <= V) return v;
    uint32_t words[4] = {v.x, v.y, v.z, v.w};
#pragma unroll
    for (int i = 0; i < 4; i++) {
        if constexpr (sizeof(Element) == 4) {
            if (column + i >= V) words[i] = kMinusInfinity;
        } else {
            if (column + 2 * i >= V) words[i] = kMinusInfinityPair;
            else if (column + 2 * i + 1 >= V) words[i] = (words[i] & 0xffff) | (kMinusInfinityPair & 0xffff0000);
        }
    }
    return make_uint4(words[0], words[1], words[2], words[3]);
}

template <class Element>
__device__ __forceinline__ void softmax_row(Element* logits, float* losses, const int* targets, int V, int Vp, int kept, int ignored, float scale,
                                            float (&scratch)[2][32]) {
    constexpr int pack_elements = kPack<Element>, kStep = kThreads * pack_elements;
    Element* row = logits + (size_t)blockIdx.x * Vp;
    const int target = targets[blockIdx.x], start = threadIdx.x * pack_elements;
    if (target == ignored) {
        if (threadIdx.x == 0) losses[blockIdx.x] = 0.f;
        if (scale != 0.f)
            for (int column = start; column < Vp; column += kStep) store16_streaming(row + column, make_uint4(0, 0, 0, 0));
        return;
    }

    const shared_addr tile = shared_address(dynamic_shared());
    const int in_tile = min(kept, V);
    for (int column = start; column < in_tile; column += kStep) cp_async16(tile + column * sizeof(Element), row + column);
    cp_async_commit();
    const float target_logit = threadIdx.x == 0 ? to_float(row[target]) : 0.f;
    cp_async_wait<0>();
    // The one pack that the end of the vocabulary cuts is masked where it waits, by the thread that copied it.
    if (V % pack_elements != 0 && V < kept && V / pack_elements % kThreads == threadIdx.x) {
        const shared_addr at = tile + V / pack_elements * 16;
        const uint4 v = mask_padding<Element>(load_shared16(at), V / pack_elements * pack_elements, V);
        store_shared4(at, v.x); store_shared4(at + 4, v.y); store_shared4(at + 8, v.z); store_shared4(at + 12, v.w);
    }
    auto for_each_pack = [&](auto&& f) {
        int column = start;
#pragma unroll 2
        for (; column < in_tile; column += kStep) f(load_shared16(tile + column * sizeof(Element)), column);
#pragma unroll 1
        for (; column < V; column += kStep) f(mask_padding<Element>(load16(row + column), column, V), column);
    };

    float largest = __uint_as_float(kMinusInfinity);
    for_each_pack([&](uint4 v, int) {
        float x[pack_elements];
        unpack(x, v);
#pragma unroll
        for (int i = 0; i < pack_elements; i++) largest = fmaxf(largest, x[i]);
    });
    largest = block_reduce<Max>(largest, scratch[0], __uint_as_float(kMinusInfinity));

    float sum = 0.f;
    for_each_pack([&](uint4 v, int) {
        float x[pack_elements];
        unpack(x, v);
#pragma unroll
        for (int i = 0; i < pack_elements; i++) sum += exp2_approx((x[i] - largest) * kLog2e);
    });
    sum = block_reduce<Sum>(sum, scratch[1], 0.f);
    if (threadIdx.x == 0) losses[blockIdx.x] = logf(sum) + (largest - target_logit);
    if (scale == 0.f) return;

    const float factor = scale / sum;
    for_each_pack([&](uint4 v, int column) {
        float x[pack_elements];
        unpack(x, v);
#pragma unroll
        for (int i = 0; i < pack_elements; i++) x[i] = exp2_approx((x[i] - largest) * kLog2e) * factor;
        if ((unsigned)(target - column) < pack_elements)
#pragma unroll
            for (int i = 0; i < pack_elements; i++)
                if (column + i == target) x[i] -= scale;
        store16_streaming(row + column, pack(x));
    });
    const int padding = (V + pack_elements - 1) / pack_elements * pack_elements;
    for (int column = padding + start; column < Vp; column += kStep) store16_streaming(row + column, make_uint4(0, 0, 0, 0));
}

// logits (R, Vp): replaced by the gradient unless scale is 0.   losses (R): overwritten.   targets (R), each below V or equal to ignored: such a row
// has no loss and no gradient.   kept: how many columns, a multiple of 8, wait in shared memory; more are read again, from L2.
#define SOFTMAX_CROSS_ENTROPY(name, Element)                                                                                                     \
    extern "C" __global__ void __launch_bounds__(kThreads, 2) name(                                                                              \
            Element* logits, float* losses, const int* targets, int V, int Vp, int kept, int ignored, float scale) {                             \
        __shared__ float scratch[2][32];                                                                                                         \
        softmax_row(logits, losses, targets, V, Vp, kept, ignored, scale, scratch);                                                              \
    }
SOFTMAX_CROSS_ENTROPY(softmax_cross_entropy, bf16)
SOFTMAX_CROSS_ENTROPY(softmax_cross_entropy_f32, float)
