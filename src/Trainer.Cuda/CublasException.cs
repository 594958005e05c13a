using System.Runtime.CompilerServices;

namespace Trainer.Cuda;

/// <summary>A call of cuBLAS or cuBLASLt that failed.</summary>
/// <param name="call">The function: <c>cublasLtMatmul</c>.</param>
/// <param name="status">The <c>cublasStatus_t</c> it returned.</param>
public sealed class CublasException(string call, int status) : CudaException(call, status, Describe(status).Name, Describe(status).Text)
{
    // Of cublasStatus_t.
    internal const int Success = 0, InvalidValue = 7, ArchitectureMismatch = 8, NotSupported = 15;

    /// <summary>Throws if a call failed. Costs nothing if it did not: the name of the call is a constant of the caller.</summary>
    /// <exception cref="CublasException">It failed.</exception>
    internal static void ThrowIfFailed(int status, [CallerArgumentExpression(nameof(status))] string expression = "")
    {
        if (status != Success)
            Throw(status, expression);
    }

    internal static void Throw(int status, string expression) => throw new CublasException(CallOf(expression), status);

    // Not asked of the library: of its two, only cuBLASLt is always there to be asked when one of them is.
    private static (string Name, string Text) Describe(int status) => status switch
    {
        1 => ("CUBLAS_STATUS_NOT_INITIALIZED", "the library could not be initialised: no context, or too little device memory"),
        3 => ("CUBLAS_STATUS_ALLOC_FAILED", "the library could not allocate memory"),
        InvalidValue => ("CUBLAS_STATUS_INVALID_VALUE", "a parameter is out of its range, or two contradict each other"),
        ArchitectureMismatch => ("CUBLAS_STATUS_ARCH_MISMATCH", "the device lacks what the operation needs"),
        11 => ("CUBLAS_STATUS_MAPPING_ERROR", "device memory could not be accessed"),
        13 => ("CUBLAS_STATUS_EXECUTION_FAILED", "a kernel of the library failed on the device"),
        14 => ("CUBLAS_STATUS_INTERNAL_ERROR", "an operation inside the library failed"),
        NotSupported => ("CUBLAS_STATUS_NOT_SUPPORTED", "the library does not support this combination of parameters"),
        16 => ("CUBLAS_STATUS_LICENSE_ERROR", "a license was not found"),
        _ => ("unknown", "the library returned a status that cuBLAS 12 does not define"),
    };
}
