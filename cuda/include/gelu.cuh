// gelu.cuh - the tanh GELU and its derivative, with one exponential and one reciprocal each.
//
//   GELU(x) = x/2 (1 + tanh u) = x s,   u = sqrt(2/pi) (x + 0.044715 x^3),   s = sigmoid(2u) = 1 / (1 + 2^t),   t = -2u log2(e)
//   GELU'(x) = s + x s (1 - s) 2u',     2u' = 2 sqrt(2/pi) (1 + 3 * 0.044715 x^2)                    (Hendrycks and Gimpel 2016)
//
// Errors, with e = 2^-24, the relative error of a rounding. t has gone through nine of them, those of the constants included, so 2^t is off by
// (4 + 9 |2u|) e relatively, 4 e being the instruction's own; s by E = ((4 + 9 |2u|) (1 - s) + 3) e: the sum, the reciprocal. Then
//   GELU is off by    |x| s (E + e)
//   GELU' is off by   s (E + e) + |x| 2u' s (E + 10 (1 - s) e): 1 - s is off by s E, and ten roundings follow.   For 2u > 17 1 - s is 0.
// Nothing overflows to a NaN: 2^t may be infinite, then s is 0; x^2 is cut where s is 0 or 1 already.
#pragma once
#include "ptx.cuh"

constexpr float kGeluCubic = 0.044715f, kGeluScale = 0.7978845608028654f;   // sqrt(2/pi)

__device__ __forceinline__ float gelu_sigmoid(float x, float square) {
    constexpr float scale = -2.f * kGeluScale * kLog2e;
    return reciprocal_approx(1.f + exp2_approx(x * (scale + scale * kGeluCubic * square)));
}

__device__ __forceinline__ float gelu(float x) { return x * gelu_sigmoid(x, x * x); }

__device__ __forceinline__ float gelu_derivative(float x) {
    const float square = fminf(x * x, 1e4f), s = gelu_sigmoid(x, square);
    return s + x * s * (1.f - s) * (2.f * kGeluScale + 6.f * kGeluScale * kGeluCubic * square);
}
