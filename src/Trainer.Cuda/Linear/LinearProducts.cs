namespace Trainer.Cuda;

/// <summary>The implementation of every product that was asked for so far, by its shape.</summary>
internal sealed class LinearProducts : IDisposable
{
    private readonly CudaKernels _kernels;
    private readonly LinearArithmetic _arithmetic;
    private readonly CublasHandles _blas;
    private readonly LinearCandidates _candidates;
    private readonly LinearSelector _selector;
    private readonly LinearChoice _choice;
    private readonly string? _cacheFolder;
    private readonly Dictionary<LinearShape, LinearProduct> _products = [];
    private readonly Dictionary<string, string> _choices = [];
    private readonly List<string> _warnings = [];
    private LinearCache? _cache;

    /// <param name="kernels">The kernels.</param>
    /// <param name="maps">Tensor maps for them.</param>
    /// <param name="arithmetic">Of what products are computed.</param>
    /// <param name="options">How implementations are chosen.</param>
    public LinearProducts(CudaKernels kernels, TensorMaps maps, LinearArithmetic arithmetic, LinearOptions options)
    {
        (_kernels, _arithmetic, _cacheFolder) = (kernels, arithmetic, options.CacheFolder);
        _blas = new CublasHandles(kernels.Context, options.UsesLibraries);
        if (_blas.Open() is { } problem)
            _warnings.Add(problem);
        _candidates = new LinearCandidates(kernels, new OwnProducts(kernels, maps, arithmetic), _blas, arithmetic);
        _selector = new LinearSelector(kernels, _candidates, arithmetic) { Clock = options.Clock };
        _choice = options.Choice;
    }

    /// <summary>All implementations.</summary>
    public LinearCandidates Candidates => _candidates;

    /// <summary>The implementations of prepared products, by their product.</summary>
    public IReadOnlyDictionary<string, string> Choices => _choices;

    /// <summary>What the user should know of the choices.</summary>
    public IReadOnlyList<string> Warnings => _warnings;

    /// <summary>The implementation in use for a product.</summary>
    public LinearProduct For(in LinearShape shape)
    {
        if (!_products.TryGetValue(shape, out LinearProduct? product))
            _products.Add(shape, product = _candidates.Expected(shape));
        return product;
    }

    /// <summary>The scratch memory that some products need at most, whatever is chosen for them.</summary>
    public long ScratchBytes(IEnumerable<LinearShape> shapes) => shapes.Max(shape => _candidates.ScratchBytes(shape));

    /// <summary>Chooses the implementation of products.</summary>
    /// <param name="shapes">The products.</param>
    /// <param name="recorded">Choices that were made before, by their product: those are made again.</param>
    /// <param name="measures">Whether the products come often enough that measuring them pays.</param>
    public void Prepare(IEnumerable<LinearShape> shapes, IReadOnlyDictionary<string, string>? recorded, bool measures)
    {
        var measured = new Dictionary<string, string>();
        int lost = 0;
        foreach (LinearShape shape in shapes.Distinct())
        {
            string product = shape.ToString();
            string? name = recorded?.GetValueOrDefault(product);
            if (_choices.TryGetValue(product, out string? current) && (name is null || name == current))
                continue;
            LinearProduct? chosen = name is null ? null : _candidates.Restore(shape, name);
            if (name is not null && chosen is null)
                lost++;
            chosen ??= Choose(shape, product, measures, measured);
            if (_products.Remove(shape, out LinearProduct? replaced))
                replaced.Dispose();
            _products.Add(shape, chosen);
            _choices[product] = chosen.Name;
        }

        if (measured.Count > 0)
            _cache?.Add(measured);
        if (lost > 0)
        {
            _warnings.Add($"{lost} of the matrix products that the run was begun with do not exist here (another GPU or version of cuBLAS); "
                + "others are used, so that the run goes on with slightly different rounding.");
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (LinearProduct product in _products.Values)
            product.Dispose();
        _products.Clear();
        _blas.Dispose();
    }

    private LinearProduct Choose(in LinearShape shape, string product, bool measures, Dictionary<string, string> measured)
    {
        if (_choice == LinearChoice.Proposed || (_choice == LinearChoice.Measured && !measures))
            return _candidates.Proposed(shape) ?? _candidates.Expected(shape);
        if (_choice == LinearChoice.Own)
            return _candidates.Expected(shape);
        if (_cacheFolder is not null)
            _cache ??= new LinearCache(_cacheFolder, CacheKey());
        string key = $"{_arithmetic} {product}";
        if (_cache?.Find(key) is { } kept && _candidates.Restore(shape, kept) is { } restored)
            return restored;
        if (_selector.Fastest(shape) is not { } fastest)
            return _candidates.Expected(shape);
        measured.Add(key, fastest.Name);
        return fastest;
    }

    private LinearCacheKey CacheKey() => new(
        _kernels.Context.Name, _kernels.Context.ComputeCapability.ToString(), Driver.Version(), _blas.LtVersion, _blas.ClassicVersion,
        typeof(LinearProducts).Assembly.GetName().Version?.ToString(3) ?? string.Empty);
}

/// <summary>How implementations of products are chosen.</summary>
internal sealed record LinearOptions
{
    /// <summary>What is chosen.</summary>
    public LinearChoice Choice { get; init; }

    /// <summary>Where measured choices are kept; null for nowhere.</summary>
    public string? CacheFolder { get; init; }

    /// <summary>Whether cuBLASLt and cuBLAS may be used where they are there.</summary>
    public bool UsesLibraries { get; init; } = true;

    /// <summary>Measures a product, in milliseconds, in place of the clock of the device.</summary>
    public Func<LinearProduct, float>? Clock { get; init; }
}
