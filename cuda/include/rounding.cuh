// rounding.cuh - fp32 to bf16, to the nearest or at random.
#pragma once
#include "vector.cuh"

// Philox 4x32 with 10 rounds (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011): 128 random bits as a function of counter and key.
__device__ __forceinline__ uint4 philox(uint4 counter, uint2 key) {
#pragma unroll
    for (int round = 0; round < 10; round++) {
        const uint32_t high0 = __umulhi(0xd2511f53u, counter.x), low0 = 0xd2511f53u * counter.x;
        const uint32_t high1 = __umulhi(0xcd9e8d57u, counter.z), low1 = 0xcd9e8d57u * counter.z;
        counter = make_uint4(high1 ^ counter.y ^ key.x, low1, high0 ^ counter.w ^ key.y, low0);
        key.x += 0x9e3779b9u;
        key.y += 0xbb67ae85u;
    }
    return counter;
}

// The bf16 below or above v in magnitude, above with a probability of the share of the way: its mean is v. `random` has 16 random bits.
__device__ __forceinline__ uint32_t round_stochastic(float v, uint32_t random) {
    const uint32_t bits = __float_as_uint(v);
    const bool finite = (bits & 0x7f800000u) != 0x7f800000u;
    return finite ? (bits + random) >> 16 : pack_bf16(v, 0.f);
}

// How fp32 becomes bf16.
enum Rounding : int { kNearest = 0, kStochastic = 1 };

// Who rounds. A weight that is rounded twice in a step needs independent numbers for its mean to stay what it was.
enum class RandomFor : uint32_t { update = 0, scaling = 1, cast = 2 };

// Random numbers depend on who rounds, the element's index in its array, the step and the seed alone.
__device__ __forceinline__ uint2 round4(const float (&v)[4], int rounding, RandomFor purpose, unsigned long long index, uint32_t step, uint32_t seed) {
    if (rounding == kNearest) return make_uint2(pack_bf16(v[0], v[1]), pack_bf16(v[2], v[3]));
    const uint4 r = philox(make_uint4((uint32_t)(index / 4), (uint32_t)(index / 4 >> 32), step, (uint32_t)purpose), make_uint2(seed, 0));
    return make_uint2(round_stochastic(v[0], r.x & 0xffff) | round_stochastic(v[1], r.y & 0xffff) << 16,
                      round_stochastic(v[2], r.z & 0xffff) | round_stochastic(v[3], r.w & 0xffff) << 16);
}
