// multiply.cpp - the arithmetic of a product: op(A) and op(B) are copied as fp32 into panels that a tile of sums reads in order.
#include "elements.h"
#include <algorithm>
#include <cstring>
#include <vector>

namespace simcuda {

namespace {

#if defined(__AVX512F__)
constexpr int lanes = 16, tile_vectors = 3, tile_columns = 8;    // 24 of 32 registers hold the tile
#else
constexpr int lanes = 8, tile_vectors = 2, tile_columns = 6;     // 12 of 16
#endif
constexpr int tile_rows = lanes * tile_vectors, tile_elements = tile_rows * tile_columns;
constexpr int64_t block_tiles = 40;              // tiles of columns that a panel of rows meets while their panels of B are in the second cache
using Vector = float __attribute__((vector_size(lanes * sizeof(float)), aligned(sizeof(float)), may_alias));

int64_t tiles_of(int64_t extent, int64_t tile) { return (extent + tile - 1) / tile; }

float widen(float value) { return value; }
float widen(uint16_t bits) { return from_bf16(bits); }

// Panels of `width` rows of op(X), all k of each behind each other: element (row, l) is at (row / width k + l) width + row % width.
// Rows past the end are zeros. In memory, element (row, l) is at row + l ld, or transposed at l + row ld.
template <class T> void pack(const T* from, bool transposed, int64_t ld, int64_t rows, int64_t k, int width, std::vector<float>& panels) {
    constexpr int64_t chunk = 32;                // of k: what is written of a panel while rows are read along k stays in the first cache
    panels.resize((size_t)(tiles_of(rows, width) * width * k));
    for (int64_t first = 0; first < rows; first += width) {
        float* panel = &panels[(size_t)(first * k)];
        int64_t count = std::min<int64_t>(width, rows - first);
        if (count < width) std::fill_n(panel, width * k, 0.f);
        if (!transposed) {
            for (int64_t l = 0; l < k; l++)
                for (int64_t row = 0; row < count; row++) panel[l * width + row] = widen(from[first + row + l * ld]);
            continue;
        }
        for (int64_t start = 0; start < k; start += chunk)
            for (int64_t row = 0; row < count; row++)
                for (int64_t l = start; l < std::min(start + chunk, k); l++) panel[l * width + row] = widen(from[l + (first + row) * ld]);
    }
}

void pack(const Matrix& matrix, uint64_t address, bool transposed, int64_t rows, int64_t k, int width, bool tf32, std::vector<float>& panels) {
    if (matrix.element == Element::fp32) pack((const float*)address, transposed, matrix.ld, rows, k, width, panels);
    else pack((const uint16_t*)address, transposed, matrix.ld, rows, k, width, panels);
    if (tf32)
        for (float& value : panels) value = to_tf32(value);
}

// Buffers of a product, tile by tile and panel by panel. Kept, so that their pages are not new each time; the driver's lock is held.
struct Scratch {
    std::vector<float> a, b, sums, part;
    int64_t row_tiles, column_tiles, k;

    size_t at(int64_t row, int64_t column) const {
        int64_t tile = column / tile_columns * row_tiles + row / tile_rows;
        return (size_t)(tile * tile_elements + column % tile_columns * tile_rows + row % tile_rows);
    }
};
Scratch scratch;

// sums += the products of `count` values of k. `chained`: starting from the sums, else from 0.
void multiply_tile(const float* a, const float* b, int64_t count, float* sums, bool chained) {
    Vector tile[tile_columns][tile_vectors] = {};
    if (chained)
        for (int j = 0; j < tile_columns; j++)
            for (int i = 0; i < tile_vectors; i++) tile[j][i] = *(const Vector*)(sums + j * tile_rows + i * lanes);
    for (int64_t l = 0; l < count; l++, a += tile_rows, b += tile_columns) {
        Vector rows[tile_vectors];
        for (int i = 0; i < tile_vectors; i++) rows[i] = *(const Vector*)(a + i * lanes);
        for (int j = 0; j < tile_columns; j++)
            for (int i = 0; i < tile_vectors; i++) tile[j][i] += rows[i] * b[j];
    }
    for (int j = 0; j < tile_columns; j++)
        for (int i = 0; i < tile_vectors; i++) {
            auto* sum = (Vector*)(sums + j * tile_rows + i * lanes);
            *sum = chained ? tile[j][i] : *sum + tile[j][i];
        }
}

// sums += the products of k from `start` to `end`.
void multiply_part(int64_t start, int64_t end, const Algorithm& algorithm, float* sums) {
    const Scratch& s = scratch;
    for (int64_t l = start; l < end; l += algorithm.k_block) {
        int64_t count = std::min<int64_t>(algorithm.k_block, end - l);
        for (int64_t block = 0; block < s.column_tiles; block += block_tiles) {
            int64_t block_end = std::min(block + block_tiles, s.column_tiles);
            for (int64_t i = 0; i < s.row_tiles; i++) {
                const float* a = &s.a[(size_t)((i * s.k + l) * tile_rows)];
                for (int64_t j = block; j < block_end; j++) {
                    const float* b = &s.b[(size_t)((j * s.k + l) * tile_columns)];
                    multiply_tile(a, b, count, sums + (j * s.row_tiles + i) * tile_elements, algorithm.chained);
                }
            }
        }
    }
}

// As on a card: each part of k leaves its sums in the workspace, and they are added at the end.
void multiply_split(const Product& product) {
    Scratch& s = scratch;
    int splits = product.algorithm.splits;
    auto* workspace = (float*)product.workspace;
    s.part.resize(s.sums.size());
    for (int split = 0; split < splits; split++) {
        std::fill(s.part.begin(), s.part.end(), 0.f);
        multiply_part(s.k * split / splits, s.k * (split + 1) / splits, product.algorithm, s.part.data());
        for (int64_t column = 0; column < product.n; column++)
            for (int64_t row = 0; row < product.m; row++) workspace[(split * product.n + column) * product.m + row] = s.part[s.at(row, column)];
    }
    for (int split = 0; split < splits; split++)
        for (int64_t column = 0; column < product.n; column++)
            for (int64_t row = 0; row < product.m; row++) s.sums[s.at(row, column)] += workspace[(split * product.n + column) * product.m + row];
}

// GELU in the form with tanh: y = x / 2 (1 + tanh(c (x + d x^3))), c = sqrt(2 / pi), d = 0.044715.
constexpr float gelu_c = 0.7978845608028654f, gelu_d = 0.044715f;

float gelu(float x) { return 0.5f * x * (1 + std::tanh(gelu_c * (x + gelu_d * x * x * x))); }

float gelu_derivative(float x) {
    float t = std::tanh(gelu_c * (x + gelu_d * x * x * x));
    return 0.5f * (1 + t) + 0.5f * x * (1 - t * t) * gelu_c * (1 + 3 * gelu_d * x * x);
}

// The sum over k of each row of packed panels.
void store_row_sums(const std::vector<float>& panels, int width, int64_t rows, int64_t k, uint64_t to, Element element) {
    for (int64_t row = 0; row < rows; row++) {
        const float* panel = &panels[(size_t)(row / width * width * k)];
        float sum = 0;
        for (int64_t l = 0; l < k; l++) sum += panel[l * width + row % width];
        store(to, element, row, sum);
    }
}

void finish(const Product& product, uint64_t c, uint64_t d) {
    Element element = product.d.element;
    std::vector<float> gradient(product.epilogue == CUBLASLT_EPILOGUE_DGELU_BGRAD ? (size_t)product.m : 0);
    for (int64_t column = 0; column < product.n; column++) {
        for (int64_t row = 0; row < product.m; row++) {
            float value = product.alpha * scratch.sums[scratch.at(row, column)];
            if (product.beta != 0) value += product.beta * load(c, product.c.element, row + column * product.c.ld);
            if (product.adds_bias()) value += load(product.bias, element, row);
            int64_t auxiliary = row + column * product.auxiliary_ld;
            if (product.differentiates_gelu()) {
                value *= gelu_derivative(load(product.auxiliary, element, auxiliary));
            } else if (product.applies_gelu()) {
                if (product.has_auxiliary()) store(product.auxiliary, element, auxiliary, value);
                value = gelu(value);
            }
            if (!gradient.empty()) gradient[(size_t)row] += value;
            store(d, element, row + column * product.d.ld, value);
        }
    }
    for (size_t row = 0; row < gradient.size(); row++) store(product.bias, element, (int64_t)row, gradient[row]);
}

}  // namespace

void multiply(const Product& product) {
    constexpr int poison_byte = 0xff;
    Scratch& s = scratch;
    if (product.workspace) memset((void*)product.workspace, poison_byte, product.algorithm.workspace_bytes);
    s.row_tiles = tiles_of(product.m, tile_rows);
    s.column_tiles = tiles_of(product.n, tile_columns);
    s.k = product.k;
    for (int i = 0; i < product.batch; i++) {
        auto address = [i](const Matrix& matrix) { return matrix.address + (uint64_t)(i * matrix.stride) * bytes_of(matrix.element); };
        // op(A) by rows and op(B) by columns: a stored B is that of columns transposed.
        pack(product.a, address(product.a), product.transpose_a, product.m, product.k, tile_rows, product.tf32, s.a);
        pack(product.b, address(product.b), !product.transpose_b, product.n, product.k, tile_columns, product.tf32, s.b);
        s.sums.assign((size_t)(s.row_tiles * s.column_tiles * tile_elements), 0.f);
        if (product.algorithm.splits > 1) multiply_split(product);
        else multiply_part(0, product.k, product.algorithm, s.sums.data());
        finish(product, address(product.c), address(product.d));
        if (product.epilogue == CUBLASLT_EPILOGUE_BGRADA) store_row_sums(s.a, tile_rows, product.m, product.k, product.bias, product.d.element);
        if (product.epilogue == CUBLASLT_EPILOGUE_BGRADB) store_row_sums(s.b, tile_columns, product.n, product.k, product.bias, product.d.element);
    }
}

}  // namespace simcuda
