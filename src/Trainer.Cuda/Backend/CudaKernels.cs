using System.Text;
using Trainer.Cuda.Kernels;

namespace Trainer.Cuda;

/// <summary>Is told of every kernel, library product, copy and fill before and after it is put into the stream.</summary>
internal interface ILaunchObserver
{
    /// <summary>It comes next.</summary>
    void Before(in KernelLaunch launch);

    /// <summary>It is in the stream.</summary>
    void After(in KernelLaunch launch);
}

/// <summary>The kernels of this assembly on one device.</summary>
internal sealed class CudaKernels : IDisposable
{
    private readonly CudaContext _context;
    private readonly List<nint> _modules = [];
    private readonly Dictionary<string, Function> _functions = [];

    /// <summary>Lets the driver compile all modules that the device can run.</summary>
    /// <exception cref="RequestException">This build has no kernels.</exception>
    /// <exception cref="CudaException">The driver does not take a module; the message has its compiler's.</exception>
    public CudaKernels(CudaContext context)
    {
        _context = context;
        IReadOnlyList<PtxModule> modules = PtxModules.All();
        if (modules.Count == 0)
            throw new RequestException("this build has no CUDA kernels: nvcc was not found when it was made. Build it again where nvcc is, or use --device cpu.");
        try
        {
            foreach (PtxModule module in modules.Where(module => module.Target == "sm_80" || context.IsHopper))
                Load(module);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>Is told of every launch; null for nobody.</summary>
    public ILaunchObserver? Observer { get; set; }

    /// <summary>The context that launches go to.</summary>
    public CudaContext Context => _context;

    /// <summary>Whether there is a kernel of a name for this device.</summary>
    public bool Has(string kernel) => _functions.ContainsKey(kernel);

    /// <summary>A kernel with its launch for some sizes. Whoever keeps it launches it again without allocating or computing anything.</summary>
    /// <exception cref="InvalidOperationException">There is no such kernel for this device.</exception>
    public PreparedKernel Prepare(in KernelLaunch launch)
    {
        if (!_functions.TryGetValue(launch.Kernel, out Function? function))
            throw new InvalidOperationException($"there is no kernel {launch.Kernel} for compute capability {_context.ComputeCapability}");
        if (launch.SharedBytes > function.SharedLimit)
        {
            _context.MakeCurrent();
            Driver.SetFunctionAttribute(function.Handle, FunctionAttribute.MaxDynamicSharedBytes, launch.SharedBytes);
            function.SharedLimit = launch.SharedBytes;
        }

        return new PreparedKernel(this, function.Handle, launch, function.ParameterBytes);
    }

    /// <summary>The registers and the bytes of local memory of every kernel, as the driver compiled it, by name.</summary>
    public IEnumerable<(string Kernel, int Registers, int LocalBytes)> Resources()
    {
        _context.MakeCurrent();
        foreach (var (name, function) in _functions.OrderBy(pair => pair.Key, StringComparer.Ordinal))
        {
            yield return (name, Driver.FunctionAttribute(function.Handle, FunctionAttribute.Registers),
                Driver.FunctionAttribute(function.Handle, FunctionAttribute.LocalBytes));
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (nint module in _modules)
            _context.Quietly(() => Driver.UnloadModule(module));
        _modules.Clear();
    }

    private void Load(PtxModule module)
    {
        byte[] text = new byte[Encoding.UTF8.GetByteCount(module.Text) + 1];
        Encoding.UTF8.GetBytes(module.Text, text);
        nint handle = Driver.LoadModule(text, out _);
        _modules.Add(handle);
        foreach (PtxKernel kernel in module.Kernels)
        {
            nint function = Driver.GetFunction(handle, kernel.Name);
            _functions.Add(kernel.Name, new Function(function, [.. kernel.ParameterBytes], Driver.FunctionAttribute(function, FunctionAttribute.MaxDynamicSharedBytes)));
        }
    }

    private sealed class Function(nint handle, int[] parameterBytes, int sharedLimit)
    {
        public nint Handle { get; } = handle;

        public int[] ParameterBytes { get; } = parameterBytes;

        public int SharedLimit { get; set; } = sharedLimit;
    }
}

/// <summary>A kernel with its launch for one shape.</summary>
internal sealed unsafe class PreparedKernel(CudaKernels kernels, nint function, KernelLaunch launch, int[] parameterBytes)
{
    /// <summary>The launch and what it costs at least.</summary>
    public KernelLaunch Cost => launch;

    /// <summary>Puts the kernel into the stream. Allocates nothing.</summary>
    /// <exception cref="ArgumentException">The arguments are not as many and as large as the kernel declares.</exception>
    public void Launch(params ReadOnlySpan<KernelArgument> arguments)
    {
        if (arguments.Length != parameterBytes.Length)
            throw new ArgumentException($"{launch.Kernel} takes {parameterBytes.Length} arguments, not {arguments.Length}", nameof(arguments));
        Span<nint> locations = stackalloc nint[arguments.Length];
        fixed (KernelArgument* first = arguments)
        {
            for (int i = 0; i < arguments.Length; i++)
            {
                if (first[i].Bytes != parameterBytes[i])
                    throw new ArgumentException($"{launch.Kernel} takes {parameterBytes[i]} bytes as argument {i}, not {first[i].Bytes}", nameof(arguments));
                locations[i] = (nint)KernelArgument.Location(first + i);
            }

            kernels.Context.MakeCurrent();
            kernels.Observer?.Before(launch);
            Driver.Launch(function, launch.Grid, launch.Block, launch.SharedBytes, kernels.Context.Stream, locations);
            kernels.Observer?.After(launch);
        }
    }
}
