// regularizer.cu - the scalars of a step, computed on the device: one block before the pass over the parameters and one after it.
//
//   before_step   gradient norm, clip factor (Pascanu et al. 2013), whether the step is taken; the factors of each tensor
//   after_step    the norm of each unit; the factor of a rule that works on the weights after the gradient step
//
// A factor that follows from the norm after the gradient step (weight norm control, line 13.c of Loshchilov, "Weight Norm Control", 2023) is known when
// the pass is over. It is not worth another pass: it is kept as `pending` and multiplied in by the next one. The norm that is reported includes it.
//
// All in double precision; factors are rounded once. A few thousand operations: only the launch costs time.
//   kernel         grid   block   bytes (N tensors)
//   before_step    1      256     64 N
//   after_step     1      256     40 N
//   take_pending   1      256     40 N
#include "optimizer.cuh"
#include "reduce.cuh"

constexpr int kThreads = 256;
constexpr double kTinyNorm = 1e-30;     // keeps a factor finite for weights that have all but vanished
constexpr double kClipEpsilon = 1e-6;   // torch.nn.utils.clip_grad_norm_ adds it to the norm

// The factor of a rule that does not look at the weights.
__device__ __forceinline__ double decay_factor(const Unit& unit, const StepInput& in) {
    if (unit.rule == kDecay) return 1.0 - in.peak_rate * unit.strength * in.multiplier * in.decay_multiplier;
    if (unit.rule == kDecayDecoupled) return 1.0 - unit.strength * in.multiplier * in.decay_multiplier;
    return 1.0;
}

// The factor of a rule that does, for weights of the given norm; changes the state of CPR. A norm of zero has nothing to scale; an initial norm of zero
// has no ratio to hold.
__device__ __forceinline__ double norm_factor(Unit& unit, const StepInput& in, double norm) {
    const bool ratio_defined = unit.initial_norm > 0.0 || unit.strength == 0.0;
    switch (unit.rule) {
        case kNormControl: {
            if (norm == 0.0 || !ratio_defined) return 1.0;
            const double ratio = 1.0 + (unit.strength - 1.0) * in.target_multiplier, rate = unit.rate * in.rate_multiplier;
            return 1.0 - rate * (1.0 - ratio * unit.initial_norm / fmax(norm, kTinyNorm));
        }
        case kParameterBound:   // Franke et al. 2023, with the update rate divided by the number of elements as in their code
            if (in.step < unit.bound_step) return 1.0;
            if (in.step == unit.bound_step) {
                unit.bound = norm * norm;
                return 1.0;
            }
            unit.multiplier = fmax(0.0, unit.multiplier + unit.rate / unit.count * (norm * norm - unit.bound));
            return 1.0 - 2.0 * unit.multiplier;
        case kMaxNorm:
            return norm == 0.0 || !ratio_defined ? 1.0 : fmin(1.0, unit.strength * unit.initial_norm / norm);
        case kSphere:
            return norm == 0.0 || !ratio_defined ? 1.0 : unit.strength * unit.initial_norm / norm;
        default:
            return 1.0;
    }
}

// scalars: overwritten but for the weight norm, which after_step renews.   factors (N): overwritten.   units (U): state of CPR.
// gradient_sums (N): sum_chunks of square_sums over the gradients.   loss: if it is not finite the step is not taken; or null.
extern "C" __global__ void __launch_bounds__(kThreads) before_step(
        StepScalars* scalars, TensorFactors* factors, Unit* units, int unit_count, const StepInput* input, const TensorSpan* tensors,
        int tensor_count, const double* gradient_sums, const double* loss) {
    __shared__ double scratch[32];
    const StepInput& in = *input;
    double sum = 0.0;
    for (int t = threadIdx.x; t < tensor_count; t += kThreads) sum += gradient_sums[t];
    const double gradient_norm = sqrt(block_reduce<Sum>(sum, scratch, 0.0));
    const bool taken = isfinite(gradient_norm) && (!loss || isfinite(*loss));

    for (int u = threadIdx.x; taken && u < unit_count; u += kThreads) {
        Unit& unit = units[u];
        const bool looks_before = unit.rule >= kNormControl && !unit.after;
        unit.factor = looks_before ? norm_factor(unit, in, unit.norm) : decay_factor(unit, in);
    }
    __syncthreads();

    const float rate = (float)(in.peak_rate * in.multiplier);
    for (int t = threadIdx.x; t < tensor_count; t += kThreads) {
        TensorFactors f = {rate, 0.f, 1.f, 1.f};
        if (tensors[t].unit >= 0) {
            const Unit& unit = units[tensors[t].unit];
            // The stored weights lack the pending factor.
            if (unit.rule == kL2) f.l2 = (float)(unit.strength * in.decay_multiplier * unit.pending);
            f.before = (float)(unit.after ? unit.pending : unit.pending * unit.factor);
            f.after = (float)(unit.after ? unit.factor : 1.0);
        }
        factors[t] = f;
    }

    if (threadIdx.x == 0) {
        StepScalars s;
        // Before everything else: what is in registers during a call of pow is spilled.
        s.first_correction = (float)(1.0 / (1.0 - pow(in.beta1, (double)in.step)));
        s.second_correction = (float)(1.0 / (1.0 - pow(in.beta2, (double)in.step)));
        s.taken = taken;
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
        *scalars = s;
    }
}

// units (U): norms and pending factors.   scalars: the weight norm.   weight_sums (N, 2): sum_chunks of what the pass left.
extern "C" __global__ void __launch_bounds__(kThreads) after_step(
        Unit* units, int unit_count, StepScalars* scalars, const StepInput* input, const TensorSpan* tensors, int tensor_count,
        const double* weight_sums) {
    __shared__ double scratch[32];
    if (!scalars->taken) return;
    double squares = 0.0;
    for (int u = threadIdx.x; u < unit_count; u += kThreads) {
        double sum = 0.0;
        for (int t = 0; t < tensor_count; t++)
            if (tensors[t].unit == u) sum += weight_sums[2 * t];
        Unit& unit = units[u];
        const double norm = sqrt(sum);
        unit.pending = unit.rule >= kNormControl && unit.after ? norm_factor(unit, *input, norm) : 1.0;
        unit.norm = fabs(unit.pending) * norm;
        squares += unit.norm * unit.norm;
    }
    const double total = block_reduce<Sum>(squares, scratch, 0.0);
    if (threadIdx.x == 0) scalars->weight_norm = sqrt(total);
}

// factors (N): the pending factor of each tensor, for scale_weights; then none is pending any more.
extern "C" __global__ void __launch_bounds__(kThreads) take_pending(
        float* factors, Unit* units, int unit_count, const TensorSpan* tensors, int tensor_count) {
    for (int t = threadIdx.x; t < tensor_count; t += kThreads) factors[t] = tensors[t].unit >= 0 ? (float)units[tensors[t].unit].pending : 1.f;
    __syncthreads();
    for (int u = threadIdx.x; u < unit_count; u += kThreads) units[u].pending = 1.0;
}
