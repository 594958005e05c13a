using Trainer.Compute;

namespace Trainer.Tests.Compute;

/// <summary>Float vectors on a device.</summary>
internal sealed class Vectors : IDisposable
{
    private readonly IBackend _backend;
    private readonly Tensor[] _tensors;

    public Vectors(IBackend backend, params float[][] values)
    {
        _backend = backend;
        _tensors = Array.ConvertAll(values, vector => backend.Allocate(ElementType.Float32, new Shape(vector.Length)));
        for (int i = 0; i < values.Length; i++)
            backend.Upload<float>(values[i], _tensors[i]);
    }

    public Tensor this[int index] => _tensors[index];

    public float[] Read(int index)
    {
        var values = new float[_tensors[index].Count];
        _backend.Download<float>(_tensors[index], values);
        return values;
    }

    public int[] Bits(int index) => Array.ConvertAll(Read(index), BitConverter.SingleToInt32Bits);

    public void Dispose()
    {
        foreach (var tensor in _tensors)
            _backend.Free(tensor);
    }
}
