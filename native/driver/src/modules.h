// modules.h - PTX modules and their kernels, which are those of the kernels' simulator (simt_api.h).
#pragma once
#include "ptx.h"
#include "simt_api.h"
#include "streams.h"
#include <map>
#include <memory>

struct CUfunc_st {
    const char* name;
    simcuda::ptx::Entry declared;
    const simt_parameter* parameters;
    int parameter_count;
    int max_dynamic_shared;
};

struct CUmod_st {
    std::map<std::string, CUfunction> functions;
};

namespace simcuda {

struct Geometry {
    uint32_t grid[3], block[3], shared_bytes;
};

class Driver;

// Compares PTX with the compiled kernels and makes its functions known.
CUmod_st load_module(Driver& driver, const char* image);

// Fails like cuLaunchKernel.
void check_geometry(const CUfunc_st& function, const Geometry& geometry);

// Fails as the kernel would that used the arguments: pointers and tensor maps must lead to live device memory.
void check_arguments(Driver& driver, const CUfunc_st& function, void* const* arguments);

// Runs a kernel now, with arguments that were checked.
void run_kernel(Driver& driver, const CUfunc_st& function, const Geometry& geometry, void* const* arguments);

// A launch with its own copy of the arguments, for a queue or a graph.
class RecordedLaunch {
public:
    RecordedLaunch(CUfunction function, const Geometry& geometry, void* const* arguments);
    void operator()() const;

private:
    CUfunction function_;
    Geometry geometry_;
    std::vector<unsigned char> bytes_;
    std::vector<uint32_t> offsets_;
};

}  // namespace simcuda
