using System.Globalization;
using System.Runtime.InteropServices;
using Trainer.Compute;
using Trainer.Cuda.Kernels;
using Trainer.Cuda.Optimizer;
using Trainer.Model;
using Trainer.Optimization;

namespace Trainer.Cuda;

/// <summary>How a <see cref="CudaBackend"/> works.</summary>
public sealed record CudaBackendOptions
{
    /// <summary>The number of the device.</summary>
    public int Device { get; init; }

    /// <summary>The formats.</summary>
    public Precision Precision { get; init; } = Precision.BFloat16Mixed;

    /// <summary>Of stochastic rounding.</summary>
    public uint RoundingSeed { get; init; } = 1;

    /// <summary>Whether the end of a step is captured as a CUDA graph and replayed; otherwise its kernels are launched one by one, with the same bits.</summary>
    public bool UsesGraphs { get; init; } = true;

    /// <summary>
    /// How the implementations of matrix products are chosen; null for <see cref="LinearChoice.Measured"/>, but <see cref="LinearChoice.Proposed"/> on
    /// the driver simulator, whose times mean nothing.
    /// </summary>
    public LinearChoice? LinearChoice { get; init; }

    /// <summary>The folder in which measured choices are kept; null for none.</summary>
    public string? CacheFolder { get; init; } = LinearCache.UsersFolder;

    /// <summary>Whether cuBLASLt and cuBLAS are used where they are there; our own kernels can do without them.</summary>
    public bool UsesLibraries { get; init; } = true;
}

/// <summary>
/// The CUDA backend: the kernels of <c>cuda/</c> and cuBLASLt on one stream of an NVIDIA GPU, in bf16, TF32 or fp32. Its results are bitwise the
/// same in every run on a device with the same <see cref="Choices"/>.
/// </summary>
/// <remarks>Extents along which memory is contiguous must be multiples of 8, heads have up to 128 channels, and operands begin at multiples of 16 bytes.</remarks>
public sealed partial class CudaBackend : CheckedBackend
{
    private const int LargestHeadSize = 128;

    // The driver takes some memory for itself, for code and for local memory, when kernels first run; and the optimizer keeps its tables, some
    // tens of bytes for each 8192 parameters.
    internal const long ReservedBytes = 256 << 20;

    private readonly CudaBackendOptions _options;
    private readonly CudaContext _context;
    private readonly CudaKernels _kernels;
    private readonly StagingBuffers _staging;
    private readonly TensorMaps _maps = new();
    private readonly Scratch _scratch;
    private readonly LinearProducts _linear;
    private readonly HashSet<nint> _allocations = [];
    private readonly KernelType _type;
    private bool _disposed;

    /// <summary>Opens a device and has its driver compile the kernels.</summary>
    /// <exception cref="RequestException">There is no such device, or this build has no kernels for it.</exception>
    /// <exception cref="DeviceFailedException">The driver refuses.</exception>
    public CudaBackend(CudaBackendOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        _options = options;
        _type = options.Precision.Working == ElementType.BFloat16 ? KernelType.Bf16 : KernelType.Float;
        _context = new CudaContext(options.Device);
        _scratch = new Scratch(_context);
        try
        {
            _kernels = new CudaKernels(_context);
            _staging = new StagingBuffers(_context);
            _linear = new LinearProducts(_kernels, _maps, new LinearArithmetic(_type, options.Precision.UsesTensorFloat32), new LinearOptions
            {
                Choice = options.LinearChoice ?? (_context.IsSimulated ? Cuda.LinearChoice.Proposed : Cuda.LinearChoice.Measured),
                CacheFolder = options.CacheFolder,
                UsesLibraries = options.UsesLibraries,
            });
        }
        catch
        {
            _staging?.Dispose();
            _kernels?.Dispose();
            _context.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public override string Description => string.Create(CultureInfo.InvariantCulture,
        $"cuda:{_options.Device}, {_context.Name}, compute capability {_context.ComputeCapability}, {Precision}");

    /// <inheritdoc/>
    public override Precision Precision => _options.Precision;

    /// <inheritdoc/>
    public override bool RunsAhead => true;

    /// <inheritdoc/>
    public override IReadOnlyDictionary<string, string> Choices => _linear.Choices;

    /// <inheritdoc/>
    public override IReadOnlyList<string> Warnings => _linear.Warnings;

    /// <inheritdoc/>
    public override long AvailableBytes
    {
        get
        {
            _context.MakeCurrent();
            return Math.Max(0, Driver.MemoryInfo().Free - ReservedBytes);
        }
    }

    /// <inheritdoc/>
    public override int LiveAllocations => _allocations.Count;

    /// <summary>Is told of everything that is put into the stream; null for nobody.</summary>
    internal ILaunchObserver? LaunchObserver
    {
        get => _kernels.Observer;
        set => _kernels.Observer = value;
    }

    /// <summary>The products of linear layers.</summary>
    internal LinearProducts Linear => _linear;

    /// <summary>The device, for whoever times it.</summary>
    internal CudaContext Context => _context;

    /// <inheritdoc/>
    public override void CheckSupports(ModelConfig config)
    {
        ArgumentNullException.ThrowIfNull(config);
        if (config.Channels % 8 != 0 || config.Channels > LayerNormKernels.MaxChannels)
            throw new RequestException($"--channels {config.Channels} has no CUDA kernels; it must be a multiple of 8 up to {LayerNormKernels.MaxChannels}. --device cpu takes any.");
        if (config.HeadSize % 8 != 0 || config.HeadSize > LargestHeadSize)
        {
            throw new RequestException($"--heads {config.Heads} of --channels {config.Channels} makes heads of {config.HeadSize}, for which there are no CUDA kernels; "
                + $"a head must be a multiple of 8 up to {LargestHeadSize} (64 and 128 are the fastest). --device cpu takes any.");
        }

        if (config.PaddedVocabulary % 8 != 0)
            throw new RequestException($"the padded vocabulary {config.PaddedVocabulary} is no multiple of 8, as the CUDA kernels need it. --device cpu takes any.");
    }

    /// <inheritdoc/>
    public override void UseWorkspace(Tensor workspace) => _scratch.Use(workspace);

    /// <inheritdoc/>
    public override void Synchronize() => _context.Synchronize();

    /// <inheritdoc/>
    public override void Free(Tensor allocation)
    {
        if (!_allocations.Remove(allocation.Address))
            throw new ArgumentException("not an allocation of this backend, or freed already", nameof(allocation));
        _context.Quietly(() => Driver.Free((ulong)allocation.Address));
    }

    /// <inheritdoc/>
    public override IOptimizerPass CreateOptimizer(ParameterLayout layout, TrainingTensors tensors, OptimizerOptions options) =>
        new CudaOptimizer(_kernels, layout, tensors, options, Precision, _options.RoundingSeed, _options.UsesGraphs);

    /// <inheritdoc/>
    protected override unsafe nint Allocate(long bytes)
    {
        _context.MakeCurrent();
        ulong address;
        try
        {
            address = Driver.Allocate((nuint)bytes);
        }
        catch (CudaException exception) when (exception.IsOutOfMemory)
        {
            throw new InsufficientMemoryException(
                string.Create(CultureInfo.InvariantCulture, $"{bytes:N0} bytes of device memory were asked for, but only {Driver.MemoryInfo().Free:N0} are free"), exception);
        }

        _allocations.Add((nint)address);
        Driver.Fill(address, 0, (nuint)bytes, _context.Stream);
        return (nint)address;
    }

    /// <inheritdoc/>
    protected override void Clear(Tensor tensor)
    {
        long bytes = tensor.Count * Tensor.SizeOf(tensor.Type);
        var cost = KernelLaunch.OfDriver("fill", bytes);
        _context.MakeCurrent();
        LaunchObserver?.Before(cost);
        Driver.Fill((ulong)tensor.Address, 0, (nuint)bytes, _context.Stream);
        LaunchObserver?.After(cost);
    }

    /// <inheritdoc/>
    protected override void CopyToDevice<T>(ReadOnlySpan<T> source, Tensor destination)
    {
        ReadOnlySpan<byte> bytes = MemoryMarshal.AsBytes(source);
        var cost = KernelLaunch.OfDriver("copy to device", bytes.Length);
        _context.MakeCurrent();
        LaunchObserver?.Before(cost);
        _staging.Upload(bytes, (ulong)destination.Address);
        LaunchObserver?.After(cost);
    }

    /// <inheritdoc/>
    protected override void CopyToHost<T>(Tensor source, Span<T> destination)
    {
        _context.MakeCurrent();
        _staging.Download((ulong)source.Address, MemoryMarshal.AsBytes(destination));
    }

    /// <summary>Frees what is still allocated and gives the device back.</summary>
    protected override void Dispose(bool disposing)
    {
        if (_disposed)
            return;
        _disposed = true;
        _context.Quietly(_context.Synchronize);
        foreach (nint address in _allocations)
            _context.Quietly(() => Driver.Free((ulong)address));
        _allocations.Clear();
        _linear.Dispose();
        _scratch.Dispose();
        _staging.Dispose();
        _maps.Dispose();
        _kernels.Dispose();
        _context.Dispose();
    }
}
