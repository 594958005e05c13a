namespace Trainer.Cuda;

/// <summary>
/// Pinned memory through which everything between host and device goes, in a ring: the host fills one buffer while the device empties
/// another, and waits only for a buffer that is still in use.
/// </summary>
internal sealed unsafe class StagingBuffers : IDisposable
{
    private const int Count = 4;
    private const int BufferBytes = 4 << 20;

    private readonly CudaContext _context;
    private readonly nint _memory;
    private readonly nint[] _events = new nint[Count];
    private int _next;

    public StagingBuffers(CudaContext context)
    {
        _context = context;
        _memory = Driver.AllocateHost((nuint)Count * BufferBytes);
        try
        {
            for (int i = 0; i < Count; i++)
            {
                _events[i] = Driver.CreateEvent(timing: false);
                Driver.RecordEvent(_events[i], context.Stream);
            }
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>Copies to the device; the source is free again when this returns.</summary>
    public void Upload(ReadOnlySpan<byte> source, ulong destination)
    {
        while (!source.IsEmpty)
        {
            ReadOnlySpan<byte> part = source[..Math.Min(source.Length, BufferBytes)];
            nint buffer = Take(out nint done);
            part.CopyTo(new Span<byte>((void*)buffer, BufferBytes));
            Driver.CopyToDevice(destination, (void*)buffer, (nuint)part.Length, _context.Stream);
            Driver.RecordEvent(done, _context.Stream);
            source = source[part.Length..];
            destination += (ulong)part.Length;
        }
    }

    /// <summary>Copies to the host and waits for it; the next part is on its way while one is copied out.</summary>
    public void Download(ulong source, Span<byte> destination)
    {
        int started = 0;
        (nint Buffer, nint Done) pending = default;
        for (int finished = 0; finished < destination.Length;)
        {
            (nint Buffer, nint Done) following = default;
            int pendingBytes = started - finished;
            if (started < destination.Length)
            {
                following = (Take(out nint done), done);
                int bytes = Math.Min(destination.Length - started, BufferBytes);
                Driver.CopyToHost((void*)following.Buffer, source + (ulong)started, (nuint)bytes, _context.Stream);
                Driver.RecordEvent(done, _context.Stream);
                started += bytes;
            }

            if (pendingBytes > 0)
            {
                Driver.SynchronizeEvent(pending.Done);
                new ReadOnlySpan<byte>((void*)pending.Buffer, pendingBytes).CopyTo(destination[finished..]);
                finished += pendingBytes;
            }

            pending = following;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (nint recorded in _events.Where(recorded => recorded != 0))
            _context.Quietly(() => Driver.DestroyEvent(recorded));
        _context.Quietly(() => Driver.FreeHost(_memory));
    }

    // The oldest buffer, when the device is done with it.
    private nint Take(out nint done)
    {
        int taken = _next;
        _next = (taken + 1) % Count;
        done = _events[taken];
        Driver.SynchronizeEvent(done);
        return _memory + (taken * BufferBytes);
    }
}
