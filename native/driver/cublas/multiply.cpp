// multiply.cpp - the arithmetic of a product: op(A) and op(B) are copied as fp32 into panels that a register tile reads in order.
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
constexpr int tile_rows = lanes * tile_vectors;
constexpr int64_t column_block = 480;            // columns of B that a row panel meets while they are in the second cache: a multiple of both widths
using Vector = float __attribute__((vector_size(lanes * sizeof(float)), aligned(4), may_alias));

int64_t round_up(int64_t value, int64_t multiple) { return (value + multiple - 1) / multiple * multiple; }

// Panels of `width` rows of op(X) with all k behind each other: element (row, l) of panel p is at (p k + l) width + row % width.
// Rows past the end are zeros. transposed: element (row, l) is stored at l + row ld, else at row + l ld.
std::vector<float> pack(const Matrix& matrix, uint64_t address, bool transposed, int64_t rows, int64_t k, int width, bool tf32) {
    std::vector<float> panels((size_t)(round_up(rows, width) * k));
    for (int64_t first = 0; first < rows; first += width) {
        float* panel = &panels[(size_t)(first * k)];
        int64_t count = std::min<int64_t>(width, rows - first);
        for (int64_t l = 0; l < k; l++) {
            for (int64_t row = 0; row < count; row++) {
                int64_t index = transposed ? l + (first + row) * matrix.ld : first + row + l * matrix.ld;
                float value = load(address, matrix.element, index);
                panel[l * width + row] = tf32 ? to_tf32(value) : value;
            }
        }
    }
    return panels;
}

// sums (tile_rows x tile_columns, columns `ld` apart) += the products of `count` values of k.
void multiply_tile(const float* a, const float* b, int64_t count, float* sums, int64_t ld, bool chained) {
    Vector tile[tile_columns][tile_vectors] = {};
    if (chained)
        for (int j = 0; j < tile_columns; j++)
            for (int i = 0; i < tile_vectors; i++) tile[j][i] = *(const Vector*)(sums + j * ld + i * lanes);
    for (int64_t l = 0; l < count; l++, a += tile_rows, b += tile_columns) {
        Vector rows[tile_vectors];
        for (int i = 0; i < tile_vectors; i++) rows[i] = *(const Vector*)(a + i * lanes);
        for (int j = 0; j < tile_columns; j++)
            for (int i = 0; i < tile_vectors; i++) tile[j][i] += rows[i] * b[j];
    }
    for (int j = 0; j < tile_columns; j++)
        for (int i = 0; i < tile_vectors; i++) {
            auto* sum = (Vector*)(sums + j * ld + i * lanes);
            *sum = chained ? tile[j][i] : *sum + tile[j][i];
        }
}

struct Panels {
    const std::vector<float>& a;
    const std::vector<float>& b;
    int64_t rows, columns, k;                    // rows and columns: rounded up to tiles
};

// sums += the products of k from `start` to `end`.
void multiply_part(const Panels& panels, int64_t start, int64_t end, const Algorithm& algorithm, float* sums) {
    for (int64_t l = start; l < end; l += algorithm.k_block) {
        int64_t count = std::min<int64_t>(algorithm.k_block, end - l);
        for (int64_t block = 0; block < panels.columns; block += column_block) {
            int64_t block_end = std::min(block + column_block, panels.columns);
            for (int64_t row = 0; row < panels.rows; row += tile_rows) {
                const float* a = &panels.a[(size_t)(row * panels.k + l * tile_rows)];
                for (int64_t column = block; column < block_end; column += tile_columns) {
                    const float* b = &panels.b[(size_t)(column * panels.k + l * tile_columns)];
                    multiply_tile(a, b, count, sums + row + column * panels.rows, panels.rows, algorithm.chained);
                }
            }
        }
    }
}

// sums[row + column panels.rows], of the whole of k.
std::vector<float> sum_products(const Product& product, const Panels& panels) {
    std::vector<float> sums((size_t)(panels.rows * panels.columns));
    int splits = product.algorithm.splits;
    if (splits == 1) {
        multiply_part(panels, 0, panels.k, product.algorithm, sums.data());
        return sums;
    }
    // As on a card: each part leaves its sums in the workspace, and they are added at the end.
    std::vector<float> part(sums.size());
    auto* workspace = (float*)product.workspace;
    for (int s = 0; s < splits; s++) {
        std::fill(part.begin(), part.end(), 0.f);
        multiply_part(panels, panels.k * s / splits, panels.k * (s + 1) / splits, product.algorithm, part.data());
        for (int64_t column = 0; column < product.n; column++)
            memcpy(workspace + (s * product.n + column) * product.m, &part[(size_t)(column * panels.rows)], (size_t)product.m * sizeof(float));
    }
    for (int s = 0; s < splits; s++)
        for (int64_t column = 0; column < product.n; column++)
            for (int64_t row = 0; row < product.m; row++)
                sums[(size_t)(row + column * panels.rows)] += workspace[(s * product.n + column) * product.m + row];
    return sums;
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

void finish(const Product& product, uint64_t c, uint64_t d, const std::vector<float>& sums, int64_t sums_ld) {
    Element element = product.d.element;
    std::vector<float> gradient(product.epilogue == CUBLASLT_EPILOGUE_DGELU_BGRAD ? (size_t)product.m : 0);
    for (int64_t column = 0; column < product.n; column++) {
        for (int64_t row = 0; row < product.m; row++) {
            float value = product.alpha * sums[(size_t)(row + column * sums_ld)];
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
    if (product.workspace) memset((void*)product.workspace, poison_byte, product.algorithm.workspace_bytes);
    for (int i = 0; i < product.batch; i++) {
        auto address = [i](const Matrix& matrix) { return matrix.address + (uint64_t)(i * matrix.stride) * bytes_of(matrix.element); };
        // op(A) by rows and op(B) by columns: a stored B is that of columns transposed.
        auto a = pack(product.a, address(product.a), product.transpose_a, product.m, product.k, tile_rows, product.tf32);
        auto b = pack(product.b, address(product.b), !product.transpose_b, product.n, product.k, tile_columns, product.tf32);
        Panels panels{a, b, round_up(product.m, tile_rows), round_up(product.n, tile_columns), product.k};
        std::vector<float> sums = sum_products(product, panels);
        finish(product, address(product.c), address(product.d), sums, panels.rows);
        if (product.epilogue == CUBLASLT_EPILOGUE_BGRADA) store_row_sums(a, tile_rows, product.m, product.k, product.bias, product.d.element);
        if (product.epilogue == CUBLASLT_EPILOGUE_BGRADB) store_row_sums(b, tile_columns, product.n, product.k, product.bias, product.d.element);
    }
}

}  // namespace simcuda
