using System.Runtime.Intrinsics.X86;

namespace Trainer.Cpu;

/// <summary>The vector instructions that the CPU backend computes with, chosen once when it is created.</summary>
public enum CpuInstructionSet
{
    /// <summary>128-bit vectors, which .NET maps to SSE, NEON or plain code: runs everywhere.</summary>
    Portable,

    /// <summary>256-bit vectors with fused multiply-add (x86-64-v3).</summary>
    Avx2,

    /// <summary>512-bit vectors (x86-64-v4).</summary>
    Avx512,
}

/// <summary>What this processor offers.</summary>
public static class CpuInstructionSets
{
    /// <summary>The widest set that this processor has.</summary>
    public static CpuInstructionSet Best =>
        Avx512F.IsSupported && Avx512BW.IsSupported && Avx512DQ.IsSupported ? CpuInstructionSet.Avx512
        : Avx2.IsSupported && Fma.IsSupported ? CpuInstructionSet.Avx2
        : CpuInstructionSet.Portable;

    /// <summary>All sets that this processor can run, narrowest first.</summary>
    public static IEnumerable<CpuInstructionSet> Supported => Enum.GetValues<CpuInstructionSet>().Where(set => set <= Best);

    /// <summary>The name that people know: <c>AVX-512</c>.</summary>
    public static string DisplayName(this CpuInstructionSet set) => set switch
    {
        CpuInstructionSet.Avx512 => "AVX-512",
        CpuInstructionSet.Avx2 => "AVX2",
        _ => "portable 128-bit",
    };
}
