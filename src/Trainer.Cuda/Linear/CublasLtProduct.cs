using System.Runtime.InteropServices;
using Trainer.Compute;
using Trainer.Cuda.Kernels;

namespace Trainer.Cuda;

/// <summary>A product of cuBLASLt: one algorithm, with bias, GELU and its derivative in the epilogue.</summary>
/// <remarks>
/// The gradient of a bias is computed by the epilogue or by <see cref="BiasGradient"/>: the epilogue saves reading dy again, but not every algorithm
/// has it. It overwrites; a gradient that is to be added to goes to scratch memory first. In TF32 it may sum what is left of dy after its rounding, which
/// a bias gradient need not suffer: there it is not used.
/// </remarks>
internal sealed class CublasLtProduct : LinearProduct
{
    private const string Library = "cublasLt", BiasInEpilogue = "bias-gradient";

    private readonly CudaKernels _kernels;
    private readonly LinearShape _shape;
    private readonly CublasLtDescription _description;
    private readonly MatmulAlgorithm _algorithm;
    private readonly long _workspaceBytes;
    private readonly BiasGradient? _bias;
    private readonly PreparedKernel? _addBias;
    private readonly KernelLaunch _cost;

    private CublasLtProduct(
        CudaKernels kernels, CublasHandles blas, LinearShape shape, LinearArithmetic arithmetic, bool biasInEpilogue, in MatmulHeuristic found)
    {
        (_kernels, _shape) = (kernels, shape);
        (_algorithm, _workspaceBytes) = (found.Algorithm, Arena.RoundUp((long)found.WorkspaceBytes));
        if (shape is { Form: LinearForm.BackwardWeight, Bias: true })
        {
            if (!biasInEpilogue)
                _bias = new BiasGradient(kernels, shape, arithmetic.Type);
            else if (shape.Accumulate)
                _addBias = kernels.Prepare(BiasKernels.Reduce(1, shape.N, accumulate: true));
        }

        _cost = LibraryCost.Of("cublaslt", shape, arithmetic, withBias: _bias is null);
        Name = NameOf(blas, biasInEpilogue, found.Algorithm);
        _description = new CublasLtDescription(blas.Lt, shape, arithmetic, biasInEpilogue);
    }

    /// <inheritdoc/>
    /// <remarks>
    /// <c>cublasLt 120405 [bias-gradient] algorithm</c>, the algorithm in hexadecimal digits as it lies in memory, zeros at the end left out.
    /// </remarks>
    public override string Name { get; }

    /// <inheritdoc/>
    public override long ScratchBytes => Math.Max(
        _workspaceBytes + (_addBias is null ? 0 : sizeof(float) * (long)_shape.N), _bias is null ? 0 : BiasGradient.ScratchBytes(_shape));

    /// <summary>The scratch memory that any of these products needs at most.</summary>
    public static long MostScratchBytes(CublasHandles blas, in LinearShape shape) => shape is { Form: LinearForm.BackwardWeight, Bias: true }
        ? Math.Max(blas.WorkspaceBytes + (sizeof(float) * (long)shape.N), BiasGradient.ScratchBytes(shape))
        : blas.WorkspaceBytes;

    /// <summary>The products that the library proposes, the one that is expected to be the fastest first; none if it does not support the product.</summary>
    /// <param name="kernels">The kernels.</param>
    /// <param name="blas">The library.</param>
    /// <param name="shape">The product.</param>
    /// <param name="arithmetic">Of what.</param>
    /// <param name="count">How many at most of each way to compute the gradient of a bias.</param>
    public static IEnumerable<CublasLtProduct> Find(CudaKernels kernels, CublasHandles blas, LinearShape shape, LinearArithmetic arithmetic, int count)
    {
        foreach (bool biasInEpilogue in MayHaveBiasGradient(shape, arithmetic) ? [true, false] : (bool[])[false])
        {
            using var description = new CublasLtDescription(blas.Lt, shape, arithmetic, biasInEpilogue);
            foreach (MatmulHeuristic found in description.Find(count, blas.WorkspaceBytes))
                yield return new CublasLtProduct(kernels, blas, shape, arithmetic, biasInEpilogue, found);
        }
    }

    /// <summary>The product that once had a name; null if there is none of that name here: another library or device.</summary>
    public static CublasLtProduct? Restore(CudaKernels kernels, CublasHandles blas, LinearShape shape, LinearArithmetic arithmetic, string name)
    {
        string[] words = name.Split(' ');
        bool biasInEpilogue = words is [_, _, BiasInEpilogue, _];
        if (words is not ([Library, _, _] or [Library, _, BiasInEpilogue, _]) || !TryParse(words[^1], out MatmulAlgorithm algorithm)
            || name != NameOf(blas, biasInEpilogue, algorithm) || (biasInEpilogue && !MayHaveBiasGradient(shape, arithmetic)))
            return null;
        using var description = new CublasLtDescription(blas.Lt, shape, arithmetic, biasInEpilogue);
        return description.Check(algorithm, blas.WorkspaceBytes) is { } found
            ? new CublasLtProduct(kernels, blas, shape, arithmetic, biasInEpilogue, found)
            : null;
    }

    /// <inheritdoc/>
    public override void Run(in LinearOperands x, Scratch scratch)
    {
        ulong workspace = ScratchBytes > 0 ? scratch.Take(ScratchBytes) : 0;
        ulong bias = _addBias is null ? (ulong)x.Bias.Address : workspace + (ulong)_workspaceBytes;
        _kernels.Context.MakeCurrent();
        _kernels.Observer?.Before(_cost);
        _description.Run(_algorithm, (ulong)x.Right.Address, (ulong)x.Left.Address, _shape.Accumulate ? 1 : 0, (ulong)x.Result.Address, bias,
            (ulong)x.PreActivation.Address, workspace, _workspaceBytes, _kernels.Context.Stream);
        _kernels.Observer?.After(_cost);
        _addBias?.Launch(x.Bias, bias, 1, _shape.N, 1);
        _bias?.Run(x.Bias, x.Left, workspace);
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        _description.Dispose();
        base.Dispose();
    }

    private static bool MayHaveBiasGradient(in LinearShape shape, LinearArithmetic arithmetic) =>
        shape is { Form: LinearForm.BackwardWeight, Bias: true } && !arithmetic.UsesTensorFloat32;

    private static string NameOf(CublasHandles blas, bool biasInEpilogue, in MatmulAlgorithm algorithm)
    {
        ReadOnlySpan<byte> bytes = MemoryMarshal.AsBytes(new ReadOnlySpan<MatmulAlgorithm>(in algorithm));
        string digits = Convert.ToHexStringLower(bytes[..(bytes.LastIndexOfAnyExcept((byte)0) + 1)]);
        return FormattableString.Invariant($"{Library} {blas.LtVersion}{(biasInEpilogue ? $" {BiasInEpilogue}" : string.Empty)} {digits}");
    }

    private static bool TryParse(string digits, out MatmulAlgorithm algorithm)
    {
        algorithm = default;
        Span<byte> bytes = MemoryMarshal.AsBytes(new Span<MatmulAlgorithm>(ref algorithm));
        return digits.Length > 0 && digits.Length % 2 == 0 && digits.Length / 2 <= bytes.Length
            && Convert.FromHexString(digits, bytes, out _, out _) == System.Buffers.OperationStatus.Done;
    }
}
