namespace Trainer.Cuda;

/// <summary>A device in use: its context, the one stream on which everything happens, and what launches depend on.</summary>
internal sealed class CudaContext : IDisposable
{
    [ThreadStatic]
    private static CudaContext? t_current;

    private readonly int _device;
    private readonly nint _context;
    private bool _disposed;

    /// <summary>Opens a device.</summary>
    /// <param name="ordinal">Its number.</param>
    /// <exception cref="RequestException">There is no such device, or it is too old for the kernels.</exception>
    public CudaContext(int ordinal)
    {
        Driver.Initialize();
        int count = Driver.DeviceCount();
        if (ordinal < 0 || ordinal >= count)
            throw new RequestException($"--device cuda:{ordinal} does not exist; this machine has {count} {(count == 1 ? "GPU: cuda:0" : $"GPUs: cuda:0 to cuda:{count - 1}")}.");
        _device = Driver.GetDevice(ordinal);
        Name = Driver.DeviceName(_device);
        ComputeCapability = new Version(Attribute(DeviceAttribute.ComputeCapabilityMajor), Attribute(DeviceAttribute.ComputeCapabilityMinor));
        if (ComputeCapability.Major < 8)
            throw new RequestException($"{Name} has compute capability {ComputeCapability}; the kernels need 8.0 (Ampere) or later. Use --device cpu.");
        Multiprocessors = Attribute(DeviceAttribute.MultiprocessorCount);
        SharedBytesPerBlock = Attribute(DeviceAttribute.MaxSharedMemoryPerBlockOptIn);
        DefaultSharedBytes = Attribute(DeviceAttribute.MaxSharedMemoryPerBlock);
        _context = Driver.RetainContext(_device);
        try
        {
            MakeCurrent();
            Stream = Driver.CreateStream();
        }
        catch
        {
            Release();
            throw;
        }
    }

    /// <summary>The name that the driver gives it.</summary>
    public string Name { get; }

    /// <summary>Its architecture: 9.0 for Hopper.</summary>
    public Version ComputeCapability { get; }

    /// <summary>Its streaming multiprocessors.</summary>
    public int Multiprocessors { get; }

    /// <summary>The bytes of shared memory that a block can have.</summary>
    public int SharedBytesPerBlock { get; }

    /// <summary>The bytes of shared memory that a block has without asking for more.</summary>
    public int DefaultSharedBytes { get; }

    /// <summary>The stream.</summary>
    public nint Stream { get; }

    /// <summary>Whether the kernels for 9.0a run.</summary>
    public bool IsHopper => ComputeCapability is { Major: 9, Minor: 0 };

    /// <summary>Whether it is the driver simulator's, whose times are those of the simulation.</summary>
    public bool IsSimulated => Name == "Simulated CUDA device";

    /// <summary>Makes calls of this thread go to this device.</summary>
    public void MakeCurrent()
    {
        if (t_current == this)
            return;
        Driver.SetContext(_context);
        t_current = this;
    }

    /// <summary>Waits until everything on the stream is done.</summary>
    public void Synchronize()
    {
        MakeCurrent();
        Driver.Synchronize(Stream);
    }

    /// <summary>Gives the device back. What it cannot give back because the device is lost, the system does.</summary>
    public void Dispose()
    {
        if (_disposed)
            return;
        _disposed = true;
        Quietly(() => Driver.DestroyStream(Stream));
        Release();
    }

    /// <summary>Frees something; on a device that is lost everything fails, and there is nothing to do about it.</summary>
    public void Quietly(Action free)
    {
        try
        {
            MakeCurrent();
            free();
        }
        catch (CudaException)
        {
        }
    }

    private void Release()
    {
        if (t_current == this)
            t_current = null;
        Quietly(() => Driver.ReleaseContext(_device));
        t_current = null;
    }

    private int Attribute(DeviceAttribute attribute) => Driver.DeviceAttribute(attribute, _device);
}
