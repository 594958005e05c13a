using System.Runtime.InteropServices;
using Trainer.Compute;

namespace Trainer.Cuda;

/// <summary>Fills tensors with random numbers, the same ones every time.</summary>
internal sealed unsafe class TrialValues
{
    // A prime: what is repeated in a large tensor lies at another place of each of its rows.
    private const int Period = 262_147;

    private readonly float[] _uniform = new float[Period];
    private readonly byte[] _bytes = new byte[Period * sizeof(float)];

    public TrialValues()
    {
        var random = new CounterRandom(seed: 1, stream: 0);
        for (int i = 0; i < Period; i++)
            _uniform[i] = (float)((2 * random.Uniform((ulong)i)) - 1);
    }

    /// <summary>Puts a fill into the stream.</summary>
    /// <param name="context">The device.</param>
    /// <param name="tensor">bf16 or fp32, overwritten.</param>
    /// <param name="amplitude">The numbers are evenly distributed up to this magnitude.</param>
    public void Fill(CudaContext context, Tensor tensor, float amplitude)
    {
        int size = Tensor.SizeOf(tensor.Type);
        long bytes = tensor.Count * size, filled = Math.Min(bytes, (long)Period * size);
        Encode(tensor.Type, amplitude);
        ulong address = (ulong)tensor.Address;
        fixed (byte* from = _bytes)
            Driver.CopyToDevice(address, from, (nuint)filled, context.Stream);

        // The numbers are overwritten by the next fill.
        context.Synchronize();
        while (filled < bytes)
        {
            long part = Math.Min(filled, bytes - filled);
            Driver.Copy(address + (ulong)filled, address, (nuint)part, context.Stream);
            filled += part;
        }
    }

    private void Encode(ElementType type, float amplitude)
    {
        if (type == ElementType.BFloat16)
        {
            Span<ushort> to = MemoryMarshal.Cast<byte, ushort>(_bytes.AsSpan());
            for (int i = 0; i < Period; i++)
                to[i] = BFloat16.Round(_uniform[i] * amplitude);
        }
        else
        {
            Span<float> to = MemoryMarshal.Cast<byte, float>(_bytes.AsSpan());
            for (int i = 0; i < Period; i++)
                to[i] = _uniform[i] * amplitude;
        }
    }
}
