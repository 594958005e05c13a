using Trainer.Compute;
using Trainer.Cuda.Kernels;

namespace Trainer.Cuda;

/// <content>Attention: kernels of warpgroups on Hopper, of tensor cores elsewhere, and plain ones for fp32 and for other heads.</content>
public sealed partial class CudaBackend
{
    private static TileBox AttentionBox => new(AttentionWgmmaKernels.BoxColumns, AttentionWgmmaKernels.Rows);

    /// <inheritdoc/>
    protected override unsafe void AttentionForward(Tensor output, Tensor logSumExp, Tensor qkv, int b, int t, int c, int heads)
    {
        float scale = AttentionScale(c, heads);
        PreparedKernel kernel = Kernel(new(LaunchOperation.AttentionForward, b, t, heads, c / heads), static (key, self) => self.Version(key.D) switch
        {
            AttentionVersion.Wgmma => AttentionWgmmaKernels.Forward(Shape(key)),
            AttentionVersion.Mma => AttentionKernels.Forward(Shape(key)),
            _ => AttentionGenericKernels.Forward(Shape(key), self._type),
        });
        if (Version(c / heads) == AttentionVersion.Wgmma)
            kernel.Launch(Map(qkv, b, t), Map(output, b, t), logSumExp, t, heads, scale);
        else
            kernel.Launch(output, logSumExp, qkv, t, heads, scale);
    }

    /// <inheritdoc/>
    protected override unsafe void AttentionBackward(
        Tensor dQkv, Tensor dOutput, Tensor output, Tensor logSumExp, Tensor qkv, int b, int t, int c, int heads)
    {
        float scale = AttentionScale(c, heads);
        int headSize = c / heads;
        ulong stats = _scratch.Take(AttentionScratchBytes(new AttentionShape(b, t, heads, headSize)));
        Kernel(new(LaunchOperation.AttentionBackwardStats, b, t, heads, headSize), static (key, self) => AttentionKernels.BackwardStats(Shape(key)))
            .Launch(stats, logSumExp, output, dOutput, t, heads);
        PreparedKernel kv = Kernel(new(LaunchOperation.AttentionBackwardKv, b, t, heads, headSize), static (key, self) => self.Version(key.D) switch
        {
            AttentionVersion.Wgmma => AttentionWgmmaKernels.BackwardKv(Shape(key)),
            AttentionVersion.Mma => AttentionKernels.BackwardKv(Shape(key)),
            _ => AttentionGenericKernels.BackwardKv(Shape(key), self._type),
        });
        PreparedKernel q = Kernel(new(LaunchOperation.AttentionBackwardQ, b, t, heads, headSize), static (key, self) => self.Version(key.D) switch
        {
            AttentionVersion.Wgmma => AttentionWgmmaKernels.BackwardQ(Shape(key)),
            AttentionVersion.Mma => AttentionKernels.BackwardQ(Shape(key)),
            _ => AttentionGenericKernels.BackwardQ(Shape(key), self._type),
        });
        if (Version(headSize) == AttentionVersion.Wgmma)
        {
            kv.Launch(Map(qkv, b, t), Map(dOutput, b, t), Map(dQkv, b, t), stats, t, heads, scale);
            q.Launch(Map(qkv, b, t), Map(dOutput, b, t), Map(dQkv, b, t), stats, t, heads, scale);
        }
        else
        {
            kv.Launch(dQkv, qkv, dOutput, stats, t, heads, scale);
            q.Launch(dQkv, qkv, dOutput, stats, t, heads, scale);
        }
    }

    private static float AttentionScale(int c, int heads) => 1 / MathF.Sqrt(c / heads);

    private static long AttentionScratchBytes(in AttentionShape shape) => sizeof(float) * shape.StatsCount;

    private static AttentionShape Shape(in LaunchKey key) => new(key.A, key.B, key.C, key.D);

    private AttentionVersion Version(int headSize) => _type == KernelType.Float || headSize is not (64 or 128) ? AttentionVersion.Generic
        : _context.IsHopper ? AttentionVersion.Wgmma
        : AttentionVersion.Mma;

    private unsafe TensorMap* Map(Tensor matrix, int b, int t) => _maps.Planes((ulong)matrix.Address, matrix.Shape.Columns, t, b, AttentionBox);

    private enum AttentionVersion
    {
        Generic,
        Mma,
        Wgmma,
    }
}
