// api_device.cpp - the driver, its one device and its context.
#include "entry.h"
#include <cstring>

using namespace simcuda;

namespace {

constexpr int driver_version = 12040;
constexpr const char* device_name = "Simulated CUDA device";

void check_device(CUdevice device) {
    if (device != 0) fail(CUDA_ERROR_INVALID_DEVICE, "there is only device 0, not %d", device);
}

int attribute_of(const Driver& d, CUdevice_attribute attribute) {
    int capability = d.settings.compute_capability;
    switch (attribute) {
        case CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK:
        case CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X:
        case CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Y: return 1024;
        case CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Z: return 64;
        case CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X: return INT32_MAX;
        case CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Y:
        case CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Z: return 65535;
        case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK: return 48 << 10;
        case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN: return d.max_shared_bytes();
        case CU_DEVICE_ATTRIBUTE_RESERVED_SHARED_MEMORY_PER_BLOCK: return 1 << 10;
        case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR: return d.max_shared_bytes() + (1 << 10);
        case CU_DEVICE_ATTRIBUTE_TOTAL_CONSTANT_MEMORY: return 64 << 10;
        case CU_DEVICE_ATTRIBUTE_WARP_SIZE: return 32;
        case CU_DEVICE_ATTRIBUTE_MAX_PITCH: return INT32_MAX;
        case CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_BLOCK:
        case CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_MULTIPROCESSOR: return 65536;
        case CU_DEVICE_ATTRIBUTE_CLOCK_RATE: return 1'000'000;                       // kHz
        case CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE: return 1'000'000;
        case CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH: return 64;                 // bits
        case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT: return d.settings.multiprocessors;
        case CU_DEVICE_ATTRIBUTE_KERNEL_EXEC_TIMEOUT:
        case CU_DEVICE_ATTRIBUTE_INTEGRATED:
        case CU_DEVICE_ATTRIBUTE_COMPUTE_MODE:
        case CU_DEVICE_ATTRIBUTE_ECC_ENABLED:
        case CU_DEVICE_ATTRIBUTE_PCI_BUS_ID:
        case CU_DEVICE_ATTRIBUTE_PCI_DEVICE_ID: return 0;
        case CU_DEVICE_ATTRIBUTE_CAN_MAP_HOST_MEMORY:
        case CU_DEVICE_ATTRIBUTE_CONCURRENT_KERNELS:
        case CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING: return 1;
        case CU_DEVICE_ATTRIBUTE_ASYNC_ENGINE_COUNT: return 2;
        case CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE: return 1 << 20;
        case CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR: return capability == 86 || capability == 89 ? 1536 : capability < 80 ? 1024 : 2048;
        case CU_DEVICE_ATTRIBUTE_MAX_BLOCKS_PER_MULTIPROCESSOR: return capability == 86 ? 16 : capability == 89 ? 24 : 32;
        case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR: return capability / 10;
        case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR: return capability % 10;
        default: fail(CUDA_ERROR_INVALID_VALUE, "device attribute %d is not simulated", (int)attribute);
    }
}

}  // namespace

CUresult cuInit(unsigned flags) {
    SIMCUDA_CALL(Needs::nothing, {
        if (flags != 0) fail(CUDA_ERROR_INVALID_VALUE, "flags are not 0");
        if (d.initialized) return;
        d.read_environment();
        d.initialized = true;
    });
}

CUresult cuDriverGetVersion(int* version) {
    SIMCUDA_CALL(Needs::nothing, {
        require(version, "version");
        *version = driver_version;
    });
}

CUresult cuDeviceGetCount(int* count) {
    SIMCUDA_CALL(Needs::driver, {
        require(count, "count");
        *count = 1;
    });
}

CUresult cuDeviceGet(CUdevice* device, int ordinal) {
    SIMCUDA_CALL(Needs::driver, {
        require(device, "device");
        check_device(ordinal);
        *device = ordinal;
    });
}

CUresult cuDeviceGetName(char* name, int size, CUdevice device) {
    SIMCUDA_CALL(Needs::driver, {
        require(name, "name");
        check_device(device);
        if (size <= 0) fail(CUDA_ERROR_INVALID_VALUE, "a buffer of %d bytes", size);
        snprintf(name, (size_t)size, "%s", device_name);
    });
}

CUresult cuDeviceTotalMem_v2(size_t* bytes, CUdevice device) {
    SIMCUDA_CALL(Needs::driver, {
        require(bytes, "bytes");
        check_device(device);
        *bytes = d.memory.total;
    });
}

CUresult cuDeviceGetAttribute(int* value, CUdevice_attribute attribute, CUdevice device) {
    SIMCUDA_CALL(Needs::driver, {
        require(value, "value");
        check_device(device);
        *value = attribute_of(d, attribute);
    });
}

CUresult cuDevicePrimaryCtxRetain(CUcontext* context, CUdevice device) {
    SIMCUDA_CALL(Needs::driver, {
        require(context, "context");
        check_device(device);
        if (d.context_references++ == 0) d.context_number++;
        *context = &d.context;
    });
}

CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device) {
    SIMCUDA_CALL(Needs::driver, {
        check_device(device);
        if (d.context_references == 0) fail(CUDA_ERROR_INVALID_CONTEXT, "the primary context is not retained");
        if (--d.context_references > 0) return;
        d.complete_all();
        // After an error nothing can be destroyed but the context, with all that is in it.
        if (!d.sticky) {
            std::vector<std::string> leaks = d.live_objects();
            d.leaked_objects += (int64_t)leaks.size();
            if (!leaks.empty()) d.message = format("%zu objects were live when the primary context was released", leaks.size());
            if (!leaks.empty()) d.print(d.message + ":");
            for (const std::string& leak : leaks) d.print("  " + leak);
        }
        d.destroy_everything();
        d.sticky = CUDA_SUCCESS;
    });
}

CUresult cuCtxSetCurrent(CUcontext context) {
    SIMCUDA_CALL(Needs::driver, {
        if (context && context != &d.context) fail(CUDA_ERROR_INVALID_CONTEXT, "%p is no context", (void*)context);
        if (context && d.context_references == 0) fail(CUDA_ERROR_CONTEXT_IS_DESTROYED, "the primary context was released");
        set_current_context(context);
    });
}

CUresult cuCtxGetCurrent(CUcontext* context) {
    SIMCUDA_CALL(Needs::driver, {
        require(context, "context");
        *context = current_context();
    });
}

CUresult cuCtxSynchronize(void) {
    SIMCUDA_CALL(Needs::context_without_capture, {
        d.complete_all();
        return d.sticky;
    });
}
