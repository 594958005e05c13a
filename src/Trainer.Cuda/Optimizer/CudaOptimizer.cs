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
    private readonly WeightSegments _segments;
    private readonly DeviceTables _device;
    private readonly nuint _slotBytes;
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
        _segments = options.Regularizer.Create(layout).Segments;
        RegularizedUnits.CheckSupports(options, _segments);
        _context.MakeCurrent();
        _device = new DeviceTables(_context, _segments);
        _slotBytes = (nuint)sizeof(Slot) + _device.SumsBytes;
        try
        {
            _pinned = Driver.AllocateHost(Slots * _slotBytes);
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
    public void Start(ReadOnlySpan<double> initialSums, ReadOnlySpan<double> sums, IReadOnlyList<double> state)
    {
        _context.Synchronize();
        DestroyGraph();
        (_begun, _finished) = (0, 0);
        var units = RegularizedUnits.From(_options, _layout, initialSums, sums, state);
        _unitCount = units.Units.Length;
        var table = new TensorTable(_segments.Segments, units.UnitOfSegment);
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
                _options.Kind == OptimizerKind.Adam ? OptimizerKernels.AdamUpdate(table, master, copy) : OptimizerKernels.SgdUpdate(table, master, copy),
                OptimizerKernels.SumChunks(table, OptimizerKernels.UpdateQuantities),
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
        Slot* pinned = SlotOf(slot);
        pinned->Input = _inputs.At(step.Step);
        Driver.CopyToDevice(_device.Input, &pinned->Input, (nuint)sizeof(StepInput), _context.Stream);
        Run((ulong)loss.Address);
        Driver.CopyToHost(&pinned->Scalars, _device.Scalars, (nuint)sizeof(StepScalars), _context.Stream);
        Driver.CopyToHost(pinned + 1, _device.GradientSums, _device.SumsBytes, _context.Stream);
        Driver.RecordEvent(_done[slot], _context.Stream);
        _begun++;
    }

    /// <inheritdoc/>
    public PassResult Finish(StepSums sums)
    {
        ArgumentNullException.ThrowIfNull(sums);
        _context.MakeCurrent();
        int slot = (int)(_finished % Slots);
        Driver.SynchronizeEvent(_done[slot]);
        _finished++;
        Slot* pinned = SlotOf(slot);
        ref StepScalars scalars = ref pinned->Scalars;
        if (scalars.Taken != 0)
            _device.Read((byte*)(pinned + 1), sums);
        return new PassResult(scalars.Taken != 0, scalars.Loss, scalars.GradientNorm, scalars.WeightNorm);
    }

    /// <inheritdoc/>
    public IReadOnlyList<double> State()
    {
        var units = new RegularizedUnit[_unitCount];
        var scalars = new StepScalars[1];
        _device.Get<RegularizedUnit>(_device.Units, units);
        _device.Get<StepScalars>(_device.Scalars, scalars);
        return RegularizedUnits.State(units, scalars[0].Step);
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
        int n = _segments.Count, rounding = (int)_rounding;
        ulong gradients = (ulong)_tensors.Gradients.Address, first = (ulong)_tensors.FirstMoment.Address, second = (ulong)_tensors.SecondMoment.Address;
        ulong exact = _tensors.Exact.Type == ElementType.Float32 ? (ulong)_tensors.Exact.Address : 0;
        ulong halves = _tensors.Weights.Type == ElementType.BFloat16 ? (ulong)_tensors.Weights.Address : 0;
        DeviceTables d = _device;
        _launches[0].Launch(d.GradientPartial, gradients, d.Spans, n);
        _launches[1].Launch(d.GradientSums, d.GradientPartial, d.Spans, 1);
        _launches[2].Launch(d.Scalars, d.Factors, d.Units, _unitCount, d.Input, d.Spans, n, d.GradientSums, loss);
        if (_options.Kind == OptimizerKind.Adam)
            _launches[3].Launch(exact, halves, first, second, gradients, d.UpdatePartial, d.Spans, n, d.Factors, d.Scalars, rounding);
        else
            _launches[3].Launch(exact, halves, first, gradients, d.UpdatePartial, d.Spans, n, d.Factors, d.Scalars, rounding);
        _launches[4].Launch(d.PassSums, d.UpdatePartial, d.Spans, OptimizerKernels.UpdateQuantities);
        _launches[5].Launch(d.Scalars, d.Scales, d.WeightSums, d.Units, _unitCount, d.Input, d.Spans, n, d.PassSums);
        if (_launches.Length > 6)
            _launches[6].Launch(exact, halves, d.Spans, n, d.Scales, d.Scalars, rounding);
    }

    private Slot* SlotOf(int slot) => (Slot*)(_pinned + (nint)((nuint)slot * _slotBytes));

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

        private readonly int _count;

        public DeviceTables(CudaContext context, WeightSegments segments)
        {
            (_context, _count) = (context, segments.Count);
            long bytes = Bytes(segments);
            _memory = Driver.Allocate((nuint)bytes);
            Divide(new Arena(new Tensor((nint)_memory, ElementType.Byte, Shape.Holding(bytes))), segments);
        }

        private DeviceTables(Arena arena, WeightSegments segments)
        {
            (_context, _count) = (null!, segments.Count);
            Divide(arena, segments);
        }

        /// <summary>The bytes from <see cref="GradientSums"/> to the end of <see cref="Scales"/>: what a step finds of all segments, in one copy.</summary>
        public nuint SumsBytes => (nuint)(Scales - GradientSums) + (nuint)(_count * sizeof(float));

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

        /// <summary>Takes apart the copy that begins at <see cref="GradientSums"/>.</summary>
        public void Read(byte* copy, StepSums sums)
        {
            new ReadOnlySpan<double>(copy, _count).CopyTo(sums.Gradients);
            new ReadOnlySpan<double>(copy + (WeightSums - GradientSums), _count).CopyTo(sums.Weights);
            new ReadOnlySpan<float>(copy + (Scales - GradientSums), _count).CopyTo(sums.Factors);
            double* pass = (double*)(copy + (PassSums - GradientSums));
            for (int i = 0; i < _count; i++)
                sums.Updates[i] = pass[(OptimizerKernels.UpdateQuantities * i) + 1];
        }

        public void Dispose() => _context.Quietly(() => Driver.Free(_memory));

        private static long Bytes(WeightSegments segments)
        {
            var counted = new Arena();
            _ = new DeviceTables(counted, segments);
            return counted.Used;
        }

        private void Divide(Arena arena, WeightSegments segments)
        {
            int n = segments.Count;
            int chunks = new TensorTable(segments.Segments, new int[n]).Chunks;
            Spans = Take<TensorSpan>(n);
            Units = Take<RegularizedUnit>(n);
            Factors = Take<TensorFactors>(n);
            GradientPartial = Take<double>(chunks);
            UpdatePartial = Take<double>(OptimizerKernels.UpdateQuantities * chunks);
            GradientSums = Take<double>(n);
            PassSums = Take<double>(OptimizerKernels.UpdateQuantities * n);
            WeightSums = Take<double>(n);
            Scales = Take<float>(n);
            Scalars = Take<StepScalars>(1);
            Input = Take<StepInput>(1);

            ulong Take<T>(int count)
                where T : unmanaged => (ulong)arena.Take(ElementType.Byte, Shape.Holding((long)count * Unsafe.SizeOf<T>())).Address;
        }
    }
}
