// optimizer.cuh - what the kernels of a training step's end share: the rule of each unit of weights, the scalars of the step, the factors of
// each tensor. All of it lies in device memory, so that nothing returns to the host. Mirrored by OptimizerLayouts.cs.
#pragma once
#include "tensors.cuh"

// How a unit's weights are regularised. Symbols as in docs/algorithms.md: alpha peak learning rate, eta the schedule, n the unit's norm.
enum Rule : int {
    kNoRule = 0,
    kL2 = 1,                  // gradient += lambda w, after clipping
    kDecay = 2,               // 13.a: factor 1 - alpha eta lambda
    kDecayDecoupled = 3,      // 13.b: factor 1 - eta lambda
    kNormControl = 4,         // 13.c: factor 1 - k (1 - r |w0| / n)
    kParameterBound = 5,      // CPR: multiplier += mu / count (n^2 - bound), within [0, 1/2]; factor 1 - 2 multiplier
    kMaxNorm = 6,             // factor min(1, c |w0| / n)
    kSphere = 7,              // factor r |w0| / n
};

// Tensors that share a norm and a rule.
struct Unit {
    int rule;
    int after;                // the factor is applied after the gradient step (1) or before it (0)
    double strength;          // lambda; r; c
    double rate;              // k; mu
    double initial_norm;      // |w0|: of the weights that training began with
    double count;             // elements
    int bound_step;           // CPR: the step whose end gives the bound n^2; 0: `bound` is known
    float factor;             // of the last step that was taken
    double norm;              // of the weights as they are stored: the root of their tensors' sums of squares
    double multiplier, bound; // CPR: its state, with which a run goes on
};
static_assert(sizeof(Unit) == 72);

// Whether the unit's factor follows from the norm that the pass over the parameters leaves.
__device__ __forceinline__ bool follows_pass(const Unit& unit) { return unit.rule >= kNormControl && unit.after; }

// What the host knows of a step before it begins.
struct StepInput {
    int step;                 // t, from 1
    uint32_t seed;            // of stochastic rounding
    double peak_rate;         // alpha
    double multiplier;        // eta_t: the learning rate is alpha eta_t
    double decay_multiplier;  // a schedule of lambda's own
    double target_multiplier; // r_t = 1 + (r - 1) target_multiplier
    double rate_multiplier;   // k_t = k rate_multiplier
    double clip;              // the largest gradient norm, 0 for any
    double beta1, beta2, epsilon;   // Adam
    double momentum, dampening;     // SGD
    int rate_in_momentum;     // SGD: the learning rate is inside the momentum (Loshchilov and Hutter, algorithm 1) or outside (torch)
    int reserved;
};
static_assert(sizeof(StepInput) == 104);

// What the pass over the parameters reads: for each tensor,
struct TensorFactors { float rate, l2, before, after; };
static_assert(sizeof(TensorFactors) == 16);
// and for all,
struct StepScalars {
    int taken;                // 1 from the beginning; 0 from the first step on whose gradients or loss are not finite
    uint32_t step, seed;      // of the last step that was taken; `step` of the first that was not
    float gradient_scale;     // the clip factor
    float beta1, beta2, epsilon;
    float first_correction, second_correction;   // 1 / (1 - beta^t)
    float momentum, gain;     // SGD: buffer = momentum buffer + gain g
    int rate_in_momentum;
    double gradient_norm;     // before clipping; of the first step that was not taken
    double weight_norm;       // of all tensors that belong to a unit, after the last step that was taken
    double loss;              // before the step, NaN when there is none; of the first step that was not taken
};
static_assert(sizeof(StepScalars) == 72);
