namespace Trainer.Cpu;

/// <summary>Working memory that grows when an operation needs more than any before it, and is otherwise reused.</summary>
internal sealed unsafe class Scratch<T> : IDisposable
    where T : unmanaged
{
    private T* _data;
    private long _count;

    /// <summary>At least <paramref name="count"/> elements of no particular value, aligned to 64 bytes; valid until the next call.</summary>
    public T* Ensure(long count)
    {
        if (count > _count)
        {
            NativeBlock.Free(_data);
            _data = null;
            _count = 0;
            _data = (T*)NativeBlock.Allocate((nuint)count * (nuint)sizeof(T));
            _count = count;
        }

        return _data;
    }

    public void Dispose()
    {
        NativeBlock.Free(_data);
        _data = null;
        _count = 0;
    }
}
