using Trainer.Compute;

namespace Trainer.Tests.Compute;

/// <summary>Vectors of numbers on a device, each of its own type.</summary>
internal sealed class Vectors : IDisposable
{
    private readonly IBackend _backend;
    private readonly Tensor[] _tensors;

    public Vectors(IBackend backend, params float[][] values)
        : this(backend, Array.ConvertAll(values, vector => (ElementType.Float32, vector)))
    {
    }

    public Vectors(IBackend backend, params (ElementType Type, float[] Values)[] vectors)
    {
        _backend = backend;
        _tensors = Array.ConvertAll(vectors, vector => backend.Allocate(vector.Type, new Shape(vector.Values.Length)));
        for (int i = 0; i < vectors.Length; i++)
            backend.UploadFloats(vectors[i].Values, _tensors[i]);
    }

    public Tensor this[int index] => _tensors[index];

    public float[] Read(int index)
    {
        var values = new float[_tensors[index].Count];
        _backend.DownloadFloats(_tensors[index], values);
        return values;
    }

    public int[] Bits(int index) => Array.ConvertAll(Read(index), BitConverter.SingleToInt32Bits);

    public void Dispose()
    {
        foreach (var tensor in _tensors)
            _backend.Free(tensor);
    }
}
