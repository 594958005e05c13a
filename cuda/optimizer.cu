// optimizer.cu - one pass over all parameters for Adam or for SGD with momentum, with every rule of weight decay and weight norm control as
// factors of each tensor, read from device memory:
//
//   g = gradient_scale gradient + l2 w
//   Adam   m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2;  u = (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)    (Kingma and Ba 2015)
//   SGD    m = momentum m + gain g;  u = m          torch: gain 1 - dampening, rate outside; rate_in_momentum: gain rate, rate outside 1
//   w <- (before w - rate u) after
//
// `before` and `after` carry every decay, and the factor of weight norm control of order pre. The pass also leaves each chunk's sums of squares
// of the new weights and of the update w_new - w_old; a factor that follows from them (regularizer.cu) is applied by scale_weights, which
// touches only the tensors that have one.
//
// Memory is all that counts: a thread has two times four loads of 16 bytes in flight; reads and writes of a warp are contiguous.
//
//   n parameters, p of them in tensors whose factor is not 1, K chunks        grid K, block 256
//   kernel          bytes with master weights and bf16 copy    FLOPs
//   adam_update     30 n + 16 K                                19 n
//   sgd_update      22 n + 16 K                                11 n
//   scale_weights   10 p                                       p
#include "optimizer.cuh"
#include "reduce.cuh"
#include "rounding.cuh"

constexpr int kStep = kChunkThreads * 4;
constexpr int kTogether = 2;   // packs of four that a thread works on at once

struct Adam {
    float rate, beta1, beta2, epsilon, first_correction, second_correction;
    __device__ __forceinline__ explicit Adam(const StepScalars& s, const TensorFactors& f)
        : rate(f.rate), beta1(s.beta1), beta2(s.beta2), epsilon(s.epsilon), first_correction(s.first_correction), second_correction(s.second_correction) {}
    __device__ __forceinline__ float update(float g, float& m, float& v) const {
        m = beta1 * m + (1.f - beta1) * g;
        v = beta2 * v + (1.f - beta2) * g * g;
        return m * first_correction / (sqrtf(v * second_correction) + epsilon);
    }
};
struct Sgd {
    float rate, momentum, gain;
    __device__ __forceinline__ explicit Sgd(const StepScalars& s, const TensorFactors& f)
        : rate(s.rate_in_momentum ? 1.f : f.rate), momentum(s.momentum), gain(s.rate_in_momentum ? f.rate : s.gain) {}
    __device__ __forceinline__ float update(float g, float& m, float&) const { return m = momentum * m + gain * g; }
};

// Four weights: from the master copy, or, where there is none, the bf16 ones.
__device__ __forceinline__ void load_weights(float (&w)[4], const float* master, const bf16* weights, long long i) {
    if (master) return load_floats(w, master + i);
    const uint2 bits = load8(weights + i);
    w[0] = bf16_low(bits.x); w[1] = bf16_high(bits.x);
    w[2] = bf16_low(bits.y); w[3] = bf16_high(bits.y);
}

template <class Optimizer, bool SecondMoment>
__device__ __forceinline__ void update_chunk(
        float* master, bf16* weights, float* first, float* second, const float* gradients, double* partial, const TensorSpan* tensors, int tensor_count,
        const TensorFactors* factors, const StepScalars* scalars, int rounding, double (&scratch)[2][32]) {
    const StepScalars s = *scalars;
    if (!s.taken) return;
    const Chunk chunk = chunk_of_block(tensors, tensor_count);
    const TensorFactors f = factors[chunk.tensor];
    const Optimizer optimizer(s, f);

    float weight_squares = 0.f, update_squares = 0.f;
    for (int base = threadIdx.x * 4; base < chunk.count; base += kTogether * kStep) {
        float w[kTogether][4], g[kTogether][4], m[kTogether][4], v[kTogether][4] = {};
#pragma unroll
        for (int k = 0; k < kTogether; k++) {
            const long long i = chunk.begin + base + k * kStep;
            if (base + k * kStep >= chunk.count) break;
            load_weights(w[k], master, weights, i);
            load_floats(g[k], gradients + i);
            load_floats(m[k], first + i);
            if constexpr (SecondMoment) load_floats(v[k], second + i);
        }
#pragma unroll
        for (int k = 0; k < kTogether; k++) {
            const long long i = chunk.begin + base + k * kStep;
            if (base + k * kStep >= chunk.count) break;
            float old[4];
#pragma unroll
            for (int e = 0; e < 4; e++) {
                old[e] = w[k][e];
                const float gradient = s.gradient_scale * g[k][e] + f.l2 * old[e];
                w[k][e] = (f.before * old[e] - optimizer.rate * optimizer.update(gradient, m[k][e], v[k][e])) * f.after;
            }
            uint2 bits = make_uint2(0, 0);
            if (weights) {
                bits = round4(w[k], rounding, RandomFor::update, i, s.step, s.seed);
                store8(weights + i, bits);
            }
            if (master) store_floats(master + i, w[k]);
            else w[k][0] = bf16_low(bits.x), w[k][1] = bf16_high(bits.x), w[k][2] = bf16_low(bits.y), w[k][3] = bf16_high(bits.y);
            store_floats(first + i, m[k]);
            if constexpr (SecondMoment) store_floats(second + i, v[k]);
#pragma unroll
            for (int e = 0; e < 4; e++) {
                weight_squares += w[k][e] * w[k][e];
                update_squares += (w[k][e] - old[e]) * (w[k][e] - old[e]);
            }
        }
    }
    const double2 sums = make_double2(block_reduce<Sum>((double)weight_squares, scratch[0], 0.0), block_reduce<Sum>((double)update_squares, scratch[1], 0.0));
    if (threadIdx.x == 0) {
        partial[2 * blockIdx.x] = sums.x;
        partial[2 * blockIdx.x + 1] = sums.y;
    }
}

// master (n) fp32, or null: then the bf16 weights are all there is.   weights (n) bf16, or null: fp32 training without a copy.
// first, second (n): the moments.   gradients (n) fp32.   partial (K, 2): overwritten unless the step is not taken.   factors (tensors).   rounding: Rounding
extern "C" __global__ void __launch_bounds__(kChunkThreads) adam_update(
        float* master, bf16* weights, float* first, float* second, const float* gradients, double* partial, const TensorSpan* tensors,
        int tensor_count, const TensorFactors* factors, const StepScalars* scalars, int rounding) {
    __shared__ double scratch[2][32];
    update_chunk<Adam, true>(master, weights, first, second, gradients, partial, tensors, tensor_count, factors, scalars, rounding, scratch);
}

// momentum (n): the buffer; the others as above.
extern "C" __global__ void __launch_bounds__(kChunkThreads) sgd_update(
        float* master, bf16* weights, float* momentum, const float* gradients, double* partial, const TensorSpan* tensors, int tensor_count,
        const TensorFactors* factors, const StepScalars* scalars, int rounding) {
    __shared__ double scratch[2][32];
    update_chunk<Sgd, false>(master, weights, momentum, nullptr, gradients, partial, tensors, tensor_count, factors, scalars, rounding, scratch);
}

// Multiplies each tensor by its factor, and rounds its copy again; a factor of exactly 1 costs nothing.   factors (tensors): after_step's.
extern "C" __global__ void __launch_bounds__(kChunkThreads) scale_weights(
        float* master, bf16* weights, const TensorSpan* tensors, int tensor_count, const float* factors, const StepScalars* scalars, int rounding) {
    const Chunk chunk = chunk_of_block(tensors, tensor_count);
    const float factor = factors[chunk.tensor];
    if (factor == 1.f) return;
    const uint32_t step = scalars->step, seed = scalars->seed;
    for (int i = threadIdx.x * 4; i < chunk.count; i += kStep) {
        float w[4];
        load_weights(w, master, weights, chunk.begin + i);
#pragma unroll
        for (int e = 0; e < 4; e++) w[e] *= factor;
        if (weights) store8(weights + chunk.begin + i, round4(w, rounding, RandomFor::scaling, chunk.begin + i, step, seed));
        if (master) store_floats(master + chunk.begin + i, w);
    }
}
