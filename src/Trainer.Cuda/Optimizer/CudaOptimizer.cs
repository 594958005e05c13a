using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Trainer.Compute;
using Trainer.Cuda.Kernels;
using Trainer.Model;
using Trainer.Optimization;

namespace Trainer.Cuda.Optimizer;

/// <summary>
/// The end of a step on the GPU: seven kernels, whose scalars all stay in device memory, captured as one CUDA graph. The host sends t and the schedule's
/// values before it and gets norms and loss after it, through pinned memory of which each step in flight has its own.
/// </summary>
internal sealed unsafe class CudaOptimizer : IOptimizerPass
{
    private const int Slots = 2;

    private readonly CudaKernels _kernels;
    private readonly CudaContext _context;
    private readonly ParameterLayout _layout;
    private readonly TrainingTensors _tensors;
    private readonly OptimizerOptions _options;
    private readonly StepInputs _inputs;
    private readonly Rounding _rounding;
    private readonly bool _usesGraph;
    private readonly DeviceTables _device;
    private readonly nint _pinned;
    private readonly nint[] _done = new nint[Slots];

    private PreparedKernel[] _launches = [];
    private int _unitCount;
    private nint _graph;
    private ulong _capturedLoss;
    private long _begun;
    private long _finished;

    /// <summary>Allocates what the kernels keep.</summary>
    public CudaOptimizer(
        CudaKernels kernels, ParameterLayout layout, TrainingTensors tensors, OptimizerOptions options, Precision precision, uint seed, bool usesGraph)
    {
        (_kernels, _context, _layout, _tensors, _options) = (kernels, kernels.Context, layout, tensors, options);
        (_usesGraph, _inputs, _rounding) = (usesGraph, new StepInputs(options, seed), precision.RoundsStochastically ? Rounding.Stochastic : Rounding.Nearest);
        _context.MakeCurrent();
        _device = new DeviceTables(_context, layout);
        try
        {
            _pinned = Driver.AllocateHost(Slots * (nuint)sizeof(Slot));
            for (int i = 0; i < Slots; i++)
                _done[i] = Driver.CreateEvent(timing: false);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public int MostInFlight => Slots;

    /// <inheritdoc/>
    public void Start(ReadOnlySpan<double> initialSums, ReadOnlySpan<double> sums)
    {
        _context.Synchronize();
        DestroyGraph();
        (_begun, _finished) = (0, 0);
        var units = RegularizedUnits.From(_options, _layout, initialSums, sums);
        _unitCount = units.Units.Length;
        var table = new TensorTable(_layout.Segments, units.UnitOfTensor);
        _device.Set(_device.Spans, table.Spans);
        _device.Set(_device.Units, units.Units);
        _device.Set(_device.WeightSums, sums);
        _device.Set<StepScalars>(_device.Scalars, [units.Begin(sums)]);
        Driver.Fill(_device.GradientSums, 0, (nuint)(sums.Length * sizeof(double)), _context.Stream);

        bool master = _tensors.Exact.Type == ElementType.Float32, copy = _tensors.Weights.Type == ElementType.BFloat16;
        _launches =
        [
            .. new[]
            {
                OptimizerKernels.SquareSums(table), OptimizerKernels.SumChunks(table, 1), OptimizerKernels.BeforeStep(table),
                OptimizerKernels.AdamUpdate(table, master, copy), OptimizerKernels.SumChunks(table, OptimizerKernels.UpdateQuantities),
                OptimizerKernels.AfterStep(table),
            }.Select(launch => _kernels.Prepare(launch)),
            .. units.ScalesAfterPass ? [_kernels.Prepare(OptimizerKernels.ScaleWeights(table, master, copy))] : Array.Empty<PreparedKernel>(),
        ];
        _context.Synchronize();
    }

    /// <inheritdoc/>
    public void Begin(in RegularizerStep step, Tensor loss)
    {
        _context.MakeCurrent();
        int slot = (int)(_begun % Slots);
        Slot* pinned = (Slot*)_pinned + slot;
        pinned->Input = _inputs.At(step.Step);
        Driver.CopyToDevice(_device.Input, &pinned->Input, (nuint)sizeof(StepInput), _context.Stream);
        Run((ulong)loss.Address);
        Driver.CopyToHost(&pinned->Scalars, _device.Scalars, (nuint)sizeof(StepScalars), _context.Stream);
        Driver.RecordEvent(_done[slot], _context.Stream);
        _begun++;
    }

    /// <inheritdoc/>
    public PassResult Finish()
    {
        _context.MakeCurrent();
        int slot = (int)(_finished % Slots);
        Driver.SynchronizeEvent(_done[slot]);
        _finished++;
        ref StepScalars scalars = ref ((Slot*)_pinned)[slot].Scalars;
        return new PassResult(scalars.Taken != 0, scalars.Loss, scalars.GradientNorm, scalars.WeightNorm);
    }

    /// <inheritdoc/>
    public void ReadSums(Span<double> weightSums, Span<double> gradientSums)
    {
        _device.Get(_device.WeightSums, weightSums);
        _device.Get(_device.GradientSums, gradientSums);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _context.Quietly(_context.Synchronize);
        _context.Quietly(DestroyGraph);
        foreach (nint done in _done.Where(done => done != 0))
            _context.Quietly(() => Driver.DestroyEvent(done));
        if (_pinned != 0)
            _context.Quietly(() => Driver.FreeHost(_pinned));
        _device.Dispose();
    }

    private void Run(ulong loss)
    {
        if (!_usesGraph || _kernels.Observer != null)
        {
            Launch(loss);
            return;
        }

        if (_graph == 0 || _capturedLoss != loss)
        {
            DestroyGraph();
            _graph = Capture(loss);
            _capturedLoss = loss;
        }

        Driver.LaunchGraph(_graph, _context.Stream);
    }

    private nint Capture(ulong loss)
    {
        Driver.BeginCapture(_context.Stream);
        nint graph = 0;
        try
        {
            Launch(loss);
        }
        finally
        {
            graph = Driver.EndCapture(_context.Stream);
        }

        try
        {
            return Driver.Instantiate(graph);
        }
        finally
        {
            Driver.DestroyGraph(graph);
        }
    }

    private void Launch(ulong loss)
    {
        int n = _layout.Tensors.Count, rounding = (int)_rounding;
        ulong gradients = (ulong)_tensors.Gradients.Address, first = (ulong)_tensors.FirstMoment.Address, second = (ulong)_tensors.SecondMoment.Address;
        ulong exact = _tensors.Exact.Type == ElementType.Float32 ? (ulong)_tensors.Exact.Address : 0;
        ulong halves = _tensors.Weights.Type == ElementType.BFloat16 ? (ulong)_tensors.Weights.Address : 0;
        DeviceTables d = _device;
        _launches[0].Launch(d.GradientPartial, gradients, d.Spans, n);
        _launches[1].Launch(d.GradientSums, d.GradientPartial, d.Spans, 1);
        _launches[2].Launch(d.Scalars, d.Factors, d.Units, _unitCount, d.Input, d.Spans, n, d.GradientSums, loss);
        _launches[3].Launch(exact, halves, first, second, gradients, d.UpdatePartial, d.Spans, n, d.Factors, d.Scalars, rounding);
        _launches[4].Launch(d.PassSums, d.UpdatePartial, d.Spans, OptimizerKernels.UpdateQuantities);
        _launches[5].Launch(d.Scalars, d.Scales, d.WeightSums, d.Units, _unitCount, d.Input, d.Spans, n, d.PassSums);
        if (_launches.Length > 6)
            _launches[6].Launch(exact, halves, d.Spans, n, d.Scales, d.Scalars, rounding);
    }

    private void DestroyGraph()
    {
        nint graph = _graph;
        _graph = 0;
        if (graph != 0)
            Driver.DestroyExecutable(graph);
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct Slot
    {
        public StepInput Input;
        public StepScalars Scalars;
    }

    /// <summary>One allocation for everything that the kernels keep besides the parameters.</summary>
    private sealed class DeviceTables : IDisposable
    {
        private readonly CudaContext _context;
        private readonly ulong _memory;

        public DeviceTables(CudaContext context, ParameterLayout layout)
        {
            _context = context;
            long bytes = Bytes(layout);
            _memory = Driver.Allocate((nuint)bytes);
            Divide(new Arena(new Tensor((nint)_memory, ElementType.Byte, Shape.Holding(bytes))), layout);
        }

        private DeviceTables(Arena arena, ParameterLayout layout)
        {
            _context = null!;
            Divide(arena, layout);
        }

        public ulong Spans { get; private set; }

        public ulong Units { get; private set; }

        public ulong Factors { get; private set; }

        public ulong Scales { get; private set; }

        public ulong GradientPartial { get; private set; }

        public ulong UpdatePartial { get; private set; }

        public ulong GradientSums { get; private set; }

        public ulong PassSums { get; private set; }

        public ulong WeightSums { get; private set; }

        public ulong Scalars { get; private set; }

        public ulong Input { get; private set; }

        public void Set<T>(ulong to, ReadOnlySpan<T> values)
            where T : unmanaged
        {
            fixed (T* from = values)
                Driver.CopyToDevice(to, from, (nuint)(values.Length * sizeof(T)), _context.Stream);
            Driver.Synchronize(_context.Stream);
        }

        public void Get<T>(ulong from, Span<T> values)
            where T : unmanaged
        {
            _context.MakeCurrent();
            fixed (T* to = values)
            {
                Driver.CopyToHost(to, from, (nuint)(values.Length * sizeof(T)), _context.Stream);
                Driver.Synchronize(_context.Stream);
            }
        }

        public void Dispose() => _context.Quietly(() => Driver.Free(_memory));

        private static long Bytes(ParameterLayout layout)
        {
            var counted = new Arena();
            _ = new DeviceTables(counted, layout);
            return counted.Used;
        }

        private void Divide(Arena arena, ParameterLayout layout)
        {
            int n = layout.Tensors.Count;
            int chunks = new TensorTable(layout.Segments, new int[n]).Chunks;
            Spans = Take<TensorSpan>(n);
            Units = Take<RegularizedUnit>(n);
            Factors = Take<TensorFactors>(n);
            Scales = Take<float>(n);
            GradientPartial = Take<double>(chunks);
            UpdatePartial = Take<double>(OptimizerKernels.UpdateQuantities * chunks);
            GradientSums = Take<double>(n);
            PassSums = Take<double>(OptimizerKernels.UpdateQuantities * n);
            WeightSums = Take<double>(n);
            Scalars = Take<StepScalars>(1);
            Input = Take<StepInput>(1);

            ulong Take<T>(int count)
                where T : unmanaged => (ulong)arena.Take(ElementType.Byte, Shape.Holding((long)count * Unsafe.SizeOf<T>())).Address;
        }
    }
}
