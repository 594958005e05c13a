using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Trainer.Cuda;

/// <summary>What a matrix product does with its result, of <c>cublasLtEpilogue_t</c>.</summary>
internal enum MatmulEpilogue : uint
{
    /// <summary>Nothing.</summary>
    None = 1,

    /// <summary>Adds a bias to every column.</summary>
    Bias = 4,

    /// <summary>Adds a bias to every column and applies GELU.</summary>
    GeluBias = 36,

    /// <summary>Stores the result as the auxiliary matrix, and applies GELU.</summary>
    GeluAuxiliary = 160,

    /// <summary>Adds a bias to every column, stores the sum as the auxiliary matrix, and applies GELU.</summary>
    GeluAuxiliaryBias = 164,

    /// <summary>Multiplies by the derivative of GELU at the auxiliary matrix.</summary>
    GeluGradient = 192,

    /// <summary>Multiplies by the derivative of GELU at the auxiliary matrix, and stores the sum of every row as the bias.</summary>
    GeluGradientBiasGradient = 208,

    /// <summary>Stores the sum of every row of op(A) as the bias.</summary>
    BiasGradientA = 256,

    /// <summary>Stores the sum of every column of op(B) as the bias.</summary>
    BiasGradientB = 512,
}

/// <summary>How the parts of a product that is split along K are added up, of <c>cublasLtReductionScheme_t</c>; several for a preference.</summary>
[Flags]
internal enum ReductionSchemes : uint
{
    /// <summary>It is not split.</summary>
    None = 0,

    /// <summary>In the result itself, one part after the other, in an order that may change from run to run.</summary>
    InPlace = 1,

    /// <summary>In the workspace, in the type of the arithmetic.</summary>
    ComputeType = 2,

    /// <summary>In the workspace, in the type of the result.</summary>
    OutputType = 4,
}

/// <summary>A setting of an algorithm, of <c>cublasLtMatmulAlgoConfigAttributes_t</c>: those of 32 bits.</summary>
internal enum AlgorithmSetting
{
    /// <summary>The number of the kernel family.</summary>
    Id = 0,

    /// <summary>The tile of a block.</summary>
    Tile = 1,

    /// <summary>The parts into which K is split.</summary>
    SplitK = 2,

    /// <summary>One of <see cref="ReductionSchemes"/>.</summary>
    ReductionScheme = 3,

    /// <summary>Whether blocks are numbered for the cache.</summary>
    Swizzle = 4,

    /// <summary>A variant of the kernel family.</summary>
    CustomOption = 5,

    /// <summary>The stages of its pipeline.</summary>
    Stages = 6,
}

/// <summary>
/// An algorithm of cuBLASLt, <c>cublasLtMatmulAlgo_t</c>: 64 bytes that mean something to the same version of the library on the same device only.
/// </summary>
[InlineArray(8)]
internal struct MatmulAlgorithm
{
    private ulong _data;
}

/// <summary>An algorithm that can compute a product, <c>cublasLtMatmulHeuristicResult_t</c>: 96 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct MatmulHeuristic
{
    /// <summary>The algorithm.</summary>
    public MatmulAlgorithm Algorithm;

    /// <summary>The bytes of workspace that it needs.</summary>
    public nuint WorkspaceBytes;

    /// <summary>0 if it can be used; otherwise a <c>cublasStatus_t</c>.</summary>
    public int State;

    /// <summary>How often it fills the device.</summary>
    public float Waves;

    private Int4 _reserved;

    [InlineArray(4)]
    private struct Int4
    {
        private int _data;
    }
}
