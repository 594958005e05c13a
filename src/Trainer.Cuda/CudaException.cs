using System.Globalization;
using Trainer.Compute;

namespace Trainer.Cuda;

/// <summary>A call of the CUDA driver or of cuBLAS that failed.</summary>
public class CudaException : DeviceFailedException
{
    // Of CUresult.
    private const int OutOfMemory = 2;

    /// <summary>A failed call of the driver.</summary>
    /// <param name="call">See <see cref="Call"/>.</param>
    /// <param name="code">See <see cref="Code"/>.</param>
    /// <param name="name">See <see cref="Name"/>.</param>
    /// <param name="text">What the library says about the code, and what else is known.</param>
    public CudaException(string call, int code, string name, string text)
        : base(string.Create(CultureInfo.InvariantCulture, $"{call} failed: {name} ({code}), {text}"))
    {
        Call = call;
        Code = code;
        Name = name;
    }

    /// <summary>The function: <c>cuMemAlloc_v2</c>.</summary>
    public string Call { get; }

    /// <summary>The value it returned: 2.</summary>
    public int Code { get; }

    /// <summary>The name of that value: <c>CUDA_ERROR_OUT_OF_MEMORY</c>.</summary>
    public string Name { get; }

    /// <summary>Whether there was not enough memory.</summary>
    public bool IsOutOfMemory => Code == OutOfMemory && Name.StartsWith("CUDA_", StringComparison.Ordinal);

    /// <summary>The function that is called in an expression: <c>cuMemAlloc_v2</c> of <c>X.cuMemAlloc_v2(out a, n)</c>.</summary>
    internal static string CallOf(string expression)
    {
        int end = expression.IndexOf('(', StringComparison.Ordinal);
        string qualified = end < 0 ? expression : expression[..end];
        return qualified[(qualified.LastIndexOf('.') + 1)..];
    }
}
