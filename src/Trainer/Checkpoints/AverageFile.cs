using System.Buffers.Binary;
using System.Globalization;
using System.Runtime.InteropServices;
using Trainer.Compute;
using Trainer.Optimization;

namespace Trainer.Checkpoints;

/// <summary>
/// <c>averages.bin</c>, little-endian: a header of 256 int32, then each average of the weights as fp32 in the order of the parameters.
/// <code>
/// [0] magic 20261125   [1] version 1   [2] averages   [3] 0   [4],[5] values in each, int64   [6].. coefficient of each, fp64   the rest 0
/// </code>
/// </summary>
internal static class AverageFile
{
    /// <summary>The most averages that the header has room for.</summary>
    public const int MostAverages = (HeaderBytes - CoefficientsAt) / sizeof(double);

    private const int HeaderBytes = 256 * sizeof(int);
    private const int CoefficientsAt = 6 * sizeof(int);
    private const int Magic = 20261125;
    private const int Version = 1;

    public static void Write(Stream stream, IBackend backend, WeightAverages averages)
    {
        Span<byte> header = stackalloc byte[HeaderBytes];
        header.Clear();
        BinaryPrimitives.WriteInt32LittleEndian(header, Magic);
        BinaryPrimitives.WriteInt32LittleEndian(header[4..], Version);
        BinaryPrimitives.WriteInt32LittleEndian(header[8..], averages.Coefficients.Count);
        BinaryPrimitives.WriteInt64LittleEndian(header[16..], averages.Tensors[0].Count);
        for (int i = 0; i < averages.Coefficients.Count; i++)
            BinaryPrimitives.WriteDoubleLittleEndian(header[(CoefficientsAt + (i * sizeof(double)))..], averages.Coefficients[i]);
        stream.Write(header);
        foreach (Tensor average in averages.Tensors)
            TensorStream.Write(stream, backend, average);
    }

    /// <exception cref="RequestException">The file is not of these averages.</exception>
    public static void Read(string path, IBackend backend, WeightAverages averages)
    {
        using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 0);
        Span<byte> header = stackalloc byte[HeaderBytes];
        if (stream.ReadAtLeast(header, HeaderBytes, throwOnEndOfStream: false) < HeaderBytes
            || BinaryPrimitives.ReadInt32LittleEndian(header) != Magic || BinaryPrimitives.ReadInt32LittleEndian(header[4..]) != Version)
        {
            throw new RequestException($"{path}: is no file of averages of version {Version}.");
        }

        int count = BinaryPrimitives.ReadInt32LittleEndian(header[8..]);
        long values = BinaryPrimitives.ReadInt64LittleEndian(header[16..]);
        if (count is < 1 or > MostAverages || values != averages.Tensors[0].Count || stream.Length != HeaderBytes + (count * values * sizeof(float)))
            throw new RequestException($"{path}: {count} averages of {values} parameters in {stream.Length} bytes are not those of a model of {averages.Tensors[0].Count}.");
        var coefficients = new double[count];
        for (int i = 0; i < count; i++)
            coefficients[i] = BinaryPrimitives.ReadDoubleLittleEndian(header[(CoefficientsAt + (i * sizeof(double)))..]);
        if (!coefficients.SequenceEqual(averages.Coefficients))
        {
            throw new RequestException($"{path}: has the averages --average {Text(coefficients)}, not --average {Text(averages.Coefficients)}.\n"
                + "A run goes on with the averages it began with; give the same, or none at all.");
        }

        foreach (Tensor average in averages.Tensors)
            TensorStream.Read(part => stream.ReadExactly(MemoryMarshal.AsBytes(part)), backend, average);
    }

    private static string Text(IEnumerable<double> coefficients) =>
        string.Join(" --average ", coefficients.Select(coefficient => coefficient.ToString(CultureInfo.InvariantCulture)));
}
