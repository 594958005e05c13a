using System.Runtime.CompilerServices;
using Trainer.Cuda;

namespace Trainer.Tests.Cuda;

public sealed class CudaExceptionTests
{
    [TestCase("cuMemAlloc_v2(out ulong address, bytes)", "cuMemAlloc_v2")]
    [TestCase("MemoryManagement.cuMemAlloc_v2(ref address, f(x.y))", "cuMemAlloc_v2")]
    [TestCase("cuEventQuery", "cuEventQuery")]
    [TestCase("Events.cuEventQuery", "cuEventQuery")]
    public void The_call_is_named_without_where_it_is_and_what_it_is_given(string expression, string call) =>
        Assert.That(CudaException.CallOf(expression), Is.EqualTo(call));

    [Test]
    public void The_message_names_call_value_and_text() => Assert.That(
        new CudaException("cuMemAlloc_v2", 2, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory").Message,
        Is.EqualTo("cuMemAlloc_v2 failed: CUDA_ERROR_OUT_OF_MEMORY (2), out of memory"));

    [Test]
    public void A_failed_call_of_cuBLAS_is_named_by_its_expression()
    {
        const int notSupported = 15;
        Assert.That(() => CublasException.ThrowIfFailed(Matmul()), Throws.TypeOf<CublasException>().With.Message.EqualTo(
            "Matmul failed: CUBLAS_STATUS_NOT_SUPPORTED (15), the library does not support this combination of parameters"));
        Assert.That(() => CublasException.ThrowIfFailed(0), Throws.Nothing);

        static int Matmul() => notSupported;
    }

    [Test]
    public void A_status_that_is_not_known_is_still_an_error() => Assert.That(
        new CublasException("cublasCreate_v2", 99),
        Has.Message.StartsWith("cublasCreate_v2 failed: unknown (99)").And.Property("Code").EqualTo(99));

    // Sizes and offsets of cublasLt.h of CUDA 12.4.
    [Test]
    public unsafe void Structs_have_the_sizes_of_the_library()
    {
        Assert.That(sizeof(MatmulAlgorithm), Is.EqualTo(64));
        Assert.That(sizeof(MatmulHeuristic), Is.EqualTo(96));
        MatmulHeuristic result = default;
        Assert.That(Offset(ref result.WorkspaceBytes), Is.EqualTo(64));
        Assert.That(Offset(ref result.State), Is.EqualTo(72));
        Assert.That(Offset(ref result.Waves), Is.EqualTo(76));

        int Offset<T>(ref T field) => (int)Unsafe.ByteOffset(ref Unsafe.As<MatmulHeuristic, byte>(ref result), ref Unsafe.As<T, byte>(ref field));
    }
}
