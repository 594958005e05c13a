namespace Trainer.Cuda;

/// <summary>cuBLASLt and cuBLAS on one device: whether they are there, and their handles, made when they are first used.</summary>
/// <param name="context">The device.</param>
/// <param name="use">Whether to look for them at all.</param>
internal sealed class CublasHandles(CudaContext context, bool use = true) : IDisposable
{
    // What NVIDIA recommends for Hopper, where algorithms that split K need more of it.
    private const long HopperWorkspace = 32L << 20, Workspace = 4L << 20;

    private nint _lt;
    private nint _classic;
    private ulong _workspace;
    private int _classicVersion;
    private bool _failed;

    /// <summary>Whether products can be computed by cuBLASLt.</summary>
    public bool HasLt => use && !_failed && CudaLibraries.HasCublasLt;

    /// <summary>Whether products can be computed by cuBLAS.</summary>
    public bool HasClassic => use && !_failed && CudaLibraries.HasCublas;

    /// <summary>The version of cuBLASLt, 120405 for 12.4.5; 0 without it.</summary>
    public long LtVersion => HasLt ? CublasLt.Version() : 0;

    /// <summary>The version of cuBLAS; 0 without it.</summary>
    public int ClassicVersion
    {
        get
        {
            if (HasClassic)
                _ = Classic;
            return _classicVersion;
        }
    }

    /// <summary>The workspace that a product may have.</summary>
    public long WorkspaceBytes => context.IsHopper ? HopperWorkspace : Workspace;

    /// <summary>The handle of cuBLASLt.</summary>
    public nint Lt
    {
        get
        {
            if (_lt == 0)
            {
                context.MakeCurrent();
                _lt = CublasLt.Create();
            }

            return _lt;
        }
    }

    /// <summary>The handle of cuBLAS, which computes in the stream of the context.</summary>
    public nint Classic
    {
        get
        {
            if (_classic == 0)
            {
                context.MakeCurrent();
                _classic = Driver.CreateBlas();
                Driver.SetBlasStream(_classic, context.Stream);
                _classicVersion = Driver.BlasVersion(_classic);
            }

            return _classic;
        }
    }

    /// <summary>Makes both handles; a library that refuses is treated as if it were not there.</summary>
    /// <returns>Why a library that is there is not used; null if it is, or if there is none.</returns>
    public string? Open()
    {
        try
        {
            if (HasLt)
                _ = Lt;
            if (HasClassic)
                _ = Classic;
            return null;
        }
        catch (Exception exception) when (exception is CublasException or EntryPointNotFoundException)
        {
            _failed = true;
            return $"cuBLAS is not used: {exception.Message}";
        }
    }

    /// <summary>Gives cuBLAS the workspace that the next product uses.</summary>
    public void UseWorkspace(ulong address)
    {
        if (address == _workspace)
            return;
        Driver.SetBlasWorkspace(Classic, address, (nuint)WorkspaceBytes);
        _workspace = address;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_lt != 0)
            context.Quietly(() => CublasLt.Destroy(_lt));
        if (_classic != 0)
            context.Quietly(() => Driver.DestroyBlas(_classic));
        (_lt, _classic) = (0, 0);
    }
}
