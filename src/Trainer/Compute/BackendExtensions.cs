using System.Buffers;

namespace Trainer.Compute;

/// <summary>Copies of fp32 values on the host to and from tensors that may be bf16 on the device.</summary>
public static class BackendExtensions
{
    /// <summary>Copies values to a tensor of fp32, or rounds them to the nearest for one of bf16.</summary>
    public static void UploadFloats(this IBackend backend, ReadOnlySpan<float> source, Tensor destination)
    {
        ArgumentNullException.ThrowIfNull(backend);
        if (destination.Type != ElementType.BFloat16)
        {
            backend.Upload(source, destination);
            return;
        }

        ushort[] halves = ArrayPool<ushort>.Shared.Rent(source.Length);
        for (int i = 0; i < source.Length; i++)
            halves[i] = BFloat16.Round(source[i]);
        backend.Upload<ushort>(halves.AsSpan(0, source.Length), destination);
        ArrayPool<ushort>.Shared.Return(halves);
    }

    /// <summary>Rounds every element of a tensor of fp32 to the nearest bf16 number, in place.</summary>
    public static void RoundToBFloat16(this IBackend backend, Tensor tensor)
    {
        const int PartElements = 1 << 20;
        ArgumentNullException.ThrowIfNull(backend);
        float[] values = new float[Math.Min(tensor.Count, PartElements)];
        for (long done = 0; done < tensor.Count; done += values.Length)
        {
            Span<float> part = values.AsSpan(0, (int)Math.Min(values.Length, tensor.Count - done));
            Tensor place = tensor.Slice(done, new Shape(part.Length));
            backend.Download(place, part);
            foreach (ref float value in part)
                value = BFloat16.Value(BFloat16.Round(value));
            backend.Upload<float>(part, place);
        }
    }

    /// <summary>Copies the values of a tensor of fp32 or bf16, the latter exactly, and waits for them.</summary>
    public static void DownloadFloats(this IBackend backend, Tensor source, Span<float> destination)
    {
        ArgumentNullException.ThrowIfNull(backend);
        if (source.Type != ElementType.BFloat16)
        {
            backend.Download(source, destination);
            return;
        }

        ushort[] halves = ArrayPool<ushort>.Shared.Rent(destination.Length);
        backend.Download(source, halves.AsSpan(0, destination.Length));
        for (int i = 0; i < destination.Length; i++)
            destination[i] = BFloat16.Value(halves[i]);
        ArrayPool<ushort>.Shared.Return(halves);
    }
}
