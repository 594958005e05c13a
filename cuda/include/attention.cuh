// attention.cuh - causal self-attention: what its kernels have in common.
//
//   S = scale Q K^T, masked to keys <= query;   P = softmax(S);   O = P V;   lse = log sum exp S          scale > 0, usually 1 / sqrt(HS)
//   D = rowsum(dO O);   dV = P^T dO;   dP = dO V^T;   dS = P (dP - D);   dQ = scale dS K;   dK = scale dS^T Q
//
//   B batch entries, T tokens, NH heads of HS channels, 64 or 128 (attention_generic.cu: others too); padded T: rounded up to a multiple of kPadRows
//   qkv, dqkv (B, T, 3, NH, HS), out, dout (B, T, NH, HS): bf16 (attention_generic.cu: or fp32)     lse (B, NH, T) fp32, natural logarithm
//   stats (B, NH, padded T) pairs of fp32, from attention_backward_stats: lse in powers of two, D
//
// T x T is never stored: tiles of scores are made, used and thrown away on the chip, with a softmax that runs over tiles of keys (Milakov and
// Gimelshein 2018; Dao et al. 2022; Dao 2023), and made again from lse in the backward pass. dQ has a kernel of its own that computes S and dP
// once more: its sum runs over keys, that of dK and dV over queries, and adding up either across blocks would take atomics, whose order, and so
// the rounding, changes from run to run, or a workspace. That makes 7 products where 5 are needed.
//
// The mask also serves the end of the sequence. A key >= T is in the future of every real query. Rows >= T are loaded as zeros, whatever the
// next sequence holds, so that they are finite; in the backward pass a query >= T has lse = +inf in `stats`, which makes its P zero.
//
// All kernels need pointers aligned to 16 bytes, T * 3 * NH * HS < 2^31, B and NH <= 65535.
#pragma once
#include "mma_tile.cuh"

constexpr float kInfinity = __builtin_huge_valf();
constexpr int kPadRows = 128;

__device__ __forceinline__ int padded_rows(int T) { return (T + kPadRows - 1) / kPadRows * kPadRows; }
