using Trainer.Cuda.Kernels;
using Trainer.Optimization;

namespace Trainer.KernelTests;

/// <summary>All kernels of an optimizer step in their order, on weights of a few tensors, as a training run would launch them.</summary>
internal sealed class StepPipeline
{
    private readonly KernelRun _run;
    private readonly DeviceBuffer _first;
    private readonly DeviceBuffer _second;
    private readonly DeviceBuffer _spans;
    private readonly DeviceBuffer _factors;
    private readonly DeviceBuffer _gradientPartial;
    private readonly DeviceBuffer _updatePartial;
    private readonly DeviceBuffer _gradientSums;
    private readonly DeviceBuffer _weightSums;
    private readonly DeviceBuffer _units;
    private readonly DeviceBuffer _scalars;
    private readonly int _unitCount;

    public StepPipeline(KernelRun run, ReadOnlySpan<Segment> tensors, ReadOnlySpan<int> unitOfTensor, float[] weights, RegularizedUnit[] units)
    {
        _run = run;
        _unitCount = units.Length;
        Table = new TensorTable(tensors, unitOfTensor);
        Master = run.Float("master", weights, changing: true);
        Copy = run.Bf16("weights", weights, changing: true);
        _first = run.Float("first", new float[weights.Length], changing: true);
        _second = run.Float("second", new float[weights.Length], changing: true);
        _spans = run.Structs("tensors", Table.Spans);
        _factors = run.Output("factors", BufferType.Float, 4 * tensors.Length);
        _gradientPartial = run.Output("gradient partial", BufferType.Double, Table.Chunks);
        _updatePartial = run.Output("update partial", BufferType.Double, 2 * Table.Chunks);
        _gradientSums = run.Output("gradient sums", BufferType.Double, tensors.Length);
        _weightSums = run.Output("weight sums", BufferType.Double, 2 * tensors.Length);
        _units = run.Structs<RegularizedUnit>("units", units, changing: true);
        _scalars = run.Structs<StepScalars>("scalars", [default], changing: true);
    }

    public TensorTable Table { get; }

    public DeviceBuffer Master { get; }

    public DeviceBuffer Copy { get; }

    public StepScalars Scalars => _scalars.As<StepScalars>()[0];

    public ReadOnlySpan<RegularizedUnit> Units => _units.As<RegularizedUnit>();

    public ReadOnlySpan<TensorFactors> Factors => _factors.As<TensorFactors>();

    public void Step(StepInput input, float[] gradients, float? loss = null)
    {
        int n = Table.Spans.Length;
        var (inputBuffer, gradientBuffer) = (_run.Structs<StepInput>("input", [input]), _run.Float("gradients", gradients));
        DeviceBuffer? lossBuffer = loss == null ? null : _run.Double("loss", [(double)loss]);
        _run.Launch(OptimizerKernels.SquareSums(Table), _gradientPartial, gradientBuffer, _spans, n);
        _run.Launch(OptimizerKernels.SumChunks(Table, 1), _gradientSums, _gradientPartial, _spans, 1);
        _run.Launch(OptimizerKernels.BeforeStep(Table), _scalars, _factors, _units, _unitCount, inputBuffer, _spans, n, _gradientSums, lossBuffer);
        _run.Launch(OptimizerKernels.AdamUpdate(Table), Master, Copy, _first, _second, gradientBuffer, _updatePartial, _spans, n, _factors,
            _scalars, (int)Rounding.Nearest);
        _run.Launch(OptimizerKernels.SumChunks(Table, OptimizerKernels.UpdateQuantities), _weightSums, _updatePartial, _spans,
            OptimizerKernels.UpdateQuantities);
        _run.Launch(OptimizerKernels.AfterStep(Table), _units, _unitCount, _scalars, inputBuffer, _spans, n, _weightSums);
    }

    /// <summary>Brings the stored weights up to date with a factor that is still pending.</summary>
    public void Flush()
    {
        var scales = _run.Output("scales", BufferType.Float, Table.Spans.Length);
        _run.Launch(OptimizerKernels.TakePending(Table), scales, _units, _unitCount, _spans, Table.Spans.Length);
        _run.Launch(OptimizerKernels.ScaleWeights(Table), Master, Copy, _spans, Table.Spans.Length, scales, (int)Rounding.Nearest, 1u, 1u);
    }
}
