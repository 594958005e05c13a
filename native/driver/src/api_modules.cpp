// api_modules.cpp - modules, their functions, launches, tensor maps.
#include "entry.h"
#include <cstring>

using namespace simcuda;

namespace {

// The text goes into the buffer that one option names; the value of the other is its size, and then what is used of it.
void write_log(const std::string& text, unsigned count, const CUjit_option* options, void** values, CUjit_option buffer, CUjit_option size) {
    char* log = nullptr;
    void** bytes = nullptr;
    for (unsigned i = 0; i < count; i++) {
        if (options[i] == buffer) log = (char*)values[i];
        if (options[i] == size) bytes = &values[i];
    }
    if (!log || !bytes) return;
    auto available = (size_t)(uint32_t)(uintptr_t)*bytes;
    if (available == 0) return;
    snprintf(log, available, "%s", text.c_str());
    *bytes = (void*)std::min(text.size(), available - 1);
}

int attribute_of(const CUfunc_st& function, CUfunction_attribute attribute) {
    const uint32_t* bounds = function.declared.max_threads;
    switch (attribute) {
        case CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK: return bounds[0] ? (int)(bounds[0] * bounds[1] * bounds[2]) : 1024;
        case CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES: return (int)function.declared.static_shared_bytes;
        case CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES: return function.max_dynamic_shared;
        case CU_FUNC_ATTRIBUTE_CONST_SIZE_BYTES:
        case CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES:
        case CU_FUNC_ATTRIBUTE_NUM_REGS: return 0;       // not known: only the device's compiler allots them
        default: fail(CUDA_ERROR_INVALID_VALUE, "function attribute %d is not simulated", (int)attribute);
    }
}

}  // namespace

CUresult cuModuleLoadDataEx(CUmodule* module, const void* image, unsigned count, CUjit_option* options, void** values) {
    static Entry entry(__func__);
    std::string error;
    CUresult result = call(entry, Needs::context_without_capture, [&](Driver& d) {
        require(module, "module");
        require(image, "image");
        try {
            *module = d.modules.create(load_module(d, (const char*)image));
        } catch (const Error& thrown) {
            error = thrown.text;
            throw;
        }
    });
    write_log(error, count, options, values, CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES);
    write_log("", count, options, values, CU_JIT_INFO_LOG_BUFFER, CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES);
    return result;
}

CUresult cuModuleUnload(CUmodule module) {
    SIMCUDA_CALL(Needs::context_without_capture, {
        d.modules.get(module);
        d.complete_all();
        for (auto& [name, function] : module->functions) d.functions.destroy(function);
        d.modules.destroy(module);
    });
}

CUresult cuModuleGetFunction(CUfunction* function, CUmodule module, const char* name) {
    SIMCUDA_CALL(Needs::context, {
        require(function, "function");
        require(name, "name");
        auto& functions = d.modules.get(module).functions;
        auto found = functions.find(name);
        if (found == functions.end()) fail(CUDA_ERROR_NOT_FOUND, "the module has no kernel %s", name);
        *function = found->second;
    });
}

CUresult cuFuncSetAttribute(CUfunction handle, CUfunction_attribute attribute, int value) {
    SIMCUDA_CALL(Needs::context, {
        CUfunc_st& function = d.functions.get(handle);
        if (attribute == CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT) return;
        if (attribute != CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES) fail(CUDA_ERROR_INVALID_VALUE, "function attribute %d cannot be set", (int)attribute);
        int limit = d.max_shared_bytes() - (int)function.declared.static_shared_bytes;
        if (value < 0 || value > limit)
            fail(CUDA_ERROR_INVALID_VALUE, "%s: %d bytes of dynamic shared memory; a block of this device can have %d beside the static ones", function.name,
                 value, limit);
        function.max_dynamic_shared = value;
    });
}

CUresult cuFuncGetAttribute(int* value, CUfunction_attribute attribute, CUfunction function) {
    SIMCUDA_CALL(Needs::context, {
        require(value, "value");
        *value = attribute_of(d.functions.get(function), attribute);
    });
}

CUresult cuLaunchKernel(CUfunction handle, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x, unsigned block_y, unsigned block_z,
                        unsigned shared_bytes, CUstream stream_handle, void** arguments, void** extra) {
    SIMCUDA_CALL(Needs::context, {
        const CUfunc_st& function = d.functions.get(handle);
        CUstream_st& stream = d.stream(stream_handle);
        Geometry geometry{{grid_x, grid_y, grid_z}, {block_x, block_y, block_z}, shared_bytes};
        if (extra) fail(CUDA_ERROR_NOT_SUPPORTED, "arguments in 'extra' are not simulated");
        check_geometry(function, geometry);
        for (int i = 0; i < function.parameter_count; i++)
            if (!arguments || !arguments[i]) fail(CUDA_ERROR_INVALID_VALUE, "%s: argument %d of %d is missing", function.name, i, function.parameter_count);
        if (d.runs_now(stream)) {
            auto launch = [&] {
                check_arguments(d, function, arguments);
                run_kernel(d, function, geometry, arguments);
            };
            d.run(launch);
            return;
        }
        d.enqueue(stream, RecordedLaunch(handle, geometry, arguments));
    });
}

CUresult cuTensorMapEncodeTiled(CUtensorMap* map, CUtensorMapDataType type, cuuint32_t rank, void* address, const cuuint64_t* extents,
                                const cuuint64_t* pitches, const cuuint32_t* box, const cuuint32_t* element_strides, CUtensorMapInterleave interleave,
                                CUtensorMapSwizzle swizzle, CUtensorMapL2promotion promotion, CUtensorMapFloatOOBfill fill) {
    SIMCUDA_CALL(Needs::driver, {
        require(map, "map");
        require(extents, "the extents");
        require(pitches, "the pitches");
        require(box, "the box");
        require(element_strides, "the element strides");
        if (d.settings.compute_capability < 90) fail(CUDA_ERROR_NOT_SUPPORTED, "the device has no tensor maps: compute capability 9.0 has");
        if (type != CU_TENSOR_MAP_DATA_TYPE_BFLOAT16) fail(CUDA_ERROR_INVALID_VALUE, "only bf16 is simulated, not type %d", (int)type);
        if (interleave != CU_TENSOR_MAP_INTERLEAVE_NONE) fail(CUDA_ERROR_INVALID_VALUE, "interleaved layouts are not simulated");
        if (fill != CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE) fail(CUDA_ERROR_INVALID_VALUE, "only zeros outside of the tensor are simulated");
        if ((unsigned)promotion > CU_TENSOR_MAP_L2_PROMOTION_L2_256B) fail(CUDA_ERROR_INVALID_VALUE, "L2 promotion %d", (int)promotion);
        for (cuuint32_t i = 0; i < rank && i < 5; i++)
            if (element_strides[i] != 1) fail(CUDA_ERROR_INVALID_VALUE, "element strides other than 1 are not simulated");
        const char* wrong = simt_encode_tensor_map(map, address, rank, extents, pitches, box, (uint32_t)swizzle);
        if (wrong) fail(CUDA_ERROR_INVALID_VALUE, "%s", wrong);
    });
}
