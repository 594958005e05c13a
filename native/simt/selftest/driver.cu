// driver.cu - kernels for the tests of the simulated driver (native/driver). Their PTX is in the tests, which have no compiler for it.
#include "ptx.cuh"

struct Pair {
    float a;
    unsigned short b;
};

// Every kind of argument, one number of `out` for each.
extern "C" __global__ void selftest_arguments(double* out, signed char c, unsigned short s, long long l, float f, double d, Pair pair) {
    const double values[] = {(double)c, (double)s, (double)l, (double)f, d, (double)pair.a, (double)pair.b};
    if (threadIdx.x < 7) out[threadIdx.x] = values[threadIdx.x];
}

extern "C" __global__ void selftest_axpy(float* y, const float* x, float a, int n) {   // y += a x
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] += a * x[i];
}

extern "C" __global__ void selftest_ticket(int* out, int* count) {   // in which order the blocks ran; x of the block is its only thread
    out[blockIdx.x] = atomicAdd(count, 1);
}
