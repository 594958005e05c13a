using Trainer.Cuda.Kernels;
using Trainer.Optimization;

namespace Trainer.KernelTests;

/// <summary>All kernels of an optimizer step in their order, on weights of a few tensors, as a training run would launch them.</summary>
internal sealed class StepPipeline
{
    private readonly KernelRun _run;
    private readonly DeviceBuffer _spans;
    private readonly DeviceBuffer _factors;
    private readonly DeviceBuffer _gradientPartial;
    private readonly DeviceBuffer _updatePartial;
    private readonly DeviceBuffer _gradientSums;
    private readonly DeviceBuffer _passSums;
    private readonly DeviceBuffer _units;
    private readonly DeviceBuffer _scalars;
    private readonly int _unitCount;

    /// <param name="run">The run.</param>
    /// <param name="tensors">Where they lie.</param>
    /// <param name="unitOfTensor">The unit of each.</param>
    /// <param name="weights">The master weights.</param>
    /// <param name="units">The units.</param>
    /// <param name="first">First moments, or null for zeros; with <paramref name="second"/>, the run goes on from there.</param>
    /// <param name="second">Second moments.</param>
    public StepPipeline(KernelRun run, ReadOnlySpan<Segment> tensors, ReadOnlySpan<int> unitOfTensor, float[] weights, ReadOnlySpan<RegularizedUnit> units,
        float[]? first = null, float[]? second = null)
    {
        _run = run;
        _unitCount = units.Length;
        Table = new TensorTable(tensors, unitOfTensor);
        Master = run.Float("master", weights, changing: true);
        Copy = run.Bf16("weights", weights, changing: true);
        First = run.Float("first", first ?? new float[weights.Length], changing: true);
        Second = run.Float("second", second ?? new float[weights.Length], changing: true);
        _spans = run.Structs("tensors", Table.Spans);
        _factors = run.Output("factors", BufferType.Float, 4 * tensors.Length);
        Scales = run.Output("scales", BufferType.Float, tensors.Length);
        _gradientPartial = run.Output("gradient partial", BufferType.Double, Table.Chunks);
        _updatePartial = run.Output("update partial", BufferType.Double, 2 * Table.Chunks);
        _gradientSums = run.Output("gradient sums", BufferType.Double, tensors.Length);
        _passSums = run.Output("pass sums", BufferType.Double, 2 * tensors.Length);
        WeightSums = run.Output("weight sums", BufferType.Double, tensors.Length);
        _units = run.Structs("units", units, changing: true);
        _scalars = run.Structs<StepScalars>("scalars", [new() { Taken = 1 }], changing: true);
    }

    public TensorTable Table { get; }

    public DeviceBuffer Master { get; }

    public DeviceBuffer Copy { get; }

    public DeviceBuffer First { get; }

    public DeviceBuffer Second { get; }

    public DeviceBuffer Scales { get; }

    public DeviceBuffer WeightSums { get; }

    public StepScalars Scalars => _scalars.As<StepScalars>()[0];

    public ReadOnlySpan<RegularizedUnit> Units => _units.As<RegularizedUnit>();

    public ReadOnlySpan<TensorFactors> Factors => _factors.As<TensorFactors>();

    /// <summary>What a step that is not taken must leave as it is.</summary>
    public byte[] State() => [.. Master.Bytes(), .. Copy.Bytes(), .. First.Bytes(), .. Second.Bytes(), .. WeightSums.Bytes(), .. _units.Bytes()];

    public void Step(StepInput input, float[] gradients, double? loss = null, Rounding rounding = Rounding.Nearest)
    {
        int n = Table.Spans.Length;
        var (inputBuffer, gradientBuffer) = (_run.Structs<StepInput>("input", [input]), _run.Float("gradients", gradients));
        DeviceBuffer? lossBuffer = loss is { } value ? _run.Double("loss", [value]) : null;
        _run.Launch(OptimizerKernels.SquareSums(Table), _gradientPartial, gradientBuffer, _spans, n);
        _run.Launch(OptimizerKernels.SumChunks(Table, 1), _gradientSums, _gradientPartial, _spans, 1);
        _run.Launch(OptimizerKernels.BeforeStep(Table), _scalars, _factors, _units, _unitCount, inputBuffer, _spans, n, _gradientSums, lossBuffer);
        _run.Launch(OptimizerKernels.AdamUpdate(Table), Master, Copy, First, Second, gradientBuffer, _updatePartial, _spans, n, _factors,
            _scalars, (int)rounding);
        _run.Launch(OptimizerKernels.SumChunks(Table, OptimizerKernels.UpdateQuantities), _passSums, _updatePartial, _spans,
            OptimizerKernels.UpdateQuantities);
        _run.Launch(OptimizerKernels.AfterStep(Table), _scalars, Scales, WeightSums, _units, _unitCount, inputBuffer, _spans, n, _passSums);
        _run.Launch(OptimizerKernels.ScaleWeights(Table), Master, Copy, _spans, n, Scales, _scalars, (int)rounding);
    }
}
