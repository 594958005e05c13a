// algorithms.cpp - the ways to compute a product that the heuristic offers, and how they are kept in the 64 bytes of an algorithm.
#include "descriptions.h"
#include <algorithm>

namespace simcuda {

namespace {

constexpr uint64_t magic = 0x31544c424d4953;      // "SIMBLT1"
enum Word { word_magic, word_product, word_id, word_splits, word_workspace, word_alignments };

constexpr int id_direct = 1, id_blocked = 2, id_split = 3;
constexpr int splits = 4;
constexpr int64_t least_split_k = 64;            // a shorter sum is not worth splitting
constexpr uint64_t blocked_workspace = 64 << 10;

Algorithm algorithm_of(int id, const Product& product) {
    switch (id) {
        case id_direct: return {id, 1, 256, true, 0};
        case id_blocked: return {id, 1, 64, false, blocked_workspace};
        default: return {id, splits, 256, true, (uint64_t)(product.m * product.n) * splits * sizeof(float)};
    }
}

bool can_compute(int id, const Product& product) {
    bool can_split = product.k >= least_split_k && product.batch == 1;
    return id == id_direct || id == id_blocked || (id == id_split && can_split);
}

// Of everything that the choice of an algorithm depends on (FNV-1a).
uint64_t fingerprint(const Product& p) {
    uint64_t hash = 0xcbf29ce484222325;
    auto add = [&hash](uint64_t value) { hash = (hash ^ value) * 0x100000001b3; };
    for (const Matrix* matrix : {&p.a, &p.b, &p.c, &p.d}) {
        add((uint64_t)matrix->element);
        for (int64_t value : {matrix->rows, matrix->columns, matrix->ld, matrix->stride}) add((uint64_t)value);
    }
    for (int64_t value : {(int64_t)p.batch, (int64_t)p.transpose_a, (int64_t)p.transpose_b, (int64_t)p.tf32, (int64_t)p.epilogue, p.auxiliary_ld})
        add((uint64_t)value);
    return hash;
}

}  // namespace

uint32_t reduction_scheme(const Algorithm& algorithm) {
    return algorithm.splits > 1 ? CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE : CUBLASLT_REDUCTION_SCHEME_NONE;
}

std::vector<Algorithm> algorithms_for(const Product& product, const MatmulPreference& preference) {
    std::vector<Algorithm> found;
    for (int id : {id_blocked, id_direct, id_split}) {
        if (!can_compute(id, product)) continue;
        Algorithm algorithm = algorithm_of(id, product);
        if (algorithm.workspace_bytes > preference.workspace_bytes) continue;
        if (reduction_scheme(algorithm) & ~preference.reduction_schemes) continue;
        found.push_back(algorithm);
    }
    return found;
}

cublasLtMatmulAlgo_t encode(const Algorithm& algorithm, const Product& product, const MatmulPreference& preference) {
    cublasLtMatmulAlgo_t encoded{};
    encoded.data[word_magic] = magic;
    encoded.data[word_product] = fingerprint(product);
    encoded.data[word_id] = (uint64_t)algorithm.id;
    encoded.data[word_splits] = (uint64_t)algorithm.splits;
    encoded.data[word_workspace] = algorithm.workspace_bytes;
    for (int i = 0; i < 4; i++) encoded.data[word_alignments] |= (uint64_t)std::min(preference.alignment[i], 256u) << 16 * i;
    return encoded;
}

Algorithm decode(const cublasLtMatmulAlgo_t& encoded) {
    if (encoded.data[word_magic] != magic) refuse(CUBLAS_STATUS_INVALID_VALUE, "the algorithm is none of this library's");
    Algorithm algorithm;
    algorithm.id = (int)encoded.data[word_id];
    algorithm.splits = (int)encoded.data[word_splits];
    algorithm.workspace_bytes = encoded.data[word_workspace];
    return algorithm;
}

Algorithm decode(const cublasLtMatmulAlgo_t& encoded, const Product& product) {
    Algorithm stored = decode(encoded);
    if (encoded.data[word_product] != fingerprint(product)) refuse(CUBLAS_STATUS_INVALID_VALUE, "the algorithm was chosen for another product");
    Algorithm algorithm = algorithm_of(stored.id, product);
    if (!can_compute(stored.id, product) || stored.splits != algorithm.splits || stored.workspace_bytes != algorithm.workspace_bytes)
        refuse(CUBLAS_STATUS_INVALID_VALUE, "the algorithm cannot compute this product");
    return algorithm;
}

uint32_t promised_alignment(const cublasLtMatmulAlgo_t& encoded, int matrix) { return (uint32_t)(encoded.data[word_alignments] >> 16 * matrix & 0xffff); }

}  // namespace simcuda
