namespace Trainer.Cuda;

/// <summary>What a device is asked, of <c>CUdevice_attribute</c>.</summary>
internal enum DeviceAttribute
{
    /// <summary>Threads of a block at most.</summary>
    MaxThreadsPerBlock = 1,

    /// <summary>Shared memory of a block in bytes, without raising the kernel's limit.</summary>
    MaxSharedMemoryPerBlock = 8,

    /// <summary>Clock of the multiprocessors at most, in kHz.</summary>
    ClockRate = 13,

    /// <summary>Streaming multiprocessors.</summary>
    MultiprocessorCount = 16,

    /// <summary>Clock of the memory at most, in kHz.</summary>
    MemoryClockRate = 36,

    /// <summary>Width of the memory bus in bits.</summary>
    MemoryBusWidth = 37,

    /// <summary>Second-level cache in bytes.</summary>
    L2CacheSize = 38,

    /// <summary>Resident threads of a multiprocessor at most.</summary>
    MaxThreadsPerMultiprocessor = 39,

    /// <summary>9 of compute capability 9.0.</summary>
    ComputeCapabilityMajor = 75,

    /// <summary>0 of compute capability 9.0.</summary>
    ComputeCapabilityMinor = 76,

    /// <summary>Shared memory of a multiprocessor in bytes.</summary>
    MaxSharedMemoryPerMultiprocessor = 81,

    /// <summary>Shared memory in bytes up to which a kernel's limit can be raised.</summary>
    MaxSharedMemoryPerBlockOptIn = 97,
}

/// <summary>What a kernel is asked and told, of <c>CUfunction_attribute</c>.</summary>
internal enum FunctionAttribute
{
    /// <summary>Threads of a block at most, as its registers allow.</summary>
    MaxThreadsPerBlock = 0,

    /// <summary>Static shared memory in bytes.</summary>
    SharedBytes = 1,

    /// <summary>Local memory of a thread in bytes: spilled registers and indexed arrays.</summary>
    LocalBytes = 3,

    /// <summary>Registers of a thread.</summary>
    Registers = 4,

    /// <summary>Dynamic shared memory in bytes at most; 48 KiB less the static part until it is raised.</summary>
    MaxDynamicSharedBytes = 8,
}

/// <summary>The element type of a matrix, of <c>cudaDataType</c>.</summary>
internal enum CudaDataType
{
    /// <summary>fp32.</summary>
    Float32 = 0,

    /// <summary>bf16.</summary>
    BFloat16 = 14,
}

/// <summary>How a matrix product is computed, of <c>cublasComputeType_t</c>.</summary>
internal enum ComputeType
{
    /// <summary>Products of the inputs as they are, summed in fp32.</summary>
    Float32 = 68,

    /// <summary>fp32 inputs rounded to tf32 for the tensor cores, summed in fp32.</summary>
    TensorFloat32 = 77,
}
