// vector.cuh - 16 bytes at a time: eight bf16 or four floats, computed with in fp32. A kernel for both types is a template over the element, and
// tells a pack's type by what it unpacks to.
#pragma once
#include "ptx.cuh"

// bf16 is the upper half of a float.
__device__ __forceinline__ float bf16_low(uint32_t pair) { return __uint_as_float(pair << 16); }
__device__ __forceinline__ float bf16_high(uint32_t pair) { return __uint_as_float(pair & 0xffff0000u); }
__device__ __forceinline__ float to_float(bf16 v) { return __bfloat162float(v); }
__device__ __forceinline__ float to_float(float v) { return v; }

// The elements of 16 bytes.
template <class T> constexpr int kPack = 16 / sizeof(T);

// Two floats rounded to nearest, the first in the lower half.
__device__ __forceinline__ uint32_t pack_bf16(float low, float high) {
    __nv_bfloat162 v = __floats2bfloat162_rn(low, high);
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    return bits;
}

__device__ __forceinline__ void unpack(float (&f)[8], uint4 v) {
    f[0] = bf16_low(v.x); f[1] = bf16_high(v.x);
    f[2] = bf16_low(v.y); f[3] = bf16_high(v.y);
    f[4] = bf16_low(v.z); f[5] = bf16_high(v.z);
    f[6] = bf16_low(v.w); f[7] = bf16_high(v.w);
}
__device__ __forceinline__ void unpack(float (&f)[4], uint4 v) {
    f[0] = __uint_as_float(v.x); f[1] = __uint_as_float(v.y); f[2] = __uint_as_float(v.z); f[3] = __uint_as_float(v.w);
}
__device__ __forceinline__ uint4 pack(const float (&f)[8]) {
    return make_uint4(pack_bf16(f[0], f[1]), pack_bf16(f[2], f[3]), pack_bf16(f[4], f[5]), pack_bf16(f[6], f[7]));
}
__device__ __forceinline__ uint4 pack(const float (&f)[4]) {
    return make_uint4(__float_as_uint(f[0]), __float_as_uint(f[1]), __float_as_uint(f[2]), __float_as_uint(f[3]));
}

// Four neighbouring elements, as they lie in memory.
__device__ __forceinline__ uint2 load_four(const bf16* p) { return load8(p); }
__device__ __forceinline__ uint4 load_four(const float* p) { return load16(p); }
__device__ __forceinline__ void unpack(float (&f)[4], uint2 v) {
    f[0] = bf16_low(v.x); f[1] = bf16_high(v.x);
    f[2] = bf16_low(v.y); f[3] = bf16_high(v.y);
}
__device__ __forceinline__ void store_four(bf16* p, const float (&f)[4]) { store8(p, make_uint2(pack_bf16(f[0], f[1]), pack_bf16(f[2], f[3]))); }
__device__ __forceinline__ void store_four(float* p, const float (&f)[4]) { store16(p, pack(f)); }

// Two consecutive floats, or a multiple of four, 16 bytes at a time.
template <int N> __device__ __forceinline__ void load_floats(float (&f)[N], const float* p) {
    if constexpr (N == 2) {
        const uint2 v = load8(p);
        f[0] = __uint_as_float(v.x); f[1] = __uint_as_float(v.y);
    } else {
#pragma unroll
        for (int i = 0; i < N; i += 4) {
            const uint4 v = load16(p + i);
            f[i] = __uint_as_float(v.x); f[i + 1] = __uint_as_float(v.y); f[i + 2] = __uint_as_float(v.z); f[i + 3] = __uint_as_float(v.w);
        }
    }
}
template <int N> __device__ __forceinline__ void store_floats(float* p, const float (&f)[N]) {
    if constexpr (N == 2) {
        store8(p, make_uint2(__float_as_uint(f[0]), __float_as_uint(f[1])));
    } else {
#pragma unroll
        for (int i = 0; i < N; i += 4)
            store16(p + i, make_uint4(__float_as_uint(f[i]), __float_as_uint(f[i + 1]), __float_as_uint(f[i + 2]), __float_as_uint(f[i + 3])));
    }
}

// The same in shared memory.
template <int N> __device__ __forceinline__ void load_shared_floats(float (&f)[N], shared_addr p) {
    if constexpr (N == 2) {
        const uint2 v = load_shared8(p);
        f[0] = __uint_as_float(v.x); f[1] = __uint_as_float(v.y);
    } else {
#pragma unroll
        for (int i = 0; i < N; i += 4) {
            const uint4 v = load_shared16(p + i * 4);
            f[i] = __uint_as_float(v.x); f[i + 1] = __uint_as_float(v.y); f[i + 2] = __uint_as_float(v.z); f[i + 3] = __uint_as_float(v.w);
        }
    }
}
template <int N> __device__ __forceinline__ void store_shared_floats(shared_addr p, const float (&f)[N]) {
    if constexpr (N == 2) {
        store_shared8(p, make_uint2(__float_as_uint(f[0]), __float_as_uint(f[1])));
    } else {
#pragma unroll
        for (int i = 0; i < N; i += 4)
            store_shared16(p + i * 4, make_uint4(__float_as_uint(f[i]), __float_as_uint(f[i + 1]), __float_as_uint(f[i + 2]), __float_as_uint(f[i + 3])));
    }
}

template <int N> __device__ __forceinline__ void add(float (&to)[N], const float (&v)[N]) {
#pragma unroll
    for (int i = 0; i < N; i++) to[i] += v[i];
}
