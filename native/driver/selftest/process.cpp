// process.cpp - what only a process of its own can show: the time before cuInit, settings of the environment, and what happens at the end.
// Usage: simcuda_process <scenario>; prints what the tests of the simulated driver (tests/Trainer.Tests/Cuda) compare.
#include "cuda_abi.h"
#include <cstdio>
#include <string_view>

namespace {

CUcontext context;

void begin() {
    cuInit(0);
    cuDevicePrimaryCtxRetain(&context, 0);
    cuCtxSetCurrent(context);
}

int attribute(CUdevice_attribute attribute) {
    int value = -1;
    cuDeviceGetAttribute(&value, attribute, 0);
    return value;
}

// Nothing works before cuInit; then a context is needed.
void before_init() {
    int count = 0;
    CUdeviceptr pointer;
    printf("%d ", cuDeviceGetCount(&count));
    printf("%d ", cuMemAlloc_v2(&pointer, 4));
    printf("%d ", cuInit(0));
    printf("%d ", cuDeviceGetCount(&count));
    printf("%d\n", cuMemAlloc_v2(&pointer, 4));
}

void settings() {
    int result = cuInit(0);
    size_t memory = 0;
    cuDeviceTotalMem_v2(&memory, 0);
    int major = attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR), minor = attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
    printf("%d %zu %d.%d %d %d\n", result, memory, major, minor, attribute(CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT),
           attribute(CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN));
}

void failures() {
    begin();
    for (int i = 0; i < 4; i++) {
        CUdeviceptr pointer = 0;
        printf("%d ", cuMemAlloc_v2(&pointer, 4));
        cuMemFree_v2(pointer);
    }
    puts("");
    cuDevicePrimaryCtxRelease_v2(0);
}

// Whether a fill has happened before somebody waits for it.
void order() {
    begin();
    CUstream stream;
    CUdeviceptr pointer;
    cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING);
    cuMemAlloc_v2(&pointer, 4);
    cuMemsetD8Async(pointer, 1, 4, stream);
    uint32_t seen = 0;
    cuMemcpyDtoH_v2(&seen, pointer, 4);
    printf("%x\n", seen);
    cuStreamSynchronize(stream);
    cuMemFree_v2(pointer);
    cuStreamDestroy_v2(stream);
    cuDevicePrimaryCtxRelease_v2(0);
}

// `release`: what is left is found when the context goes, not when the process ends.
void leak(bool release) {
    begin();
    CUdeviceptr pointer;
    void* pinned;
    CUstream stream;
    CUevent event;
    cuMemAlloc_v2(&pointer, 1000);
    cuMemHostAlloc(&pinned, 2000, 0);
    cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING);
    cuEventCreate(&event, 0);
    cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);
    if (release) cuDevicePrimaryCtxRelease_v2(0);
}

}  // namespace

int main(int count, char** arguments) {
    std::string_view scenario = count > 1 ? arguments[1] : "";
    if (scenario == "before-init") before_init();
    else if (scenario == "settings") settings();
    else if (scenario == "failures") failures();
    else if (scenario == "order") order();
    else if (scenario == "leak") leak(false);
    else if (scenario == "leak-and-release") leak(true);
    else return 1;
    return 0;
}
