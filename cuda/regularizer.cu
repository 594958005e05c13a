// regularizer.cu - the scalars of a step, computed on the device: one block before the pass over the parameters and one after it.
//
//   before_step   gradient norm, clip factor (Pascanu et al. 2013), whether the step is taken; the factors of each tensor
//   after_step    the norm of each unit; the factor of a rule that works on the weights after the gradient step
//
// A factor that follows from the norm after the gradient step (weight norm control, line 13.c of Loshchilov, "Weight Norm Control", 2023) is known when
// the pass is over, so it costs a pass of its own over the weights that it scales (scale_weights of optimizer.cu). To let the next step's pass multiply
// it in would be free, but the weights in between would lack it: evaluating or keeping them would change the bits of everything that follows.
//
// A step whose gradients or loss are not finite is not taken, nor is any after it: the host launches a step before it knows how the last one went.
//
// Equal sums give the norms and factors of the CPU trainer (src/Trainer/Optimization), to the bit: double precision, tensors added in their order,
// products rounded before they are added, each factor rounded once. A few thousand operations: only the launch costs time.
//   kernel         grid   block   bytes (N tensors)
//   before_step    1      256     64 N
//   after_step     1      256     72 N
#include "optimizer.cuh"

constexpr int kThreads = 256;
constexpr double kTinyNorm = 1e-30;     // keeps a factor finite for weights that have all but vanished
constexpr double kMaximumMultiplier = 0.5;   // beyond it CPR would turn the weights' sign
constexpr double kClipEpsilon = 1e-6;   // torch.nn.utils.clip_grad_norm_ adds it to the norm

// The root of the sum of what lies `stride` apart, for the tensors of a unit, of any unit, or for all.
constexpr int kAnyUnit = -1, kAllTensors = -2;
__device__ __forceinline__ double norm_of(const double* sums, int stride, const TensorSpan* tensors, int tensor_count, int unit) {
    double total = 0.0;
#pragma unroll 8
    for (int t = 0; t < tensor_count; t++) {
        const double sum = sums[(size_t)t * stride];   // read for every tensor, so that loads do not wait for each other
        const int own = tensors[t].unit;
        if (unit == kAllTensors || (unit == kAnyUnit ? own >= 0 : own == unit)) total += sum;
    }
    return sqrt(total);
}

// The factor of a rule that does not look at the weights.
__device__ __forceinline__ double decay_factor(const Unit& unit, const StepInput& in) {
    if (unit.rule == kDecay) return 1.0 - __dmul_rn(in.peak_rate * unit.strength * in.multiplier, in.decay_multiplier);
    if (unit.rule == kDecayDecoupled) return 1.0 - __dmul_rn(unit.strength * in.multiplier, in.decay_multiplier);
    return 1.0;
}

// The factor of a rule that does, for weights of the given norm; changes the state of CPR. A norm of zero has nothing to scale; an initial norm of zero
// has no ratio to hold.
__device__ __forceinline__ double norm_factor(Unit& unit, const StepInput& in, double norm) {
    const bool ratio_defined = unit.initial_norm > 0.0 || unit.strength == 0.0;
    switch (unit.rule) {
        case kNormControl: {
            if (norm == 0.0 || !ratio_defined) return 1.0;
            const double ratio = 1.0 + __dmul_rn(unit.strength - 1.0, in.target_multiplier), rate = unit.rate * in.rate_multiplier;
            return 1.0 - __dmul_rn(rate, 1.0 - ratio * unit.initial_norm / (norm < kTinyNorm ? kTinyNorm : norm));
        }
        case kParameterBound:   // Franke et al. 2023, with the update rate divided by the number of elements as in their code
            if (in.step < unit.bound_step) return 1.0;
            if (in.step == unit.bound_step) {
                unit.bound = norm * norm;
                unit.bound_step = 0;
                return 1.0;
            }
            unit.multiplier = fmin(kMaximumMultiplier, fmax(0.0, unit.multiplier + __dmul_rn(unit.rate / unit.count, __dmul_rn(norm, norm) - unit.bound)));
            return 1.0 - 2.0 * unit.multiplier;
        case kMaxNorm:
            return norm == 0.0 || !ratio_defined ? 1.0 : fmin(1.0, unit.strength * unit.initial_norm / norm);
        case kSphere:
            return norm == 0.0 || !ratio_defined ? 1.0 : unit.strength * unit.initial_norm / norm;
        default:
            return 1.0;
    }
}

// scalars: renewed but for the weight norm.   factors (N): overwritten.   units (U): factors, state of CPR.   gradient_sums (N): sum_chunks of
// square_sums over the gradients.   loss: if it is not finite the step is not taken; or null.
// A step that is not taken changes only the scalars that say so: taken, step, gradient norm and loss; those after it change nothing.
extern "C" __global__ void __launch_bounds__(kThreads) before_step(
        StepScalars* scalars, TensorFactors* factors, Unit* units, int unit_count, const StepInput* input, const TensorSpan* tensors,
        int tensor_count, const double* gradient_sums, const double* loss) {
    __shared__ double shared_norm;
    if (!scalars->taken) return;
    const StepInput& in = *input;
    if (threadIdx.x == 0) shared_norm = norm_of(gradient_sums, 1, tensors, tensor_count, kAllTensors);
    __syncthreads();
    const double gradient_norm = shared_norm, loss_before = loss ? *loss : nan("");
    if (!isfinite(gradient_norm) || (loss && !isfinite(loss_before))) {
        if (threadIdx.x == 0) {
            scalars->taken = 0;
            scalars->step = in.step;
            scalars->gradient_norm = gradient_norm;
            scalars->loss = loss_before;
        }
        return;
    }

    for (int u = threadIdx.x; u < unit_count; u += kThreads) {
        Unit& unit = units[u];
        if (!follows_pass(unit)) unit.factor = (float)(unit.rule >= kNormControl ? norm_factor(unit, in, unit.norm) : decay_factor(unit, in));
    }
    __syncthreads();

    const float rate = (float)(in.peak_rate * in.multiplier);
    for (int t = threadIdx.x; t < tensor_count; t += kThreads) {
        TensorFactors f = {rate, 0.f, 1.f, 1.f};
        if (tensors[t].unit >= 0) {
            const Unit& unit = units[tensors[t].unit];
            if (unit.rule == kL2) f.l2 = (float)(unit.strength * in.decay_multiplier);
            if (!follows_pass(unit)) (unit.after ? f.after : f.before) = unit.factor;
        }
        factors[t] = f;
    }

    if (threadIdx.x == 0) {
        StepScalars s;
        // Before everything else: what is in registers during a call of pow is spilled. The betas are those that the pass multiplies by.
        s.first_correction = (float)(1.0 / (1.0 - pow((double)(float)in.beta1, (double)in.step)));
        s.second_correction = (float)(1.0 / (1.0 - pow((double)(float)in.beta2, (double)in.step)));
        s.taken = 1;
        s.step = in.step;
        s.seed = in.seed;
        s.gradient_scale = in.clip > 0.0 ? (float)fmin(1.0, in.clip / (gradient_norm + kClipEpsilon)) : 1.f;
        s.beta1 = (float)in.beta1;
        s.beta2 = (float)in.beta2;
        s.epsilon = (float)in.epsilon;
        // torch's first step fills the buffer with the gradient itself.
        s.momentum = in.step == 1 ? 0.f : (float)in.momentum;
        s.gain = in.step == 1 ? 1.f : (float)(1.0 - in.dampening);
        s.rate_in_momentum = in.rate_in_momentum;
        s.gradient_norm = gradient_norm;
        s.weight_norm = scalars->weight_norm;
        s.loss = loss_before;
        *scalars = s;
    }
}

// scalars: the weight norm.   scales (N): what scale_weights multiplies each tensor by, 1 for all when the step was not taken.
// weight_sums (N): sums of squares of the weights as they are when they have been scaled.   units (U): factors and norms, state of CPR.
// pass_sums (N, 2): sum_chunks of what the pass left.
extern "C" __global__ void __launch_bounds__(kThreads) after_step(
        StepScalars* scalars, float* scales, double* weight_sums, Unit* units, int unit_count, const StepInput* input, const TensorSpan* tensors,
        int tensor_count, const double* pass_sums) {
    if (!scalars->taken) {
        for (int t = threadIdx.x; t < tensor_count; t += kThreads) scales[t] = 1.f;
        return;
    }
    for (int u = threadIdx.x; u < unit_count; u += kThreads) {
        Unit& unit = units[u];
        if (follows_pass(unit)) unit.factor = (float)norm_factor(unit, *input, norm_of(pass_sums, 2, tensors, tensor_count, u));
    }
    __syncthreads();

    for (int t = threadIdx.x; t < tensor_count; t += kThreads) {
        const int u = tensors[t].unit;
        const float scale = u >= 0 && follows_pass(units[u]) ? units[u].factor : 1.f;
        scales[t] = scale;
        weight_sums[t] = pass_sums[2 * (size_t)t] * ((double)scale * scale);
    }
    __syncthreads();

    for (int u = threadIdx.x; u < unit_count; u += kThreads) units[u].norm = norm_of(weight_sums, 1, tensors, tensor_count, u);
    // The last thread has the fewest units.
    if (threadIdx.x == kThreads - 1) scalars->weight_norm = norm_of(weight_sums, 1, tensors, tensor_count, kAnyUnit);
}
