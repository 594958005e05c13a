using Trainer.Compute;
using Trainer.Cuda.Kernels;

namespace Trainer.Cuda;

/// <content>Attention: kernels of warpgroups on Hopper, of tensor cores elsewhere, and plain ones for fp32 and for other heads.</content>
public sealed partial class CudaBackend
{
    private enum AttentionVersion
    {
        Generic,
        Mma,
        Wgmma,
    }

    private static TileBox AttentionBox => new(AttentionWgmmaKernels.BoxColumns, AttentionWgmmaKernels.Rows);

    /// <inheritdoc/>
    protected override unsafe void AttentionForward(Tensor output, Tensor logSumExp, Tensor qkv, int b, int t, int c, int heads)
    {
        int headSize = c / heads;
        float scale = AttentionScale(headSize);
        PreparedKernel kernel = Kernel(new(LaunchOperation.AttentionForward, b, t, heads, headSize), static (key, self) => self.Version(key.D) switch
        {
            AttentionVersion.Wgmma => AttentionWgmmaKernels.Forward(Shape(key)),
            AttentionVersion.Mma => AttentionKernels.Forward(Shape(key)),
            _ => AttentionGenericKernels.Forward(Shape(key), self._type),
        });
        switch (Version(headSize))
        {
            case AttentionVersion.Wgmma:
                kernel.Launch(Map(qkv, b, t), Map(output, b, t), logSumExp, t, heads, scale);
                break;
            case AttentionVersion.Mma:
                kernel.Launch(output, logSumExp, qkv, t, heads, scale);
                break;
            default:
                kernel.Launch(output, logSumExp, qkv, t, heads, headSize, scale);
                break;
        }
    }

    /// <inheritdoc/>
    protected override unsafe void AttentionBackward(
        Tensor dQkv, Tensor dOutput, Tensor output, Tensor logSumExp, Tensor qkv, int b, int t, int c, int heads)
    {
        int headSize = c / heads;
        float scale = AttentionScale(headSize);
        ulong stats = _scratch.Take(AttentionScratchBytes(new AttentionShape(b, t, heads, headSize)));
        PreparedKernel statistics = Kernel(new(LaunchOperation.AttentionBackwardStats, b, t, heads, headSize),
            static (key, self) => self.Version(key.D) == AttentionVersion.Generic
                ? AttentionGenericKernels.BackwardStats(Shape(key), self._type)
                : AttentionKernels.BackwardStats(Shape(key)));
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
        switch (Version(headSize))
        {
            case AttentionVersion.Wgmma:
                statistics.Launch(stats, logSumExp, output, dOutput, t, heads);
                kv.Launch(Map(qkv, b, t), Map(dOutput, b, t), Map(dQkv, b, t), stats, t, heads, scale);
                q.Launch(Map(qkv, b, t), Map(dOutput, b, t), Map(dQkv, b, t), stats, t, heads, scale);
                break;
            case AttentionVersion.Mma:
                statistics.Launch(stats, logSumExp, output, dOutput, t, heads);
                kv.Launch(dQkv, qkv, dOutput, stats, t, heads, scale);
                q.Launch(dQkv, qkv, dOutput, stats, t, heads, scale);
                break;
            default:
                statistics.Launch(stats, logSumExp, output, dOutput, t, heads, headSize);
                kv.Launch(dQkv, qkv, dOutput, stats, t, heads, headSize, scale);
                q.Launch(dQkv, qkv, dOutput, stats, t, heads, headSize, scale);
                break;
        }
    }

    private static float AttentionScale(int headSize) => 1 / MathF.Sqrt(headSize);

    private static long AttentionScratchBytes(in AttentionShape shape) => sizeof(float) * shape.StatsCount;

    private static AttentionShape Shape(in LaunchKey key) => new(key.A, key.B, key.C, key.D);

    private AttentionVersion Version(int headSize) => _type == KernelType.Float || headSize is not (64 or 128) ? AttentionVersion.Generic
        : _context.IsHopper ? AttentionVersion.Wgmma
        : AttentionVersion.Mma;

    private unsafe TensorMap* Map(Tensor matrix, int b, int t) => _maps.Planes((ulong)matrix.Address, matrix.Shape.Columns, t, b, AttentionBox);
}
